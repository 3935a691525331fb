//! The workspace's tests on this machine: built first, then run one program at a time, each
//! a suite of its own.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Deserialize;

use crate::command::{cargo, command, run_aloud_but, run_quietly};
use crate::tally::Tally;

/// Checkpoints by name are tried against a server in the test.
const HUB: [&str; 4] = ["--features", "neuroprune-trainer/hub", "--test", "hub"];

/// What `tests/Cargo.toml` calls it.
const STORIES_PROGRAM: &str = "neuroprune_of_stories";

/// All tests of the workspace; those that need the trainer's feature `hub` after the others,
/// because what users have by default is the program without it.
pub(super) fn test(tally: &mut Tally) {
    programs(tally, "host tests", &[]);
    tally.suite("host: examples of the documentation", || {
        run_quietly(&mut cargo(&["test", "--workspace", "--locked", "--doc"])).map(drop)
    });
    programs(tally, "host test of checkpoints by name", &HUB);
}

/// The program `neuroprune` as the stories have it, built where it is not yet.
///
/// # Errors
/// Where it does not build.
pub(crate) fn program() -> anyhow::Result<PathBuf> {
    let built = build(&["--test", "command_line"])?;
    let mut programs = built.into_iter().filter(|program| !program.is_test);
    let program = programs.find(|program| program.name == STORIES_PROGRAM);
    Ok(program.context(STORIES_PROGRAM)?.executable)
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

/// A program that cargo has built.
struct Program {
    /// Folder of its package.
    folder: PathBuf,
    name: String,
    executable: PathBuf,
    is_test: bool,
}

impl Program {
    fn title(&self) -> String {
        let folder = self.folder.file_name().unwrap_or_default();
        format!("host: {}, {}", folder.to_string_lossy(), self.name)
    }
}

/// Runs `test` as cargo does: in its folder, told of the programs of its package. What it
/// prints is shown only if it fails.
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

/// What cargo says of something that it has built, or found built.
#[derive(Deserialize)]
struct Artifact {
    manifest_path: PathBuf,
    target: Target,
    profile: Profile,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

fn build(selection: &[&str]) -> anyhow::Result<Vec<Program>> {
    let mut build = cargo(&["test", "--workspace", "--locked", "--no-run"]);
    build
        .arg("--message-format=json-render-diagnostics")
        .args(selection);
    let mut programs = run_aloud_but(&mut build, |messages| {
        let lines = BufReader::new(messages).lines();
        let programs = lines.map(|line| told(&line?));
        programs
            .filter_map(Result::transpose)
            .collect::<anyhow::Result<Vec<_>>>()
    })??;
    // Cargo tells of them in the order in which they were finished.
    programs.sort_by_key(Program::title);
    Ok(programs)
}

/// The program that a line of cargo's messages is about, if it is about one.
fn told(line: &str) -> anyhow::Result<Option<Program>> {
    #[derive(Deserialize)]
    struct Message {
        reason: String,
    }
    let message: Message = serde_json::from_str(line).context("a message of cargo")?;
    if message.reason != "compiler-artifact" {
        return Ok(None);
    }
    let artifact: Artifact = serde_json::from_str(line).context("a message of cargo")?;
    let folder = artifact.manifest_path.parent().map(Path::to_owned);
    let folder = folder.context("a manifest lies in a folder")?;
    Ok(artifact.executable.map(|executable| Program {
        folder,
        name: artifact.target.name,
        executable,
        is_test: artifact.profile.test,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_told_from_all_else() {
        let artifact = |test: bool, executable: &str| {
            let line = format!(
                "{{\"reason\":\"compiler-artifact\",\"manifest_path\":\"/x/tests/Cargo.toml\",\
                 \"target\":{{\"name\":\"ablation\"}},\"profile\":{{\"test\":{test}}},\
                 \"executable\":{executable}}}"
            );
            told(&line).unwrap()
        };
        let test = artifact(true, "\"/x/target/a\"").unwrap();
        assert_eq!(test.title(), "host: tests, ablation");
        assert!(test.is_test);
        assert!(!artifact(false, "\"/x/target/a\"").unwrap().is_test);
        assert!(artifact(false, "null").is_none());
        let end = "{\"reason\":\"build-finished\",\"success\":true}";
        assert!(told(end).unwrap().is_none());
        assert!(told("no message").is_err());
    }
}
