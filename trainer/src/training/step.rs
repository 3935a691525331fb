//! One step: a batch forward and back, and the optimiser.

use candle_core::Tensor;

use crate::network::{Network, Precision, Recording};
use crate::numbers::{real, single};
use crate::ops::device::values_on_host;
use crate::pruning::{penalty, schedule};
use crate::random::{Purpose, stream};
use crate::text::batch::{Batch, EncodedExample};
use crate::text::noise::WordNoise;
use crate::training::loss::{Loss, Targets, has_teacher};
use crate::training::optimizer::{self, StepSettings};
use crate::training::phase::Phase;
use crate::training::run::{Examples, Run, TrainingError};

impl Run {
    pub(super) fn train_batch(
        &mut self,
        examples: &Examples,
        chosen: &[usize],
        steps: u64,
    ) -> Result<(f32, usize), TrainingError> {
        let (training, pruning) = (&self.recipe.training, &self.recipe.pruning);
        let floats = Precision::from(training.precision);
        let is_aware = self.phase == Phase::Sparse
            && schedule::is_aware(&self.recipe.quantization, self.step, steps);
        self.network.precision = if is_aware { Precision::Int8 } else { floats };
        if let Some(dense) = &mut self.dense {
            dense.precision = floats;
        }
        let (teacher, word_noise) = match &self.dense {
            Some(dense) => (Some(dense), pruning.word_noise),
            None => (None, training.word_noise),
        };
        let noise = WordNoise::new(self.own_vocabulary(), word_noise);
        let index = self.phase.stream_index(self.step);
        let mut generator = stream(self.recipe.seed, Purpose::Noise, index);
        let tokens = self.network.shape.tokens;
        let noisy = |&index: &usize| noise.apply(&examples.train[index], tokens, &mut generator);
        let noisy: Vec<EncodedExample> = chosen.iter().map(noisy).collect();
        let batch = Batch::new(noisy.iter());

        let labels = self.labels.len();
        let device = self.network.device();
        let weights = self.class_weights(examples);
        // A text that was made has an answer, but no class.
        let weights = match examples.answers {
            Some(_) => Some(weights.unwrap_or_else(|| vec![1.0; labels])),
            None => weights,
        };
        let weights = weights.map(|weights| batch.weights(&weights, device));
        let targets = Targets {
            rows: batch.targets(labels, training.label_smoothing, device)?,
            weights: weights.transpose()?,
        };
        let recording = self.network.record(&batch)?;
        let answers = examples.answers.as_ref();
        let answers = answers.map(|answers| answers.of(chosen, device));
        let loss = match (answers.transpose()?, teacher) {
            (Some(answers), _) => Loss::answered(&recording.outputs, &answers, &targets, pruning)?,
            (None, Some(teacher)) if has_teacher(pruning) => Loss::taught(
                &recording.outputs,
                &teacher.outputs(&batch)?,
                &targets,
                pruning,
            )?,
            (None, _) => Loss::of_classes(&recording.outputs, &targets)?,
        };
        let learning_rate = self.learning_rate(steps);
        let mut gradients = recording.backward(&loss.gradients)?;
        if self.phase == Phase::Sparse && !schedule::has_ended(pruning, self.step, steps) {
            penalty::add_gradients(&self.network, &mut gradients, &pruning.method)?;
        }
        let settings = StepSettings {
            number: self.step + 1,
            learning_rate: single(learning_rate),
            weight_decay: single(training.weight_decay),
            score: pruning.method.score(),
            score_memory: single(pruning.method.score_memory()),
        };
        optimizer::step(&mut self.network, &gradients, &loss.value, settings)?;
        // After the step, so that a GPU has work while this waits; a loss that is not
        // finite has changed nothing.
        let value = loss.value.to_scalar::<f32>()?;
        if !value.is_finite() {
            return Err(TrainingError::Diverged {
                phase: self.phase,
                step: self.step + 1,
                loss: value,
                tensor: first_not_finite(&self.network, &recording)?,
                learning_rate,
            });
        }
        Ok((value, batch.ids.ids().len()))
    }

    fn learning_rate(&self, steps: u64) -> f64 {
        let peak = match self.phase {
            Phase::Dense => self.recipe.training.learning_rate,
            Phase::Sparse | Phase::Finished => self.recipe.pruning.learning_rate,
        };
        let (step, steps) = (real(self.step + 1), real(steps));
        let warmup = (steps * self.recipe.training.warmup).max(1.0);
        if step <= warmup {
            peak * step / warmup
        } else {
            peak * (1.0 - (step - warmup) / (steps - warmup + 1.0))
        }
    }
}

/// Name of the first tensor with a value that is not finite.
fn first_not_finite(network: &Network, recording: &Recording) -> candle_core::Result<String> {
    let parameters = network.parameters();
    let parameters = parameters
        .iter()
        .map(|it| (format!("parameter `{}`", it.path), &it.parameter.value));
    let made = recording.tensors().into_iter();
    for (name, tensor) in parameters.chain(made) {
        if !is_finite(tensor)? {
            return Ok(name);
        }
    }
    Ok("the loss".to_owned())
}

/// Whether every value is finite.
pub(crate) fn is_finite(tensor: &Tensor) -> candle_core::Result<bool> {
    let values = values_on_host(tensor)?;
    Ok(values.into_iter().all(f32::is_finite))
}
