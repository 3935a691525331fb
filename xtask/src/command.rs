//! Running programs in the repository.

use std::env;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use std::thread;

use anyhow::{Context, bail};

use crate::voice::{self, Running};

/// The root of the checkout.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("."))
}

/// `program`, to be started in the root of the checkout.
pub(crate) fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    // Programs are looked for where cargo puts them by default.
    command
        .args(arguments)
        .current_dir(repository())
        .env_remove("CARGO_TARGET_DIR");
    command
}

/// Where cargo puts what it builds for this machine.
pub(crate) fn target_folder() -> PathBuf {
    repository().join("target")
}

/// The cargo that runs this program.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    command(&cargo, arguments)
}

/// Runs to the end; what it prints is shown only if it fails.
pub(crate) fn run_quietly(command: &mut Command) -> anyhow::Result<String> {
    let _running = Running::begin(&line(command));
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| line(command))?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("{}: {}\n{text}{errors}", line(command), output.status);
    }
    Ok(text.into_owned())
}

/// Runs to the end and shows what it prints.
pub(crate) fn run_aloud(command: &mut Command) -> anyhow::Result<()> {
    run_aloud_but(command, |output| {
        // Standard output may be closed; that is not a failure of the program.
        let _ = voice::pass_on(output, io::stdout());
    })
}

/// Runs to the end and shows its standard error; `take` gets its standard output.
pub(crate) fn run_aloud_but<T>(
    command: &mut Command,
    take: impl FnOnce(ChildStdout) -> T,
) -> anyhow::Result<T> {
    let _running = Running::begin(&line(command));
    // It writes to a pipe; what reads the pipe may be a terminal all the same.
    if io::stderr().is_terminal() {
        command.env("CARGO_TERM_COLOR", "always");
    }
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| line(command))?;
    let errors = child.stderr.take().context("a pipe")?;
    let errors = thread::spawn(move || voice::pass_on(errors, io::stderr()));
    let taken = take(child.stdout.take().context("a pipe")?);
    let status = child.wait()?;
    let _ = errors.join();
    if !status.success() {
        bail!("{}: {status}", line(command));
    }
    Ok(taken)
}

/// Whether it can be started and succeeds.
pub(crate) fn succeeds(program: &str, arguments: &[&str]) -> bool {
    command(program, arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// As one would type it.
fn line(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str());
    let words = core::iter::once(name).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}
