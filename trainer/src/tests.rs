//! Stories across modules: a run that diverges, precisions, pruning's promises, and the GPU against
//! the CPU.

mod divergence;
#[cfg(feature = "cuda")]
mod gpu;
mod home_run;
mod precision;
mod pruning;
mod search;
mod student;
