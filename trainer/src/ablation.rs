//! An ablation: one grid of runs, one table.
//!
//! ```text
//! Grid::read ─► cells (variant × sparsity × seed) ─► sweep ─► Summary ─► table, page
//! ```

mod comparison;
mod grid;
mod names;
pub(crate) mod page;
mod peer;
mod spread;
mod summary;
mod table;

pub(crate) use grid::{Grid, GridError};
pub(crate) use names::names;
pub(crate) use peer::Peer;
pub(crate) use summary::Summary;
