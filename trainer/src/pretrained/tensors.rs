//! The weights of a checkpoint: one safetensors file or several with an index.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use safetensors::tensor::TensorInfo;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::error::{PretrainedError, Problem, read};
use super::other::recognised;

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
/// What a checkpoint without safetensors usually has: Python objects.
const PICKLED: &str = "pytorch_model.bin";

/// Every tensor of a checkpoint.
pub(super) struct Tensors {
    files: Vec<File>,
    /// The file that stands for all of them in messages.
    path: PathBuf,
}

struct File {
    path: PathBuf,
    bytes: Vec<u8>,
    /// Where the values begin.
    start: usize,
    tensors: HashMap<String, TensorInfo>,
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Tensors {
    pub(super) fn read(folder: &Path) -> Result<Self, PretrainedError> {
        let has = |file: &str| folder.join(file).exists();
        let file = file(has).map_err(|problem| problem.at(folder))?;
        let files = files(folder, file)?.into_iter().map(|name| {
            let path = folder.join(name);
            File::read(path.clone()).map_err(|problem| problem.at(&path))
        });
        Ok(Self {
            files: files.collect::<Result<_, _>>()?,
            path: folder.join(file),
        })
    }

    /// SHA-256 over all files, one after the other in the order of their names.
    pub(super) fn sha256(&self) -> String {
        let mut hasher = Sha256::new();
        for file in &self.files {
            hasher.update(&file.bytes);
        }
        let digest = hasher.finalize();
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.files
            .iter()
            .any(|file| file.tensors.contains_key(name))
    }

    /// The first few names, by the alphabet, for messages.
    pub(super) fn first_names(&self) -> Vec<&str> {
        const MOST: usize = 3;
        let names = self.files.iter().flat_map(|file| file.tensors.keys());
        let names: BTreeSet<&str> = names.map(String::as_str).collect();
        names.into_iter().take(MOST).collect()
    }

    /// Checks that a tensor exists and has this shape, without reading it.
    pub(super) fn check(&self, name: &str, expected: &[usize]) -> Result<(), PretrainedError> {
        let (file, info) = self.find(name)?;
        match info.shape == expected {
            true => Ok(()),
            false => Err(file.wrong_shape(name, info, expected)),
        }
    }

    fn find(&self, name: &str) -> Result<(&File, &TensorInfo), PretrainedError> {
        let mut files = self.files.iter();
        let found = files.find_map(|file| Some((file, file.tensors.get(name)?)));
        found.ok_or_else(|| self.error(Problem::Missing(name.to_owned())))
    }

    /// The values of a tensor, which must have this shape.
    pub(super) fn values(
        &self,
        name: &str,
        expected: &[usize],
    ) -> Result<Vec<f32>, PretrainedError> {
        self.check(name, expected)?;
        let (file, info) = self.find(name)?;
        file.values(name, info)
            .map_err(|problem| problem.at(&file.path))
    }

    /// An error about the checkpoint's tensors as a whole.
    pub(super) fn error(&self, problem: Problem) -> PretrainedError {
        problem.at(&self.path)
    }
}

impl File {
    fn read(path: PathBuf) -> Result<Self, Problem> {
        let bytes = read(&path)?;
        // This checks that the file ends where the last tensor does.
        let (header, metadata) = SafeTensors::read_metadata(&bytes)?;
        let tensors = metadata.tensors().into_iter();
        Ok(Self {
            tensors: tensors.map(|(name, info)| (name, info.clone())).collect(),
            start: size_of::<u64>() + header,
            bytes,
            path,
        })
    }

    fn wrong_shape(&self, name: &str, info: &TensorInfo, expected: &[usize]) -> PretrainedError {
        let problem = Problem::Shape {
            name: name.to_owned(),
            found: info.shape.clone(),
            expected: expected.to_vec(),
        };
        problem.at(&self.path)
    }

    fn values(&self, name: &str, info: &TensorInfo) -> Result<Vec<f32>, Problem> {
        let (begin, end) = info.data_offsets;
        let bytes = &self.bytes[self.start + begin..self.start + end];
        #[expect(clippy::wildcard_enum_match_arm, reason = "safetensors has more types")]
        let values: Vec<f32> = match info.dtype {
            Dtype::F32 => words(bytes).map(f32::from_le_bytes).collect(),
            Dtype::F16 => words(bytes)
                .map(|word| f16::from_le_bytes(word).to_f32())
                .collect(),
            Dtype::BF16 => words(bytes)
                .map(|word| bf16::from_le_bytes(word).to_f32())
                .collect(),
            other => {
                return Err(Problem::Type {
                    name: name.to_owned(),
                    found: format!("{other:?}"),
                });
            }
        };
        if values.iter().all(|value| value.is_finite()) {
            Ok(values)
        } else {
            Err(Problem::NotFinite(name.to_owned()))
        }
    }
}

fn words<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
    bytes.as_chunks::<N>().0.iter().copied()
}

/// Of a checkpoint that has some files, the one that holds its weights or names those that do.
pub(super) fn file(has: impl Fn(&str) -> bool) -> Result<&'static str, Problem> {
    let found = [SINGLE, INDEX].into_iter().find(|file| has(file));
    found.ok_or_else(|| {
        Problem::Unsupported(if has(PICKLED) {
            format!(
                "has no {SINGLE}; {PICKLED} holds Python objects and is not read: save the model \
                 once more with safe_serialization=True"
            )
        } else {
            match recognised(&has) {
                Some(what) => format!("has no {SINGLE}; it is {what}"),
                None => format!("has no {SINGLE}"),
            }
        })
    })
}

/// The files that hold the weights, where [`file`] is this one.
pub(super) fn files(folder: &Path, file: &str) -> Result<Vec<String>, PretrainedError> {
    if file == INDEX {
        let index = folder.join(INDEX);
        shards(&index).map_err(|problem| problem.at(&index))
    } else {
        Ok(vec![file.to_owned()])
    }
}

/// The files that an index names, each once.
fn shards(index: &Path) -> Result<Vec<String>, Problem> {
    let index: Index = serde_json::from_slice(&read(index)?)?;
    let names: BTreeSet<String> = index.weight_map.into_values().collect();
    // A name is a file next to the index, not a way out of the folder.
    match names
        .iter()
        .find(|name| Path::new(name).file_name() != Some(name.as_ref()))
    {
        Some(name) => Err(Problem::Key {
            key: "weight_map".to_owned(),
            found: format!("{name:?}"),
            expected: "names of files beside it".to_owned(),
        }),
        None => Ok(names.into_iter().collect()),
    }
}
