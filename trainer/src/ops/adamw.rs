//! One step of AdamW (Loshchilov & Hutter 2019) for many tensors, with what is recorded of a weight
//! and its gradient for pruning. On a GPU it is one launch.

use candle_core::{Result, Tensor};

use super::in_place;

const FIRST_DECAY: f32 = 0.9;
const SECOND_DECAY: f32 = 0.999;
const EPSILON: f32 = 1e-8;

/// One trained tensor and what belongs to it, all of one shape; everything but the gradient changes
/// in place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot<'t> {
    /// The weights.
    pub value: &'t Tensor,
    /// Moving averages of the gradient and of its square.
    pub moments: [&'t Tensor; 2],
    /// Of the loss.
    pub gradient: &'t Tensor,
    /// Mask and sensitivity, where weights are pruned. Weights that are masked, their moments
    /// and their sensitivity remain zero.
    pub pruning: Option<[&'t Tensor; 2]>,
    /// Whether its weights decay.
    pub decays: bool,
}

/// Settings of the step, the same for all of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AdamW {
    /// Number of the step, from 1: corrects the bias of young averages.
    pub number: u64,
    /// Learning rate.
    pub learning_rate: f32,
    /// Decoupled weight decay.
    pub weight_decay: f32,
    /// Memory of the sensitivity, per step.
    pub score_memory: f32,
    /// The sensitivity is −Σ w·g instead of a moving average of |w·g|.
    pub is_movement: bool,
}

/// Moves every tensor along its gradient, unless `loss` is not finite.
///
/// # Errors
/// When a tensor is not contiguous `f32` on the device of `loss`.
pub(crate) fn adamw(slots: &[Slot<'_>], loss: &Tensor, step: AdamW) -> Result<()> {
    #[cfg(feature = "cuda")]
    if loss.device().is_cuda() {
        return super::cuda::adamw(slots, loss, step);
    }
    if !loss.to_scalar::<f32>()?.is_finite() {
        return Ok(());
    }
    for slot in slots {
        let mut gradient = slot.gradient.clone();
        if let Some([mask, sensitivity]) = slot.pruning {
            gradient = (gradient * mask)?;
            in_place(sensitivity, [slot.value, &gradient], |sensitivity, w, g| {
                if step.is_movement {
                    sensitivity - w * g
                } else {
                    average(step.score_memory, sensitivity, (w * g).abs())
                }
            })?;
        }
        let [first, second] = slot.moments;
        in_place(first, [&gradient; 2], |first, g, _| {
            average(FIRST_DECAY, first, g)
        })?;
        in_place(second, [&gradient; 2], |second, g, _| {
            average(SECOND_DECAY, second, g * g)
        })?;
        let (rate, [first_correction, second_correction]) =
            (step.learning_rate, step.corrections());
        let decay = if slot.decays { step.weight_decay } else { 0.0 };
        in_place(slot.value, [first, second], |weight, first, second| {
            let (first, second) = (first * first_correction, second * second_correction);
            weight - rate * (first / (second.sqrt() + EPSILON) + decay * weight)
        })?;
    }
    Ok(())
}

fn average(memory: f32, average: f32, sample: f32) -> f32 {
    memory * average + (1.0 - memory) * sample
}

impl AdamW {
    /// Factors for the two moments.
    pub(super) fn corrections(self) -> [f32; 2] {
        let power = i32::try_from(self.number).unwrap_or(i32::MAX);
        [FIRST_DECAY, SECOND_DECAY].map(|decay| (1.0 - decay.powi(power)).recip())
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn tensor(values: &[f32]) -> Tensor {
        Tensor::new(values, &Device::Cpu).unwrap()
    }

    fn numbers(tensor: &Tensor) -> Vec<f32> {
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    /// `steps` steps from `start` down Σ (w − lowest)²: the weights, and the sensitivity.
    fn descend(start: &[f32], lowest: f64, mask: &[f32], steps: u64, step: AdamW) -> [Vec<f32>; 2] {
        let [value, mask] = [start, mask].map(tensor);
        let zeros = || value.zeros_like().unwrap();
        let (first, second, sensitivity) = (zeros(), zeros(), zeros());
        for number in 1..=steps {
            let distance = value.affine(1.0, -lowest).unwrap();
            let slot = Slot {
                value: &value,
                moments: [&first, &second],
                gradient: &distance.affine(2.0, 0.0).unwrap(),
                pruning: Some([&mask, &sensitivity]),
                decays: true,
            };
            let loss = distance.sqr().unwrap().sum_all().unwrap();
            adamw(&[slot], &loss, AdamW { number, ..step }).unwrap();
        }
        [numbers(&value), numbers(&sensitivity)]
    }

    const STEP: AdamW = AdamW {
        number: 1,
        learning_rate: 0.1,
        weight_decay: 0.0,
        score_memory: 0.5,
        is_movement: false,
    };

    #[test]
    fn scores_are_the_formulas() {
        let after_two = |is_movement| {
            let step = AdamW {
                learning_rate: 0.0,
                is_movement,
                ..STEP
            };
            let [_, sensitivity] = descend(&[2.0, 10.0], 9.0, &[1.0, 1.0], 2, step);
            sensitivity
        };
        // −w·g is 28 and −20: summed, and as an average of sizes from 0.
        assert_eq!(after_two(true), [56.0, -40.0]);
        assert_eq!(after_two(false), [21.0, 15.0]);
    }

    #[test]
    fn finds_the_minimum_of_a_parabola() {
        let [values, _] = descend(&[5.0, -3.0], 1.0, &[1.0, 1.0], 300, STEP);
        for value in values {
            assert!((value - 1.0).abs() < 0.05, "{value}");
        }
    }

    #[test]
    fn masked_weights_never_move() {
        let [values, sensitivity] = descend(&[0.0, 2.0], 9.0, &[0.0, 1.0], 3, STEP);
        assert!(values[0] == 0.0 && values[1] > 2.0, "{values:?}");
        assert!(sensitivity[0] == 0.0 && sensitivity[1] > 0.0);
    }

    #[test]
    fn a_loss_that_is_no_number_changes_nothing() {
        let [values, _] = descend(&[5.0, f32::NAN], 1.0, &[1.0, 1.0], 2, STEP);
        assert_eq!(values[0], 5.0);
    }
}
