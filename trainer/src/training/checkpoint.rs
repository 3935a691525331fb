//! A run as one file, written at once or not at all.
//!
//! A safetensors file: every tensor of the network with its optimiser state, the
//! finished dense network and the best one of the phase, as metadata (key `neuroprune`, JSON) everything else, and a checksum
//! (CRC-32) of each of them, so that a flipped bit is found and named.
//! A run that is resumed ends with the same bits as one that was never interrupted.

mod layer_state;
mod state;

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};

use crate::atomic_file;
use crate::data::Dataset;
use crate::input_file;
use crate::network::parameter::Pruning;
use crate::network::{Named, Network};
use crate::pretrained::is_same_source;
use crate::recipe::{Recipe, RecipeError};
use crate::training::{Best, Phase, Run, is_finite};
use layer_state::LayerState;
use state::{BestState, State, StudentState};

/// Changes whenever a field does.
const VERSION: u32 = 4;
/// The same without checksums.
const UNCHECKED: u32 = 3;
/// Key of the metadata.
const KEY: &str = "neuroprune";
/// Name of the tensor of checksums, `[1 + tensors]`: of the description, then of the bytes of each
/// other tensor, by name.
const CHECKSUMS: &str = "checksums";

/// Why a checkpoint cannot be written or used.
#[derive(Debug, thiserror::Error)]
#[error("checkpoint {path}: {problem}")]
pub struct CheckpointError {
    path: String,
    problem: Box<Problem>,
}

#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("{0}")]
    File(#[from] std::io::Error),
    #[error("not a whole safetensors file: {0}")]
    Container(#[from] safetensors::SafeTensorError),
    #[error("{0}")]
    Tensor(#[from] candle_core::Error),
    #[error("its description does not decode: {0}")]
    State(#[from] serde_json::Error),
    #[error("written by another program: it has no `{KEY}` description")]
    Foreign,
    #[error("version {0}; this program reads versions {UNCHECKED} and {VERSION}")]
    Version(u32),
    #[error("not written: parameter `{0}` is not finite any more; what stood there is kept")]
    NotFinite(String),
    #[error("{0} is damaged: its checksum is another")]
    Damaged(String),
    #[error("tensor `{0}` is missing")]
    Missing(String),
    #[error("tensor `{name}` has shape {found:?}, expected {expected:?}")]
    Shape {
        name: String,
        found: Vec<usize>,
        expected: Vec<usize>,
    },
    #[error("{0}")]
    Recipe(#[from] RecipeError),
    #[error("the shape of its network is not that of its recipe")]
    RecipeShape,
    #[error("its description contradicts itself: {0}")]
    Contradiction(&'static str),
    #[error("{0}; continue with what the run began with, or start it again with --overwrite")]
    Differs(String),
}

#[derive(Serialize, Deserialize)]
struct Version {
    version: u32,
}

/// Writes `run` to `path`.
///
/// # Errors
/// When the file cannot be written; an earlier file is kept.
pub fn save(run: &Run, path: &Path) -> Result<(), CheckpointError> {
    encode(run)
        .and_then(|bytes| Ok(atomic_file::write(path, &bytes)?))
        .map_err(|problem| at(path, problem))
}

/// Reads the run at `path`.
///
/// # Errors
/// When there is none, or it is not whole.
pub fn load(path: &Path) -> Result<Run, CheckpointError> {
    let read = || decode(&input_file::read_regular(path)?);
    read().map_err(|problem| at(path, problem))
}

/// Reads the run at `path`, which must have been made from this recipe and these
/// examples, as read and split. Only the target may be another: training does not know
/// it, and a finished run can be written for each.
///
/// # Errors
/// As [`load`], and where recipe or examples differ.
pub fn resume(path: &Path, recipe: &Recipe, train: &Dataset) -> Result<Run, CheckpointError> {
    let mut run = load(path)?;
    run.recipe.target = recipe.target;
    let mut recipe = recipe.clone();
    if recipe.model.is_pretrained() && is_same_source(&recipe.model.from, &run.recipe.model.from) {
        // What the pretrained checkpoint decides is known; it need not exist any more.
        let adopted = recipe.model.adopt(&run.recipe.model, |_| false);
        adopted.map_err(|error| at(path, error.into()))?;
    }
    let differs = |what| Err(at(path, Problem::Differs(what)));
    if run.recipe != recipe {
        return differs(run.recipe.differences(&recipe).join(", "));
    }
    if run.examples != train.fingerprint() {
        let file = train.path.display();
        return differs(format!(
            "the training texts are not those of {file}, less the dev set where none is given"
        ));
    }
    let rows = match run.student {
        Some(_) => run.recipe.student.texts.max(train.examples.len()),
        None => train.examples.len(),
    };
    if run.phase != Phase::Finished && run.step > run.steps_of(rows) {
        return Err(at(path, Problem::Contradiction("a step after its end")));
    }
    Ok(run)
}

fn at(path: &Path, problem: Problem) -> CheckpointError {
    CheckpointError {
        path: path.display().to_string(),
        problem: Box::new(problem),
    }
}

fn encode(run: &Run) -> Result<Vec<u8>, Problem> {
    let layers = |network: &Network| network.layers.iter().map(LayerState::new).collect();
    let best = run.best.as_ref().map(|best| BestState {
        epoch: best.epoch,
        dev_accuracy: best.dev_accuracy,
        layers: layers(&best.network),
    });
    let state = State {
        version: VERSION,
        recipe: run.recipe.clone(),
        vocabulary: run.vocabulary.clone(),
        labels: run.labels.clone(),
        data: run.data,
        examples: run.examples,
        shape: run.dense.as_ref().unwrap_or(&run.network).shape.clone(),
        student: run.student.as_ref().map(|vocabulary| StudentState {
            vocabulary: vocabulary.clone(),
            shape: run.network.shape.clone(),
        }),
        layers: layers(&run.network),
        best,
        phase: run.phase,
        step: run.step,
        epoch_loss: run.epoch_loss,
        history: run.history.clone(),
        merged: run.merged.clone(),
        journal: run.journal.clone(),
    };
    let mut tensors = Vec::new();
    let best = run.best.as_ref().map(|best| ("best", &best.network));
    for (prefix, network) in core::iter::once(("network", &run.network)).chain(best) {
        for Named {
            path, parameter, ..
        } in network.parameters()
        {
            if !is_finite(&parameter.value)? {
                return Err(Problem::NotFinite(path));
            }
            for (suffix, tensor) in parameter.tensors() {
                tensors.push((format!("{prefix}/{path}/{suffix}"), tensor));
            }
        }
    }
    if let Some(dense) = &run.dense {
        for it in dense.parameters() {
            tensors.push((format!("dense/{}/value", it.path), &it.parameter.value));
        }
    }
    let description = serde_json::to_string(&state)?;
    // The place of the checksums, which are known once everything else is written.
    let place = Tensor::zeros(1 + tensors.len(), DType::U32, &Device::Cpu)?;
    tensors.push((CHECKSUMS.to_owned(), &place));
    let metadata = HashMap::from([(KEY.to_owned(), description.clone())]);
    let mut bytes = safetensors::serialize(tensors, Some(metadata))?;
    let file = SafeTensors::deserialize(&bytes)?;
    let sums = checksums(&file, &description);
    let place = file.tensor(CHECKSUMS)?.data();
    let start = place.as_ptr() as usize - bytes.as_ptr() as usize;
    let end = start + place.len();
    let sums: Vec<u8> = sums
        .into_iter()
        .flat_map(|(_, sum)| sum.to_le_bytes())
        .collect();
    bytes[start..end].copy_from_slice(&sums);
    Ok(bytes)
}

/// What is checked, with names for messages, and its checksum.
fn checksums(file: &SafeTensors<'_>, description: &str) -> Vec<(String, u32)> {
    let mut tensors = file.tensors();
    tensors.retain(|(name, _)| name != CHECKSUMS);
    tensors.sort_by(|(a, _), (b, _)| a.cmp(b));
    let tensors = tensors
        .iter()
        .map(|(name, tensor)| (format!("tensor `{name}`"), tensor.data()));
    let description = ("its description".to_owned(), description.as_bytes());
    let all = core::iter::once(description).chain(tensors);
    all.map(|(name, bytes)| (name, crc32fast::hash(bytes)))
        .collect()
}

/// Compares what is in the file with its checksums.
fn check(file: &SafeTensors<'_>, description: &str) -> Result<(), Problem> {
    let missing = |_| Problem::Missing(CHECKSUMS.to_owned());
    let stated = file.tensor(CHECKSUMS).map_err(missing)?.data();
    let found = checksums(file, description);
    let (stated, _) = stated.as_chunks();
    if stated.len() != found.len() {
        return Err(Problem::Damaged(format!(
            "the list of tensors (`{CHECKSUMS}`)"
        )));
    }
    let stated = stated.iter().map(|bytes| u32::from_le_bytes(*bytes));
    let differs = found
        .into_iter()
        .zip(stated)
        .find(|((_, found), stated)| found != stated);
    match differs {
        Some(((name, _), _)) => Err(Problem::Damaged(name)),
        None => Ok(()),
    }
}

fn decode(bytes: &[u8]) -> Result<Run, Problem> {
    let (_, metadata) = SafeTensors::read_metadata(bytes)?;
    let description = metadata.metadata().as_ref();
    let description = description
        .and_then(|map| map.get(KEY))
        .ok_or(Problem::Foreign)?;
    let Version { version } = serde_json::from_str(description)?;
    if version != VERSION && version != UNCHECKED {
        return Err(Problem::Version(version));
    }
    if version == VERSION {
        check(&SafeTensors::deserialize(bytes)?, description)?;
    }
    let state: State = serde_json::from_str(description)?;
    // Sizes and places are trusted below.
    state.check(bytes.len())?;
    let mut tensors = candle_core::safetensors::load_buffer(bytes, &Device::Cpu)?;

    let trained = state.trained_shape().clone();
    let mut cut = |prefix, layers: &[LayerState]| -> Result<Network, Problem> {
        let mut network = Network::new(trained.clone(), 0)?;
        for (layer, left) in network.layers.iter_mut().zip(layers) {
            left.apply(layer);
        }
        fill(&mut network, &mut tensors, prefix, Some(layers))?;
        Ok(network)
    };
    let network = cut("network", &state.layers)?;
    let best = |best: BestState| -> Result<Best, Problem> {
        Ok(Best {
            epoch: best.epoch,
            dev_accuracy: best.dev_accuracy,
            network: cut("best", &best.layers)?,
        })
    };
    let best = state.best.map(best).transpose()?;
    let dense = if state.phase == Phase::Dense {
        None
    } else {
        let mut dense = Network::new(state.shape.clone(), 0)?;
        fill(&mut dense, &mut tensors, "dense", None)?;
        Some(dense)
    };
    Ok(Run {
        recipe: state.recipe,
        vocabulary: state.vocabulary,
        student: state.student.map(|student| student.vocabulary),
        labels: state.labels,
        data: state.data,
        examples: state.examples,
        network,
        dense,
        best,
        phase: state.phase,
        step: state.step,
        epoch_loss: state.epoch_loss,
        history: state.history,
        merged: state.merged,
        journal: state.journal,
    })
}

/// Replaces every tensor of `network` by the one in the file. With `left`, shapes are
/// those of what is left, and the optimiser's state is read too.
fn fill(
    network: &mut Network,
    tensors: &mut HashMap<String, Tensor>,
    prefix: &str,
    left: Option<&[LayerState]>,
) -> Result<(), Problem> {
    let shape = network.shape.clone();
    for it in network.parameters_mut() {
        let state = it.layer.and_then(|layer| left?.get(layer));
        let parameter = it.parameter;
        let expected = match state {
            Some(state) => state.dims(it.role, parameter, &shape),
            None => parameter.value.dims().to_vec(),
        };
        let mut take = |suffix: &str| {
            let name = format!("{prefix}/{}/{suffix}", it.path);
            match tensors.remove(&name) {
                Some(tensor) if tensor.dims() == expected => Ok(tensor),
                Some(tensor) => Err(Problem::Shape {
                    name,
                    found: tensor.dims().to_vec(),
                    expected: expected.clone(),
                }),
                None => Err(Problem::Missing(name)),
            }
        };
        parameter.value = take("value")?;
        if left.is_some() {
            parameter.moments = [take("first_moment")?, take("second_moment")?];
            if parameter.pruning.is_some() {
                parameter.pruning = Some(Pruning {
                    mask: take("mask")?,
                    sensitivity: take("sensitivity")?,
                });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::training::{EpochRecord, Journal};

    /// What the description of a checkpoint carries in floats, with one value everywhere.
    fn record(value: f64, single: f32) -> (EpochRecord, Journal) {
        let epoch = EpochRecord {
            phase: Phase::Dense,
            epoch: 1,
            step: 1,
            loss: value,
            dev_accuracy: value,
            sparsity: value,
            heads: 1,
            neurons: 1,
            is_kept: false,
        };
        let journal = Journal {
            pending_loss: single,
            penalties_reached: Some(single),
            ..Journal::default()
        };
        (epoch, journal)
    }

    fn assert_same_bits(value: f64, single: f32) {
        let text = serde_json::to_string(&record(value, single)).unwrap();
        let (epoch, journal): (EpochRecord, Journal) = serde_json::from_str(&text).unwrap();
        for found in [epoch.loss, epoch.dev_accuracy, epoch.sparsity] {
            assert_eq!(found.to_bits(), value.to_bits(), "{value:e}: {text}");
        }
        for found in [journal.pending_loss, journal.penalties_reached.unwrap()] {
            assert_eq!(found.to_bits(), single.to_bits(), "{single:e}: {text}");
        }
    }

    #[test]
    fn a_loss_that_a_quick_parser_misses_comes_back() {
        assert_same_bits(1.571_614_393_821_129_3, 1.571_614_4);
    }

    proptest! {
        /// Resuming is exact only if every float is. One that is not finite is never saved.
        #[test]
        fn every_float_comes_back_as_the_same_bits(value: u64, single: u32) {
            let (value, single) = (f64::from_bits(value), f32::from_bits(single));
            prop_assume!(value.is_finite() && single.is_finite());
            assert_same_bits(value, single);
        }
    }
}
