//! `neuroprune evaluate`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use neuroprune_format::Model;

use super::inputs::{DataOptions, print, print_json, read_model};
use super::tables;
use crate::model_file::scoring::score;
use crate::numbers::thousands;
use crate::run::summary::Majority;

/// Measure a model file on labelled text, with the runtime that devices use.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Evaluate {
    /// The model file
    #[arg(long, short, value_name = "FILE", default_value = "model.neuro")]
    model: PathBuf,
    /// Labelled texts
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data_options: DataOptions,
}

const EXAMPLES: &str = "\
Examples:
  neuroprune evaluate --data test.tsv
  neuroprune evaluate --model model.neuro --data test.csv --label-column intent --json";

impl Evaluate {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let path = &self.model;
        let bytes = read_model(path)?;
        let model = Model::open_whole(&bytes).with_context(|| path.display().to_string())?;
        let labels: Vec<String> = model.labels().iter().map(str::to_owned).collect();
        let dataset = self.data_options.read(&self.data, Some(&labels))?;
        let scored = score(&model, &dataset).with_context(|| self.data.display().to_string())?;
        if self.json {
            print_json(&scored)?;
            return Ok(ExitCode::SUCCESS);
        }
        print(&tables::classes(&scored))?;
        print(&format!(
            "accuracy {}, macro F1 {}, {} of {} texts right",
            tables::percent(scored.accuracy),
            tables::percent(scored.macro_f1),
            thousands(scored.right),
            thousands(scored.examples)
        ))?;
        let majority = Majority::new(&dataset, &dataset);
        print(&majority.to_string())?;
        if scored.accuracy <= majority.accuracy {
            print("warning: the model is not better than that")?;
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
