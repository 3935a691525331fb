//! `neuroprune train`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use super::inputs::{DataOptions, WrongUse, print, print_json};
use super::recipe_options::RecipeOptions;
use super::running::{RunOptions, Trained};
use super::search::SearchOptions;
use super::{parts, tables};
use crate::data::read_unlabelled;
use crate::numbers::hex;
use crate::recipe::Recipe;
use crate::run::data::Data;
use crate::run::files::Files;

/// Train a dense encoder, prune it with NeuroPrune and write the model file.
///
/// Data files are .tsv, .csv or .jsonl (each also .gz) with a header that names the
/// columns: `text` and `label`, or `text_a`, `text_b` and `label` for pairs. Without
/// --dev a tenth of the training texts of each class is set aside to watch the training; without
/// --test accuracies are those on the dev set.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Train {
    /// Labelled texts to train on
    #[arg(long, value_name = "FILE", required_unless_present = "fit")]
    data: Option<PathBuf>,
    /// Labelled texts to monitor training with
    #[arg(long, value_name = "FILE")]
    dev: Option<PathBuf>,
    /// Labelled texts to measure the finished model on
    #[arg(long, value_name = "FILE")]
    test: Option<PathBuf>,
    /// With --fit, a plain text file with one text on each line, such as messages that nobody has
    /// labelled: the teacher answers some of them, and the student learns from that too
    #[arg(long, value_name = "FILE")]
    unlabelled: Option<PathBuf>,
    /// The model file to write; recipe, checkpoint and report are written beside it
    #[arg(long, value_name = "FILE", default_value = "model.neuro")]
    out: PathBuf,
    #[command(flatten)]
    running: RunOptions,
    // Last: a heading holds for all options after it.
    #[command(flatten)]
    recipe: RecipeOptions,
    #[command(flatten)]
    search: SearchOptions,
    #[command(flatten)]
    data_options: DataOptions,
}

const EXAMPLES: &str = "\
Examples:
  neuroprune train --data train.tsv --test test.tsv
  neuroprune train --data train.csv --text-column query --label-column intent --sparsity 0.95
  neuroprune train --data export.csv --delimiter ';'
  zstdcat train.tsv.zst | neuroprune train --data -
  neuroprune train --data pairs.jsonl --recipe recipes/small.toml --set model.tokens=48
  neuroprune train --data train.tsv --resume      (after Ctrl-C, or a power cut)
  neuroprune train --data train.tsv --blocks 1x4 --target cortex-m4
  neuroprune train --from ./all-minilm-l6-v2 --data train.tsv --sparsity 0.9
  neuroprune train --fit                          (lists parts and what fits them)
  neuroprune train --from ./all-minilm-l6-v2 --data train.tsv --fit 64KB
  neuroprune train --data train.tsv --fit 64KB --ram 16KB --instructions 0.5M
  neuroprune train --data train.tsv --fit 64KB --unlabelled messages.txt
  neuroprune train --data train.tsv --fit 32KB,64KB,128KB
  neuroprune train --data train.tsv --fit 64KB --time 20m
  neuroprune train --from hf:sentence-transformers/all-MiniLM-L6-v2 --data train.tsv
  neuroprune train --data train.tsv --method paper --set pruning.alpha=3e-3

Files beside model.neuro:
  model.dense.neuro   the dense baseline in int8
  model.recipe.toml   everything that shaped the run
  model.report.html   curves, topology, bytes
  model.outcome.json  the results, for `neuroprune report`
  model.checkpoint    the state of the run, for --resume

With several sizes or candidates:
  model-64KB.neuro    the model of a size, with the files above
  model.fit.html      all trials in pictures and a table; model.fit.json for programs
  model.fit/          the trials, for --resume";

impl Train {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        if self.recipe.asks_for_parts() {
            print(&parts::table())?;
            return Ok(ExitCode::SUCCESS);
        }
        let Some(data) = &self.data else {
            let message = "--data FILE: expected labelled texts to train on".to_owned();
            return Err(WrongUse(message).into());
        };
        let usual = Recipe::default();
        let mut recipe = self.recipe.resolve_first(usual.clone())?;
        self.check_unlabelled(&recipe.recipe)?;
        let mut data = self.data_options.read_all(
            data,
            self.dev.as_deref(),
            self.test.as_deref(),
            recipe.recipe.training.dev_seed,
        )?;
        check_out(&self.out)?;
        self.add_unlabelled(&mut recipe.recipe, &mut data)?;
        let files = Files {
            model: self.out.clone(),
        };
        if let Some(most) = self.search.candidates(self.recipe.sizes()) {
            let mut candidates = self.recipe.candidates(&usual, most)?;
            for (_, asked) in &mut candidates {
                let known = &recipe.recipe.student.unlabelled_sha256;
                known.clone_into(&mut asked.recipe.student.unlabelled_sha256);
            }
            return self.search.run(candidates, &self.running, &files, &data);
        }
        let outcome = match self.running.train(recipe, &files, &data)? {
            Trained::Finished(outcome) => outcome,
            Trained::Stopped(status) => return Ok(status),
        };
        if self.running.json {
            print_json(&outcome)?;
            return Ok(ExitCode::SUCCESS);
        }
        print(&tables::outcome(&outcome))?;
        print(&format!("model   {}", files.model.display()))?;
        print(&format!("report  {}", files.report().display()))?;
        Ok(ExitCode::SUCCESS)
    }

    /// Whether texts without classes are given where they mean something, and only there.
    fn check_unlabelled(&self, recipe: &Recipe) -> anyhow::Result<()> {
        let known = &recipe.student.unlabelled_sha256;
        match &self.unlabelled {
            Some(path) if !recipe.student.exists() => Err(WrongUse(format!(
                "--unlabelled {}: only a student learns from such texts; expected --fit SIZE with it",
                path.display()
            ))
            .into()),
            None if !known.is_empty() => Err(WrongUse(format!(
                "recipe key `student.unlabelled_sha256` is {known}, expected --unlabelled with these \
                 texts"
            ))
            .into()),
            Some(_) | None => Ok(()),
        }
    }

    /// Reads the texts without classes, and has the recipe know them.
    fn add_unlabelled(&self, recipe: &mut Recipe, data: &mut Data) -> anyhow::Result<()> {
        let Some(path) = &self.unlabelled else {
            return Ok(());
        };
        let known = &recipe.student.unlabelled_sha256;
        let unlabelled = read_unlabelled(path, data.train.is_pair())?;
        let found = hex(&unlabelled.fingerprint());
        anyhow::ensure!(
            known.is_empty() || *known == found,
            "recipe key `student.unlabelled_sha256` is {known}, but {} has {found}",
            path.display()
        );
        recipe.student.unlabelled_sha256 = found;
        data.unlabelled = Some(unlabelled);
        Ok(())
    }
}

/// Fails before an hour of training rather than after it.
fn check_out(out: &Path) -> anyhow::Result<()> {
    if out.extension().is_none_or(|extension| extension != "neuro") {
        let message = format!(
            "--out {}: expected a name that ends in .neuro",
            out.display()
        );
        return Err(WrongUse(message).into());
    }
    let stem = Path::new(out.file_stem().unwrap_or_default());
    if let Some(part) = stem
        .extension()
        .filter(|part| *part == "dense" || *part == "next")
    {
        let message = format!(
            "--out {}: expected a name without .{}, which the files of another run have",
            out.display(),
            part.display()
        );
        return Err(WrongUse(message).into());
    }
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    tempfile::tempfile_in(folder).with_context(|| format!("{}: cannot write", folder.display()))?;
    Ok(())
}
