//! Which: one threshold over all encoder matrices, solved so that exactly the wanted
//! number of weights stays.

use candle_core::{Device, Result, Tensor, Var};

use super::cost::costs;
use super::cutting::{Cut, cut};
use crate::network::Network;
use crate::parameter::{Parameter, Pruning};
use crate::recipe::{PruningRecipe, ScoreKind};

/// A living weight: which matrix, where in it, score for its cost.
struct Candidate {
    score: f32,
    matrix: u32,
    index: u32,
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
    (network.shape.encoder_weights() as f64 * (1.0 - sparsity)).round() as usize
}

/// Removes the weights with the lowest score for their cost until exactly
/// `sparsity` of the encoder weights are zero. Returns how many went.
///
/// Weights that only a neuron or head without the other half of its weights still has
/// are counted as there; [`prune_and_cut`] sees to them. Among equal scores the first in the order of [`Network::parameters`] stay. Where
/// the network is already sparser nothing happens.
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
    cut(network)?;
    // The fewest weights to leave such that at least `wanted` are left behind the cut.
    let (mut low, mut high) = (wanted, network.living_weights()?);
    while low < high {
        let middle = low.midpoint(high);
        let mut trial = network.clone();
        prune_down_to(&mut trial, middle, recipe)?;
        cut(&mut trial)?;
        if trial.living_weights()? < wanted {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    prune_down_to(network, low, recipe)?;
    let first = cut(network)?;
    // One neuron more or less is many weights; the surplus goes one by one.
    prune_down_to(network, wanted, recipe)?;
    let second = cut(network)?;
    Ok(Cut {
        heads: first.heads + second.heads,
        neurons: first.neurons + second.neurons,
        inputs: first.inputs + second.inputs,
    })
}

fn prune_down_to(network: &mut Network, staying: usize, recipe: &PruningRecipe) -> Result<usize> {
    let costs = costs(network, recipe)?;
    let mut candidates = Vec::new();
    {
        let parameters = network.parameters();
        let prunable = parameters.iter().filter_map(|(_, parameter)| {
            let pruning = parameter.pruning.as_ref()?;
            Some((*parameter, pruning))
        });
        for ((matrix, (parameter, pruning)), costs) in (0..).zip(prunable).zip(&costs) {
            let (_, cols) = parameter.value.dims2()?;
            let scores = scores(parameter, pruning, recipe.score)?;
            let mask = pruning.mask.flatten_all()?.to_vec1::<f32>()?;
            let living = scores.into_iter().zip(mask).enumerate();
            for (index, (score, _)) in living.filter(|(_, (_, mask))| *mask != 0.0) {
                candidates.push(Candidate {
                    score: score / costs.at(index / cols, index % cols),
                    matrix,
                    index: u32::try_from(index).unwrap_or(u32::MAX),
                });
            }
        }
    }
    if candidates.len() <= staying {
        return Ok(0);
    }
    candidates.select_nth_unstable_by(staying, |a, b| {
        let place = |c: &Candidate| (c.matrix, c.index);
        b.score
            .total_cmp(&a.score)
            .then_with(|| place(a).cmp(&place(b)))
    });
    let going = candidates.split_off(staying);
    remove(network, &going)?;
    Ok(going.len())
}

fn scores(parameter: &Parameter, pruning: &Pruning, kind: ScoreKind) -> Result<Vec<f32>> {
    match kind {
        ScoreKind::Sensitivity => pruning.sensitivity.flatten_all()?.to_vec1(),
        ScoreKind::Magnitude => parameter.value.abs()?.flatten_all()?.to_vec1(),
    }
}

fn remove(network: &mut Network, going: &[Candidate]) -> Result<()> {
    let prunable = network.parameters_mut().into_iter();
    let prunable = prunable.filter(|parameter| parameter.pruning.is_some());
    for (matrix, parameter) in (0_u32..).zip(prunable) {
        let Some(pruning) = &mut parameter.pruning else {
            continue;
        };
        let mut mask = pruning.mask.flatten_all()?.to_vec1::<f32>()?;
        for candidate in going.iter().filter(|candidate| candidate.matrix == matrix) {
            if let Some(mask) = mask.get_mut(candidate.index as usize) {
                *mask = 0.0;
            }
        }
        pruning.mask = Tensor::from_vec(mask, pruning.mask.shape(), &Device::Cpu)?;
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
