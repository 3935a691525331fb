//! Runs a program of this machine under valgrind's callgrind, with files as its arguments.
//!
//! Callgrind counts exactly and repeatably, as the counter for QEMU does. It runs AVX2 but
//! not AVX-512: what is counted is built for every x86-64, not for this one.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, ensure};

use super::counter::{CALIBRATED, CALIBRATION, Counts, Measured};
use crate::command::{cargo, command, run_quietly, target_folder};

/// The package with the programs.
const PACKAGE: &str = "neuroprune-host-bench";
/// Instructions by which a region may seem longer: those around its marks.
const MARKS: u64 = 10;

/// The built programs, and a folder for files and counts.
pub(crate) struct Callgrind {
    programs: PathBuf,
    folder: PathBuf,
}

impl Callgrind {
    /// Builds the programs.
    pub(crate) fn build() -> anyhow::Result<Self> {
        let folder = target_folder().join("bench/x86-64");
        let target = folder.join("target");
        let mut build = cargo(&[
            "build",
            "--quiet",
            "--release",
            "--locked",
            "--package",
            PACKAGE,
        ]);
        build
            .env("RUSTFLAGS", "-C target-cpu=x86-64")
            .env("CARGO_TARGET_DIR", &target);
        run_quietly(&mut build)?;
        Ok(Self {
            programs: target.join("release"),
            folder,
        })
    }

    /// Runs a program with `files`.
    ///
    /// # Errors
    /// Where the program fails, where regions and names do not match, or where the known loop does
    /// not have its known length.
    pub(crate) fn run(&self, program: &str, files: &[Vec<u8>]) -> anyhow::Result<Measured> {
        let folder = self.folder.join(program);
        // What an earlier run left must not pass for this one's.
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
        }
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let counts = folder.join("counts");
        let mut valgrind = command("valgrind", &["--tool=callgrind", "--quiet"]);
        valgrind.args([
            "--cache-sim=yes",
            "--branch-sim=yes",
            "--dump-before=region_mark",
        ]);
        valgrind.arg(format!("--callgrind-out-file={}", counts.display()));
        valgrind.arg(self.programs.join(program));
        for (number, file) in files.iter().enumerate() {
            let path = folder.join(format!("{number}.neuro"));
            fs::write(&path, file).with_context(|| path.display().to_string())?;
            valgrind.arg(path);
        }
        let printed = run_quietly(&mut valgrind)?;
        // Part 1 is what comes before the first mark; from there on regions and what is between
        // them alternate.
        let mut regions = Vec::new();
        for part in (2..).step_by(2) {
            let path = counts.with_extension(part.to_string());
            if !path.exists() {
                break;
            }
            let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            let part = read(&text).with_context(|| path.display().to_string())?;
            regions.push(part);
        }
        let mut measured = Measured::named(printed.as_bytes(), regions)?;
        let (name, counts) = measured.regions.first().context("nothing was counted")?;
        let instructions = counts.instructions;
        ensure!(
            name == CALIBRATION && (CALIBRATED..CALIBRATED + MARKS).contains(&instructions),
            "callgrind counts wrong: a loop of {CALIBRATED} instructions as {instructions}"
        );
        measured.regions.remove(0);
        Ok(measured)
    }
}

/// The sums of a part of callgrind's record.
fn read(text: &str) -> anyhow::Result<Counts> {
    let line = |name: &str| {
        let mut lines = text.lines();
        let values = lines.find_map(|line| line.strip_prefix(name));
        values.with_context(|| format!("no line of {name}"))
    };
    let events: Vec<&str> = line("events:")?.split_whitespace().collect();
    let sums: Vec<&str> = line("summary:")?.split_whitespace().collect();
    // Events after the last that happened are left out.
    let of = |event: &str| -> anyhow::Result<u64> {
        let at = events.iter().position(|it| *it == event);
        let sum = sums.get(at.with_context(|| format!("no event {event}"))?);
        sum.map_or(Ok(0), |sum| sum.parse().with_context(|| (*sum).to_owned()))
    };
    Ok(Counts {
        instructions: of("Ir")?,
        load: of("Dr")?,
        store: of("Dw")?,
        branch: of("Bc")? + of("Bi")?,
        multiply: None,
        cycles_estimate: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_found_by_the_names_of_their_events() {
        let text = "version: 1\nevents: Ir Dr Dw Bc Bi\nsummary: 100 20 10 3\n\nfn=(1) main\n";
        let counts = read(text).unwrap();
        assert_eq!(counts.instructions, 100);
        assert_eq!((counts.load, counts.store, counts.branch), (20, 10, 3));
        let error = read("events: Ir\nsummary: 100\n").unwrap_err();
        assert_eq!(error.to_string(), "no event Dr");
    }
}
