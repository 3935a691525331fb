//! Executes `.neuro` models in place: no allocator, no operating system, and bit-identical logits
//! on every target.
//!
//! ```text
//! text ─ tokenizer ─► ids ─ encoder ─► logits ─ ranking ─► Classification
//!                            │
//!                     layer (blocks over the residual stream)
//!                            │
//!            kernels (int8 products)   math (softmax, GELU, LayerNorm)
//! ```
//!
//! The caller owns all memory. A model file states how much it needs, and
//! [`include_model!`] makes that number a constant:
//!
//! ```
//! use neuroprune_runtime::{Classifier, Model, Scratch, include_model};
//!
//! include_model!("../../firmware-examples/models/commands.neuro");
//!
//! # fn main() -> Result<(), Box<dyn core::error::Error>> {
//! let mut scratch = Scratch::<SCRATCH_BYTES>::new();
//! let model = Model::open(MODEL_FILE)?;
//! let mut classifier = Classifier::new(model, &mut scratch)?;
//! let answer = classifier.classify("turn on the kitchen light")?;
//! assert_eq!(answer.label, "light_on");
//! # Ok(())
//! # }
//! ```
//!
//! Every matrix product is integer arithmetic; the few float functions have one
//! implementation with a fixed order of operations ([`math`]).
#![no_std]
// Only kernels for an instruction set lift it, each file with its reason.
#![deny(unsafe_code)]

mod classifier;
mod cost;
mod encoder;
mod error;
pub mod kernels;
mod layer;
pub mod math;
mod plan;
mod quantizer;
mod ranking;
pub mod tokenizer;
mod trace;

pub use classifier::{Classification, Classifier};
pub use cost::{cost, text_cost};
pub use error::RuntimeError;
pub use neuroprune_format::{ErrorKind, FormatError, Limits, Model, Network, Section};
pub use plan::{SCRATCH_ALIGNMENT, Scratch, required_scratch, required_scratch_with};
pub use ranking::{RANKING, Ranked, Ranking};
pub use trace::{Stage, Trace, Values};

/// Puts a `.neuro` file into the program.
///
/// Expands to two items of the current module: `static MODEL_FILE: &[u8]`, the
/// file, and `const SCRATCH_BYTES: usize`, the scratch memory that texts of the
/// model's full length need. The path is relative to the source file, as with
/// `include_bytes!`. A file that is not a `.neuro` file does not compile.
///
/// ```
/// mod commands {
///     neuroprune_runtime::include_model!("../../firmware-examples/models/commands.neuro");
/// }
///
/// let model = neuroprune_runtime::Model::open(commands::MODEL_FILE)?;
/// let limits = model.limits();
/// let scratch = neuroprune_runtime::required_scratch(limits, limits.tokens);
/// assert_eq!(commands::SCRATCH_BYTES, scratch);
/// # Ok::<(), neuroprune_runtime::FormatError>(())
/// ```
#[macro_export]
macro_rules! include_model {
    ($path:expr $(,)?) => {
        /// The model file.
        pub static MODEL_FILE: &[u8] = include_bytes!($path);
        /// Bytes of scratch memory the model needs.
        pub const SCRATCH_BYTES: usize = {
            let limits = $crate::Limits::of_file(include_bytes!($path));
            $crate::required_scratch(limits, limits.tokens)
        };
    };
}

/// The examples of `docs/security.md` compile and hold.
#[cfg(doctest)]
#[doc = include_str!("../../docs/security.md")]
struct SecurityExamples;
