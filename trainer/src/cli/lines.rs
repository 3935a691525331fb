//! Progress of runs that are trained side by side.

use super::progress::Progress;
use crate::run::observer::Observer;
use crate::training::{Phase, StepReport};

/// A line an epoch, with the name of the run: bars of several would overwrite each other.
struct Lines {
    title: String,
    is_quiet: bool,
}

/// What watches a run that is one of `jobs` at a time: a bar, under its title, where it is alone.
pub(super) fn watch(title: String, jobs: usize, is_quiet: bool) -> Box<dyn Observer> {
    if jobs > 1 {
        return Box::new(Lines { title, is_quiet });
    }
    if !is_quiet {
        say!("{title}");
    }
    Box::new(Progress::new(is_quiet))
}

impl Observer for Lines {
    fn phase(&mut self, phase: Phase, done: u64, steps: u64) {
        if !self.is_quiet {
            say!("{}: {} {done} of {steps} steps", self.title, phase.name());
        }
    }

    fn step(&mut self, report: &StepReport) {
        if let (false, Some(epoch)) = (self.is_quiet, &report.epoch) {
            say!(
                "{}: epoch {}, loss {:.3}, dev accuracy {:.2} %, {:.1} % zero",
                self.title,
                epoch.epoch,
                epoch.loss,
                epoch.dev_accuracy,
                100.0 * epoch.sparsity
            );
        }
    }

    fn note(&mut self, text: &str) {
        if !self.is_quiet {
            say!("{}: {text}", self.title);
        }
    }
}
