//! A heartbeat: a line now and then while something runs in silence.
//!
//! What a program prints passes through here, and a thread prints a line where nothing has been
//! printed for a while: on standard error, because standard output may be for scripts.

use core::time::Duration;
use std::io::{self, Read, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

/// Silence after which the thread speaks.
const SILENCE: Duration = Duration::from_secs(20);

/// What runs, and when something was last said.
struct State {
    /// From the outermost to the innermost.
    running: Vec<(String, Instant)>,
    heard: Option<Instant>,
}

static STATE: Mutex<State> = Mutex::new(State {
    running: Vec::new(),
    heard: None,
});

fn state() -> MutexGuard<'static, State> {
    // Instants and names are whole whichever thread panicked.
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Something that runs until this is dropped.
pub(crate) struct Running(());

impl Running {
    /// Begins `name`.
    pub(crate) fn begin(name: &str) -> Self {
        let mut state = state();
        state.running.push((name.to_owned(), Instant::now()));
        if state.heard.is_none() {
            state.heard = Some(Instant::now());
            // Ends with the program.
            thread::spawn(watch);
        }
        Self(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        state().running.pop();
    }
}

/// Prints a line.
pub(crate) fn say(line: &str) {
    println!("{line}");
    heard();
}

/// Passes on what a program prints until it closes the pipe.
///
/// # Errors
/// Where the pipe cannot be read, or what is passed on cannot be written.
pub(crate) fn pass_on(mut from: impl Read, mut to: impl Write) -> io::Result<()> {
    let mut bytes = [0; 8192];
    loop {
        let length = from.read(&mut bytes)?;
        if length == 0 {
            return Ok(());
        }
        to.write_all(bytes.get(..length).unwrap_or_default())?;
        to.flush()?;
        heard();
    }
}

fn heard() {
    state().heard = Some(Instant::now());
}

fn watch() {
    loop {
        thread::sleep(Duration::from_secs(1));
        let mut state = state();
        if let Some(line) = reminder(&state, Instant::now()) {
            eprintln!("{line}");
            state.heard = Some(Instant::now());
        }
    }
}

/// The line that is due at `now`: the outermost of what runs, and for how long.
fn reminder(state: &State, now: Instant) -> Option<String> {
    let (name, begin) = state.running.first()?;
    let silent = now.duration_since(state.heard?);
    (silent >= SILENCE).then(|| {
        let seconds = now.duration_since(*begin).as_secs();
        format!("     … still running: {name}, {seconds} s")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_broken_by_the_outermost_name() {
        let begin = Instant::now();
        let mut state = State {
            running: vec![("suite".to_owned(), begin), ("cargo".to_owned(), begin)],
            heard: Some(begin + Duration::from_secs(5)),
        };
        let after = |seconds| begin + Duration::from_secs(seconds);
        assert_eq!(reminder(&state, after(24)), None);
        let line = reminder(&state, after(26)).unwrap();
        assert_eq!(line, "     … still running: suite, 26 s");
        state.running.clear();
        assert_eq!(reminder(&state, after(26)), None);
    }

    #[test]
    fn every_byte_is_passed_on() {
        let bytes: Vec<u8> = (0..=255).cycle().take(20_000).collect();
        let mut passed = Vec::new();
        pass_on(&bytes[..], &mut passed).unwrap();
        assert!(passed == bytes);
    }
}
