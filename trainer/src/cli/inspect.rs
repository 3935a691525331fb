//! `neuroprune inspect`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use super::inputs::{print, print_json, read_model};
use super::tables::{self, percent};
use crate::model_file::inspection::Inspection;
use crate::numbers::thousands;
use crate::recipe::target::Target;

/// Show the contents of a model file, byte by byte.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Inspect {
    /// The model file
    #[arg(value_name = "FILE", default_value = "model.neuro")]
    model: PathBuf,
    /// Estimate the work on this target [default: the one the layouts were chosen for]
    #[arg(long, value_name = "TARGET")]
    target: Option<Target>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  neuroprune inspect model.neuro
  neuroprune inspect model.neuro --target cortex-m4
  neuroprune inspect model.neuro --json | jq .scratch";

impl Inspect {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let path = &self.model;
        let bytes = read_model(path)?;
        let inspection = Inspection::on(&bytes, self.target);
        let inspection = inspection.with_context(|| path.display().to_string())?;
        if self.json {
            print_json(&inspection)?;
        } else {
            print(&describe(&inspection))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn describe(inspection: &Inspection) -> String {
    let Inspection {
        name,
        layers,
        hidden,
        tokens,
        vocabulary,
        activation,
        pooling,
        ..
    } = inspection;
    let score = |score: Option<f32>| score.map_or("not measured".to_owned(), |s| percent(s.into()));
    let texts = if inspection.pair {
        "pairs of texts"
    } else {
        "single texts"
    };
    let lines = [
        format!(
            "{name}: {} classes, {texts} of up to {tokens} tokens",
            inspection.labels.len()
        ),
        format!(
            "{layers} layers of width {hidden}, {} heads, {} neurons, {activation}, {pooling} pooling, \
             {} pieces of vocabulary",
            inspection.heads(),
            inspection.neurons(),
            thousands(*vocabulary)
        ),
        format!(
            "{} of {} encoder weights are zero ({})",
            thousands((inspection.dense_weights as usize).saturating_sub(inspection.nonzeros)),
            thousands(inspection.dense_weights as usize),
            percent(100.0 * inspection.sparsity)
        ),
        String::new(),
        tables::tensors(inspection),
        tables::sections(inspection),
        String::new(),
        format!(
            "work                {} instructions in the matrices, 16 tokens, estimated for {}",
            thousands(usize::try_from(inspection.work).unwrap_or(usize::MAX)),
            inspection.target
        ),
        format!(
            "layouts             {}",
            inspection
                .layouts_for
                .map_or("not chosen for a target".to_owned(), |target| format!(
                    "chosen for {target}"
                ))
        ),
        format!(
            "runtime features    {}",
            if inspection.runtime_features.is_empty() {
                "none needed: dense and delta-u8 are built in".to_owned()
            } else {
                inspection.runtime_features.join(", ")
            }
        ),
        format!(
            "scratch memory      {} bytes, exact; {} on Cortex-M4, M7, M33 (and M55 without Helium)",
            thousands(inspection.scratch),
            thousands(inspection.scratch_cortex_m4)
        ),
        format!(
            "Cortex-M4F flash    {} bytes, estimated",
            thousands(inspection.flash_estimate)
        ),
        format!(
            "Cortex-M4F RAM      {} bytes, estimated",
            thousands(inspection.ram_estimate)
        ),
        format!(
            "accuracy            {} dense float, {} sparse float, {} this file",
            score(inspection.scores.dense_float),
            score(inspection.scores.sparse_float),
            score(inspection.scores.runtime)
        ),
        format!(
            "written by          {}, seed {}",
            inspection.producer, inspection.seed
        ),
        format!("recipe, SHA-256     {}", inspection.recipe_sha256),
        format!("data, SHA-256       {}", inspection.data_sha256),
    ];
    lines.join("\n")
}
