//! What keeping a weight costs: the two penalties of the paper as one number per weight.
//!
//! A penalty α·Σ c·|w| pulls on a weight with force c, whatever the weight. With a
//! sparsity instead of an α, that becomes an order: weights are pruned by score / c, lowest first.
//!
//! - **MLP and recurrence, preferential attachment** (the weighted l1 of the paper): a row of L_in,
//!   L_out or a recurrence with degree δ, the share of its weights that are kept, costs 1 − δ + floor.
//!   Well-connected rows remain cheap and connected; poor ones are pruned as whole neurons.
//! - **Attention, group sparsity** (l_{1,0.5}): an input dimension whose weights over
//!   all heads sum to n = Σ|A_ij| pulls with 1/√n, relative to the mean dimension. Weak
//!   input dimensions are pruned as a group.
//! - **W_O** belongs to neither penalty and costs 1.

use candle_core::Result;

use crate::network::parameter::{Parameter, Pruning};
use crate::network::{LayerMatrix, Matrix, Network};
use crate::numbers::{real, single};
use crate::ops::{Costs, column_magnitudes};
use crate::recipe::{Method, Neuroprune};

/// Without it, dimensions whose weights have almost vanished would cost without limit.
const LARGEST_GROUP_COST: f32 = 4.0;

/// Costs of every prunable matrix, in the order of [`Network::parameters`]. In other
/// methods than NeuroPrune's default every weight costs the same: there a penalty is a gradient.
pub(crate) fn costs(network: &Network, method: &Method) -> Result<Vec<Costs>> {
    let (attachment, groups) = match method {
        Method::Neuroprune(recipe) => (
            recipe.preferential_attachment.then_some(recipe),
            recipe.group_sparsity.then_some(recipe),
        ),
        Method::Paper(_)
        | Method::L1 { .. }
        | Method::Magnitude { .. }
        | Method::Sensitivity { .. }
        | Method::Movement { .. } => (None, None),
    };
    let cost = |it: LayerMatrix| {
        Ok(match (it.matrix, groups, attachment) {
            (Matrix::Projection, Some(recipe), _) => {
                Costs::Columns(group_costs(it.parameter, recipe)?)
            }
            (
                Matrix::MlpInput
                | Matrix::MlpOutput
                | Matrix::ForwardRecurrence
                | Matrix::BackwardRecurrence,
                _,
                Some(recipe),
            ) => {
                let (_, inputs) = it.matrix.dims(&network.shape);
                Costs::Rows(attachment_costs(it.pruning, inputs, recipe)?)
            }
            (Matrix::Projection, None, _)
            | (Matrix::AttentionOutput, _, _)
            | (
                Matrix::MlpInput
                | Matrix::MlpOutput
                | Matrix::ForwardRecurrence
                | Matrix::BackwardRecurrence,
                _,
                None,
            ) => Costs::Even,
        })
    };
    network.matrices().into_iter().map(cost).collect()
}

/// floor + 1 − degree of each row; `inputs` counts columns before any were cut.
fn attachment_costs(pruning: &Pruning, inputs: usize, recipe: &Neuroprune) -> Result<Vec<f32>> {
    let inputs = single(real(inputs));
    let nonzeros = pruning.mask.sum(1)?.to_vec1::<f32>()?;
    let cost = |nonzeros| recipe.cost_floor + 1.0 - nonzeros / inputs;
    Ok(nonzeros.into_iter().map(cost).collect())
}

/// √(mean / n) of each column, n the sum of its absolute weights.
fn group_costs(parameter: &Parameter, recipe: &Neuroprune) -> Result<Vec<f32>> {
    let sums = column_magnitudes(&parameter.value)?.to_vec1::<f32>()?;
    let nonzeros = sums.iter().filter(|&&sum| sum > 0.0);
    let mean = nonzeros.clone().sum::<f32>() / single(real(nonzeros.count().max(1)));
    let cost = |sum: f32| (mean / sum.max(f32::MIN_POSITIVE)).sqrt();
    let bounded = |sum| cost(sum).clamp(recipe.cost_floor, LARGEST_GROUP_COST);
    Ok(sums.into_iter().map(bounded).collect())
}
