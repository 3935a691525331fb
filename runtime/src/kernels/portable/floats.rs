//! The float passes over eight tokens in their simplest form: portable, and the oracle for every
//! other set.
//!
//! Each takes [`GRAIN`] lanes at once and skips grains without a token; lanes there may hold
//! anything. Within a lane the order of operations is part of the definition.

use neuroprune_format::tensor::{Norm, Rows};

use crate::kernels::lanes::{grain, grain_mut, grain_of, grains, set_grain};
use crate::kernels::tile::{GRAIN, LARGEST_WEIGHT, Lanes, Mixture, QUAD, Tile, integer};
use crate::math::{self, float, quotient_or_zero};

/// [`LARGEST_WEIGHT`] as a float.
pub(crate) const LARGEST_MIXTURE: f32 = LARGEST_WEIGHT as f32;

/// Turns the integer sums in the memory of `output` into
/// y = (sum as f32) · (row scale · token scale) + bias.
pub fn scale<F>(rows: &Rows<'_>, tile: &Tile<'_, F>, output: &mut [Lanes<f32>]) {
    for part in grains(tile.tokens) {
        let scales = grain_of(&tile.scales, part);
        for (output, row) in grain_mut(output, part).zip(rows.affine()) {
            for (y, scale) in output.iter_mut().zip(scales) {
                *y = float(integer(*y)) * (row.scale * scale) + row.bias;
            }
        }
    }
}

/// Turns the integer sums in the memory of `x` into x = (sum as f32) · scale.
pub fn rescale(x: &mut [Lanes<f32>], scales: &Lanes<f32>, tokens: usize) {
    for part in grains(tokens) {
        let scales = grain_of(scales, part);
        for x in grain_mut(x, part) {
            for (x, scale) in x.iter_mut().zip(scales) {
                *x = float(integer(*x)) * scale;
            }
        }
    }
}

/// Largest magnitude of each lane, as [`math::magnitude`].
#[must_use]
pub fn largest(x: &[Lanes<f32>], tokens: usize) -> Lanes<u32> {
    let mut all = Lanes::default();
    for part in grains(tokens) {
        let mut largest = [0; GRAIN];
        for x in grain(x, part) {
            for (largest, x) in largest.iter_mut().zip(x) {
                *largest = math::magnitude(*x).max(*largest);
            }
        }
        set_grain(&mut all, part, largest);
    }
    all
}

/// nearest(x · inverse) as features, |x · inverse| ≤ 127; `set` is the kernels' own `set_grain`.
pub fn quantize<F>(
    x: &[Lanes<f32>],
    inverses: &Lanes<f32>,
    tokens: usize,
    features: &mut [F],
    set: impl Fn(&mut F, usize, [i8; GRAIN]),
) {
    for part in grains(tokens) {
        let inverses = grain_of(inverses, part);
        for (feature, x) in features.iter_mut().zip(grain(x, part)) {
            let mut steps = [0; GRAIN];
            for ((step, x), inverse) in steps.iter_mut().zip(x).zip(inverses) {
                *step = math::nearest_byte(x * inverse);
            }
            set(feature, part, steps);
        }
    }
}

/// [`quantize`] as bytes.
pub fn quantize_bytes(
    x: &[Lanes<f32>],
    inverses: &Lanes<f32>,
    tokens: usize,
    bytes: &mut [Lanes<i8>],
) {
    quantize(x, inverses, tokens, bytes, set_grain);
}

/// nearest(x · inverse) in 16 bits.
pub fn round(x: &[Lanes<f32>], inverses: &Lanes<f32>, tokens: usize, steps: &mut [Lanes<i16>]) {
    for part in grains(tokens) {
        let inverses = grain_of(inverses, part);
        for (steps, x) in grain_mut(steps, part).zip(grain(x, part)) {
            for ((step, x), inverse) in steps.iter_mut().zip(x).zip(inverses) {
                *step = math::nearest_half(x * inverse);
            }
        }
    }
}

/// nearest(weight · inverse) of the attention weights of four tokens, within
/// 0…[`LARGEST_WEIGHT`].
#[must_use]
pub fn mixture(weights: &[Lanes<f32>; QUAD], inverses: &Lanes<f32>) -> Mixture {
    let mut mixture = Mixture::default();
    for (place, weights) in weights.iter().enumerate() {
        for ((steps, weight), inverse) in mixture.iter_mut().zip(weights).zip(inverses) {
            if let Some(step) = steps.get_mut(place) {
                *step = narrow(math::nearest(weight * inverse));
            }
        }
    }
    mixture
}

#[allow(clippy::cast_possible_truncation, reason = "clamped")]
fn narrow(weight: i32) -> i16 {
    weight.clamp(0, LARGEST_WEIGHT.into()) as i16
}

/// x ← x + step · scale.
pub fn add(x: &mut [Lanes<f32>], steps: &[Lanes<i16>], scales: &Lanes<f32>, tokens: usize) {
    for part in grains(tokens) {
        let scales = grain_of(scales, part);
        for (x, steps) in grain_mut(x, part).zip(grain(steps, part)) {
            for ((x, &step), scale) in x.iter_mut().zip(steps).zip(scales) {
                *x += f32::from(step) * scale;
            }
        }
    }
}

/// Σ x, first to last.
#[must_use]
pub fn sum(x: &[Lanes<f32>], tokens: usize) -> Lanes<f32> {
    let mut all = Lanes::default();
    for part in grains(tokens) {
        let mut sums = [0.0; GRAIN];
        for x in grain(x, part) {
            for (sum, x) in sums.iter_mut().zip(x) {
                *sum += x;
            }
        }
        set_grain(&mut all, part, sums);
    }
    all
}

/// Σ (x − mean)², first to last.
#[must_use]
pub fn sum_of_squares(x: &[Lanes<f32>], mean: &Lanes<f32>, tokens: usize) -> Lanes<f32> {
    let mut all = Lanes::default();
    for part in grains(tokens) {
        let mean = grain_of(mean, part);
        let mut sums = [0.0; GRAIN];
        for x in grain(x, part) {
            for ((sum, x), mean) in sums.iter_mut().zip(x).zip(mean) {
                *sum += (x - mean) * (x - mean);
            }
        }
        set_grain(&mut all, part, sums);
    }
    all
}

/// x ← (x − mean) · inverse · gain + shift.
pub fn normalize(
    x: &mut [Lanes<f32>],
    mean: &Lanes<f32>,
    inverse: &Lanes<f32>,
    norm: Norm<'_>,
    tokens: usize,
) {
    for part in grains(tokens) {
        let (mean, inverse) = (grain_of(mean, part), grain_of(inverse, part));
        for (x, (gain, shift)) in grain_mut(x, part).zip(norm.iter()) {
            for ((x, mean), inverse) in x.iter_mut().zip(mean).zip(inverse) {
                *x = (*x - mean) * inverse * gain + shift;
            }
        }
    }
}

/// x ← max(0, x).
pub fn rectify(x: &mut [Lanes<f32>], tokens: usize) {
    for part in grains(tokens) {
        for x in grain_mut(x, part).flatten() {
            *x = math::rectify(*x);
        }
    }
}

/// x ← [`math::gelu`] of x.
pub fn gelu(x: &mut [Lanes<f32>], tokens: usize) {
    for part in grains(tokens) {
        for x in grain_mut(x, part).flatten() {
            *x = math::gelu(*x);
        }
    }
}

/// How attention weights become integers, and their sums floats.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct MixtureScales {
    /// Steps of one unit.
    pub inverses: Lanes<f32>,
    /// Value of one unit of the sums.
    pub sum_scales: Lanes<f32>,
}

impl MixtureScales {
    /// Sets those of one grain of queries, from their largest attention weights and the sums of
    /// their weights.
    #[inline]
    pub(crate) fn set_grain(&mut self, part: usize, largest: [f32; GRAIN], sums: [f32; GRAIN]) {
        let inverses = largest.map(|largest| quotient_or_zero(LARGEST_MIXTURE, largest));
        set_grain(&mut self.inverses, part, inverses);
        let mut sum_scales = [0.0; GRAIN];
        for ((scale, largest), sum) in sum_scales.iter_mut().zip(largest).zip(sums) {
            *scale = quotient_or_zero(largest, LARGEST_MIXTURE * sum);
        }
        set_grain(&mut self.sum_scales, part, sum_scales);
    }
}

/// Turns the integer sums q·k into attention weights times the scales of their values,
/// not yet divided by the sum of the weights. `scores` is `[tokens]`, `queries` are those of
/// the tile.
#[inline(never)]
pub fn softmax(
    scores: &mut [Lanes<f32>],
    query_scales: &Lanes<f32>,
    queries: usize,
    key_scales: &[f32],
    value_scales: &[f32],
) -> MixtureScales {
    let mut scales = MixtureScales::default();
    for part in grains(queries) {
        let query_scales = grain_of(query_scales, part);
        let mut largest = [f32::NEG_INFINITY; GRAIN];
        for (scores, key_scale) in grain_mut(scores, part).zip(key_scales) {
            let lanes = scores.iter_mut().zip(&mut largest).zip(query_scales);
            for ((score, largest), query_scale) in lanes {
                *score = float(integer(*score)) * (query_scale * key_scale);
                *largest = if *score > *largest { *score } else { *largest };
            }
        }
        let mut sums = [0.0; GRAIN];
        let mut largest_weights = [0.0_f32; GRAIN];
        for (scores, &value_scale) in grain_mut(scores, part).zip(value_scales) {
            let sums = sums.iter_mut().zip(&mut largest_weights);
            for ((score, largest), (sum, largest_weight)) in
                scores.iter_mut().zip(&largest).zip(sums)
            {
                let weight = math::exponential(*score - largest);
                *sum += weight;
                *score = weight * value_scale;
                *largest_weight = if *score > *largest_weight {
                    *score
                } else {
                    *largest_weight
                };
            }
        }
        scales.set_grain(part, largest_weights, sums);
    }
    scales
}
