//! From a trained network to a `.neuro` file, and what such a file contains.

pub(crate) mod export;
pub(crate) mod inspection;
pub(crate) mod quantization;
pub(crate) mod scoring;
