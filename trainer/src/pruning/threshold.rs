//! Which: one threshold over all encoder matrices, solved so that exactly the wanted
//! number of weights is kept.

use candle_core::{Result, Tensor};

use super::cost::costs;
use super::cutting::{Cut, cut};
use super::neurons;
use crate::network::parameter::Parameter;
use crate::network::{LayerMatrix, Matrix, Network};
use crate::numbers::{real, rounded};
use crate::ops::{Candidates, Choice, keep_best};
use crate::recipe::{Blocks, PruningRecipe, ScoreKind};

/// Score of a weight that is not to be removed, far above any other; its square is a float too.
const PROTECTED: f32 = 1e18;

/// With more than this many times the weights of the end left, a cut does not reach it.
const NEAR: usize = 2;

/// Encoder weights that are kept at `sparsity`.
#[must_use]
pub(crate) fn weights_at(network: &Network, sparsity: f64) -> usize {
    rounded((real(network.shape.encoder_weights()) * (1.0 - sparsity)).floor())
}

/// Removes the weights with the lowest score for their cost until exactly
/// `sparsity` of the encoder weights are zero; with blocks, the fewest groups that reach that, less
/// than one group more. Returns how many weights were removed.
///
/// Weights of a neuron or head that has lost the other half of its weights still count;
/// [`prune_and_cut`] takes care of them. Among equal scores the first in the order of
/// [`Network::parameters`] are kept. Where the network is already sparser nothing happens.
pub(crate) fn prune_to(
    network: &mut Network,
    sparsity: f64,
    recipe: &PruningRecipe,
) -> Result<usize> {
    let kept = weights_at(network, sparsity);
    prune_down_to(network, kept, recipe)
}

/// [`prune_to`] on the way to the recipe's sparsity; with blocks, [`cut`] too.
///
/// Few removals of many weights each leave many weights that nothing reads. The next cut would
/// make the network sparser than the recipe's end, so then weights are removed with regard to it.
pub(crate) fn prune_towards(
    network: &mut Network,
    sparsity: f64,
    recipe: &PruningRecipe,
) -> Result<()> {
    let before = network.clone();
    prune_to(network, sparsity, recipe)?;
    let least = weights_at(network, recipe.sparsity);
    let mut left = network.nonzero_weights()?;
    if recipe.blocks != Blocks::One {
        // Rows of few blocks are emptied in numbers. What only they needed must not count as
        // nonzero until the epoch ends.
        cut(network, recipe.blocks)?;
        left = network.nonzero_weights()?;
    } else if left < NEAR * least {
        let mut trial = network.clone();
        cut(&mut trial, recipe.blocks)?;
        left = trial.nonzero_weights()?;
    }
    if left < least {
        *network = before;
        prune_and_cut(network, sparsity, recipe)?;
    }
    Ok(())
}

/// [`prune_to`] and [`cut`] such that `sparsity` holds after both, to the weight or the group of
/// weights: cutting also removes nonzero weights that nothing reads any more, and those make room
/// for others. A network that is sparser already stays so.
pub(crate) fn prune_and_cut(
    network: &mut Network,
    sparsity: f64,
    recipe: &PruningRecipe,
) -> Result<Cut> {
    let wanted = weights_at(network, sparsity);
    cut(network, recipe.blocks)?;
    let mut done = Cut::default();
    // Once without blocks. A cut that makes blocks whole may leave more than was asked for;
    // removing all of that at once would empty neurons by the dozen.
    loop {
        let kept = fewest_for(network, wanted, recipe)?;
        prune_down_to(network, kept, recipe)?;
        done.add(cut(network, recipe.blocks)?);
        if network.nonzero_weights()? <= kept {
            break;
        }
    }
    // One neuron more or less is many weights; the surplus goes without emptying another one.
    trim_to(network, wanted, recipe)?;
    done.add(cut(network, recipe.blocks)?);
    Ok(done)
}

/// Removes weights until `kept` are left, and of each row and column of a matrix leaves the best.
fn trim_to(network: &mut Network, kept: usize, recipe: &PruningRecipe) -> Result<()> {
    let (mut matrices, _, choice) = candidates(network, kept, recipe)?;
    for it in &mut matrices {
        let scores = match choice.score {
            ScoreKind::Sensitivity | ScoreKind::Movement => it.scores.clone(),
            ScoreKind::Magnitude => it.scores.abs()?,
        };
        // What is pruned is below everything that is kept.
        let is_pruned = it.mask.eq(0.0)?;
        let lowest = Tensor::full(f32::MIN, scores.shape(), scores.device())?;
        let scores = is_pruned.where_cond(&lowest, &scores)?;
        let best = Tensor::full(PROTECTED, scores.shape(), scores.device())?;
        let mut protected = scores.clone();
        for dimension in [0, 1] {
            let is_best = scores.broadcast_eq(&scores.max_keepdim(dimension)?)?;
            protected = is_best.where_cond(&best, &protected)?;
        }
        it.scores = is_pruned.where_cond(
            &is_pruned.zeros_like()?.to_dtype(scores.dtype())?,
            &protected,
        )?;
    }
    if let Some(chosen) = keep_best(&matrices, choice)? {
        set_masks(network, chosen.masks)?;
    }
    Ok(())
}

/// The fewest weights to keep such that at least `wanted` are left after the cut.
fn fewest_for(network: &Network, wanted: usize, recipe: &PruningRecipe) -> Result<usize> {
    let (mut low, mut high) = (wanted, network.nonzero_weights()?);
    // The more are kept, the fewer are lost with what is empty: what was lost last shows where to
    // look next, and from both sides.
    let mut next = low;
    while low < high {
        let mut trial = network.clone();
        prune_down_to(&mut trial, next, recipe)?;
        cut(&mut trial, recipe.blocks)?;
        let nonzeros = trial.nonzero_weights()?;
        if nonzeros < wanted {
            low = next + 1;
        } else {
            high = next;
        }
        let guess = wanted + next.saturating_sub(nonzeros);
        next = if guess > low && guess < high {
            guess
        } else {
            low.midpoint(high)
        };
    }
    Ok(low)
}

/// Every prunable matrix with its role, and how many of their weights to keep.
fn candidates(
    network: &Network,
    kept: usize,
    recipe: &PruningRecipe,
) -> Result<(Vec<Candidates>, Vec<Matrix>, Choice)> {
    let costs = costs(network, &recipe.method)?;
    let score = recipe.method.score();
    let (mut matrices, mut roles) = (Vec::new(), Vec::new());
    for (it, costs) in network.matrices().into_iter().zip(costs) {
        let LayerMatrix {
            parameter, pruning, ..
        } = it;
        let scores = match score {
            ScoreKind::Sensitivity | ScoreKind::Movement => &pruning.sensitivity,
            ScoreKind::Magnitude => &parameter.value,
        };
        matrices.push(Candidates {
            scores: scores.clone(),
            mask: pruning.mask.clone(),
            costs,
        });
        roles.push(it.matrix);
    }
    let choice = Choice {
        width: recipe.blocks.width(),
        score,
        kept,
    };
    Ok((matrices, roles, choice))
}

fn prune_down_to(network: &mut Network, kept: usize, recipe: &PruningRecipe) -> Result<usize> {
    let (mut matrices, roles, choice) = candidates(network, kept, recipe)?;
    let Some(chosen) = keep_best(&matrices, choice)? else {
        return Ok(0);
    };
    let with_neurons = neurons::remove_poor(&mut matrices, &roles, &chosen, recipe)?;
    if with_neurons == 0 {
        set_masks(network, chosen.masks)?;
        return Ok(chosen.removed_weights);
    }
    // Either the neurons account for all that must be pruned, or the threshold is another now.
    let masks = match keep_best(&matrices, choice)? {
        Some(again) => again.masks,
        None => matrices.into_iter().map(|it| it.mask).collect(),
    };
    set_masks(network, masks)?;
    Ok(chosen.removed_weights)
}

/// One for each prunable matrix.
fn set_masks(network: &mut Network, masks: Vec<Tensor>) -> Result<()> {
    let prunable = network.parameters_mut().into_iter().map(|it| it.parameter);
    let prunable = prunable.filter(|parameter| parameter.pruning.is_some());
    for (parameter, mask) in prunable.zip(masks) {
        if let Some(pruning) = &mut parameter.pruning {
            pruning.mask = mask;
        }
        apply_mask(parameter)?;
    }
    Ok(())
}

/// Zeroes everything that belongs to pruned weights.
///
/// # Errors
/// When a tensor cannot be made.
pub(super) fn apply_mask(parameter: &mut Parameter) -> Result<()> {
    if let Some(pruning) = &mut parameter.pruning {
        let mask = &pruning.mask;
        // A new tensor: networks that were cloned share the old one.
        parameter.value = (&parameter.value * mask)?;
        for moment in &mut parameter.moments {
            *moment = (&*moment * mask)?;
        }
        pruning.sensitivity = (&pruning.sensitivity * mask)?;
    }
    Ok(())
}
