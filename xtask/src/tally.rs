//! Suites that passed, failed or were skipped, and the line at the end.

use std::time::Instant;

use anyhow::bail;

/// Counts suites and reports each as it ends.
pub(crate) struct Tally {
    passed: usize,
    failed: Vec<String>,
    skipped: usize,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            passed: 0,
            failed: Vec::new(),
            skipped: 0,
        }
    }

    /// Runs a suite and says how it went, and how long it took.
    pub(crate) fn suite(&mut self, name: &str, run: impl FnOnce() -> anyhow::Result<()>) {
        println!("---- {name}");
        let start = Instant::now();
        let result = run();
        let seconds = start.elapsed().as_secs_f32();
        match result {
            Ok(()) => {
                println!("     ok, {seconds:.1} s");
                self.passed += 1;
            }
            Err(error) => {
                println!("{error:#}\n     FAILED: {name}, {seconds:.1} s");
                self.failed.push(name.to_owned());
            }
        }
    }

    /// Counts a suite that has said itself how it went.
    pub(crate) fn record(&mut self, name: &str, passed: bool) {
        if passed {
            self.passed += 1;
        } else {
            self.failed.push(name.to_owned());
        }
    }

    /// Counts a suite that cannot run here, and says why.
    pub(crate) fn skip(&mut self, name: &str, reason: &str) {
        println!("---- {name}\n     skipped: {reason}");
        self.skipped += 1;
    }

    /// The last line; an error if anything failed.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        for name in &self.failed {
            println!("FAILED: {name}");
        }
        println!("{}", self.summary());
        match self.failed.len() {
            0 => Ok(()),
            1 => bail!("one suite failed"),
            failed => bail!("{failed} suites failed"),
        }
    }

    fn summary(&self) -> String {
        let Self {
            passed, skipped, ..
        } = self;
        let failed = self.failed.len();
        match skipped {
            0 => format!("{passed} passed, {failed} failed"),
            _ => format!("{passed} passed, {failed} failed, {skipped} skipped"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summary_counts_suites() {
        let mut tally = Tally::new();
        tally.record("a", true);
        tally.record("b", false);
        assert_eq!(tally.summary(), "1 passed, 1 failed");
        tally.skip("c", "no network");
        assert_eq!(tally.summary(), "1 passed, 1 failed, 1 skipped");
        assert!(tally.finish().is_err());
    }
}
