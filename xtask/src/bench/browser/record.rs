//! What was measured in the browser, as a page.

use super::{Case, Results, Times};

/// What the figures mean; the table goes into it.
const PAGE: &str = include_str!("record.md");

/// `benchmarks/browser/README.md`.
pub(super) fn markdown(results: &Results) -> String {
    let rows: String = results.cases.iter().map(row).collect();
    PAGE.replace("{rows}", &rows)
        .replace("{processor}", &results.processor)
        .replace("{chromium}", &results.chromium)
        .replace("{onnxruntime_web}", &results.onnxruntime_web)
}

fn row(case: &Case) -> String {
    let Case {
        model,
        tokens,
        ours,
        int8,
        float,
    } = case;
    let ratio = int8.processor / ours.processor;
    format!(
        "| {model} | {tokens} | {} | {} | {} | **{ratio:.1}** |\n",
        cell(ours),
        cell(int8),
        cell(float),
    )
}

fn cell(times: &Times) -> String {
    let Times {
        processor,
        median,
        least,
        ..
    } = times;
    format!("{processor:.2} ({median:.2}, {least:.2})")
}
