//! Which neurons are not worth what they cost besides their weights.
//!
//! Weights are pruned one by one, so a neuron is kept as long as one of its connections is. But it
//! has a price of its own: an activation for every token, rows to find, a place in scratch memory,
//! and in training a row and a column of dense products. With τ the score for its cost of the last
//! weight that is kept, a kept weight is worth its score less τ. A neuron is pruned as a whole
//! where all of its weights are together worth less than `neuron_cost` · τ; that leaves room for
//! better ones elsewhere.

use candle_core::{Result, Tensor};

use crate::network::Matrix;
use crate::numbers::rounded;
use crate::ops::{Candidates, Chosen, Costs};
use crate::recipe::{Blocks, PruningRecipe};

/// A neuron below its price.
struct Poor {
    layer: usize,
    index: usize,
    /// What its weights are worth.
    worth: f32,
    /// Weights that are pruned with it, including those below τ.
    weights: usize,
}

/// Removes from the masks of `matrices`, all of a network with their `roles`, the neurons that are
/// not worth `neuron_cost` times the last weight that `chosen` keeps: the poorest first, and no
/// more weights than `chosen` removes. Returns how many weights that were.
///
/// Only where weights are pruned one by one: a column of L_out would tear apart the groups of its
/// rows. Where a movement below zero is kept, the price is below zero too, and every neuron is
/// worth it.
pub(super) fn remove_poor(
    matrices: &mut [Candidates],
    roles: &[Matrix],
    chosen: &Chosen,
    recipe: &PruningRecipe,
) -> Result<usize> {
    let neuron_cost = recipe.method.neuron_cost();
    if neuron_cost == 0.0 || recipe.blocks != Blocks::One || !chosen.last.is_finite() {
        return Ok(0);
    }
    let price = neuron_cost * chosen.last;
    let (mut worths, mut weights, mut places) = (Vec::new(), Vec::new(), Vec::new());
    let of_role = |role| (0..roles.len()).filter(move |&place| roles[place] == role);
    let mlps = of_role(Matrix::MlpInput).zip(of_role(Matrix::MlpOutput));
    let mlps: Vec<_> = mlps.collect();
    for (layer, &(input, output)) in mlps.iter().enumerate() {
        let (input_stays, output_stays) = (&chosen.masks[input], &chosen.masks[output]);
        let (input, output) = (&matrices[input], &matrices[output]);
        let above = |it: &Candidates, is_kept: &Tensor, dimension| {
            let above = for_cost(it)?.affine(1.0, -f64::from(chosen.last))?;
            (above * is_kept)?.sum(dimension)
        };
        worths.push((above(input, input_stays, 1)? + above(output, output_stays, 0)?)?);
        weights.push((input.mask.sum(1)? + output.mask.sum(0)?)?);
        places.extend((0..input.mask.dim(0)?).map(|index| (layer, index)));
    }
    // One answer for all layers: each waits for a GPU.
    let of_all = |parts: &[Tensor]| Tensor::cat(parts, 0)?.to_vec1::<f32>();
    let neurons = of_all(&worths)?.into_iter().zip(of_all(&weights)?);
    let mut poor = Vec::new();
    for ((layer, index), (worth, weights)) in places.into_iter().zip(neurons) {
        let weights = rounded(weights.into());
        if weights > 0 && worth < price {
            poor.push(Poor {
                layer,
                index,
                worth,
                weights,
            });
        }
    }
    poor.sort_by(|a, b| a.worth.total_cmp(&b.worth));
    let mut removed = 0;
    let mut is_kept: Vec<Option<Vec<f32>>> = vec![None; mlps.len()];
    for neuron in poor {
        if removed + neuron.weights > chosen.removed_weights {
            break;
        }
        removed += neuron.weights;
        let neurons = matrices[mlps[neuron.layer].0].mask.dim(0)?;
        let is_kept = is_kept[neuron.layer].get_or_insert_with(|| vec![1.0; neurons]);
        is_kept[neuron.index] = 0.0;
    }
    for ((input, output), is_kept) in mlps.into_iter().zip(is_kept) {
        let Some(is_kept) = is_kept else { continue };
        let is_kept = Tensor::new(is_kept, matrices[input].mask.device())?;
        for (place, dimension) in [(input, 1), (output, 0)] {
            let mask = &mut matrices[place].mask;
            *mask = mask.broadcast_mul(&is_kept.unsqueeze(dimension)?)?;
        }
    }
    Ok(removed)
}

/// Scores of single weights, each for its cost; what has a sign and is kept is above zero.
fn for_cost(matrix: &Candidates) -> Result<Tensor> {
    let scores = matrix.scores.abs()?;
    let (costs, dimension) = match &matrix.costs {
        Costs::Even => return Ok(scores),
        Costs::Rows(costs) => (costs, 1),
        Costs::Columns(costs) => (costs, 0),
    };
    let costs = Tensor::new(&costs[..], scores.device())?;
    scores.broadcast_div(&costs.unsqueeze(dimension)?)
}
