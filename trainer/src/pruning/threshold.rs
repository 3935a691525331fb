//! Which: one threshold over all encoder matrices, solved so that exactly the wanted
//! number of weights stays.
//!
//! With blocks wider than 1 what goes is a group of weights (`super::blocks`). Its score
//! is the root mean square of the scores of its weights, each for its cost: to second
//! order, with the squares of the gradients for the curvature, that is what the loss
//! loses, and a group of one has the score of its weight. Movements have signs: theirs is
//! the mean.

use candle_core::{Result, Tensor, Var};

use super::cost::costs;
use super::cutting::{Cut, cut};
use crate::network::Network;
use crate::parameter::{Parameter, Pruning};
use crate::recipe::{PruningRecipe, ScoreKind};

/// A living group of weights: which matrix, where in it, score for its cost.
struct Candidate {
    score: f32,
    matrix: u32,
    /// Its first weight.
    index: u32,
    /// Its weights: the width of a block, or less at the end of a row.
    weights: u32,
}

/// Encoder weights that stay at `sparsity`.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a count"
)]
pub fn weights_at(network: &Network, sparsity: f64) -> usize {
    (network.shape.encoder_weights() as f64 * (1.0 - sparsity)).floor() as usize
}

/// Removes the weights with the lowest score for their cost until exactly
/// `sparsity` of the encoder weights are zero; with blocks, the fewest groups that make
/// it so, less than one group more. Returns how many weights went.
///
/// Weights that only a neuron or head without the other half of its weights still has
/// are counted as there; [`prune_and_cut`] sees to them. Among equal scores the first in
/// the order of [`Network::parameters`] stay. Where the network is already sparser
/// nothing happens.
///
/// # Errors
/// When a tensor cannot be read or made.
pub fn prune_to(network: &mut Network, sparsity: f64, recipe: &PruningRecipe) -> Result<usize> {
    let staying = weights_at(network, sparsity);
    prune_down_to(network, staying, recipe)
}

/// [`prune_to`] and [`cut`] such that `sparsity` holds behind both, as nearly as whole
/// neurons and heads allow: cutting takes living weights along that nobody can hear any
/// more, and those make room for others.
///
/// # Errors
/// When a tensor cannot be read or made.
pub fn prune_and_cut(network: &mut Network, sparsity: f64, recipe: &PruningRecipe) -> Result<Cut> {
    let wanted = weights_at(network, sparsity);
    cut(network, recipe.blocks)?;
    let mut done = Cut::default();
    // Once without blocks. A cut that makes blocks whole may leave more than was asked for;
    // to take all of that at once would empty neurons by the dozen.
    loop {
        let staying = fewest_for(network, wanted, recipe)?;
        prune_down_to(network, staying, recipe)?;
        done.add(cut(network, recipe.blocks)?);
        if network.living_weights()? <= staying {
            break;
        }
    }
    // One neuron more or less is many weights; the surplus goes group by group.
    loop {
        prune_down_to(network, wanted, recipe)?;
        let more = cut(network, recipe.blocks)?;
        if more == Cut::default() {
            return Ok(done);
        }
        done.add(more);
    }
}

/// The fewest weights to leave such that at least `wanted` are left behind the cut.
fn fewest_for(network: &Network, wanted: usize, recipe: &PruningRecipe) -> Result<usize> {
    let (mut low, mut high) = (wanted, network.living_weights()?);
    // The more stay, the fewer are lost with what is empty: what was lost last tells where
    // to look next, and from both sides.
    let mut next = low;
    while low < high {
        let mut trial = network.clone();
        prune_down_to(&mut trial, next, recipe)?;
        cut(&mut trial, recipe.blocks)?;
        let living = trial.living_weights()?;
        if living < wanted {
            low = next + 1;
        } else {
            high = next;
        }
        let guess = wanted + next.saturating_sub(living);
        next = if guess > low && guess < high {
            guess
        } else {
            low.midpoint(high)
        };
    }
    Ok(low)
}

fn prune_down_to(network: &mut Network, staying: usize, recipe: &PruningRecipe) -> Result<usize> {
    #[cfg(feature = "cuda")]
    if network.device().is_cuda() {
        return prune_on_gpu(network, staying, recipe);
    }
    let width = recipe.blocks.width();
    let mut candidates = candidates(network, recipe)?;
    let living: usize = candidates.iter().map(Candidate::weights).sum();
    if living <= staying {
        return Ok(0);
    }
    // The best groups, as many as surely have room; short ones leave room for more.
    let mut going = candidates.as_mut_slice();
    let mut room = staying;
    while room >= width && !going.is_empty() {
        let count = (room / width).min(going.len());
        if count < going.len() {
            going.select_nth_unstable_by(count, |a, b| {
                let place = |c: &Candidate| (c.matrix, c.index);
                b.score
                    .total_cmp(&a.score)
                    .then_with(|| place(a).cmp(&place(b)))
            });
        }
        let (best, rest) = going.split_at_mut(count);
        room -= best.iter().map(Candidate::weights).sum::<usize>();
        going = rest;
    }
    remove(network, going)?;
    Ok(going.iter().map(Candidate::weights).sum())
}

/// The same choice without the scores leaving the GPU.
#[cfg(feature = "cuda")]
fn prune_on_gpu(network: &mut Network, staying: usize, recipe: &PruningRecipe) -> Result<usize> {
    use crate::ops::cuda::removal::{Matrix, Removal, masks};
    let costs = costs(network, recipe)?;
    let parameters = network.parameters();
    let prunable = parameters.iter().filter_map(|(_, parameter)| {
        let pruning = parameter.pruning.as_ref()?;
        Some((*parameter, pruning))
    });
    let matrices = prunable
        .zip(&costs)
        .map(|((parameter, pruning), costs)| Matrix {
            scores: match recipe.score {
                ScoreKind::Sensitivity | ScoreKind::Movement => &pruning.sensitivity,
                ScoreKind::Magnitude => parameter.value.as_tensor(),
            },
            mask: &pruning.mask,
            costs,
        });
    let removal = Removal {
        width: recipe.blocks.width(),
        score: recipe.score,
        staying,
    };
    let Some((masks, gone)) = masks(&matrices.collect::<Vec<_>>(), removal)? else {
        return Ok(0);
    };
    set_masks(network, masks)?;
    Ok(gone)
}

impl Candidate {
    fn weights(&self) -> usize {
        self.weights as usize
    }
}

/// Every living group of every prunable matrix.
fn candidates(network: &Network, recipe: &PruningRecipe) -> Result<Vec<Candidate>> {
    let width = recipe.blocks.width();
    let costs = costs(network, recipe)?;
    let mut candidates = Vec::new();
    let parameters = network.parameters();
    let prunable = parameters.iter().filter_map(|(_, parameter)| {
        let pruning = parameter.pruning.as_ref()?;
        Some((*parameter, pruning))
    });
    for ((matrix, (parameter, pruning)), costs) in (0..).zip(prunable).zip(&costs) {
        let (rows, cols) = parameter.value.dims2()?;
        let scores = scores(parameter, pruning, recipe.score)?;
        let mask = pruning.mask.flatten_all()?.to_vec1::<f32>()?;
        for row in 0..rows {
            for first in (0..cols).step_by(width) {
                let columns = first..(first + width).min(cols);
                let index = row * cols + first;
                // Groups are whole: the first weight tells of all.
                if mask[index] == 0.0 {
                    continue;
                }
                let of = |col| for_cost(scores[row * cols + col], costs.at(row, col));
                candidates.push(Candidate {
                    matrix,
                    index: u32::try_from(index).unwrap_or(u32::MAX),
                    weights: u32::try_from(columns.len()).unwrap_or(u32::MAX),
                    score: group_score(columns.map(of), recipe.score),
                });
            }
        }
    }
    Ok(candidates)
}

/// What is dear goes earlier, also where a score is below zero.
fn for_cost(score: f32, cost: f32) -> f32 {
    if score < 0.0 {
        score * cost
    } else {
        score / cost
    }
}

fn group_score(scores: impl ExactSizeIterator<Item = f32>, kind: ScoreKind) -> f32 {
    match kind {
        ScoreKind::Sensitivity | ScoreKind::Magnitude => root_mean_square(scores),
        ScoreKind::Movement => mean(scores),
    }
}

#[expect(clippy::cast_precision_loss, reason = "the width of a block")]
fn mean(scores: impl ExactSizeIterator<Item = f32>) -> f32 {
    let count = scores.len() as f32;
    scores.sum::<f32>() / count
}

/// In f64, where squares of f32 are exact and do not vanish: one score comes out as it is.
#[expect(clippy::cast_possible_truncation, reason = "a mean of f32")]
fn root_mean_square(scores: impl ExactSizeIterator<Item = f32>) -> f32 {
    #[expect(clippy::cast_precision_loss, reason = "the width of a block")]
    let count = scores.len() as f64;
    let squares = scores.map(|score| f64::from(score) * f64::from(score));
    (squares.sum::<f64>() / count).sqrt() as f32
}

fn scores(parameter: &Parameter, pruning: &Pruning, kind: ScoreKind) -> Result<Vec<f32>> {
    match kind {
        ScoreKind::Sensitivity | ScoreKind::Movement => {
            pruning.sensitivity.flatten_all()?.to_vec1()
        }
        ScoreKind::Magnitude => parameter.value.abs()?.flatten_all()?.to_vec1(),
    }
}

fn remove(network: &mut Network, going: &[Candidate]) -> Result<()> {
    let prunable = network.parameters();
    let prunable = prunable.iter().filter_map(|(_, it)| it.pruning.as_ref());
    let mut masks = prunable
        .map(|pruning| pruning.mask.flatten_all()?.to_vec1::<f32>())
        .collect::<Result<Vec<_>>>()?;
    for candidate in going {
        let first = candidate.index as usize;
        let mask = masks.get_mut(candidate.matrix as usize);
        let group = mask.and_then(|mask| mask.get_mut(first..first + candidate.weights()));
        if let Some(group) = group {
            group.fill(0.0);
        }
    }
    let prunable = network.parameters();
    let prunable = prunable.iter().filter_map(|(_, it)| it.pruning.as_ref());
    let masks = prunable
        .zip(masks)
        .map(|(pruning, mask)| Tensor::from_vec(mask, pruning.mask.shape(), pruning.mask.device()));
    let masks = masks.collect::<Result<Vec<_>>>()?;
    set_masks(network, masks)
}

/// One for each prunable matrix.
fn set_masks(network: &mut Network, masks: Vec<Tensor>) -> Result<()> {
    let prunable = network.parameters_mut().into_iter();
    let prunable = prunable.filter(|parameter| parameter.pruning.is_some());
    for (parameter, mask) in prunable.zip(masks) {
        if let Some(pruning) = &mut parameter.pruning {
            pruning.mask = mask;
        }
        apply_mask(parameter)?;
    }
    Ok(())
}

/// Zeroes everything that belongs to weights that are gone.
///
/// # Errors
/// When a tensor cannot be made.
pub(super) fn apply_mask(parameter: &mut Parameter) -> Result<()> {
    if let Some(pruning) = &mut parameter.pruning {
        let mask = &pruning.mask;
        // A new variable: networks that were cloned share the old one.
        parameter.value = Var::from_tensor(&(parameter.value.as_tensor() * mask)?)?;
        for moment in &mut parameter.moments {
            *moment = (&*moment * mask)?;
        }
        pruning.sensitivity = (&pruning.sensitivity * mask)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_score_comes_out_as_it_is() {
        for score in [0.0, 1e-45, 1.2e-38, 0.1, 7.7, 3e38_f32] {
            let mean = root_mean_square([score].into_iter());
            assert_eq!(mean.to_bits(), score.to_bits(), "{score}");
        }
        assert_eq!(root_mean_square([3.0, 4.0, 0.0, 0.0].into_iter()), 2.5);
    }

    #[test]
    fn a_negative_movement_goes_first_and_earlier_where_it_is_dear() {
        let movement = |scores: [f32; 2]| group_score(scores.into_iter(), ScoreKind::Movement);
        assert_eq!(movement([-3.0, 1.0]), -1.0);
        assert!(movement([-3.0, 1.0]) < movement([0.5, 0.5]));
        assert_eq!((for_cost(2.0, 4.0), for_cost(-2.0, 4.0)), (0.5, -8.0));
    }
}
