//! The page about several runs: one HTML file with charts and the table.

use askama::Template;

use super::comparison::{self, Comparison, Key};
use super::summary::Summary;
use crate::numbers::counted;

/// The page about several runs: an ablation, or models side by side.
pub(crate) fn render(summary: &Summary) -> askama::Result<String> {
    let page = Page {
        summary,
        examples: counted(summary.examples, "example"),
        lines: summary.lines(),
        charts: comparison::charts(summary),
        keys: comparison::keys(summary),
    };
    page.render()
}

#[derive(Template)]
#[template(path = "ablation.html")]
struct Page<'a> {
    summary: &'a Summary,
    examples: String,
    lines: Vec<[String; 11]>,
    charts: [Comparison; 3],
    keys: Vec<Key>,
}
