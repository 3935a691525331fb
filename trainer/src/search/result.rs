//! What a search found.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Serialize;

use super::candidate::Candidate;
use super::error::SearchError;
use crate::input_file;
use crate::model_file::inspection::Inspection;
use crate::numbers::{percent, significant, thousands};
use crate::recipe::Size;
use crate::run::course::instructions;
use crate::run::error::PipelineError;
use crate::run::files::Files;
use crate::run::outcome::{Outcome, OutcomeError, RunOutcome};
use crate::sweep::Finished;

/// What a search found.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Searched {
    /// Name of the models.
    pub name: String,
    /// What accuracies were measured on: `test` or `dev`.
    pub scored_on: String,
    /// Examples in that set.
    pub examples: usize,
    /// The best network of each size.
    pub sizes: Vec<Found>,
    /// What others reach on the same data, whatever their size.
    pub rivals: Vec<Rival>,
}

/// The network of a size.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Found {
    /// Bytes that it may have.
    pub size: usize,
    /// Its shape, in words.
    pub shape: String,
    /// Shapes that were trained.
    pub tried: usize,
    /// All trainings of this size, in their order; the last is the one that was kept.
    pub trials: Vec<Trial>,
    /// Where it is.
    pub model: PathBuf,
    #[serde(skip)]
    pub(crate) files: Files,
}

/// A training.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Trial {
    /// The shape, in words.
    pub shape: String,
    /// Passes over the texts.
    pub passes: usize,
    /// Accuracy on the dev set, by which candidates are chosen, per cent.
    pub dev: f64,
    /// Accuracy of the file in the runtime.
    pub accuracy: f64,
    /// Bytes of the file.
    pub bytes: usize,
    /// Instructions of a Cortex-M4F for a text of 16 tokens, at most.
    pub instructions: u64,
    /// Scratch memory and stack on a Cortex-M4, bytes.
    pub ram: usize,
    /// Share of the layers' weights that are zero.
    pub sparsity: f64,
}

/// What something else reaches.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Rival {
    /// What it is.
    pub name: String,
    /// Its accuracy, per cent.
    pub accuracy: f64,
    /// Its bytes.
    pub bytes: usize,
    /// Its instructions, where they are known.
    pub instructions: Option<u64>,
}

impl Trial {
    /// Of a finished training.
    pub(super) fn new(
        candidate: &Candidate,
        passes: usize,
        finished: &Finished,
    ) -> Result<Self, SearchError> {
        let path = &finished.model;
        let file = input_file::read_model(path).map_err(|source| OutcomeError::Read {
            path: path.clone(),
            source,
        })?;
        let inspection = Inspection::new(&file).map_err(PipelineError::from)?;
        let last = finished.run.history.last();
        Ok(Self {
            shape: candidate.shape.clone(),
            passes,
            dev: last.map_or(0.0, |epoch| epoch.dev_accuracy),
            accuracy: finished.run.accuracy.sparse_int8,
            bytes: file.len(),
            instructions: instructions(&file)?,
            ram: inspection.ram_estimate,
            sparsity: inspection.sparsity,
        })
    }
}

impl Found {
    pub(super) fn new(best: &Candidate, trials: Vec<Trial>, files: Files) -> Self {
        let shapes: BTreeSet<&str> = trials.iter().map(|trial| trial.shape.as_str()).collect();
        Self {
            size: best.size.0,
            shape: best.shape.clone(),
            tried: shapes.len(),
            trials,
            model: files.model.clone(),
            files,
        }
    }

    /// The training that was kept.
    pub(crate) fn best(&self) -> Option<&Trial> {
        self.trials.last()
    }

    /// Why this shape: what it was better than, in the last round that it was in with others.
    pub(crate) fn why(&self) -> Option<String> {
        let of_round = |passes: usize| self.trials.iter().filter(move |it| it.passes == passes);
        let own = self.trials.iter().rev().find(|it| {
            it.shape == self.shape && of_round(it.passes).any(|other| other.shape != self.shape)
        })?;
        let others = of_round(own.passes).filter(|other| other.shape != self.shape);
        let next = others.max_by(|a, b| a.dev.total_cmp(&b.dev))?;
        Some(format!(
            "{}, {}: {} on the dev set after {} of {} passes, in {} instructions; next was {}: {}, in {}",
            Size(self.size),
            own.shape,
            percent(own.dev),
            own.passes,
            self.best()?.passes,
            millions(own.instructions),
            next.shape,
            percent(next.dev),
            millions(next.instructions),
        ))
    }
}

/// `0.61 M`.
pub(crate) fn millions(count: u64) -> String {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    format!("{} M", significant(f64::from(count) / 1e6))
}

impl Searched {
    /// Of the network of each size.
    pub(super) fn new(name: &str, sizes: Vec<Found>) -> Result<Self, SearchError> {
        let Some(first) = sizes.first() else {
            return Ok(Self {
                name: name.to_owned(),
                scored_on: String::new(),
                examples: 0,
                sizes,
                rivals: Vec::new(),
            });
        };
        let (Outcome { run, dense, .. }, _) = Outcome::read(&first.files)?;
        let dense = dense.path.unwrap_or_default();
        let file = input_file::read_model(&dense).map_err(|source| OutcomeError::Read {
            path: dense,
            source,
        })?;
        let rivals = rivals(&run, &file)?;
        Ok(Self {
            name: name.to_owned(),
            scored_on: run.scored_on,
            examples: run.examples,
            sizes,
            rivals,
        })
    }

    /// What a network is not better than though it is no smaller, if anything.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let all = self.sizes.iter().flat_map(|found| {
            let best = found.best();
            let worse = self.rivals.iter().filter(move |rival| {
                best.is_some_and(|it| it.accuracy <= rival.accuracy && it.bytes >= rival.bytes)
            });
            worse.map(move |rival| {
                format!(
                    "the network for {} is not better than {}, which has {} bytes",
                    Size(found.size),
                    rival.name,
                    thousands(rival.bytes)
                )
            })
        });
        all.collect()
    }
}

/// A linear model, and the teacher itself in int8.
fn rivals(run: &RunOutcome, dense: &[u8]) -> Result<Vec<Rival>, SearchError> {
    let linear = &run.baselines.linear;
    Ok(vec![
        Rival {
            name: "a linear model".to_owned(),
            accuracy: linear.accuracy,
            bytes: linear.bytes,
            instructions: None,
        },
        Rival {
            name: "the teacher in int8".to_owned(),
            accuracy: run.accuracy.dense_int8,
            bytes: dense.len(),
            instructions: Some(instructions(dense)?),
        },
    ])
}
