//! `neuroprune report`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use clap::Args;

use super::inputs::{WrongUse, print, print_json};
use crate::ablation::{self, Peer, Summary};
use crate::atomic_file;
use crate::report;
use crate::run::files::Files;
use crate::run::outcome::{Outcome, RunOutcome};
use crate::search;
use crate::sweep::Finished;

/// Put the results of runs on one page.
///
/// For one model: curves, topology of every matrix, connections, heads and bytes, as
/// `train` writes it. For several models, or a folder of them: accuracy, size and
/// connections against sparsity. The page is one HTML file that needs nothing else.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Report {
    /// Models that `train` wrote, or folders that contain some
    #[arg(value_name = "MODEL", required = true)]
    models: Vec<PathBuf>,
    /// The page to write, NAME.html [default: MODEL.report.html; comparison.html for several]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Accuracy of another model on the same set, for pages about several models:
    /// `fastText=76.1`, or `NAME=91.0@0.9` for one that is 90 % sparse; may be repeated
    #[arg(long = "peer", value_name = "NAME=ACCURACY")]
    peers: Vec<Peer>,
    /// Print the contents of the page as one JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  neuroprune report model.neuro
  neuroprune report dense.neuro half.neuro sparse.neuro --out page.html
  neuroprune report runs/ --peer \"BERT-mini, dense=83.69\"";

/// Ends the name of what `train` writes last.
const OUTCOME: &str = ".outcome.json";

impl Report {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        // Data, a model or the state of a run is never what a page may replace.
        if let Some(out) = &self.out
            && out.extension().is_none_or(|extension| extension != "html")
        {
            let message = format!(
                "--out {}: expected a name that ends in .html",
                out.display()
            );
            return Err(WrongUse(message).into());
        }
        let mut models = Vec::new();
        for path in &self.models {
            if path.is_dir() {
                let before = models.len();
                find(path, &mut models)?;
                ensure!(
                    models.len() > before,
                    "{}: has no finished run; expected a model with its .outcome.json",
                    path.display()
                );
            } else {
                let name = path.to_string_lossy();
                if let Some(run) = name.strip_suffix(".dense.neuro") {
                    bail!("{name}: the dense baseline of a run; expected its model, {run}.neuro");
                }
                models.push(path.clone());
            }
        }
        let (page, usual, json) = match models.as_slice() {
            [model] => {
                let files = Files {
                    model: model.clone(),
                };
                let (outcome, bytes) = Outcome::read(&files)?;
                let page = report::render(&outcome, &bytes)?;
                (page, files.report(), serde_json::to_value(&outcome)?)
            }
            models => {
                let summary = compare(models, &self.peers)?;
                let page = ablation::page::render(&summary)?;
                let usual = PathBuf::from("comparison.html");
                (page, usual, serde_json::to_value(&summary)?)
            }
        };
        let path = self.out.as_ref().unwrap_or(&usual);
        atomic_file::write(path, page.as_bytes()).with_context(|| path.display().to_string())?;
        if self.json {
            print_json(&json)?;
        } else {
            print(&path.display().to_string())?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The models side by side, those of one recipe but for seed and sparsity as one variant.
fn compare(models: &[PathBuf], peers: &[Peer]) -> anyhow::Result<Summary> {
    let mut runs = Vec::new();
    for model in models {
        let files = Files {
            model: model.clone(),
        };
        runs.push(RunOutcome::read(&files.outcome())?);
    }
    let recipes: Vec<_> = runs.iter().map(|run| &run.recipe).collect();
    let names = ablation::names(&recipes);
    if let [first, others @ ..] = runs.as_slice()
        && let Some(at) = others
            .iter()
            .position(|run| run.scored_sha256 != first.scored_sha256)
    {
        bail!(
            "{}: was measured on other texts than {}",
            models[at + 1].display(),
            models[0].display()
        );
    }
    let cells = models.iter().zip(&names).zip(runs);
    let cells = cells.map(|((model, name), run)| Finished::new(name, model.clone(), run));
    let cells: Vec<Finished> = cells.collect::<Result<_, _>>()?;
    let name = format!("{} models", cells.len());
    Ok(Summary::new(&name, &cells, peers))
}

/// Every model of a finished run below `folder`, by name.
fn find(folder: &Path, models: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.with_context(|| folder.display().to_string())?.path());
    }
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            // The best trials of a search are beside it too.
            if !search::is_trials(&path) {
                find(&path, models)?;
            }
        } else if let Some(name) = name.strip_suffix(OUTCOME) {
            models.push(path.with_file_name(format!("{name}.neuro")));
        }
    }
    Ok(())
}
