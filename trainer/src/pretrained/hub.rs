//! Checkpoints by their name on the Hugging Face hub.

use std::path::{Path, PathBuf};

use super::error::{PretrainedError, Problem};

/// Begins the name of a checkpoint on the hub.
pub(super) const SCHEME: &str = "hf:";

/// The folder of a checkpoint on the hub.
pub(super) fn fetch(name: &str) -> Result<PathBuf, PretrainedError> {
    let problem = "this program was built without the feature `hub`; build it with \
                   `--features hub`, or download the checkpoint and name its folder";
    Err(Problem::Unsupported(problem.to_owned()).at(Path::new(&format!("{SCHEME}{name}"))))
}
