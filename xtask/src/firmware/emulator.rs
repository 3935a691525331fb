//! Runs an image in QEMU.

use core::time::Duration;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use anyhow::{Context, bail};

use crate::boards::Board;

/// Timeout of a program: all of them take seconds, or a minute on a busy machine.
const PATIENCE: Duration = Duration::from_secs(600);

/// What the program writes to standard output until it exits with status 0; each
/// instruction takes the same time, so that the board's timer counts them.
pub(crate) fn run(board: &Board, elf: &Path) -> anyhow::Result<Vec<u8>> {
    let shift = format!("shift={}", board.instruction_shift);
    run_with(board, elf, &["-icount".to_owned(), shift])
}

/// As [`run`], with these arguments for QEMU in place of its timing.
pub(crate) fn run_with(board: &Board, elf: &Path, arguments: &[String]) -> anyhow::Result<Vec<u8>> {
    let mut child = Command::new(board.emulator)
        .args(board.machine)
        .args(["-display", "none", "-serial", "none", "-monitor", "none"])
        .args(["-semihosting-config", "enable=on,target=native"])
        .args(arguments)
        .arg("-kernel")
        .arg(elf)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context(board.emulator)?;
    let output = collect(child.stdout.take());
    let errors = collect(child.stderr.take());
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            break None;
        }
        thread::sleep(Duration::from_millis(10));
    };
    let output = output.join().unwrap_or_default();
    let errors = errors.join().unwrap_or_default();
    let errors = String::from_utf8_lossy(&errors);
    match status {
        Some(status) if status.success() => Ok(output),
        Some(status) => bail!("the program ended with {status}\n{errors}"),
        None => bail!(
            "the program did not end within {} s\n{errors}",
            PATIENCE.as_secs()
        ),
    }
}

/// Reads to the end while the program runs, so that it never waits for us.
fn collect(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What came before an error is still worth showing.
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}
