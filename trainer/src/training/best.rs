//! The network of the epoch that was best on the dev set, where the recipe keeps it.

use candle_core::Device;

use crate::network::Network;
use crate::pruning::schedule;
use crate::recipe::Keep;
use crate::training::journal::EpochRecord;
use crate::training::phase::Phase;
use crate::training::run::{Run, TrainingError};

/// The best network of the phase so far.
#[derive(Clone, Debug)]
pub struct Best {
    /// Its epoch in the phase, from 1.
    pub epoch: usize,
    /// Its accuracy on the dev set, in per cent.
    pub dev_accuracy: f64,
    /// Its weights and masks, on the CPU.
    pub network: Network,
}

impl Run {
    /// Keeps the network of an epoch that has just ended, if it is the best so far. Before the
    /// schedule has ended, a sparse network is not sparse enough to be kept.
    pub(super) fn compare_with_best(
        &mut self,
        epoch: &EpochRecord,
        steps: u64,
    ) -> Result<(), TrainingError> {
        let is_candidate = match self.phase {
            Phase::Dense => true,
            Phase::Sparse => schedule::has_ended(&self.recipe.pruning, self.step - 1, steps),
            Phase::Finished => false,
        };
        let best = self.best.as_ref();
        let is_best = best.is_none_or(|best| epoch.dev_accuracy >= best.dev_accuracy);
        if self.recipe.training.keep == Keep::Best && is_candidate && is_best {
            self.best = Some(Best {
                epoch: epoch.epoch,
                dev_accuracy: epoch.dev_accuracy,
                // A copy: training goes on in place.
                network: self.network.restarted()?.to_device(&Device::Cpu)?,
            });
        }
        Ok(())
    }

    /// Ends the phase with the best network, if one was kept.
    pub(super) fn return_to_best(&mut self) -> Result<(), TrainingError> {
        if let Some(best) = self.best.take() {
            self.network = best.network.to_device(self.network.device())?;
            let phase = self.phase;
            let mut epochs = self.history.iter_mut().filter(|it| it.phase == phase);
            if let Some(epoch) = epochs.find(|it| it.epoch == best.epoch) {
                epoch.is_kept = true;
            }
        }
        Ok(())
    }
}
