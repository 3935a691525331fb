//! The passes of a recurrence in their simplest form: portable, and the oracle for every other set.

use crate::kernels::lanes::{grain_of, grains};
use crate::kernels::tile::{Direction, GRAIN, LANES, Lanes};
use crate::math;

/// How the steps of a tile, and of the token that it begins after, become bytes.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct PairScales {
    /// Values of one step of each token.
    pub own: Lanes<f32>,
    /// Bytes per unit, of each pair.
    pub inverses: Lanes<f32>,
    /// Value of one step of the token that the tile begins after.
    pub after: f32,
}

/// The lanes of the neighbours of a tile's tokens, the first of which is `after`.
#[inline]
#[must_use]
pub fn neighbours<T: Copy>(lanes: &Lanes<T>, after: T, direction: Direction) -> Lanes<T> {
    let [a, b, c, d, e, f, g, h] = *lanes;
    match direction {
        Direction::Forward => [after, a, b, c, d, e, f, g],
        Direction::Backward => [b, c, d, e, f, g, h, after],
    }
}

/// What the next tile begins after.
#[inline]
#[must_use]
pub fn last<T: Copy>(lanes: &Lanes<T>, direction: Direction) -> T {
    let [first, .., last] = *lanes;
    match direction {
        Direction::Forward => last,
        Direction::Backward => first,
    }
}

/// nearest((step · scale) · inverse) of neighbours and then of tokens, as features: two for each of
/// `steps`. `after` holds the steps that the tile begins after, then those that the next one does;
/// `set` is the kernels' own `set_grain`.
///
/// A lane without a token needs a scale of zero.
pub fn quantize_pairs<F>(
    steps: &[Lanes<i16>],
    after: &mut [i16],
    scales: &PairScales,
    tokens: usize,
    direction: Direction,
    features: &mut [F],
    set: impl Fn(&mut F, usize, [i8; GRAIN]),
) {
    let (of_neighbours, own) = features
        .split_at_mut_checked(steps.len())
        .unwrap_or_default();
    let rows = steps
        .iter()
        .zip(after)
        .zip(of_neighbours.iter_mut().zip(own));
    for ((steps, after), (of_neighbour, own)) in rows {
        let mut values = [0.0; LANES];
        for ((value, &step), scale) in values.iter_mut().zip(steps).zip(scales.own) {
            *value = f32::from(step) * scale;
        }
        let beside = neighbours(&values, f32::from(*after) * scales.after, direction);
        *after = last(steps, direction);
        for part in grains(tokens) {
            let inverses = grain_of(&scales.inverses, part);
            set(
                of_neighbour,
                part,
                nearest(grain_of(&beside, part), inverses),
            );
            set(own, part, nearest(grain_of(&values, part), inverses));
        }
    }
}

#[inline]
fn nearest(values: [f32; GRAIN], inverses: [f32; GRAIN]) -> [i8; GRAIN] {
    let mut bytes = [0; GRAIN];
    for ((byte, value), inverse) in bytes.iter_mut().zip(values).zip(inverses) {
        *byte = math::nearest_byte(value * inverse);
    }
    bytes
}

/// x ← byte · scale.
pub fn dequantize_bytes(bytes: &[Lanes<i8>], scale: f32, x: &mut [Lanes<f32>]) {
    for (x, bytes) in x.iter_mut().zip(bytes) {
        *x = bytes.map(|byte| f32::from(byte) * scale);
    }
}

/// Runs a recurrence over the tokens of a tile: candidates become h = z + f·(h − z), with z and the
/// forget gate f of [`math`]. `state` is h of the token before, then of the last one. Gates may be
/// overwritten.
#[inline(never)]
pub fn recur(
    gates: &mut [Lanes<f32>],
    candidates: &mut [Lanes<f32>],
    state: &mut [f32],
    tokens: usize,
    direction: Direction,
) {
    for ((gates, candidates), h) in gates.iter().zip(candidates).zip(state) {
        let lanes = gates.iter().zip(candidates).take(tokens);
        let step = |(&gate, candidate): (&f32, &mut f32)| {
            let (f, z) = (math::forget_gate(gate), math::candidate(*candidate));
            *h = z + f * (*h - z);
            *candidate = *h;
        };
        match direction {
            Direction::Forward => lanes.for_each(step),
            Direction::Backward => lanes.rev().for_each(step),
        }
    }
}
