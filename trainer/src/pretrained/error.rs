//! Why a pretrained checkpoint cannot be used.

use core::fmt;
use std::path::{Path, PathBuf};

use crate::text::vocabulary::VocabularyError;

/// Why a pretrained checkpoint cannot be used: the file, and what is wrong with it.
#[derive(Debug, thiserror::Error)]
#[error("{}: {}", OneLine(&path.display().to_string()), OneLine(&problem.to_string()))]
pub struct PretrainedError {
    path: PathBuf,
    problem: Box<Problem>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error("{0}")]
    File(#[from] std::io::Error),
    #[error("a Git LFS pointer, not the file itself; `git lfs pull` fetches it")]
    LfsPointer,
    #[error("not JSON as expected: {0}")]
    Json(#[from] serde_json::Error),
    #[error("{found} bytes long, expected at most {most}")]
    Long { found: u64, most: u64 },
    #[error("not a whole safetensors file: {0}")]
    Container(#[from] safetensors::SafeTensorError),
    #[error("no such folder, expected a checkpoint with config.json and model.safetensors")]
    NoFolder,
    #[error("a file, expected the folder of a checkpoint with config.json and model.safetensors")]
    NoFolderButFile,
    #[error("`{key}` is {found}, expected {expected}")]
    Key {
        key: String,
        found: String,
        expected: String,
    },
    #[cfg(feature = "hub")]
    #[error("{source}, expected {expected}")]
    Fetch {
        source: Box<hf_hub::api::sync::ApiError>,
        expected: String,
    },
    #[cfg(feature = "hub")]
    #[error("{0}")]
    Client(#[from] hf_hub::api::sync::ApiError),
    #[error("{0}")]
    Unsupported(String),
    #[error("tensor `{0}` is missing")]
    Missing(String),
    #[error("tensor `{name}` has shape {found:?}, expected {expected:?}")]
    Shape {
        name: String,
        found: Vec<usize>,
        expected: Vec<usize>,
    },
    #[error("tensor `{name}` holds {found}, expected F32, F16 or BF16")]
    Type { name: String, found: String },
    #[error("tensor `{0}` holds values that are not finite")]
    NotFinite(String),
    #[error("tensor `{name}` holds {value:e}, expected values from -{most} to {most}")]
    Large { name: String, value: f32, most: f32 },
    #[error("{0}")]
    Vocabulary(#[from] VocabularyError),
    #[error("tensors: {0}")]
    Tensor(#[from] candle_core::Error),
}

/// A key of a file that is not as expected.
pub(super) fn key(key: &str, found: &str, expected: &str) -> Problem {
    Problem::Key {
        key: key.to_owned(),
        found: found.to_owned(),
        expected: expected.to_owned(),
    }
}

/// Names of tensors and values of keys may have line ends, which would look like another message.
struct OneLine<'p>(&'p str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '\n' | '\r' => write!(f, "{}", character.escape_default())?,
                other => write!(f, "{other}")?,
            }
        }
        Ok(())
    }
}

impl Problem {
    pub(super) fn at(self, path: &Path) -> PretrainedError {
        PretrainedError {
            path: path.to_owned(),
            problem: Box::new(self),
        }
    }
}
