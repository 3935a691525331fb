//! A whole run: from data files to model files, and its outcome.

pub(crate) mod course;
pub(crate) mod data;
pub(crate) mod error;
pub(crate) mod files;
pub(crate) mod lock;
pub(crate) mod observer;
pub(crate) mod outcome;
pub(crate) mod phase;
pub(crate) mod pipeline;
pub(crate) mod shared;
pub(crate) mod summary;
pub(crate) mod warning;
