//! Trains the missing cells of a sweep.

use core::sync::atomic::{AtomicBool, Ordering};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Cell, Finished};
use crate::numbers::hex;
use crate::ops::device::{DeviceError, DeviceName};
use crate::pretrained::Pretrained;
use crate::run::data::Data;
use crate::run::error::PipelineError;
use crate::run::files::Files;
use crate::run::observer::Observer;
use crate::run::outcome::{OutcomeError, RunOutcome};
use crate::run::phase::train_phase;
use crate::run::pipeline::{self, End};
use crate::run::shared::Shared;
use crate::training::checkpoint::{self, CheckpointError};
use crate::training::{Examples, Phase, Run};

/// Cells, their data, and where they are.
#[derive(Clone, Copy)]
pub(crate) struct Sweep<'a> {
    /// The runs.
    pub cells: &'a [Cell],
    /// Name of each cell's model.
    pub name: &'a str,
    /// What they share.
    pub shared: &'a Shared,
    /// What every cell learns from.
    pub data: &'a Data,
    /// Folder of the cells.
    pub out: &'a Path,
    /// What every network starts from, if not from random weights.
    pub pretrained: Option<&'a Pretrained>,
    /// Where the cells are trained, in turn; each opens its own for itself.
    pub devices: &'a [DeviceName],
}

/// What is being trained.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stage<'a> {
    /// The dense network that this cell and others of its seed start from.
    Dense(&'a Cell),
    /// A cell.
    Cell(&'a Cell),
}

/// Makes what watches a stage.
pub(crate) type Observers<'o> = dyn Fn(Stage<'_>) -> Box<dyn Observer> + Sync + 'o;

/// Why a cell could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum CellError {
    /// Training.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// A checkpoint, its own or that of its dense baseline.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Its outcome cannot be read.
    #[error(transparent)]
    Outcome(#[from] OutcomeError),
    /// A folder cannot be made, or a file cannot be measured.
    #[error("{path}: {source}")]
    File {
        /// The folder or file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The device that it is to be trained on.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// Another cell is in its place.
    #[error(
        "{path}: made from another recipe or other data; name another folder with --out, or \
         remove it"
    )]
    Other {
        /// The outcome.
        path: PathBuf,
    },
}

impl Sweep<'_> {
    /// The files of a cell.
    pub(crate) fn files(&self, cell: &Cell) -> Files {
        Files {
            model: self
                .out
                .join(cell.folder())
                .join(format!("{}.neuro", self.name)),
        }
    }

    /// The cell, if it is done.
    ///
    /// # Errors
    /// When another cell is in its place.
    pub(crate) fn finished(&self, cell: &Cell) -> Result<Option<Finished>, CellError> {
        let files = self.files(cell);
        let path = files.outcome();
        if !path.exists() {
            return Ok(None);
        }
        let run = RunOutcome::read(&path)?;
        let (measured, _) = self.data.measured();
        if run.recipe != cell.recipe
            || run.data_sha256 != hex(&self.data.train.sha256)
            || run.scored_sha256 != hex(&measured.sha256)
        {
            return Err(CellError::Other { path });
        }
        Ok(Some(Finished::new(&cell.variant, files.model, run)?))
    }

    /// Trains what is missing, `jobs` cells at a time: first dense baselines, then cells.
    /// Returns the cells that failed; one that fails does not stop the others.
    ///
    /// `observer` makes what watches a stage; a cell that `may_begin` refuses when its turn comes is left
    /// out; once `stop` is true, every run saves its checkpoint. Neither the order nor `jobs` changes the
    /// result.
    pub(crate) fn run(
        &self,
        jobs: usize,
        observer: &Observers<'_>,
        may_begin: &(dyn Fn(&Cell) -> bool + Sync),
        stop: &AtomicBool,
    ) -> Vec<(Cell, CellError)> {
        let failed = Mutex::new(Vec::new());
        let note = |cell: &Cell, error| {
            locked(&failed).push((cell.clone(), error));
        };
        let mut missing = Vec::new();
        for cell in self.cells {
            match self.finished(cell) {
                Ok(None) => missing.push(cell),
                Ok(Some(_)) => {}
                Err(error) => note(cell, error),
            }
        }
        let mut seen = HashSet::new();
        let first_of_baseline = |cell: &&&Cell| seen.insert(self.dense_path(cell));
        let baselines: Vec<&Cell> = missing.iter().filter(first_of_baseline).copied().collect();
        let ready = Mutex::new(HashSet::new());
        in_turn(jobs, &baselines, |worker, cell| {
            match self.train_baseline(cell, self.device(worker), observer, stop) {
                Ok(()) => drop(locked(&ready).insert(self.dense_path(cell))),
                Err(error) => note(cell, error),
            };
        });
        // Without its baseline a cell cannot begin; the baseline's error is reported once.
        let ready = locked(&ready);
        missing.retain(|cell| ready.contains(&self.dense_path(cell)));
        in_turn(jobs, &missing, |worker, cell| {
            if !stop.load(Ordering::Relaxed)
                && may_begin(cell)
                && let Err(error) = self.train(cell, self.device(worker), observer, stop)
            {
                note(cell, error);
            }
        });
        core::mem::take(&mut *locked(&failed))
    }

    /// Checkpoint of a cell's dense baseline.
    fn dense_path(&self, cell: &Cell) -> PathBuf {
        let recipe = hex(&cell.recipe.dense_part().sha256());
        self.out
            .join("dense")
            .join(format!("{}.checkpoint", &recipe[..16]))
    }

    /// Trains the dense baseline, or resumes its training.
    fn train_baseline(
        &self,
        cell: &Cell,
        device: DeviceName,
        observer: &Observers<'_>,
        stop: &AtomicBool,
    ) -> Result<(), CellError> {
        let path = self.dense_path(cell);
        make_folder(&path)?;
        let (recipe, train) = (cell.recipe.dense_part(), &self.data.train);
        let mut run = if path.exists() {
            checkpoint::resume(&path, &recipe, train)?
        } else {
            let run = match self.pretrained {
                None => Run::new(recipe, train),
                Some(pretrained) => Run::from_pretrained(recipe, train, pretrained),
            };
            run.map_err(PipelineError::from)?
        };
        if run.phase == Phase::Dense && !stop.load(Ordering::Relaxed) {
            move_run(&mut run, device)?;
            let tokens = run.recipe.model.tokens;
            let examples = Examples::new(train, &self.data.dev, &run.vocabulary, tokens);
            let examples = examples.map_err(PipelineError::from)?;
            let mut observer = observer(Stage::Dense(cell));
            train_phase(&mut run, &examples, &path, &mut *observer, stop)?;
        }
        Ok(())
    }

    /// Device of a worker.
    fn device(&self, worker: usize) -> DeviceName {
        let mut devices = self.devices.iter().cycle();
        devices.nth(worker).copied().unwrap_or_default()
    }

    /// Trains a cell from its dense baseline, or resumes its training.
    fn train(
        &self,
        cell: &Cell,
        device: DeviceName,
        observer: &Observers<'_>,
        stop: &AtomicBool,
    ) -> Result<(), CellError> {
        let files = self.files(cell);
        make_folder(&files.model)?;
        let train = &self.data.train;
        let mut run = if files.checkpoint().exists() {
            checkpoint::resume(&files.checkpoint(), &cell.recipe, train)?
        } else {
            let mut run =
                checkpoint::resume(&self.dense_path(cell), &cell.recipe.dense_part(), train)?;
            run.recipe = cell.recipe.clone();
            run
        };
        move_run(&mut run, device)?;
        let mut observer = observer(Stage::Cell(cell));
        match pipeline::train_with(run, self.data, &files, self.shared, &mut *observer, stop)? {
            // Its outcome is on disk; the table reads it from there.
            End::Finished(_) | End::Stopped => Ok(()),
        }
    }
}

fn move_run(run: &mut Run, device: DeviceName) -> Result<(), CellError> {
    let moved = run.move_to(&device.open()?);
    Ok(moved.map_err(PipelineError::from)?)
}

/// Does `work` on every cell with the number of the worker, `jobs` at a time, in order.
fn in_turn(jobs: usize, cells: &[&Cell], work: impl Fn(usize, &Cell) + Sync) {
    let next = Mutex::new(cells.iter());
    std::thread::scope(|scope| {
        for worker in 0..jobs.clamp(1, cells.len().max(1)) {
            let (next, work) = (&next, &work);
            scope.spawn(move || {
                loop {
                    let cell = locked(next).next();
                    let Some(cell) = cell else { return };
                    work(worker, cell);
                }
            });
        }
    });
}

/// Nothing is left half done under these locks.
fn locked<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

fn make_folder(file: &Path) -> Result<(), CellError> {
    let folder = file.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|source| CellError::File {
        path: folder.to_owned(),
        source,
    })
}
