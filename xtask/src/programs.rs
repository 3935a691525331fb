//! What cargo builds for the tests of the workspace.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Deserialize;

use crate::command::{cargo, run_aloud_but};

/// What `tests/Cargo.toml` calls it.
const STORIES_PROGRAM: &str = "neuroprune_of_stories";

/// A program that cargo has built.
pub(crate) struct Program {
    /// Folder of its package.
    pub(crate) folder: PathBuf,
    pub(crate) name: String,
    pub(crate) executable: PathBuf,
    pub(crate) is_test: bool,
}

impl Program {
    /// What a suite of its tests is called.
    pub(crate) fn title(&self) -> String {
        let folder = self.folder.file_name().unwrap_or_default();
        format!("host: {}, {}", folder.to_string_lossy(), self.name)
    }
}

/// The program `neuroprune` as the stories have it, built where it is not yet.
///
/// # Errors
/// Where it does not build.
pub(crate) fn of_stories() -> anyhow::Result<PathBuf> {
    let built = build(&["--test", "command_line"])?;
    let mut programs = built.into_iter().filter(|program| !program.is_test);
    let program = programs.find(|program| program.name == STORIES_PROGRAM);
    Ok(program.context(STORIES_PROGRAM)?.executable)
}

/// What cargo reports of something that it has built, or found built.
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

/// Builds the test programs that `selection` asks cargo for, and the programs that they run.
///
/// # Errors
/// Where something does not build.
pub(crate) fn build(selection: &[&str]) -> anyhow::Result<Vec<Program>> {
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
    // Cargo reports them in the order in which they were finished.
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
