//! Stopping a run: the first signal asks it to save itself, the second ends the program.

use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::process::ExitCode;
use std::sync::Arc;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

/// Whether a signal asked to stop, and which.
pub(super) struct Stop {
    asked: Arc<AtomicBool>,
    signal: Arc<AtomicUsize>,
}

impl Stop {
    /// Listens to Ctrl-C, SIGTERM (as schedulers and `kill` send it) and SIGHUP (a terminal was
    /// closed), which is left alone where it is ignored, as under `nohup`.
    pub(super) fn on_signals() -> anyhow::Result<Self> {
        let stop = Self {
            asked: Arc::default(),
            signal: Arc::default(),
        };
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            if signal == SIGHUP && is_ignored(SIGHUP) {
                continue;
            }
            // In this order: what the second signal does is armed by the first.
            let asked = || Arc::clone(&stop.asked);
            flag::register_conditional_shutdown(signal, 128 + signal, asked())?;
            let number = usize::try_from(signal)?;
            flag::register_usize(signal, Arc::clone(&stop.signal), number)?;
            flag::register(signal, asked())?;
        }
        Ok(stop)
    }

    /// Becomes true with the first signal.
    pub(super) fn asked(&self) -> &AtomicBool {
        &self.asked
    }

    /// The exit status of a program that a signal ended: 128 and its number.
    pub(super) fn status(&self) -> ExitCode {
        let signal = self.signal.load(Ordering::Relaxed);
        u8::try_from(128 + signal).map_or(ExitCode::FAILURE, ExitCode::from)
    }
}

/// Whether the program was started with this signal ignored, as far as the system tells.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}
