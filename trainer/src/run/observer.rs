//! Watching a run.

use crate::baselines::Baselines;
use crate::run::summary::Summary;
use crate::training::{Phase, StepReport};

/// Watches a run.
pub trait Observer {
    /// What a run is about to learn from, and what it has to be better than. Returns whether the
    /// run may begin.
    fn summary(&mut self, _summary: &Summary, _baselines: &Baselines) -> bool {
        true
    }
    /// A phase begins or resumes: steps done, steps in all.
    fn phase(&mut self, phase: Phase, done: u64, steps: u64);
    /// A step is done.
    fn step(&mut self, report: &StepReport);
    /// A teacher has answered `done` of `all` texts that its student will learn from.
    fn answered(&mut self, _done: usize, _all: usize) {}
    /// Something else begins.
    fn note(&mut self, text: &str);
}

/// Ignores everything.
impl Observer for () {
    fn phase(&mut self, _phase: Phase, _done: u64, _steps: u64) {}
    fn step(&mut self, _report: &StepReport) {}
    fn note(&mut self, _text: &str) {}
}
