//! Tables for people.

use comfy_table::{Cell, CellAlignment, Table, presets};

use crate::model_file::inspection::Inspection;
use crate::model_file::scoring::Scored;
use crate::numbers::{share, thousands};
use crate::run::outcome::Outcome;

/// A table with this header; the first column is text, the others are numbers.
fn table(header: &[&str]) -> Table {
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
    ]);
    let accuracy = &outcome.run.accuracy;
    let (dense, sparse) = (&outcome.dense.inspection, &outcome.sparse.inspection);
    let mut row = |name: &str, cells: [String; 4]| {
        let cells = cells.into_iter().map(Cell::new);
        table.add_row(core::iter::once(Cell::new(name)).chain(cells));
    };
    let none = String::new;
    row(
        &format!(
            "accuracy, {} {} texts",
            thousands(outcome.run.examples),
            outcome.run.scored_on
        ),
        [
            percent(accuracy.dense_float),
            percent(accuracy.dense_int8),
            percent(accuracy.sparse_float),
            percent(accuracy.sparse_int8),
        ],
    );
    row(
        "macro F1",
        [
            none(),
            percent(outcome.run.macro_f1.dense_int8),
            none(),
            percent(outcome.run.macro_f1.sparse_int8),
        ],
    );
    row(
        "encoder weights that are zero",
        [
            none(),
            percent(100.0 * dense.sparsity),
            percent(100.0 * outcome.run.sparsity),
            percent(100.0 * sparse.sparsity),
        ],
    );
    row(
        "heads / neurons",
        [
            none(),
            format!("{} / {}", outcome.run.heads, outcome.run.neurons),
            none(),
            format!("{} / {}", sparse.heads(), sparse.neurons()),
        ],
    );
    row(
        "file, bytes",
        [
            none(),
            thousands(dense.bytes),
            none(),
            thousands(sparse.bytes),
        ],
    );
    row(
        "· of these the encoder",
        [
            none(),
            thousands(encoder_bytes(dense)),
            none(),
            thousands(encoder_bytes(sparse)),
        ],
    );
    row(
        "Cortex-M4F flash, bytes (estimate)",
        [
            none(),
            thousands(dense.flash_estimate),
            none(),
            thousands(sparse.flash_estimate),
        ],
    );
    row(
        "Cortex-M4F RAM, bytes (estimate)",
        [
            none(),
            thousands(dense.ram_estimate),
            none(),
            thousands(sparse.ram_estimate),
        ],
    );
    row(
        "training time, s",
        [
            format!("{:.0}", outcome.run.seconds.dense),
            none(),
            format!("{:.0}", outcome.run.seconds.sparse),
            none(),
        ],
    );
    let mut text = format!("{table}\n{}", outcome.run.majority);
    if outcome.run.is_no_better() {
        text += "\nwarning: the sparse model is not better than that";
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
