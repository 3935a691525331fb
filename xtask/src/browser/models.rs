//! The models that the demo page shows, trained where they are missing.

use std::path::{Path, PathBuf};

use anyhow::ensure;

use super::output;
use crate::command::{cargo, command, repository, run_aloud, run_quietly};
use crate::programs;

/// Makes sure that there is a model, with its dense baseline.
///
/// # Errors
/// Where it is missing, and not the one that the quickstart writes.
pub(super) fn ensure(model: &Path) -> anyhow::Result<()> {
    if is_there(model) {
        return Ok(());
    }
    ensure!(
        model == repository().join("quickstart/commands.neuro"),
        "{}: not there, or without its dense baseline beside it",
        model.display()
    );
    println!("---- training the model of the page: neuroprune quickstart, about a minute");
    run_aloud(&mut cargo(&[
        "run",
        "--quiet",
        "--release",
        "--locked",
        "--package=neuroprune-trainer",
        "--bin=neuroprune",
        "--",
        "quickstart",
        "--quiet",
        "--overwrite",
    ]))
}

/// A model that is trained in seconds, for tests. It is trained once.
pub(super) fn small() -> anyhow::Result<PathBuf> {
    let folder = output().join("small");
    let model = folder.join("commands.neuro");
    if !is_there(&model) {
        // The program that the host's stories have: asking cargo for the trainer's alone would
        // build candle again, with other features.
        let program = programs::of_stories()?;
        let arguments = [
            "quickstart",
            "--recipe=tiny",
            "--epochs=4",
            "--quiet",
            "--overwrite",
        ];
        let mut train = command(&program.to_string_lossy(), &arguments);
        run_quietly(train.arg("--out").arg(&folder))?;
    }
    Ok(model)
}

fn is_there(model: &Path) -> bool {
    model.exists() && model.with_extension("dense.neuro").exists()
}
