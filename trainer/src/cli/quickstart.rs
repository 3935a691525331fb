//! `neuroprune quickstart`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use neuroprune_format::Model;
use serde::Serialize;

use super::classify::{Answer, answer};
use super::inputs::{DataOptions, print, print_json};
use super::tables;
use super::train::{RecipeOptions, begin, train_and_report};
use crate::data::smart_home;
use crate::numbers::thousands;
use crate::recipe::Recipe;
use crate::run::files::Files;
use crate::run::outcome::Outcome;
use crate::run::pipeline::Data;

/// Seed of the data set: the same texts for every model.
const DATA_SEED: u64 = 1;

/// See everything once, in under three minutes.
///
/// Writes a data set of its own (commands to a smart home, made by a grammar; the test
/// set has phrasings and values that training never saw), trains a dense encoder and its
/// sparse twin, writes the files, scores them with the runtime that devices have, and
/// classifies a few sentences.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Quickstart {
    /// Folder to write to
    #[arg(long, value_name = "FOLDER", default_value = "quickstart")]
    out: PathBuf,
    /// Go on with the checkpoint of an interrupted run; same options
    #[arg(long)]
    resume: bool,
    /// Print the outcome as one JSON object
    #[arg(long)]
    json: bool,
    /// No progress
    #[arg(long, short)]
    quiet: bool,
    // Last: a heading holds for all options behind it.
    #[command(flatten)]
    recipe: RecipeOptions,
}

const EXAMPLES: &str = "\
Examples:
  neuroprune quickstart
  neuroprune quickstart --sparsity 0.95 --out sparser
  neuroprune quickstart --recipe tiny        (fits 16 KB of RAM)";

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    outcome: &'a Outcome,
    answers: Vec<Answer>,
}

impl Quickstart {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let recipe = self.recipe.resolve(Recipe::quickstart())?;
        let folder = &self.out;
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let data = smart_home_data(folder)?;
        if !self.quiet {
            let (train, test) = (&data.train, data.measured().0);
            eprintln!(
                "{} training and {} test texts, {} classes, in {}",
                thousands(train.examples.len() + data.dev.examples.len()),
                thousands(test.examples.len()),
                train.labels.len(),
                folder.display()
            );
        }
        let files = Files {
            model: folder.join("commands.neuro"),
        };
        let run = begin(self.resume, recipe, &files, &data, self.quiet)?;
        let Some(outcome) = train_and_report(run, &data, &files, self.quiet)? else {
            return Ok(ExitCode::FAILURE);
        };

        let bytes = std::fs::read(&files.model)?;
        let model = Model::open(&bytes)?;
        let answers = smart_home::SAMPLES
            .iter()
            .map(|text| answer(&model, text, None));
        let answers: Vec<Answer> = answers.collect::<anyhow::Result<_>>()?;
        if self.json {
            let outcome = &outcome;
            print_json(&Shown { outcome, answers })?;
            return Ok(ExitCode::SUCCESS);
        }
        print("")?;
        for answer in &answers {
            print(&answer.line())?;
        }
        print("")?;
        print(&tables::outcome(&outcome))?;
        print(&format!(
            "The test set is made of phrasings and values that training never saw.\n\n\
             next:  neuroprune classify --model {model} \"turn the lamp off\"\n       \
             neuroprune inspect {model}\n       \
             open {report}",
            model = files.model.display(),
            report = files.report().display()
        ))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Writes the commands to a smart home into `folder`, and reads them.
pub(super) fn smart_home_data(folder: &Path) -> anyhow::Result<Data> {
    let (rows, test_rows) = (smart_home::TRAIN_ROWS, smart_home::TEST_ROWS);
    let home = smart_home::generate(DATA_SEED, rows, test_rows);
    let (train_path, test_path) = (folder.join("train.tsv"), folder.join("test.tsv"));
    for (path, rows) in [(&train_path, &home.train), (&test_path, &home.test)] {
        smart_home::write_tsv(path, rows).with_context(|| path.display().to_string())?;
    }
    DataOptions::default().read_all(&train_path, None, Some(&test_path))
}
