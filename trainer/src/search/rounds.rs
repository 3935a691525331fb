//! Successive halving.

use core::fmt::Display;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::path::Path;

use super::candidate::Candidate;
use super::clock::Clock;
use super::error::SearchError;
use super::result::{Found, Searched, Trial};
use crate::atomic_file;
use crate::numbers::counted;
use crate::ops::device::DeviceName;
use crate::pretrained::Pretrained;
use crate::recipe::Size;
use crate::run::data::Data;
use crate::run::shared::Shared;
use crate::sweep::{Cell, CellError, Observers, Sweep};

/// A search, its data, and where its trials are.
pub(crate) struct Search<'a> {
    /// What is tried; those of a size one after another, the usual one first.
    pub candidates: &'a [Candidate],
    /// What is learned from.
    pub data: &'a Data,
    /// Folder of the trials.
    pub out: &'a Path,
    /// Name of the models.
    pub name: &'a str,
    /// What the teacher starts from, if not from random weights.
    pub pretrained: Option<&'a Pretrained>,
    /// Where to train, in turn.
    pub devices: &'a [DeviceName],
    /// Trials at the same time.
    pub jobs: usize,
    /// What the trials share.
    pub shared: &'a Shared,
    /// When to begin no more of them.
    pub clock: &'a Clock,
}

/// The candidates of a size.
struct Contest<'c> {
    size: Size,
    /// Those that are trained further, the best first.
    alive: Vec<&'c Candidate>,
    trials: Vec<Trial>,
}

/// Passes of each round for so many candidates; those of the last are `full`.
fn rounds(candidates: usize, full: usize) -> Vec<usize> {
    let halvings = candidates.max(1).next_power_of_two().ilog2();
    let mut passes: Vec<usize> = (0..=halvings).rev().map(|it| (full >> it).max(1)).collect();
    passes.dedup();
    passes
}

impl Search<'_> {
    /// Trains candidates, fewer and longer from round to round. Nothing is returned once it was asked to
    /// `stop`; every trial is then saved.
    ///
    /// `observer` makes what watches a stage of a sweep; `say` is told which candidates cannot be trained.
    ///
    /// # Errors
    /// When no candidate of a size can be trained, or a finished one cannot be read.
    pub(crate) fn run(
        &self,
        observer: &Observers<'_>,
        say: &mut dyn FnMut(&str),
        stop: &AtomicBool,
    ) -> Result<Option<Searched>, SearchError> {
        let sizes = self.candidates.chunk_by(|a, b| a.size == b.size);
        let mut contests: Vec<Contest<'_>> = sizes.map(Contest::new).collect();
        let most = contests.iter().map(|it| it.alive.len()).max().unwrap_or(0);
        let full = self.candidates.iter().map(Candidate::passes).max();
        let full = full.unwrap_or(1);
        let last_round = contests.len();
        let all = rounds(most, full);
        for (number, &passes) in all.iter().enumerate() {
            let is_last = passes == full;
            // Before the last round one is left, and a size that has no other waits for it.
            let kept = match number + 2 >= all.len() {
                true => 1,
                false => usize::MAX,
            };
            let of_round = contests.iter_mut();
            let mut of_round: Vec<_> = of_round
                .filter(|it| is_last || it.alive.len() > 1)
                .collect();
            let cells: Vec<Cell> = of_round
                .iter()
                .flat_map(|contest| &contest.alive)
                .map(|candidate| candidate.cell(passes))
                .collect();
            let sweep = self.sweep(&cells);
            let to_the_end = full * last_round.div_ceil(self.jobs.max(1));
            let left_out = AtomicUsize::new(0);
            let may_begin = |cell: &Cell| {
                let may = is_last || {
                    let finished = cells.iter().filter_map(|cell| sweep.finished(cell).ok()?);
                    finished.for_each(|finished| self.clock.note(&finished));
                    self.clock.allows(cell, to_the_end)
                };
                left_out.fetch_add(usize::from(!may), Ordering::Relaxed);
                may
            };
            let mut failed = sweep.run(self.jobs, observer, &may_begin, stop);
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let left_out = left_out.into_inner();
            if left_out > 0 {
                let all = counted(cells.len(), "trial");
                say(&format!("the time is over: {left_out} of {all} left out"));
            }
            for contest in &mut of_round {
                self.rank(contest, &sweep, passes, &mut failed, say)?;
                contest.alive.truncate(kept);
            }
        }
        let sweep = self.sweep(&[]);
        let found = contests.into_iter().filter_map(|contest| {
            let best = contest.alive.first()?;
            let files = sweep.files(&best.cell(full));
            Some(Found::new(best, contest.trials, files))
        });
        Ok(Some(Searched::new(self.name, found.collect())?))
    }

    fn sweep<'s>(&'s self, cells: &'s [Cell]) -> Sweep<'s> {
        Sweep {
            cells,
            name: self.name,
            shared: self.shared,
            data: self.data,
            out: self.out,
            pretrained: self.pretrained,
            devices: self.devices,
        }
    }

    /// Takes the results of a round: the better half stays in the contest.
    fn rank(
        &self,
        contest: &mut Contest<'_>,
        sweep: &Sweep<'_>,
        passes: usize,
        failed: &mut Vec<(Cell, CellError)>,
        say: &mut dyn FnMut(&str),
    ) -> Result<(), SearchError> {
        let mut ranked = Vec::new();
        let mut first_error = None;
        for &candidate in &contest.alive {
            let cell = candidate.cell(passes);
            if let Some(place) = failed.iter().position(|(other, _)| *other == cell) {
                let (_, error) = failed.swap_remove(place);
                // Only what training itself says is about the candidate.
                let CellError::Pipeline(_) = &error else {
                    return Err(unusable(sweep, &cell, &error));
                };
                say(&format!("{}: {error}", cell.variant));
                first_error = first_error.or(Some(error));
            } else if let Ok(Some(finished)) = sweep.finished(&cell) {
                // It is not resumed any more, and holds its teacher too. What cannot be removed does no
                // harm.
                let _ = atomic_file::remove(&sweep.files(&cell).checkpoint());
                let trial = Trial::new(candidate, passes, &finished);
                let trial = trial.map_err(|error| unusable(sweep, &cell, &error))?;
                ranked.push((trial.dev, trial.instructions, candidate));
                contest.trials.push(trial);
            }
        }
        match first_error.filter(|_| ranked.is_empty()) {
            Some(source) => {
                return Err(SearchError::Size {
                    size: contest.size,
                    source,
                });
            }
            // There was no time for any: the usual one is as good a guess as any.
            None if ranked.is_empty() => contest.alive.truncate(1),
            None => {
                // Of equals the faster, of these the usual one, which comes first.
                ranked.sort_by(|(a, slower, _), (b, faster, _)| {
                    b.total_cmp(a).then(slower.cmp(faster))
                });
                ranked.truncate(ranked.len().div_ceil(2));
                contest.alive = ranked
                    .into_iter()
                    .map(|(.., candidate)| candidate)
                    .collect();
            }
        }
        Ok(())
    }
}

/// A trial that is there, but damaged, or another.
fn unusable(sweep: &Sweep<'_>, cell: &Cell, error: &dyn Display) -> SearchError {
    let model = sweep.files(cell).model;
    SearchError::Trial {
        folder: model.parent().unwrap_or(&model).to_owned(),
        problem: error.to_string(),
    }
}

impl<'c> Contest<'c> {
    fn new(candidates: &'c [Candidate]) -> Self {
        Self {
            size: candidates[0].size,
            alive: candidates.iter().collect(),
            trials: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_passes_of_each_round_double() {
        assert_eq!(rounds(1, 8), [8]);
        assert_eq!(rounds(2, 8), [4, 8]);
        assert_eq!(rounds(4, 8), [2, 4, 8]);
        assert_eq!(rounds(5, 8), [1, 2, 4, 8]);
        // Fewer passes than halvings.
        assert_eq!(rounds(6, 2), [1, 2]);
        assert_eq!(rounds(6, 1), [1]);
    }
}
