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

pub mod checkpoint;
mod epoch;
mod evaluation;
mod journal;
pub mod loss;
pub mod memory;
pub mod optimizer;
mod phase;
mod progress;
mod run;
mod step;
pub mod step_times;

pub use evaluation::{float_accuracy, logits};
pub use journal::{CurvePoint, EpochRecord, Journal};
pub use phase::Phase;
pub use progress::StepReport;
pub use run::{Examples, Run, TrainingError};
pub(crate) use step::is_finite;
