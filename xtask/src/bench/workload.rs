//! The files that a board is measured with.

use std::fs;

use anyhow::Context as _;

use super::layouts::LAYOUTS;
use super::models::{self, Matrix, Widths};
use super::recurrent::recurrent;
use crate::command::repository;

/// What is counted on a board.
pub(super) struct Workload {
    /// One run each: a board's memory does not hold all of them at once.
    pub(super) batches: Vec<Batch>,
    /// Whole models.
    pub(super) models: Vec<Vec<u8>>,
}

/// Models with matrices of one layout and widths, and what these are.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) files: Vec<Vec<u8>>,
    pub(super) matrices: Vec<Matrix>,
}

impl Workload {
    pub(super) fn small() -> anyhow::Result<Self> {
        Ok(Self {
            batches: batches(&[widths(128, 32)], &[50, 20, 10])?,
            models: vec![shipped()?],
        })
    }

    pub(super) fn large() -> anyhow::Result<Self> {
        let all_widths = [widths(384, 1536), widths(128, 512)];
        Ok(Self {
            batches: batches(&all_widths, &[70, 60, 50, 40, 30, 20, 10, 5, 2])?,
            models: [shipped()?, models::synthetic()?]
                .into_iter()
                .chain(recurrent()?)
                .collect(),
        })
    }
}

fn batches(all_widths: &[Widths], densities: &[u64]) -> anyhow::Result<Vec<Batch>> {
    let mut batches = Vec::new();
    for &widths in all_widths {
        for layout in &LAYOUTS {
            let densities = if layout.is_dense() { &[100] } else { densities };
            let mut batch = Batch::default();
            for &density in densities {
                let (file, matrices) = models::matrices(widths, layout, density)?;
                batch.files.push(file);
                batch.matrices.extend(matrices);
            }
            batches.push(batch);
        }
    }
    Ok(batches)
}

/// The model of the firmware examples.
pub(crate) fn shipped() -> anyhow::Result<Vec<u8>> {
    let path = repository().join("firmware-examples/models/commands.neuro");
    fs::read(&path).with_context(|| path.display().to_string())
}

const fn widths(hidden: usize, intermediate: usize) -> Widths {
    Widths {
        hidden,
        intermediate,
    }
}
