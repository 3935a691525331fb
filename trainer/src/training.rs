//! The run: a dense network, then its sparse form by NeuroPrune.
//!
//! ```text
//! Run::new ─► step, step, … ─► dense baseline kept ─► step + prune, … ─► finished
//!     ▲              └──────────── checkpoint at any step ──┘
//!     └─ checkpoint::load
//! ```
//!
//! Nothing depends on time, on threads or on where a run was interrupted: random
//! numbers are addressed by purpose and step ([`crate::random`]), so a resumed run ends
//! with the same bits.

mod answers;
mod best;
pub mod checkpoint;
mod epoch;
mod evaluation;
mod journal;
pub(crate) mod loss;
pub(crate) mod memory;
pub(crate) mod optimizer;
mod phase;
mod progress;
mod run;
mod step;
pub(crate) mod step_times;

pub(crate) use answers::Answers;
pub use best::Best;
pub(crate) use evaluation::float_accuracy;
#[cfg(test)]
pub(crate) use journal::CurvePoint;
pub(crate) use journal::{EpochRecord, Journal};
pub use phase::Phase;
pub use progress::StepReport;
pub use run::{Examples, Run, TrainingError};
pub(crate) use step::is_finite;
