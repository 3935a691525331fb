//! Several runs on the same data, which share what they can.
//!
//! ```text
//! cells ─► dense network of each recipe, trained once ─► cells, several at a time ─► folders
//!                            └─► its file, its answers for students: made once
//! ```
//! A cell is a folder with a model and its `outcome.json`, which appears last: a cell that
//! has one is done. A sweep that was stopped resumes where it stopped, a cell from its checkpoint.

mod cell;
mod finished;
mod running;

pub(crate) use cell::Cell;
pub(crate) use finished::Finished;
pub(crate) use running::{CellError, Observers, Stage, Sweep};
