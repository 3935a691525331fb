//! Kernels in plain Rust, for every target: the oracle ([`scalar`], [`floats`]), and the
//! portable form of two products with one multiplication ([`pairs`]).

pub mod floats;
pub mod pairs;
pub mod recurrence;
pub mod scalar;
