//! Suites that passed, failed or were skipped, and the line at the end.

use std::fs;
use std::time::Instant;

use anyhow::bail;

use crate::voice::{Running, say};

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

    /// Runs a suite and reports how it went, and how long it took: by the clock, and processor time
    /// where the system reports it.
    pub(crate) fn suite(&mut self, name: &str, run: impl FnOnce() -> anyhow::Result<()>) {
        say(&format!("---- {name}"));
        let (begin, processors) = (Instant::now(), processor_seconds());
        let running = Running::begin(name);
        let result = run();
        drop(running);
        let mut took = format!("{:.1} s", begin.elapsed().as_secs_f64());
        if let (Some(before), Some(after)) = (processors, processor_seconds()) {
            took += &format!(", of processors {:.1} s", after - before);
        }
        match result {
            Ok(()) => {
                say(&format!("     ok, {took}"));
                self.passed += 1;
            }
            Err(error) => {
                say(&format!("{error:#}\n     FAILED: {name}, {took}"));
                self.failed.push(name.to_owned());
            }
        }
    }

    /// Counts a suite that has itself reported how it went.
    pub(crate) fn record(&mut self, name: &str, passed: bool) {
        if passed {
            self.passed += 1;
        } else {
            self.failed.push(name.to_owned());
        }
    }

    /// Counts a suite that cannot run here, and says why.
    pub(crate) fn skip(&mut self, name: &str, reason: &str) {
        say(&format!("---- {name}\n     skipped: {reason}"));
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

/// Seconds that processors have worked for this program and those that it started and that
/// have ended. Linux only.
fn processor_seconds() -> Option<f64> {
    /// Linux counts the time of processes in hundredths of a second on every machine.
    const TICKS_A_SECOND: f64 = 100.0;
    let text = fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program, in parentheses, may have anything in it. After it the fields
    // begin with the third; 14 to 17 are own and children's time, user's and system's.
    let (_, fields) = text.rsplit_once(')')?;
    let times = fields.split_whitespace().skip(11).take(4);
    let ticks: Vec<f64> = times.map(|time| time.parse().ok()).collect::<Option<_>>()?;
    (ticks.len() == 4).then(|| ticks.iter().sum::<f64>() / TICKS_A_SECOND)
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
