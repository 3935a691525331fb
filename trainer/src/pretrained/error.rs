//! Why a pretrained checkpoint cannot be used.

use std::path::{Path, PathBuf};

use crate::text::vocabulary::VocabularyError;

/// Why a pretrained checkpoint cannot be used: the file, and what is wrong with it.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
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
    #[error("{0}")]
    Vocabulary(#[from] VocabularyError),
    #[error("tensors: {0}")]
    Tensor(#[from] candle_core::Error),
}

/// How a pointer of Git LFS begins.
const POINTER: &[u8] = b"version https://git-lfs";

/// The bytes of a checkpoint's file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    let bytes = std::fs::read(path)?;
    match bytes.starts_with(POINTER) {
        true => Err(Problem::LfsPointer),
        false => Ok(bytes),
    }
}

/// A key of a file that is not as expected.
pub(super) fn key(key: &str, found: &str, expected: &str) -> Problem {
    Problem::Key {
        key: key.to_owned(),
        found: found.to_owned(),
        expected: expected.to_owned(),
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
