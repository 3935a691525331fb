//! A phase of a run, with its checkpoints.

use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::path::Path;
use std::time::Instant;

use super::error::PipelineError;
use super::observer::Observer;
use crate::training::memory::{OutOfMemory, Shortage};
use crate::training::{Examples, Phase, Run, TrainingError, checkpoint};

/// After a checkpoint, nothing is saved for this many times as long as it took.
const PAUSE: u32 = 10;

/// Trains the rest of the phase that `run` is in. Returns whether the phase is complete.
///
/// A checkpoint is written after an epoch, unless the last one took more than a tenth of
/// the time since; at the end; and when `stop` becomes true.
///
/// # Errors
/// When training or the checkpoint fails; the last checkpoint is kept.
pub(crate) fn train_phase(
    run: &mut Run,
    examples: &Examples,
    checkpoint: &Path,
    observer: &mut dyn Observer,
    stop: &AtomicBool,
) -> Result<bool, PipelineError> {
    observer.phase(run.phase, run.step, run.steps(examples));
    if let Some(shortage) = Shortage::foreseen(run, examples) {
        observer.note(&format!("this may run out of GPU memory: {shortage}"));
    }
    let mut saved = Ok(());
    let (mut last, mut pause) = (Instant::now(), Duration::ZERO);
    let mut is_there = run.step > 0 || run.phase != Phase::Dense;
    let is_over = run.run_phase(examples, |run, report| {
        observer.step(report);
        let stops = stop.load(Ordering::Relaxed);
        // The end of a phase is saved below, as the beginning of the next.
        let is_due = report.epoch.is_some() && report.step < report.steps;
        if stops || (is_due && last.elapsed() >= pause) {
            let begun = Instant::now();
            saved = checkpoint::save(run, checkpoint);
            is_there |= saved.is_ok();
            last = Instant::now();
            pause = last.duration_since(begun).saturating_mul(PAUSE);
        }
        !stops && saved.is_ok()
    });
    saved?;
    let is_over = is_over.map_err(|source| match source {
        TrainingError::Diverged { .. } if is_there => PipelineError::Diverged {
            source,
            checkpoint: checkpoint.to_owned(),
        },
        TrainingError::Tensor(error) => OutOfMemory::of_step(&error, run, examples)
            .map_or_else(|| TrainingError::Tensor(error).into(), PipelineError::from),
        TrainingError::Diverged { .. }
        | TrainingError::NotPretrained(_)
        | TrainingError::Pretrained(_)
        | TrainingError::Vocabulary(_) => source.into(),
    })?;
    if is_over {
        checkpoint::save(run, checkpoint)?;
    }
    Ok(is_over)
}
