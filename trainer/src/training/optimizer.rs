//! AdamW (Loshchilov & Hutter 2019) whose state can be saved, masked and cut.

use candle_core::{CpuStorage, InplaceOp2, InplaceOp3, Layout, Result, Tensor, bail};

use crate::network::parameter::Parameter;
use crate::network::tape::Gradients;
use crate::recipe::ScoreKind;

const FIRST_DECAY: f32 = 0.9;
const SECOND_DECAY: f32 = 0.999;
const EPSILON: f32 = 1e-8;

/// What one step needs beside gradients.
#[derive(Clone, Copy, Debug)]
pub struct StepSettings {
    /// Number of the step, from 1: corrects the bias of young averages.
    pub number: u64,
    /// Learning rate.
    pub learning_rate: f32,
    /// Decoupled weight decay, for matrices only.
    pub weight_decay: f32,
    /// What is noted of a weight and its gradient.
    pub score: ScoreKind,
    /// Memory of the sensitivity a step.
    pub score_memory: f32,
}

/// Moves every parameter along its gradient, unless `loss` is not finite. Weights that are
/// masked, their moments and their sensitivity stay zero.
///
/// # Errors
/// When a parameter has no gradient: a cut graph is a programming error.
pub fn step(
    parameters: Vec<&mut Parameter>,
    gradients: &Gradients,
    loss: &Tensor,
    settings: StepSettings,
) -> Result<()> {
    let gradient_of = |parameter: &Parameter| match gradients.get(parameter) {
        Some(gradient) => gradient.contiguous(),
        None => bail!(
            "a parameter of shape {:?} has no gradient",
            parameter.value.shape()
        ),
    };
    #[cfg(feature = "cuda")]
    if loss.device().is_cuda() {
        let gradients = parameters.iter().map(|parameter| gradient_of(parameter));
        let gradients = gradients.collect::<Result<Vec<_>>>()?;
        return step_on_gpu(&parameters, &gradients, loss, settings);
    }
    if !loss.to_scalar::<f32>()?.is_finite() {
        return Ok(());
    }
    for parameter in parameters {
        let mut gradient = gradient_of(parameter)?;
        let value = &parameter.value;
        if let Some(pruning) = &mut parameter.pruning {
            gradient = (gradient * &pruning.mask)?;
            let memory = settings.score_memory;
            match settings.score {
                ScoreKind::Movement => {
                    pruning.sensitivity = (&pruning.sensitivity - (value * &gradient)?)?;
                }
                ScoreKind::Sensitivity | ScoreKind::Magnitude => {
                    let sensitivity = &pruning.sensitivity;
                    sensitivity.inplace_op3(value, &gradient, &Sensitivity { memory })?;
                }
            }
        }
        let [first, second] = &parameter.moments;
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
        let is_matrix = parameter.value.rank() > 1;
        let update = Update::new(settings, is_matrix);
        value.inplace_op3(first, second, &update)?;
    }
    Ok(())
}

/// All parameters in one launch.
#[cfg(feature = "cuda")]
fn step_on_gpu(
    parameters: &[&mut Parameter],
    gradients: &[Tensor],
    loss: &Tensor,
    settings: StepSettings,
) -> Result<()> {
    use crate::ops::cuda::{AdamW, Slot, adamw};
    let slots = parameters
        .iter()
        .zip(gradients)
        .map(|(parameter, gradient)| {
            let [first, second] = &parameter.moments;
            let pruning = parameter.pruning.as_ref();
            Slot {
                tensors: [
                    Some(&parameter.value),
                    Some(first),
                    Some(second),
                    Some(gradient),
                    pruning.map(|pruning| &pruning.mask),
                    pruning.map(|pruning| &pruning.sensitivity),
                ],
                decays: parameter.value.rank() > 1,
            }
        });
    let update = Update::new(settings, true);
    let step = AdamW {
        rate: update.rate,
        decay: update.decay,
        first_correction: update.first_correction,
        second_correction: update.second_correction,
        score_memory: settings.score_memory,
        is_movement: settings.score == ScoreKind::Movement,
    };
    adamw(&slots.collect::<Vec<_>>(), loss, step)
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

/// sensitivity ← memory·sensitivity + (1 − memory)·|w·g|.
struct Sensitivity {
    memory: f32,
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
            let sample = (weight * gradient).abs();
            *sensitivity = self.memory * *sensitivity + (1.0 - self.memory) * sample;
        }
        Ok(())
    }
}

/// w ← w − rate·(m̂/(√v̂ + ε) + decay·w).
struct Update {
    rate: f32,
    decay: f32,
    first_correction: f32,
    second_correction: f32,
}

impl Update {
    fn new(settings: StepSettings, is_matrix: bool) -> Self {
        let power = i32::try_from(settings.number).unwrap_or(i32::MAX);
        Self {
            rate: settings.learning_rate,
            decay: if is_matrix {
                settings.weight_decay
            } else {
                0.0
            },
            first_correction: (1.0 - FIRST_DECAY.powi(power)).recip(),
            second_correction: (1.0 - SECOND_DECAY.powi(power)).recip(),
        }
    }
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
        let moments = first
            .as_slice::<f32>()?
            .iter()
            .zip(second.as_slice::<f32>()?);
        for (weight, (first, second)) in slice_mut(weights)?.iter_mut().zip(moments) {
            let first = first * self.first_correction;
            let second = second * self.second_correction;
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
    use super::*;

    fn settings(number: u64) -> StepSettings {
        StepSettings {
            number,
            learning_rate: 0.1,
            weight_decay: 0.0,
            score: ScoreKind::Sensitivity,
            score_memory: 0.5,
        }
    }

    /// Loss Σ (w − lowest)², so ∂L/∂w = 2·(w − lowest).
    fn parabola(parameter: &Parameter, lowest: f64) -> (Tensor, Gradients) {
        let distance = parameter.value.affine(1.0, -lowest).unwrap();
        let mut gradients = Gradients::default();
        let gradient = distance.affine(2.0, 0.0).unwrap();
        gradients.add(parameter, gradient).unwrap();
        (distance.sqr().unwrap().sum_all().unwrap(), gradients)
    }

    #[test]
    fn scores_are_the_formulas() {
        let after_two = |score| {
            let mut parameter = Parameter::prunable(vec![2.0, 10.0], &[1, 2]).unwrap();
            for number in 1..=2 {
                let (loss, gradients) = parabola(&parameter, 9.0);
                let settings = StepSettings {
                    learning_rate: 0.0,
                    score,
                    ..settings(number)
                };
                step(vec![&mut parameter], &gradients, &loss, settings).unwrap();
            }
            parameter
                .pruning
                .unwrap()
                .sensitivity
                .to_vec2::<f32>()
                .unwrap()
        };
        // −w·g is 28 and −20: summed, and as an average of sizes from 0.
        assert_eq!(after_two(ScoreKind::Movement), [[56.0, -40.0]]);
        assert_eq!(after_two(ScoreKind::Sensitivity), [[21.0, 15.0]]);
    }

    #[test]
    fn finds_the_minimum_of_a_parabola() {
        let mut parameter = Parameter::new(vec![5.0, -3.0], &[2]).unwrap();
        for number in 1..=300 {
            let (loss, gradients) = parabola(&parameter, 1.0);
            step(vec![&mut parameter], &gradients, &loss, settings(number)).unwrap();
        }
        for value in parameter.to_vec().unwrap() {
            assert!((value - 1.0).abs() < 0.05, "{value}");
        }
    }

    #[test]
    fn masked_weights_never_move() {
        let mut parameter = Parameter::prunable(vec![0.0, 2.0], &[1, 2]).unwrap();
        let pruning = parameter.pruning.as_mut().unwrap();
        pruning.mask = Tensor::new(&[[0.0_f32, 1.0]], pruning.mask.device()).unwrap();
        for number in 1..=3 {
            let (loss, gradients) = parabola(&parameter, 9.0);
            step(vec![&mut parameter], &gradients, &loss, settings(number)).unwrap();
        }
        let value = parameter.to_vec().unwrap();
        assert!(value[0] == 0.0 && value[1] > 2.0, "{value:?}");
        let pruning = parameter.pruning.unwrap();
        let sensitivity = pruning.sensitivity.to_vec2::<f32>().unwrap();
        assert!(sensitivity[0][0] == 0.0 && sensitivity[0][1] > 0.0);
    }
}
