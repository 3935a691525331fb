//! An ablation: one grid of runs, one table.
//!
//! ```text
//! Grid::read ─► cells (variant × sparsity × seed) ─► running::run ─► Summary ─► table, page
//!                                  │
//!          dense twin of a seed: trained once, every cell of that seed starts from it
//! ```
//! A cell is a folder with a model and its `outcome.json`, which appears last: a cell that
//! has one is done. A grid that stops goes on where it stopped, a cell at its checkpoint.

pub mod grid;
pub mod running;
pub mod summary;

pub use grid::{Cell, Grid, GridError};
pub use running::{Ablation, CellError, Finished, Stage};
pub use summary::{Row, Spread, Summary};
