//! From a trained network to a `.neuro` file, and what such a file says.

pub mod export;
pub mod inspection;
pub mod quantization;
pub mod scoring;
