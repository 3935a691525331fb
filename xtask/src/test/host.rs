//! The workspace's tests on this machine: built first, then run one program at a time, each
//! a suite of its own.

use crate::command::{cargo, command, run_quietly};
use crate::programs::{Program, build};
use crate::tally::Tally;

/// Checkpoints by name are tried against a server in the test.
const HUB: [&str; 4] = ["--features", "neuroprune-trainer/hub", "--test", "hub"];

/// All tests of the workspace; those that need the trainer's feature `hub` after the others,
/// because what users have by default is the program without it.
pub(super) fn test(tally: &mut Tally) {
    programs(tally, "host tests", &[]);
    tally.suite("host: examples of the documentation", || {
        run_quietly(&mut cargo(&["test", "--workspace", "--locked", "--doc"])).map(drop)
    });
    programs(tally, "host test of checkpoints by name", &HUB);
}

/// Builds the test programs that `selection` asks cargo for, and runs each.
fn programs(tally: &mut Tally, what: &str, selection: &[&str]) {
    let mut built = Vec::new();
    tally.suite(&format!("build: {what}"), || {
        built = build(selection)?;
        Ok(())
    });
    for test in built.iter().filter(|program| program.is_test) {
        tally.suite(&test.title(), || run(test, &built));
    }
}

/// Runs `test` as cargo does: in its folder, with the programs of its package in its environment.
/// What it prints is shown only if it fails.
fn run(test: &Program, built: &[Program]) -> anyhow::Result<()> {
    let mut tests = command(&test.executable.to_string_lossy(), &[]);
    tests.current_dir(&test.folder);
    tests.env("CARGO_MANIFEST_DIR", &test.folder);
    let own = |other: &&Program| !other.is_test && other.folder == test.folder;
    for Program {
        name, executable, ..
    } in built.iter().filter(own)
    {
        tests.env(format!("CARGO_BIN_EXE_{name}"), executable);
    }
    run_quietly(&mut tests).map(drop)
}
