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

pub mod ablation;
pub mod atomic_file;
pub mod batch;
pub mod checkpoint;
pub mod cli;
pub mod data;
pub mod device;
pub mod export;
pub mod inspection;
pub mod loss;
pub mod memory;
pub mod network;
pub mod noise;
mod numbers;
pub mod ops;
pub mod optimizer;
pub mod outcome;
pub mod parameter;
pub mod pipeline;
pub mod pretrained;
pub mod pruning;
pub mod quantization;
pub mod random;
pub mod recipe;
pub mod report;
pub mod scoring;
pub mod smart_home;
pub mod step_times;
pub mod target;
pub mod training;
pub mod vocabulary;
