//! What happens between steps: removals, and the end of an epoch.

use crate::network::Layer;
use crate::numbers::{real, rounded, single};
use crate::pruning::{self, Spare, penalty, schedule};
use crate::recipe::{Keep, Method};
use crate::text::batch::spread;
use crate::training::best::Best;
use crate::training::evaluation::float_accuracy;
use crate::training::journal::EpochRecord;
use crate::training::phase::Phase;
use crate::training::run::{Examples, Run, TrainingError};

/// Training examples on which heads are compared.
const HEAD_EXAMPLES: usize = 256;

impl Run {
    /// Removes weights if it is time; returns whether it was.
    pub(super) fn prune(&mut self, steps: u64) -> Result<bool, TrainingError> {
        let recipe = &self.recipe.pruning;
        if !schedule::is_due(recipe, self.step, steps) {
            return Ok(false);
        }
        let mut sparsity = pruning::scheduled_sparsity(recipe, self.step, steps);
        if schedule::has_ended(recipe, self.step, steps) {
            // A method that removes weights once, here, has penalties until then.
            if recipe.method.interval().is_none() {
                // What the penalties brought down has the smallest weights: it is pruned first.
                let reached = penalty::share_below_epsilon(&self.network)?;
                self.journal.penalties_reached = Some(single(reached));
                sparsity = sparsity.max(reached);
            }
            pruning::prune_and_cut(&mut self.network, sparsity, recipe)?;
        } else {
            pruning::prune_towards(&mut self.network, sparsity, recipe)?;
        }
        Ok(true)
    }

    /// Merges heads, cuts what is empty, scores the dev set.
    pub(super) fn end_epoch(
        &mut self,
        examples: &Examples,
        steps: u64,
    ) -> Result<EpochRecord, TrainingError> {
        if self.phase == Phase::Sparse {
            let recipe = &self.recipe.pruning;
            let last = self.step - 1;
            let sparsity = pruning::scheduled_sparsity(recipe, last, steps);
            let is_running = !schedule::has_ended(recipe, last, steps);
            // After the schedule's end a removed head would leave the rest too sparse.
            let is_partial = sparsity > 0.0 && sparsity < recipe.sparsity;
            // Before heads are compared: what is empty is not theirs to spare.
            pruning::cut(&mut self.network, recipe.blocks)?;
            let least = pruning::weights_at(&self.network, recipe.sparsity);
            let spare = Spare::new(&self.network, least)?;
            let test = match &recipe.method {
                Method::Neuroprune(it) if it.head_redundancy && is_running && is_partial => {
                    let sample = spread(&examples.train, HEAD_EXAMPLES);
                    let blocks = recipe.blocks;
                    Some(pruning::merge_heads(
                        &mut self.network,
                        sample,
                        it.head_distance,
                        blocks,
                        spare,
                    )?)
                }
                Method::Paper(it) if it.head_redundancy && is_running => {
                    Some(pruning::filter_heads(&mut self.network, it.theta, spare)?)
                }
                Method::Neuroprune(_)
                | Method::Paper(_)
                | Method::L1 { .. }
                | Method::Magnitude { .. }
                | Method::Sensitivity { .. }
                | Method::Movement { .. } => None,
            };
            if let Some(test) = test {
                self.journal.kept = test.kept;
                if !test.merged.is_empty() {
                    self.merged.extend(test.merged);
                    // What the kept heads took over must not make up for what was removed.
                    pruning::prune_towards(&mut self.network, sparsity, recipe)?;
                }
            }
            pruning::cut(&mut self.network, recipe.blocks)?;
        }
        let per_epoch = self.steps_per_epoch(examples);
        let record = EpochRecord {
            phase: self.phase,
            epoch: rounded(real(self.step / per_epoch)),
            step: self.step,
            loss: self.epoch_loss / real(per_epoch),
            dev_accuracy: float_accuracy(&self.network, &examples.dev)?,
            sparsity: self.network.sparsity()?,
            heads: self.network.layers.iter().map(Layer::heads).sum(),
            neurons: self.network.neurons(),
            is_kept: false,
        };
        // Before the schedule has ended, a sparse network is not sparse enough to be kept.
        let is_candidate = match self.phase {
            Phase::Dense => true,
            Phase::Sparse => schedule::has_ended(&self.recipe.pruning, self.step - 1, steps),
            Phase::Finished => false,
        };
        if self.recipe.training.keep == Keep::Best && is_candidate {
            self.best = Some(Best::of(self.best.take(), &record, &self.network)?);
        }
        self.epoch_loss = 0.0;
        self.history.push(record.clone());
        Ok(record)
    }
}
