//! Integer products, eight tokens at a time.
//!
//! Activations lie feature-major in tiles, `[feature][8 tokens]`, so that one
//! weight meets eight tokens: the index arithmetic of a sparse weight is paid once
//! for eight products. Activations are symmetric, −127…127 and never −128.
//!
//! [`scalar`] is the oracle. A kernel for an instruction set gets a file of its
//! own beside it and is held to it by the parity test; this module is the only
//! place that chooses.

pub mod scalar;

pub use scalar::{dot, mix, multiply};

/// Tokens in a tile.
pub const LANES: usize = 8;

/// One value a token of a tile.
pub type Lanes<T> = [T; LANES];
