//! Tables for people.

use comfy_table::{Cell, CellAlignment, Table, presets};

use crate::model_file::inspection::Inspection;
use crate::model_file::scoring::Scored;
use crate::numbers::{share, thousands};
use crate::run::outcome::Outcome;

/// What sparsity may differ from the recipe's without a word.
const SPARSITY_TOLERANCE: f64 = 1e-3;
/// Confusions that a table lists.
const CONFUSIONS: usize = 5;

/// A table with this header; the first column is text, the others are numbers.
pub(super) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_FULL_CONDENSED)
        .set_header(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// The table at the end of a run.
pub(super) fn outcome(outcome: &Outcome) -> String {
    let mut table = table(&[
        "",
        "dense float",
        "dense int8",
        "sparse float",
        "sparse int8",
        "linear",
    ]);
    let run = &outcome.run;
    let (accuracy, linear) = (&run.accuracy, &run.baselines.linear);
    let (dense, sparse) = (&outcome.dense.inspection, &outcome.sparse.inspection);
    let mut row = |name: &str, cells: [String; 5]| {
        let cells = cells.into_iter().map(Cell::new);
        table.add_row(core::iter::once(Cell::new(name)).chain(cells));
    };
    let none = String::new;
    // Of the two files.
    let both = |dense, sparse| [none(), dense, none(), sparse, none()];
    row(
        &format!(
            "accuracy, {} {} texts",
            thousands(run.examples),
            run.scored_on
        ),
        [
            percent(accuracy.dense_float),
            percent(accuracy.dense_int8),
            percent(accuracy.sparse_float),
            percent(accuracy.sparse_int8),
            percent(linear.accuracy),
        ],
    );
    row(
        "macro F1",
        both(
            percent(run.macro_f1.dense_int8),
            percent(run.macro_f1.sparse_int8),
        ),
    );
    row(
        "encoder weights that are zero",
        [
            none(),
            percent(100.0 * dense.sparsity),
            percent(100.0 * run.sparsity),
            percent(100.0 * sparse.sparsity),
            none(),
        ],
    );
    let left = |heads, neurons| format!("{heads} / {neurons}");
    // A student was never meant to have its teacher's.
    if !run.recipe.student.exists() {
        row(
            "heads / neurons",
            both(
                left(run.heads, run.neurons),
                left(sparse.heads(), sparse.neurons()),
            ),
        );
    }
    row(
        "file, bytes",
        [
            none(),
            thousands(dense.bytes),
            none(),
            thousands(sparse.bytes),
            thousands(linear.bytes),
        ],
    );
    for (name, of) in [
        (
            "· of these the encoder",
            encoder_bytes as fn(&Inspection) -> usize,
        ),
        ("Cortex-M4F flash, bytes (estimate)", |it| it.flash_estimate),
        ("Cortex-M4F RAM, bytes (estimate)", |it| it.ram_estimate),
    ] {
        row(name, both(thousands(of(dense)), thousands(of(sparse))));
    }
    row(
        "training time, s",
        [
            format!("{:.0}", run.seconds.dense),
            none(),
            format!("{:.0}", run.seconds.sparse),
            none(),
            none(),
        ],
    );
    let mut text = format!("{table}\n{}", run.baselines);
    // One in a thousand; the file has zeros of its own.
    let asked = run.target_sparsity;
    for (name, reached) in [("network", run.sparsity), ("file", sparse.sparsity)] {
        // A bag has no weights to remove.
        let has_weights = sparse.dense_weights > 0;
        if has_weights && (reached - asked).abs() > SPARSITY_TOLERANCE {
            let why = match name {
                "file" if (run.sparsity - asked).abs() <= SPARSITY_TOLERANCE => {
                    ": int8 rounds some weights to zero"
                }
                _ => "",
            };
            text += &format!(
                "\nsparsity: {} was asked for, the {name} has {}{why}",
                percent(100.0 * asked),
                percent(100.0 * reached)
            );
        }
    }
    for epoch in run.history.iter().filter(|epoch| epoch.is_kept) {
        text += &format!(
            "\nkept: the {} network of epoch {}, the best on the dev set",
            epoch.phase.name(),
            epoch.epoch
        );
    }
    if let Some(warning) = outcome.warning() {
        text += &format!("\nwarning: {warning}");
    }
    text
}

fn encoder_bytes(inspection: &Inspection) -> usize {
    inspection
        .tensors
        .iter()
        .filter(|tensor| tensor.is_encoder)
        .map(|tensor| tensor.bytes)
        .sum()
}

/// Precision and recall of every class.
pub(super) fn classes(scored: &Scored) -> String {
    let mut table = table(&["class", "texts", "precision", "recall", "F1"]);
    for class in &scored.classes {
        table.add_row([
            class.label.clone(),
            thousands(class.examples),
            percent(class.precision),
            percent(class.recall),
            percent(class.f1),
        ]);
    }
    table.to_string()
}

/// What is confused most.
pub(super) fn confusions(scored: &Scored) -> String {
    let mut table = table(&["label", "answered with", "texts"]);
    if let Some(column) = table.column_mut(1) {
        column.set_cell_alignment(CellAlignment::Left);
    }
    for confusion in scored.confusions.iter().take(CONFUSIONS) {
        table.add_row([
            confusion.label.clone(),
            confusion.answer.clone(),
            thousands(confusion.texts),
        ]);
    }
    table.to_string()
}

/// The matrices of a file.
pub(super) fn tensors(inspection: &Inspection) -> String {
    let header = [
        "tensor",
        "layer",
        "shape",
        "nonzero",
        "density",
        "layout",
        "bytes",
        "a nonzero",
        "work",
    ];
    let mut table = table(&header);
    if let Some(column) = table.column_mut(5) {
        column.set_cell_alignment(CellAlignment::Left);
    }
    for tensor in &inspection.tensors {
        let name = match tensor.head {
            Some(head) => format!("{} {head}", tensor.role.name()),
            None => tensor.role.name().to_owned(),
        };
        let density = tensor.density.map(|share| percent(100.0 * share));
        let each = tensor.bytes_per_nonzero.map(|bytes| format!("{bytes:.2}"));
        let work = tensor.work.and_then(|work| usize::try_from(work).ok());
        table.add_row([
            name,
            tensor
                .layer
                .map(|layer| layer.to_string())
                .unwrap_or_default(),
            format!("{} × {}", tensor.rows, tensor.cols),
            tensor.nonzeros.map(thousands).unwrap_or_default(),
            density.unwrap_or_default(),
            tensor.layout.to_owned(),
            thousands(tensor.bytes),
            each.unwrap_or_default(),
            work.map(thousands).unwrap_or_default(),
        ]);
    }
    table.to_string()
}

/// The sections of a file.
pub(super) fn sections(inspection: &Inspection) -> String {
    let mut table = table(&["section", "bytes", "share"]);
    for section in &inspection.sections {
        table.add_row([
            section.name.clone(),
            thousands(section.bytes),
            percent(share(section.bytes, inspection.bytes)),
        ]);
    }
    table.add_row([
        "the file".to_owned(),
        thousands(inspection.bytes),
        percent(100.0),
    ]);
    table.to_string()
}

/// `92.37 %`.
pub(super) fn percent(value: f64) -> String {
    format!("{value:.2} %")
}
