//! Trains topology-sparse transformers by NeuroPrune and writes `.neuro` model files.
//!
//! The program `neuroprune` is [`cli::main`]. A program that trains models of its own needs
//! four things: a [`recipe`], labelled [`data`], [`train`] to make the files, and [`Inspection`]
//! and [`score`] to look at them.
//!
//! ```no_run
//! use core::sync::atomic::AtomicBool;
//! use neuroprune_trainer::data::{ReadOptions, read};
//! use neuroprune_trainer::recipe::Recipe;
//! use neuroprune_trainer::{Data, Files, Inspection, Run, train};
//!
//! let texts = read("train.tsv".as_ref(), &ReadOptions::default(), None)?;
//! let (texts, dev) = texts.split_dev(0)?;
//! let data = Data { train: texts, dev, test: None, unlabelled: None };
//!
//! let run = Run::new(Recipe::quickstart(), &data.train)?;
//! let files = Files { model: "model.neuro".into() };
//! train(run, &data, &files, &mut (), &AtomicBool::new(false))?;
//!
//! let inspection = Inspection::new(&std::fs::read(&files.model)?)?;
//! println!("{} bytes, {} of scratch memory", inspection.bytes, inspection.scratch);
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! The modules, each above all that it uses:
//!
//! ```text
//! cli                        the command line
//! ablation ─ search          a grid of runs, one table and page; the best network for each size
//! sweep                      several runs that share what they can
//! run ─ report               a whole run, from data to files, and its page
//! model_file                 quantise, export, score, inspect
//! baselines                  what a model has to be better than
//! student                    a small network that the dense one teaches
//! training ─ pretrained      steps, phases, checkpoints; where a network may start from
//! pruning ─ network          what is pruned; forward and backward
//! text ─ ops                 vocabulary and batches; tensor operations on CPU and GPU
//! data, recipe, charts, numbers
//! ```
// Only launches of GPU kernels lift it.
#![deny(unsafe_code)]
// A closed standard error must not end a run: `say!` of the command line.
#![cfg_attr(not(test), warn(clippy::print_stderr))]

mod ablation;
mod atomic_file;
mod baselines;
mod charts;
pub mod cli;
pub mod data;
mod input_file;
mod json;
mod model_file;
mod network;
mod numbers;
mod ops;
mod pretrained;
mod pruning;
mod quoted;
mod random;
pub mod recipe;
mod report;
mod run;
mod search;
mod student;
mod sweep;
#[cfg(test)]
mod tests;
mod text;
mod training;

pub use baselines::{Baselines, LinearScore, Majority};
pub use model_file::inspection::Inspection;
pub use model_file::scoring::{Scored, ScoringError, score};
pub use pretrained::{FetchObserver, Pretrained, PretrainedError};
pub use recipe::target::{CODE_BYTES, STACK_BYTES};
pub use run::data::Data;
pub use run::error::PipelineError;
pub use run::files::Files;
pub use run::observer::Observer;
pub use run::outcome::{Outcome, OutcomeError};
pub use run::pipeline::{End, train};
pub use run::summary::Summary;
pub use run::warning::Warning;
pub use training::{Best, Examples, Phase, Run, StepReport, TrainingError, checkpoint};
