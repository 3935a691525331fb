//! The report: one HTML file with the results of a run and what was pruned.
//!
//! It needs no network, no script and no second file. Numbers come from the
//! [`Outcome`], the topology from the sparse file itself.

mod answers;
mod bytes;
mod curves;
mod facts;
mod figures;
mod layers;
mod method;

use askama::Template;
use neuroprune_format::{FormatError, Model};

use crate::numbers::{counted, thousands};
use crate::run::outcome::Outcome;
use answers::Answers;
use bytes::{Bar, BytesRow};
use curves::Curve;
use figures::{NetworkRow, Tile};
use layers::{LayerView, MatrixRow};
use method::SpreadRow;

/// Why no report could be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The sparse file does not open.
    #[error("the sparse file: {0}")]
    Format(#[from] FormatError),
    /// The page cannot be put together.
    #[error("the page: {0}")]
    Template(#[from] askama::Error),
}

/// The page about `outcome`; `sparse_file` is the sparse `.neuro` file.
///
/// # Errors
/// When the file does not open.
pub(crate) fn render(outcome: &Outcome, sparse_file: &[u8]) -> Result<String, ReportError> {
    let model = Model::open_whole(sparse_file)?;
    let sparse = &outcome.sparse.inspection;
    let layers = layers::views(outcome, &model);
    let page = Page {
        outcome,
        summary: facts::summary(outcome),
        tiles: figures::tiles(outcome),
        networks: figures::networks(outcome),
        examples: counted(outcome.run.examples, "example"),
        standard_error: figures::standard_error(outcome),
        macro_f1: figures::macro_f1(outcome),
        data: facts::data(outcome),
        baselines: outcome.run.baselines.to_string(),
        warning: outcome.warning(),
        answers: answers::answers(outcome),
        curves: [
            Curve::of_loss(&outcome.run),
            Curve::of_dev_accuracy(&outcome.run),
            Curve::of_sparsity(&outcome.run),
        ],
        method: method::method(outcome),
        is_taught: outcome.run.recipe.student.exists(),
        spreads: method::spreads(outcome),
        head_test: method::head_test(&outcome.run.recipe.pruning),
        has_heads: layers.iter().any(LayerView::has_heads),
        layers,
        encoder: MatrixRow::of_encoder(sparse),
        bars: bytes::bars(outcome),
        parts: bytes::parts(outcome),
        sections: bytes::sections(outcome),
        flash: thousands(sparse.flash_estimate),
        ram: thousands(sparse.ram_estimate),
        facts: facts::facts(outcome),
    };
    Ok(page.render()?)
}

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    outcome: &'a Outcome,
    summary: String,
    tiles: [Tile; 5],
    networks: [NetworkRow; 4],
    examples: String,
    standard_error: String,
    macro_f1: String,
    data: Vec<String>,
    baselines: String,
    warning: Option<String>,
    answers: Answers,
    curves: [Curve; 3],
    method: String,
    /// Whether the sparse network is a student with a shape of its own.
    is_taught: bool,
    spreads: [SpreadRow; 2],
    head_test: String,
    has_heads: bool,
    layers: Vec<LayerView>,
    encoder: MatrixRow,
    bars: [Bar; 2],
    parts: Vec<BytesRow>,
    sections: Vec<BytesRow>,
    flash: String,
    ram: String,
    facts: Vec<(&'static str, String)>,
}

#[cfg(test)]
pub(crate) use tests::outcome_of_golden;

#[cfg(test)]
mod tests;
