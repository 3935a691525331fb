//! Tables of the models that are measured.

use neuroprune_format::tensor::{Role, Scale, TableValues};
use neuroprune_format::writer::{TableSource, TensorSource};

use super::models::{Random, weights};

/// A table of bytes.
pub(super) fn table(random: &mut Random, role: Role, rows: usize, cols: usize) -> TensorSource {
    TensorSource::Table(TableSource {
        role,
        rows,
        cols,
        values: TableValues::I8,
        weights: weights(random, rows, cols, 100, 1),
        scales: vec![Scale::at_least(0.01); rows],
    })
}

/// The same table in four bits; other tensors are not changed.
pub(super) fn shorten(tensor: &mut TensorSource) {
    if let TensorSource::Table(table) = tensor {
        table.values = TableValues::I4;
        table.weights.iter_mut().for_each(|weight| *weight /= 16);
    }
}
