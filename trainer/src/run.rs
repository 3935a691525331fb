//! A whole run: from data files to model files, and its outcome.

pub(crate) mod files;
pub(crate) mod outcome;
pub(crate) mod pipeline;
