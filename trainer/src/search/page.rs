//! The page about a search: pictures and a table in one HTML file.

use askama::Template;

use super::picture::{Picture, pictures};
use super::result::{Searched, millions};
use crate::numbers::{counted, percent, thousands};

/// The page about a search.
pub(crate) fn render(searched: &Searched) -> askama::Result<String> {
    let page = Page {
        searched,
        examples: counted(searched.examples, "example"),
        pictures: pictures(searched),
        lines: lines(searched),
        reasons: searched.sizes.iter().filter_map(|it| it.why()).collect(),
        warnings: searched.warnings(),
    };
    page.render()
}

#[derive(Template)]
#[template(path = "search.html")]
struct Page<'a> {
    searched: &'a Searched,
    examples: String,
    pictures: [Picture; 2],
    lines: Vec<Line>,
    reasons: Vec<String>,
    warnings: Vec<String>,
}

/// A line of the table.
struct Line {
    cells: [String; 8],
    /// Whether it was kept.
    is_best: bool,
}

fn lines(searched: &Searched) -> Vec<Line> {
    let trials = searched.sizes.iter().flat_map(|found| {
        let last = found.trials.len();
        (1..).zip(&found.trials).map(move |(number, trial)| Line {
            cells: [
                thousands(found.size),
                trial.shape.clone(),
                trial.passes.to_string(),
                percent(trial.dev),
                percent(trial.accuracy),
                thousands(trial.bytes),
                millions(trial.instructions),
                thousands(trial.ram),
            ],
            is_best: number == last,
        })
    });
    let rivals = searched.rivals.iter().map(|rival| Line {
        cells: [
            String::new(),
            rival.name.clone(),
            String::new(),
            String::new(),
            percent(rival.accuracy),
            thousands(rival.bytes),
            rival.instructions.map(millions).unwrap_or_default(),
            String::new(),
        ],
        is_best: false,
    });
    trials.chain(rivals).collect()
}
