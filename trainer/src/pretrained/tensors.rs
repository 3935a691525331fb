//! The weights of a checkpoint: one safetensors file or several with an index.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use safetensors::tensor::TensorInfo;
use safetensors::{Dtype, SafeTensors};
use sha2::{Digest as _, Sha256};

use super::error::{PretrainedError, Problem};
use super::file::{CONFIGURATION, WEIGHTS, is_there, read, read_text, wrong};
use super::other::recognised;
use crate::json::Object;
use crate::quoted::Quoted;

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
/// What a checkpoint without safetensors usually has: Python objects.
const PICKLED: &str = "pytorch_model.bin";

/// The largest weight, that of half precision: no step of training starts from a larger one.
const LARGEST: f32 = 65_504.0;

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

impl Tensors {
    pub(super) fn read(folder: &Path) -> Result<Self, PretrainedError> {
        let has = |file: &str| is_there(&folder.join(file));
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
        let bytes = read(&path, WEIGHTS)?;
        check_header(&bytes)?;
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
        let is_bad = |value: &&f32| !value.is_finite() || value.abs() > LARGEST;
        match values.iter().find(is_bad) {
            Some(value) if value.is_finite() => Err(Problem::Large {
                name: name.to_owned(),
                value: *value,
                most: LARGEST,
            }),
            Some(_) => Err(Problem::NotFinite(name.to_owned())),
            None => Ok(values),
        }
    }
}

/// Looks at the header before it is built, which takes many times its bytes.
fn check_header(bytes: &[u8]) -> Result<(), Problem> {
    // What is not whole is the library's to say.
    let Some((length, rest)) = bytes.split_first_chunk() else {
        return Ok(());
    };
    let length = u64::from_le_bytes(*length);
    let header = usize::try_from(length).ok().and_then(|it| rest.get(..it));
    let Some(header) = header else {
        return Ok(());
    };
    if length > CONFIGURATION {
        return Err(Problem::Unsupported(format!(
            "has a header of {length} bytes, expected at most {CONFIGURATION}"
        )));
    }
    // No tensor twice.
    let header = core::str::from_utf8(header).map_err(std::io::Error::other)?;
    Object::parse(header)?;
    Ok(())
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
    let text = read_text(index, CONFIGURATION)?;
    let index = Object::parse(&text)?;
    let map = index.inner("weight_map").transpose()?.unwrap_or_default();
    let mut names = BTreeSet::new();
    for (tensor, file) in map.iter() {
        let file = serde_json::from_str::<String>(file.get());
        names.insert(file.map_err(|_| Problem::Key {
            key: format!("weight_map.{tensor}"),
            found: "something else".to_owned(),
            expected: "the name of a file beside it".to_owned(),
        })?);
    }
    if names.is_empty() {
        let expected = "the tensors, each with the name of its file";
        return Err(wrong(&index, "weight_map", expected));
    }
    // A name is a file next to the index, not a way out of the folder.
    match names
        .iter()
        .find(|name| Path::new(name).file_name() != Some(name.as_ref()))
    {
        Some(name) => Err(Problem::Key {
            key: "weight_map".to_owned(),
            found: Quoted(name).to_string(),
            expected: "names of files beside it".to_owned(),
        }),
        None => Ok(names.into_iter().collect()),
    }
}
