//! An ablation: one grid of runs, one table.
//!
//! ```text
//! Grid::read ─► cells (variant × sparsity × seed) ─► running::run ─► Summary ─► table, page
//!                                  │
//!          dense baseline of a seed: trained once, every cell of that seed starts from it
//! ```
//! A cell is a folder with a model and its `outcome.json`, which appears last: a cell that
//! has one is done. A grid that was stopped resumes where it stopped, a cell from its checkpoint.

mod comparison;
mod finished;
mod grid;
mod names;
pub(crate) mod page;
mod peer;
mod running;
mod spread;
mod summary;
mod table;

pub(crate) use finished::Finished;
pub(crate) use grid::{Cell, Grid, GridError};
pub(crate) use names::names;
pub(crate) use peer::Peer;
pub(crate) use running::{Ablation, Stage};
pub(crate) use summary::Summary;
