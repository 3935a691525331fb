//! What the programs for a PC share: marks for the counter, files, and a text.
//!
//! `cargo xtask bench --board x86-64` runs `count_matrices` and `count_model` under
//! callgrind; `benchmarks/against_onnxruntime.py` times `time_model`.

pub mod regions;

use anyhow::Context;

/// A text of `words` words, each of them one token in the measured models.
#[must_use]
pub fn text(words: usize) -> String {
    let sentence = "could you please be so kind and turn on the light in the kitchen now ";
    sentence.split_inclusive(' ').cycle().take(words).collect()
}

/// Reads the files that the command line names.
///
/// # Errors
/// Names the file that cannot be read.
pub fn files() -> anyhow::Result<Vec<Vec<u8>>> {
    let read = |path| std::fs::read(&path).with_context(|| path);
    std::env::args().skip(1).map(read).collect()
}
