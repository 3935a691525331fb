//! Equivalent heads, merged.
//!
//! Redundancy is measured where it matters, on data: how well does a linear map of
//! head j's outputs predict what head i adds to the residual stream? Two heads may
//! agree in another basis, so the map is fitted (least squares, with a mean), and its
//! error is weighed by W_O:
//!
//! ```text
//! distance(i | j)² = tr(W_i R Wᵢᵀ) / tr(W_i C_ii Wᵢᵀ),   R = C_ii − C_ij C_jj⁻¹ C_ji
//! ```
//!
//! C the covariance of the heads' outputs. Head j dominates head i where the distance
//! is at most the recipe's. The heads that are kept are an exact minimum dominating set,
//! the most important one where several are equally small (the paper's filter is an
//! approximation without importance). A removed head is merged into its nearest
//! survivor, in W_O: `W_j += W_i·Mᵀ`: exact where the map is.

use candle_core::{Result, Tensor};

use super::blocks::make_whole;
use super::spare::Spare;
use crate::network::parameter::Parameter;
use crate::network::{Attention, Network};
use crate::numbers::{real, single};
use crate::recipe::Blocks;
use crate::text::batch::{Batch, EncodedExample};

/// Share of its variance that a dimension must not share with others, to be distinguished from
/// rounding.
const DEPENDENT: f64 = 1e-6;

/// A head that was merged, and into which.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct MergedHead {
    /// Its layer.
    pub layer: usize,
    /// Its number before pruning.
    pub head: u16,
    /// The head that took over its part.
    pub into: u16,
    /// Relative distance of their outputs.
    pub distance: f32,
}

/// A head that was kept, and how near the output of another one was.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct KeptHead {
    /// Its layer.
    pub layer: usize,
    /// Its number before pruning.
    pub head: u16,
    /// The head of the layer that is nearest to it, before any was merged; none if it was alone.
    pub nearest: Option<u16>,
    /// Distance from that one.
    pub distance: f32,
}

impl KeptHead {
    /// The head at position `head` of `numbers`.
    pub(super) fn new(
        layer: usize,
        numbers: &[u16],
        head: usize,
        distance: impl Fn(usize) -> f32,
    ) -> Self {
        let others = (0..numbers.len()).filter(|&other| other != head);
        let nearest = others.min_by(|&a, &b| distance(a).total_cmp(&distance(b)));
        Self {
            layer,
            head: numbers[head],
            nearest: nearest.map(|other| numbers[other]),
            distance: nearest.map_or(0.0, distance),
        }
    }
}

/// The result of comparing all heads.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct HeadTest {
    /// Heads that were merged.
    pub merged: Vec<MergedHead>,
    /// Heads that were kept.
    pub kept: Vec<KeptHead>,
}

/// Merges heads that dominate each other on `examples`, at no more than
/// `head_distance`, as far as their weights are `spare`, and keeps `blocks` of W_O whole.
pub(crate) fn merge_heads<'e>(
    network: &mut Network,
    examples: impl Iterator<Item = &'e EncodedExample> + Clone,
    head_distance: f32,
    blocks: Blocks,
    mut spare: Spare,
) -> Result<HeadTest> {
    let recording = network.record(&Batch::new(examples))?;
    let width = network.shape.head_width();
    let mut test = HeadTest::default();
    for (number, attention) in attentions(network) {
        let Some(context) = recording.tape.input_of(&attention.output.weight) else {
            continue;
        };
        let outputs = Outputs::new(context, attention, width)?;
        let fits = outputs.fits();
        let kept = dominating_set(&fits, &outputs.importance, head_distance);
        let kept_head = |&head: &usize| {
            KeptHead::new(number, &attention.heads, head, |other| {
                fits[head][other].distance
            })
        };
        test.kept.extend(kept.iter().map(kept_head));
        let removed: Vec<usize> = (0..outputs.heads).filter(|i| !kept.contains(i)).collect();
        let removed = spare.take(attention, &removed, width)?;
        for &i in &removed {
            let nearest = kept.iter().map(|&j| (&fits[i][j], j));
            let nearest = nearest.min_by(|(a, _), (b, _)| a.distance.total_cmp(&b.distance));
            let Some((fit, j)) = nearest else { continue };
            outputs.merge(attention, i, j, fit)?;
            test.merged.push(MergedHead {
                layer: number,
                head: attention.heads[i],
                into: attention.heads[j],
                distance: fit.distance,
            });
        }
        if !removed.is_empty() {
            let left = |head: &usize| !removed.contains(head);
            let left: Vec<usize> = (0..outputs.heads).filter(left).collect();
            keep_heads(attention, &left, width)?;
            make_whole(&mut attention.output.weight, blocks.width())?;
        }
    }
    Ok(test)
}

/// The attention of each layer that has one, with the layer's number.
pub(super) fn attentions(network: &mut Network) -> impl Iterator<Item = (usize, &mut Attention)> {
    let layers = network.layers.iter_mut().enumerate();
    layers.filter_map(|(number, layer)| Some((number, layer.attention_mut()?)))
}

/// Keeps these heads (positions among those that are left).
///
/// # Errors
/// When a position is out of range.
pub(super) fn keep_heads(attention: &mut Attention, kept: &[usize], width: usize) -> Result<()> {
    let index = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    let columns = |part: usize| {
        let first = part * attention.heads.len() * width;
        kept.iter().flat_map(move |&head| {
            let start = first + head * width;
            (start..start + width).map(index)
        })
    };
    let rows: Vec<u32> = (0..3).flat_map(columns).collect();
    let context: Vec<u32> = columns(0).collect();
    attention.projection.weight.select(&rows, 0)?;
    attention.projection.bias.select(&rows, 0)?;
    attention.output.weight.select(&context, 1)?;
    attention.heads = kept.iter().map(|&head| attention.heads[head]).collect();
    Ok(())
}

/// The outputs of the heads of one layer, as moments.
struct Outputs {
    heads: usize,
    width: usize,
    /// `[heads · width]`.
    mean: Vec<f64>,
    /// `[heads · width, heads · width]`.
    covariance: Vec<f64>,
    /// W_OᵀW_O, `[heads · width, heads · width]`.
    output_gram: Vec<f64>,
    /// Variance that each head adds to the residual stream.
    importance: Vec<f64>,
}

/// How head j predicts head i.
#[derive(Clone)]
struct Fit {
    distance: f32,
    /// `[width of j, width of i]`: output of i ≈ output of j · map, less the means.
    map: Vec<f64>,
}

impl Outputs {
    fn new(context: &Tensor, attention: &Attention, width: usize) -> Result<Self> {
        let heads = attention.heads.len();
        let size = heads * width;
        let count = context.dim(0)?.max(1);
        let mean = context.mean(0)?;
        let centred = context.broadcast_sub(&mean)?;
        let covariance = (centred.t()?.matmul(&centred)? / real(count))?;
        let weight = &attention.output.weight.value;
        let wide = |tensor: Tensor| -> Result<Vec<f64>> {
            let values = tensor.flatten_all()?.to_vec1::<f32>()?;
            Ok(values.into_iter().map(f64::from).collect())
        };
        let mut outputs = Self {
            heads,
            width,
            mean: wide(mean)?,
            covariance: wide(covariance)?,
            output_gram: wide(weight.t()?.matmul(weight)?)?,
            importance: Vec::new(),
        };
        let block = |i| outputs.block(&outputs.covariance, i, i);
        outputs.importance = (0..heads)
            .map(|i| outputs.through_output(&block(i), i))
            .collect();
        debug_assert_eq!(outputs.covariance.len(), size * size);
        Ok(outputs)
    }

    /// Block (i, j) of a `[heads · width, heads · width]` matrix, row by row.
    fn block(&self, matrix: &[f64], i: usize, j: usize) -> Vec<f64> {
        let size = self.heads * self.width;
        let rows = i * self.width..(i + 1) * self.width;
        rows.flat_map(|row| {
            let start = row * size + j * self.width;
            matrix[start..start + self.width].iter().copied()
        })
        .collect()
    }

    /// tr(W_i · covariance · W_iᵀ).
    fn through_output(&self, covariance: &[f64], i: usize) -> f64 {
        let gram = self.block(&self.output_gram, i, i);
        gram.iter().zip(covariance).map(|(a, b)| a * b).sum()
    }

    /// `fits[i][j]`: how j predicts i.
    fn fits(&self) -> Vec<Vec<Fit>> {
        let width = self.width;
        let mut fits = vec![Vec::with_capacity(self.heads); self.heads];
        for j in 0..self.heads {
            let mut own = self.block(&self.covariance, j, j);
            // A ridge: outputs of a sparse head may span less than its width.
            let trace: f64 = (0..width).map(|a| own[a * width + a]).sum();
            let ridge = 1e-9 * trace / real(width) + f64::MIN_POSITIVE;
            for a in 0..width {
                own[a * width + a] += ridge;
            }
            let factor = cholesky(&own, width);
            for (i, fits) in fits.iter_mut().enumerate() {
                let shared = self.block(&self.covariance, j, i);
                let map = solve(&factor, &shared, width);
                // R = C_ii − C_ij·map
                let mut rest = self.block(&self.covariance, i, i);
                for a in 0..width {
                    for b in 0..width {
                        let explained =
                            (0..width).map(|c| shared[c * width + a] * map[c * width + b]);
                        rest[a * width + b] -= explained.sum::<f64>();
                    }
                }
                let left = self.through_output(&rest, i).max(0.0);
                let all = self.importance[i];
                let distance = match all > 0.0 {
                    true => single((left / all).sqrt()),
                    false => 0.0,
                };
                fits.push(Fit { distance, map });
            }
        }
        fits
    }

    /// W_j += W_i·mapᵀ, and the bias takes what the means differ by.
    fn merge(&self, attention: &mut Attention, i: usize, j: usize, fit: &Fit) -> Result<()> {
        let (size, width) = (self.heads * self.width, self.width);
        let output = &mut attention.output;
        let mut weight = output.weight.to_vec()?;
        let mut bias = output.bias.to_vec()?;
        for (row, bias) in weight.chunks_exact_mut(size).zip(&mut bias) {
            let removed: Vec<f64> = row[i * width..(i + 1) * width]
                .iter()
                .map(|&w| w.into())
                .collect();
            let mut constant = 0.0;
            for (b, removed) in removed.iter().enumerate() {
                let predicted: f64 = (0..width)
                    .map(|a| self.mean[j * width + a] * fit.map[a * width + b])
                    .sum();
                constant += removed * (self.mean[i * width + b] - predicted);
            }
            for a in 0..width {
                let added: f64 = (0..width)
                    .map(|b| removed[b] * fit.map[a * width + b])
                    .sum();
                row[j * width + a] += single(added);
            }
            *bias += single(constant);
        }
        output.bias.value = Tensor::new(bias, output.bias.value.device())?;
        revive(&mut output.weight, weight)
    }
}

/// Sets new weights. Those that come back get the sensitivity that corresponds to their size in
/// this matrix, so that they compete from the start.
fn revive(parameter: &mut Parameter, weights: Vec<f32>) -> Result<()> {
    let shape = parameter.value.shape().clone();
    let device = &parameter.value.device().clone();
    let old = parameter.to_vec()?;
    if let Some(pruning) = &mut parameter.pruning {
        let mut sensitivity = pruning.sensitivity.flatten_all()?.to_vec1::<f32>()?;
        let total: f32 = old.iter().map(|w| w.abs()).sum();
        let rate = sensitivity.iter().sum::<f32>() / total.max(f32::MIN_POSITIVE);
        for ((sensitivity, old), new) in sensitivity.iter_mut().zip(&old).zip(&weights) {
            if old != new {
                *sensitivity = sensitivity.max(new.abs() * rate);
            }
        }
        let mask = weights
            .iter()
            .map(|&w| f32::from(w != 0.0))
            .collect::<Vec<_>>();
        pruning.mask = Tensor::from_vec(mask, &shape, device)?;
        pruning.sensitivity = Tensor::from_vec(sensitivity, &shape, device)?;
    }
    parameter.value = Tensor::from_vec(weights, &shape, device)?;
    Ok(())
}

/// The smallest set of heads such that each other head has one in it at no more than
/// `largest_distance`; the most important of the smallest.
fn dominating_set(fits: &[Vec<Fit>], importance: &[f64], largest_distance: f32) -> Vec<usize> {
    let heads = importance.len();
    let dominated_by = |i: usize| -> u32 {
        let near = |j: &usize| i == *j || fits[i][*j].distance <= largest_distance;
        (0..heads).filter(near).map(|j| 1 << j).sum()
    };
    let dominators: Vec<u32> = (0..heads).map(dominated_by).collect();
    let members = |set: u32| (0..heads).filter(move |j| set >> j & 1 == 1);
    let weight = |set: u32| members(set).map(|j| importance[j]).sum::<f64>();
    let sets = (0..1_u32 << heads).filter(|set| dominators.iter().all(|d| d & set != 0));
    let best = sets.min_by(|&a, &b| {
        let size = a.count_ones().cmp(&b.count_ones());
        size.then_with(|| weight(b).total_cmp(&weight(a)))
    });
    members(best.unwrap_or(0)).collect()
}

/// Lower triangle L with L·Lᵀ = `matrix`, except for dimensions that earlier ones already
/// determine: these get an infinite diagonal, with which [`solve`] leaves them out.
///
/// Covariances are as exact as f32. What is left of a dependent dimension is rounding, of
/// either sign, and a quotient of it would be meaningless.
fn cholesky(matrix: &[f64], size: usize) -> Vec<f64> {
    let mut factor = vec![0.0; size * size];
    for row in 0..size {
        for col in 0..=row {
            let inner = (0..col).map(|k| factor[row * size + k] * factor[col * size + k]);
            let rest = matrix[row * size + col] - inner.sum::<f64>();
            factor[row * size + col] = if row == col {
                if rest > DEPENDENT * matrix[row * size + row] {
                    rest.sqrt()
                } else {
                    f64::INFINITY
                }
            } else {
                rest / factor[col * size + col]
            };
        }
    }
    factor
}

/// X with L·Lᵀ·X = `right`, all `[size, size]`.
fn solve(factor: &[f64], right: &[f64], size: usize) -> Vec<f64> {
    let mut x = right.to_vec();
    for col in 0..size {
        for row in 0..size {
            let inner = (0..row).map(|k| factor[row * size + k] * x[k * size + col]);
            x[row * size + col] =
                (x[row * size + col] - inner.sum::<f64>()) / factor[row * size + row];
        }
        for row in (0..size).rev() {
            let inner = (row + 1..size).map(|k| factor[k * size + row] * x[k * size + col]);
            x[row * size + col] =
                (x[row * size + col] - inner.sum::<f64>()) / factor[row * size + row];
        }
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits_of(distances: &[&[f32]]) -> Vec<Vec<Fit>> {
        let fit = |&distance: &f32| Fit {
            distance,
            map: Vec::new(),
        };
        distances
            .iter()
            .map(|row| row.iter().map(fit).collect())
            .collect()
    }

    #[test]
    fn dominating_set_is_minimal_and_the_most_important() {
        // 1 predicts 0 and 2; 3 is alone.
        let fits = fits_of(&[
            &[0.0, 0.1, 0.9, 0.9],
            &[0.9, 0.0, 0.9, 0.9],
            &[0.9, 0.2, 0.0, 0.9],
            &[0.9, 0.9, 0.9, 0.0],
        ]);
        assert_eq!(dominating_set(&fits, &[9.0, 1.0, 9.0, 1.0], 0.25), [1, 3]);
        // Each predicts the other: the important one is kept.
        let fits = fits_of(&[&[0.0, 0.1], &[0.1, 0.0]]);
        assert_eq!(dominating_set(&fits, &[1.0, 2.0], 0.25), [1]);
        assert_eq!(dominating_set(&fits, &[1.0, 2.0], 0.05), [0, 1]);
    }

    /// Outputs that are multiples of one another, as exact as f32.
    #[test]
    fn dependent_dimensions_are_left_out() {
        let outputs = [0.3_f32, -1.1, 0.7, 2.3];
        let mut matrix: Vec<f64> = (0..16)
            .map(|at| f64::from(outputs[at / 4] * outputs[at % 4]))
            .collect();
        for noise in [-1e-7, 1e-7] {
            for a in 1..4 {
                matrix[a * 5] *= 1.0 + noise;
            }
            let right: Vec<f64> = (0..16)
                .map(|at| f64::from(outputs[at / 4]) * f64::from(outputs[at % 4] + 1.0))
                .collect();
            let map = solve(&cholesky(&matrix, 4), &right, 4);
            assert!(map.iter().all(|x| x.abs() < 20.0), "{map:?}");
            for col in 0..4 {
                let said: f64 = (0..4)
                    .map(|k| f64::from(outputs[k]) * map[k * 4 + col])
                    .sum();
                assert!((said - f64::from(outputs[col] + 1.0)).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn solves_what_was_multiplied() {
        let matrix = [4.0, 2.0, 0.6, 2.0, 5.0, 1.0, 0.6, 1.0, 3.0];
        let x = [1.0, 2.0, 3.0, -4.0, 5.0, 6.0, 7.0, 8.0, -9.0];
        let product: Vec<f64> = (0..9)
            .map(|at| {
                (0..3)
                    .map(|k| matrix[at / 3 * 3 + k] * x[k * 3 + at % 3])
                    .sum()
            })
            .collect();
        let solved = solve(&cholesky(&matrix, 3), &product, 3);
        assert!(
            solved.iter().zip(x).all(|(a, b)| (a - b).abs() < 1e-9),
            "{solved:?}"
        );
    }
}
