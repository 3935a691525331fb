//! What the programs for a PC share: marks for the counter, files, a text.
//!
//! `cargo xtask bench --board x86-64` runs `count_matrices` and `count_model` under
//! callgrind; `benchmarks/against_onnxruntime.py` times `time_model`.

pub mod regions;

use std::path::PathBuf;

use anyhow::Context;

/// A text of `words` words, none of which is in the vocabulary of the models that are
/// measured: each is spelled, so there are at least as many tokens.
#[must_use]
pub fn text(words: usize) -> String {
    let sentence = "could you please be so kind and turn on the light in the kitchen now ";
    sentence.split_inclusive(' ').cycle().take(words).collect()
}

/// Reads the files that the command line names: path and bytes of each.
///
/// # Errors
/// Names the file that cannot be read.
pub fn files() -> anyhow::Result<Vec<(PathBuf, Vec<u8>)>> {
    let paths = std::env::args_os().skip(1).map(PathBuf::from);
    let read = |path: PathBuf| {
        let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
        Ok((path, bytes))
    };
    paths.map(read).collect()
}
