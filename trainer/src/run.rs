//! A whole run: from data files to model files, and its outcome.

pub mod files;
pub mod outcome;
pub mod pipeline;
