//! One step of AdamW (Loshchilov & Hutter 2019) for many tensors, with what is noted of a
//! weight and its gradient for pruning. On a GPU it is one launch.

use candle_core::{CpuStorage, InplaceOp2, InplaceOp3, Layout, Result, Tensor, bail};

const FIRST_DECAY: f32 = 0.9;
const SECOND_DECAY: f32 = 0.999;
const EPSILON: f32 = 1e-8;

/// One trained tensor and what stands beside it, all of one shape; what is not the gradient
/// changes in place.
#[derive(Clone, Copy, Debug)]
pub struct Slot<'t> {
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

/// What is done to all of them.
#[derive(Clone, Copy, Debug)]
pub struct AdamW {
    /// Number of the step, from 1: corrects the bias of young averages.
    pub number: u64,
    /// Learning rate.
    pub learning_rate: f32,
    /// Decoupled weight decay.
    pub weight_decay: f32,
    /// Memory of the sensitivity a step.
    pub score_memory: f32,
    /// The sensitivity is −Σ w·g instead of a moving average of |w·g|.
    pub is_movement: bool,
}

/// Moves every tensor along its gradient, unless `loss` is not finite.
///
/// # Errors
/// When a tensor is not contiguous `f32` on the device of `loss`.
pub fn adamw(slots: &[Slot<'_>], loss: &Tensor, step: AdamW) -> Result<()> {
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
            let noted = Sensitivity {
                memory: step.score_memory,
                is_movement: step.is_movement,
            };
            sensitivity.inplace_op3(slot.value, &gradient, &noted)?;
        }
        let [first, second] = slot.moments;
        first.inplace_op2(
            &gradient,
            &Average {
                memory: FIRST_DECAY,
                squared: false,
            },
        )?;
        second.inplace_op2(
            &gradient,
            &Average {
                memory: SECOND_DECAY,
                squared: true,
            },
        )?;
        let update = Update {
            rate: step.learning_rate,
            decay: if slot.decays { step.weight_decay } else { 0.0 },
            corrections: step.corrections(),
        };
        slot.value.inplace_op3(first, second, &update)?;
    }
    Ok(())
}

impl AdamW {
    /// Factors for the two moments.
    pub(super) fn corrections(self) -> [f32; 2] {
        let power = i32::try_from(self.number).unwrap_or(i32::MAX);
        [FIRST_DECAY, SECOND_DECAY].map(|decay| (1.0 - decay.powi(power)).recip())
    }
}

/// average ← memory·average + (1 − memory)·gradient, or its square.
struct Average {
    memory: f32,
    squared: bool,
}

impl InplaceOp2 for Average {
    fn name(&self) -> &'static str {
        "moving-average"
    }

    fn cpu_fwd(
        &self,
        average: &mut CpuStorage,
        _: &Layout,
        gradient: &CpuStorage,
        _: &Layout,
    ) -> Result<()> {
        let (average, gradient) = (slice_mut(average)?, gradient.as_slice::<f32>()?);
        for (average, &gradient) in average.iter_mut().zip(gradient) {
            let sample = if self.squared {
                gradient * gradient
            } else {
                gradient
            };
            *average = self.memory * *average + (1.0 - self.memory) * sample;
        }
        Ok(())
    }
}

/// sensitivity ← memory·sensitivity + (1 − memory)·|w·g|, or sensitivity − w·g.
struct Sensitivity {
    memory: f32,
    is_movement: bool,
}

impl InplaceOp3 for Sensitivity {
    fn name(&self) -> &'static str {
        "sensitivity"
    }

    fn cpu_fwd(
        &self,
        sensitivity: &mut CpuStorage,
        _: &Layout,
        weights: &CpuStorage,
        _: &Layout,
        gradient: &CpuStorage,
        _: &Layout,
    ) -> Result<()> {
        let pairs = weights
            .as_slice::<f32>()?
            .iter()
            .zip(gradient.as_slice::<f32>()?);
        for (sensitivity, (weight, gradient)) in slice_mut(sensitivity)?.iter_mut().zip(pairs) {
            let product = weight * gradient;
            *sensitivity = if self.is_movement {
                *sensitivity - product
            } else {
                self.memory * *sensitivity + (1.0 - self.memory) * product.abs()
            };
        }
        Ok(())
    }
}

/// w ← w − rate·(m̂/(√v̂ + ε) + decay·w).
struct Update {
    rate: f32,
    decay: f32,
    corrections: [f32; 2],
}

impl InplaceOp3 for Update {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn cpu_fwd(
        &self,
        weights: &mut CpuStorage,
        _: &Layout,
        first: &CpuStorage,
        _: &Layout,
        second: &CpuStorage,
        _: &Layout,
    ) -> Result<()> {
        let [first_correction, second_correction] = self.corrections;
        let moments = first
            .as_slice::<f32>()?
            .iter()
            .zip(second.as_slice::<f32>()?);
        for (weight, (first, second)) in slice_mut(weights)?.iter_mut().zip(moments) {
            let first = first * first_correction;
            let second = second * second_correction;
            *weight -= self.rate * (first / (second.sqrt() + EPSILON) + self.decay * *weight);
        }
        Ok(())
    }
}

/// Parameters and their state are whole tensors, so their storage is theirs alone.
fn slice_mut(storage: &mut CpuStorage) -> Result<&mut [f32]> {
    match storage {
        CpuStorage::F32(values) => Ok(values),
        _ => bail!("parameters are f32"),
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
