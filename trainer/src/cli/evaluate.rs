//! `neuroprune evaluate`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use neuroprune_format::Model;
use serde::Serialize;

use super::inputs::{DataOptions, print, print_json, read_model};
use super::{predictions, tables};
use crate::baselines::{Baselines, LinearScore, Majority};
use crate::model_file::scoring::{Scored, answers};
use crate::numbers::thousands;
use crate::run::warning::Warning;
use crate::text::vocabulary::Normalization;

/// Measure a model file on labelled text, with the runtime that devices use.
///
/// Says how often each class is right, what is confused most, and what an answer without a model
/// gets; with --train also what a linear model gets that learns from those texts.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Evaluate {
    /// The model file
    #[arg(long, short, value_name = "FILE", default_value = "model.neuro")]
    model: PathBuf,
    /// Labelled texts
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// The texts that the model was trained on, for a linear model to learn from
    #[arg(long, value_name = "FILE")]
    train: Option<PathBuf>,
    /// Write every text with its label, the answer and its probability, to a .tsv, .csv or .jsonl
    /// file; in .tsv, tabs and line ends of a text become spaces
    #[arg(long, value_name = "FILE")]
    predictions: Option<PathBuf>,
    /// Stop where the file has labels that the model has not, which otherwise count as wrong
    #[arg(long)]
    strict: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data_options: DataOptions,
}

const EXAMPLES: &str = "\
Examples:
  neuroprune evaluate --data test.tsv
  neuroprune evaluate --data test.tsv --train train.tsv --predictions answers.tsv
  neuroprune evaluate --model model.neuro --data test.csv --label-column intent --json";

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    scored: &'a Scored,
    majority: &'a Majority,
    #[serde(skip_serializing_if = "Option::is_none")]
    linear: Option<&'a LinearScore>,
}

impl Evaluate {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        if let Some(path) = &self.predictions {
            let mut read = vec![self.model.as_path(), &self.data];
            read.extend(self.train.as_deref());
            predictions::check(path, &read)?;
        }
        let path = &self.model;
        let bytes = read_model(path)?;
        let model = Model::open_whole(&bytes).with_context(|| path.display().to_string())?;
        let labels: Vec<String> = model.labels().iter().map(str::to_owned).collect();
        let read = |path| self.data_options.read(path, Some(&labels));
        let dataset = read(&self.data)?;
        let file = || self.data.display().to_string();
        if let Some(warning) = Warning::of_unseen_labels(&file(), &dataset) {
            say!("warning: {warning}");
            anyhow::ensure!(!self.strict, "--strict makes warnings errors");
        }
        let baselines = match &self.train {
            Some(train) => Baselines::new(&read(train)?, &dataset, Normalization::default())?,
            None => Baselines {
                majority: Majority::new(&dataset, &dataset),
                ..Baselines::default()
            },
        };
        let answers = answers(&model, &dataset).with_context(file)?;
        let scored = Scored::new(&dataset, &answers);
        if let Some(path) = &self.predictions {
            predictions::write(path, &dataset, &answers)?;
        }
        if self.json {
            print_json(&Shown {
                scored: &scored,
                majority: &baselines.majority,
                linear: self.train.is_some().then_some(&baselines.linear),
            })?;
            return Ok(ExitCode::SUCCESS);
        }
        print(&tables::classes(&scored))?;
        if !scored.confusions.is_empty() {
            print(&tables::confusions(&scored))?;
        }
        print(&format!(
            "accuracy {}, macro F1 {}, {} of {} texts right",
            tables::percent(scored.accuracy),
            tables::percent(scored.macro_f1),
            thousands(scored.right),
            thousands(scored.examples)
        ))?;
        print(&match &self.train {
            Some(_) => baselines.to_string(),
            None => baselines.majority.described("these texts"),
        })?;
        if let Some(warning) = baselines.warning(scored.accuracy, bytes.len()) {
            print(&format!("warning: {warning}"))?;
        }
        if scored.truncated > 0 {
            print(&format!(
                "{} texts were longer than the model's {} tokens and were truncated",
                thousands(scored.truncated),
                model.limits().tokens
            ))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
