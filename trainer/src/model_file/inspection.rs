//! What a `.neuro` file holds, byte by byte.

use neuroprune_format::architecture::{Activation, Architecture, Head, Pooling};
use neuroprune_format::container::Container;
use neuroprune_format::tensor::{Record, Role};
use neuroprune_format::{FormatError, Model};
use neuroprune_runtime::kernels::scalar;
use neuroprune_runtime::required_scratch_with;
use serde::{Serialize, Serializer};

use crate::numbers::{hex, ratio, real};
use crate::recipe::target::{CODE_BYTES, FEATURE_BYTES, STACK_BYTES, Target, target_of};

/// Tiles of eight tokens in a text of 16.
const TILES: u64 = 2;

/// What is in a file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Inspection {
    /// Name of the model.
    pub name: String,
    /// Program and version that wrote it.
    pub producer: String,
    /// Random seed of the run.
    pub seed: u64,
    /// SHA-256 of the resolved recipe.
    pub recipe_sha256: String,
    /// SHA-256 of the training data.
    pub data_sha256: String,
    /// Layers.
    pub layers: u16,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Longest token sequence.
    pub tokens: usize,
    /// Pieces of the vocabulary.
    pub vocabulary: usize,
    /// Function between the MLP's matrices.
    pub activation: &'static str,
    /// How the sequence becomes one vector.
    pub pooling: &'static str,
    /// Whether it takes pairs of texts.
    pub pair: bool,
    /// Names of the classes.
    pub labels: Vec<String>,
    /// Test accuracies in per cent, where they are known.
    pub scores: ScoreFacts,
    /// Bytes of the whole file.
    pub bytes: usize,
    /// Bytes of each section.
    pub sections: Vec<SectionFacts>,
    /// Each tensor.
    pub tensors: Vec<TensorFacts>,
    /// Encoder weights before anything was pruned.
    pub dense_weights: u32,
    /// Encoder weights that are not zero.
    pub nonzeros: usize,
    /// Share of the encoder weights that are zero.
    pub sparsity: f64,
    /// The target that the layouts were chosen for, where the file states it.
    pub layouts_for: Option<&'static str>,
    /// Features of `neuroprune-runtime` that a program needs for the layouts of this file.
    pub runtime_features: Vec<&'static str>,
    /// The target that work is estimated for.
    pub target: &'static str,
    /// Estimated instructions of all matrix products of a text of 16 tokens.
    pub work: u64,
    /// Bytes of scratch memory for texts of full length, on targets with scalar kernels.
    pub scratch: usize,
    /// Likewise, on Cortex-M4, M7, M33 and M55.
    pub scratch_cortex_m4: usize,
    /// Estimated flash on a Cortex-M4F: file and code.
    pub flash_estimate: usize,
    /// Estimated RAM on a Cortex-M4F: scratch and stack.
    pub ram_estimate: usize,
}

/// Scores that the file states.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ScoreFacts {
    /// Of the dense float network.
    pub dense_float: Option<f32>,
    /// Of the pruned float network.
    pub sparse_float: Option<f32>,
    /// Of the file, in the runtime.
    pub runtime: Option<f32>,
}

/// A section's share of the file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SectionFacts {
    /// Its name.
    pub name: String,
    /// Its bytes.
    pub bytes: usize,
}

/// A tensor's share of the file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TensorFacts {
    /// What it is for.
    #[serde(serialize_with = "by_name")]
    pub role: Role,
    /// Its layer, for tensors of layers.
    pub layer: Option<u16>,
    /// Its number before pruning, for heads.
    pub head: Option<u16>,
    /// Outputs.
    pub rows: usize,
    /// Inputs.
    pub cols: usize,
    /// How it is laid out.
    pub layout: &'static str,
    /// Weights that are not zero, for matrices.
    pub nonzeros: Option<usize>,
    /// Their share of all weights.
    pub density: Option<f64>,
    /// Bytes in the file.
    pub bytes: usize,
    /// Those divided by the weights that are not zero.
    pub bytes_per_nonzero: Option<f64>,
    /// Estimated instructions for a text of 16 tokens, for matrices.
    pub work: Option<u64>,
    /// Whether sparsity counts its weights.
    pub is_encoder: bool,
}

impl Inspection {
    /// Looks at a file; work is that on the target of its layouts, or else portable.
    ///
    /// # Errors
    /// When it does not open.
    pub fn new(bytes: &[u8]) -> Result<Self, FormatError> {
        Self::on(bytes, None)
    }

    /// Looks at a file, with the work it is on `target`.
    ///
    /// # Errors
    /// When it does not open.
    pub fn on(bytes: &[u8], target: Option<Target>) -> Result<Self, FormatError> {
        let model = Model::open_whole(bytes)?;
        let manifest = model.manifest();
        let layouts_for = target_of(manifest.provenance.producer);
        let target = target.or(layouts_for).unwrap_or_default();
        let Architecture::Encoder {
            stack,
            head: Head::Classes(pooling),
        } = manifest.architecture;
        let limits = model.limits();
        let records = model.tensors().records();
        let tensors: Vec<TensorFacts> = records
            .map(|record| tensor_facts(&model, &record, target))
            .collect();
        let encoder = tensors.iter().filter(|tensor| tensor.is_encoder);
        let nonzeros = encoder.filter_map(|tensor| tensor.nonzeros).sum();
        let work = tensors.iter().filter_map(|tensor| tensor.work).sum();
        let needed = model
            .tensors()
            .records()
            .flat_map(|record| [record.layout.feature(), record.role.feature()]);
        let mut runtime_features: Vec<_> = needed.flatten().collect();
        runtime_features.sort_unstable();
        runtime_features.dedup();
        let sections = Container::open(bytes)?.entries().map(|entry| SectionFacts {
            name: entry.section.to_string(),
            bytes: entry.length,
        });
        let scratch = |kernels| required_scratch_with(limits, limits.tokens, kernels);
        let scratch_cortex_m4 = scratch(FEATURE_BYTES);
        let sparsity = 1.0 - real(nonzeros) / f64::from(stack.dense_weights.max(1));
        Ok(Self {
            name: manifest.name.to_owned(),
            producer: manifest.provenance.producer.to_owned(),
            seed: manifest.provenance.seed,
            recipe_sha256: hex(&manifest.provenance.recipe),
            data_sha256: hex(&manifest.provenance.data),
            layers: stack.layers,
            hidden: limits.hidden,
            tokens: limits.tokens,
            vocabulary: model.vocabulary().len(),
            activation: match stack.activation {
                Activation::Gelu => "GELU",
                Activation::Relu => "ReLU",
            },
            pooling: match pooling {
                Pooling::Cls => "first token",
                Pooling::Mean => "mean",
            },
            pair: manifest.tokenizer.pair,
            labels: model.labels().iter().map(str::to_owned).collect(),
            scores: ScoreFacts {
                dense_float: manifest.scores.dense_float,
                sparse_float: manifest.scores.sparse_float,
                runtime: manifest.scores.runtime,
            },
            bytes: bytes.len(),
            sections: sections.collect(),
            tensors,
            dense_weights: stack.dense_weights,
            nonzeros,
            sparsity,
            layouts_for: layouts_for.map(Target::name),
            runtime_features,
            target: target.name(),
            work,
            scratch: scratch(size_of::<scalar::Feature>()),
            scratch_cortex_m4,
            flash_estimate: bytes.len() + CODE_BYTES,
            ram_estimate: scratch_cortex_m4 + STACK_BYTES,
        })
    }

    /// Heads that are left, all layers together.
    #[must_use]
    pub fn heads(&self) -> usize {
        self.tensors
            .iter()
            .filter(|tensor| tensor.head.is_some())
            .count()
    }

    /// Neurons that are left, all layers together.
    #[must_use]
    pub fn neurons(&self) -> usize {
        let inputs = self.tensors.iter().filter(|t| t.role == Role::MlpInput);
        inputs.map(|tensor| tensor.rows).sum()
    }
}

fn by_name<S: Serializer>(role: &Role, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(role.name())
}

fn tensor_facts(model: &Model<'_>, record: &Record, target: Target) -> TensorFacts {
    let matrix = model.tensors().matrix(record);
    let slot = record.role.slot();
    let is_encoder = slot.is_prunable();
    let in_layer = slot.part.is_of_layer();
    let nonzeros = matrix.map(|matrix| matrix.count_nonzeros());
    // The classifier sees one vector, which is a tile of its own.
    let tiles = if is_encoder { TILES } else { 1 };
    TensorFacts {
        role: record.role,
        layer: in_layer.then_some(record.layer),
        head: (record.role == Role::Head).then_some(record.head),
        rows: record.rows,
        cols: record.cols,
        layout: record.layout.name(),
        nonzeros,
        density: nonzeros.map(|nonzeros| ratio(nonzeros, record.rows * record.cols)),
        bytes: record.length,
        bytes_per_nonzero: nonzeros.map(|nonzeros| ratio(record.length, nonzeros)),
        work: matrix.map(|matrix| tiles * target.work(&matrix)),
        is_encoder,
    }
}
