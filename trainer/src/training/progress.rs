//! The progress of a run through a phase, step by step.

use crate::network::Precision;
use crate::random::{Purpose, permutation, stream};
use crate::training::journal::EpochRecord;
use crate::training::phase::Phase;
use crate::training::run::{Examples, Run, TrainingError};

/// What one step did.
#[derive(Clone, Debug, PartialEq)]
pub struct StepReport {
    /// The phase it belonged to.
    pub phase: Phase,
    /// Steps done in it, this one included.
    pub step: u64,
    /// Steps of the whole phase.
    pub steps: u64,
    /// Loss of the batch.
    pub loss: f32,
    /// Tokens of the batch.
    pub tokens: usize,
    /// Share of encoder weights that are zero after it.
    pub sparsity: f64,
    /// The epoch, if this step ended one.
    pub epoch: Option<EpochRecord>,
}

impl Run {
    /// Runs to the end of the phase, or until `watch` returns false after a step.
    /// Returns whether the phase is complete; then [`Run::phase`] is the next one.
    ///
    /// # Errors
    /// [`TrainingError`]; the run is then at its last good step.
    pub fn run_phase(
        &mut self,
        examples: &Examples,
        mut watch: impl FnMut(&Self, &StepReport) -> bool,
    ) -> Result<bool, TrainingError> {
        let (phase, steps) = (self.phase, self.steps(examples));
        let per_epoch = self.steps_per_epoch(examples);
        let mut order = Vec::new();
        let mut order_epoch = u64::MAX;
        let mut sparsity = self.network.sparsity()?;
        while self.step < steps {
            let epoch = self.step / per_epoch;
            if order_epoch != epoch {
                let index = phase.stream_index(epoch);
                let mut generator = stream(self.recipe.seed, Purpose::Shuffling, index);
                order = permutation(&mut generator, examples.train.len());
                order_epoch = epoch;
            }
            let batch = self.batch();
            #[expect(
                clippy::cast_possible_truncation,
                reason = "below the steps of an epoch"
            )]
            let first = (self.step % per_epoch) as usize * batch;
            let chosen = &order[first..(first + batch).min(order.len())];
            let (loss, tokens) = self.train_batch(examples, chosen, steps)?;
            if phase == Phase::Sparse && self.prune(steps)? {
                sparsity = self.network.sparsity()?;
            }
            self.step += 1;
            self.epoch_loss += f64::from(loss);
            let ended = self.step.is_multiple_of(per_epoch);
            let epoch = ended.then(|| self.end_epoch(examples, steps)).transpose()?;
            sparsity = epoch.as_ref().map_or(sparsity, |epoch| epoch.sparsity);
            self.journal
                .note_step(phase, self.step, steps, loss, sparsity);
            let report = StepReport {
                phase,
                step: self.step,
                steps,
                loss,
                tokens,
                sparsity,
                epoch,
            };
            if !watch(self, &report) && self.step < steps {
                return Ok(false);
            }
        }
        self.end_phase()?;
        Ok(true)
    }

    fn end_phase(&mut self) -> Result<(), TrainingError> {
        if let Some(best) = self.best.take() {
            self.network = best.network.to_device(self.network.device())?;
            let phase = self.phase;
            let mut epochs = self.history.iter_mut().filter(|it| it.phase == phase);
            if let Some(epoch) = epochs.find(|it| it.epoch == best.epoch) {
                epoch.is_kept = true;
            }
        }
        self.step = 0;
        self.network.precision = Precision::Float;
        if let Some(dense) = &mut self.dense {
            dense.precision = Precision::Float;
        }
        self.phase = match self.phase {
            Phase::Dense => {
                self.dense = Some(self.network.clone());
                self.network = self.network.restarted()?;
                Phase::Sparse
            }
            Phase::Sparse | Phase::Finished => Phase::Finished,
        };
        Ok(())
    }
}
