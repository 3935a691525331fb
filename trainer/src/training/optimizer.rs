//! A step of the optimiser for every parameter of a network.

use candle_core::{Result, Tensor, bail};

use crate::network::Network;
use crate::network::tape::Gradients;
use crate::ops::{AdamW, Slot, adamw};
use crate::recipe::ScoreKind;

/// What one step needs besides gradients.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StepSettings {
    /// Number of the step, from 1: corrects the bias of young averages.
    pub number: u64,
    /// Learning rate.
    pub learning_rate: f32,
    /// Decoupled weight decay, for matrices only.
    pub weight_decay: f32,
    /// What is recorded of a weight and its gradient.
    pub score: ScoreKind,
    /// Memory of the sensitivity, per step.
    pub score_memory: f32,
}

/// Moves every parameter along its gradient, unless `loss` is not finite. Weights that are
/// masked, their moments and their sensitivity remain zero.
///
/// # Errors
/// When a parameter has no gradient: the forward pass does not read it.
pub(crate) fn step(
    network: &mut Network,
    gradients: &Gradients,
    loss: &Tensor,
    settings: StepSettings,
) -> Result<()> {
    let parameters = network.parameters();
    let gradients = parameters
        .iter()
        .map(|it| match gradients.get(it.parameter) {
            Some(gradient) => gradient.contiguous(),
            None => bail!("parameter `{}` has no gradient", it.path),
        });
    let gradients = gradients.collect::<Result<Vec<_>>>()?;
    let slots = parameters.iter().zip(&gradients).map(|(it, gradient)| {
        let [first, second] = &it.parameter.moments;
        let pruning = it.parameter.pruning.as_ref();
        Slot {
            value: &it.parameter.value,
            moments: [first, second],
            gradient,
            pruning: pruning.map(|pruning| [&pruning.mask, &pruning.sensitivity]),
            decays: it.parameter.value.rank() > 1,
        }
    });
    let step = AdamW {
        number: settings.number,
        learning_rate: settings.learning_rate,
        weight_decay: settings.weight_decay,
        score_memory: settings.score_memory,
        is_movement: match settings.score {
            ScoreKind::Movement => true,
            ScoreKind::Sensitivity | ScoreKind::Magnitude => false,
        },
    };
    adamw(&slots.collect::<Vec<_>>(), loss, step)
}
