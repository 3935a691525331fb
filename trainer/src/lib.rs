//! Trains topology-sparse transformers by NeuroPrune and writes `.neuro` model files.
//!
//! ```text
//! data ─► vocabulary ─► batch ─► network (ops) ─► training ─┬─ optimizer
//!                                                    │      └─ pruning
//!                                       checkpoint ◄─┤
//!                                                    ▼
//!                                quantization ─► export ─► .neuro ─► scoring (runtime)
//!                                                                       │
//!                                                     outcome ─► report ◄
//! ```
// Only launches of GPU kernels lift it.
#![deny(unsafe_code)]

mod ablation;
mod atomic_file;
mod charts;
pub mod cli;
pub mod data;
pub mod model_file;
pub mod network;
mod numbers;
pub mod ops;
pub mod pretrained;
pub mod pruning;
pub mod random;
pub mod recipe;
pub mod report;
pub mod run;
pub mod text;
pub mod training;
