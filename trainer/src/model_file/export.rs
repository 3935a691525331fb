//! From a trained network to a `.neuro` file.
//!
//! Quantises, cuts what is empty after quantisation, and hands the rest to the
//! format's writer. Each cut leaves the answers as they are:
//! - the bias of a key adds the same to every score, so softmax does not see it;
//! - the bias of a value comes out of the attention as it went in: W_O's bias absorbs it;
//! - a query and a key dimension are cut together if either is empty (an empty query only without
//!   bias), a value dimension with W_O's column, a neuron with L_out's column.

mod layers;

use half::f16;
use neuroprune_format::architecture::{
    Activation, Architecture, Head, Pooling, Positions, StackSettings,
};
use neuroprune_format::manifest::Scores;
use neuroprune_format::tensor::{Role, TableValues};
use neuroprune_format::writer::{
    CharacterMap, LayoutChoice, MatrixSource, ModelSource, NormSource, TableSource, TensorSource,
    WriteError,
};

use crate::model_file::quantization::{Calibration, QuantizedMatrix};
use crate::network::parameter::Parameter;
use crate::network::{Linear, Network, Norm, Shape};
use crate::recipe::target::{LAYOUTS_FOR, Target};
use crate::recipe::{ActivationKind, PoolingKind, PositionsKind};
use crate::text::vocabulary::{Vocabulary, VocabularyError};
use crate::training::Run;

/// Program and version that writes files.
pub(crate) const PRODUCER: &str = concat!("neuroprune ", env!("CARGO_PKG_VERSION"));

/// Why no file could be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The tokenizer cannot be put into a table.
    #[error(transparent)]
    Vocabulary(#[from] VocabularyError),
    /// candle's error.
    #[error("tensors: {0}")]
    Tensor(#[from] candle_core::Error),
    /// The writer refused.
    #[error("export: {0}")]
    Write(#[from] WriteError),
}

/// What to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Every weight, zeros too, and nothing cut.
    Dense,
    /// Cut, and in the layouts that are cheapest on this target.
    Sparse(Target),
}

/// A file's source, to be written again when its scores are known.
///
/// `words` are the network's vocabulary and its table of characters, which takes a second to make.
pub(crate) fn export(
    run: &Run,
    network: &Network,
    calibration: &Calibration,
    words: (&Vocabulary, &CharacterMap),
    name: &str,
    form: Form,
) -> Result<ModelSource, ExportError> {
    let shape = &network.shape;
    let (vocabulary, characters) = words;
    let values = shape.token_values.of_table();
    let mut tensors = vec![
        table(Role::TokenEmbedding, &network.token_embedding, values)?,
        norm(Role::EmbeddingNorm, 0, &network.embedding_norm)?,
    ];
    if let Some(factor) = &network.embedding_factor {
        let quantized = quantize(factor, shape.embedding, None)?;
        tensors.push(quantized.into_tensor(Role::EmbeddingFactor, 0, 0, 0, form));
    }
    for (role, parameter) in [
        (Role::PositionEmbedding, &network.position_embedding),
        (Role::SegmentEmbedding, &network.segment_embedding),
    ] {
        if let Some(parameter) = parameter {
            tensors.push(table(role, parameter, TableValues::I8)?);
        }
    }
    for (number, layer) in (0..).zip(&network.layers) {
        let grams = calibration.layers.get(usize::from(number));
        tensors.extend(layers::tensors(layer, shape, number, grams, form)?);
    }
    let gram = Some(calibration.classifier.as_slice()).filter(|gram| !gram.is_empty());
    let classifier = quantize(&network.classifier, shape.hidden, gram)?;
    tensors.push(classifier.into_tensor(Role::Classifier, 0, 0, 0, form));
    Ok(ModelSource {
        name: name.to_owned(),
        producer: match form {
            Form::Dense => PRODUCER.to_owned(),
            Form::Sparse(target) => format!("{PRODUCER}{LAYOUTS_FOR}{}", target.name()),
        },
        seed: run.recipe.seed,
        recipe: run.recipe.sha256(),
        data: run.data,
        scores: Scores::default(),
        architecture: architecture(shape),
        tokenizer: vocabulary.settings(shape.pair),
        tokens: shape.tokens,
        hidden: shape.hidden,
        labels: run.labels.clone(),
        initial: vocabulary.initial().to_vec(),
        continuation: vocabulary.continuation().to_vec(),
        characters: characters.clone(),
        tensors,
    })
}

fn architecture(shape: &Shape) -> Architecture {
    let stack = StackSettings {
        layers: u16::try_from(shape.layers).unwrap_or(u16::MAX),
        activation: match shape.activation {
            ActivationKind::Relu => Activation::Relu,
            ActivationKind::Gelu => Activation::Gelu,
        },
        positions: match shape.positions {
            PositionsKind::Learned => Positions::Learned,
            PositionsKind::None => Positions::None,
        },
        norm_epsilon: shape.norm_epsilon,
        dense_weights: u32::try_from(shape.encoder_weights()).unwrap_or(u32::MAX),
        ..StackSettings::default()
    };
    let head = Head::Classes(match shape.pooling {
        PoolingKind::Mean => Pooling::Mean,
        PoolingKind::Cls => Pooling::Cls,
    });
    Architecture::Encoder { stack, head }
}

impl QuantizedMatrix {
    fn into_tensor(
        self,
        role: Role,
        layer: u16,
        head: u16,
        query_rows: usize,
        form: Form,
    ) -> TensorSource {
        let has_bias = self.bias.iter().any(|&bias| bias != 0.0);
        TensorSource::Matrix(MatrixSource {
            role,
            layer,
            head,
            rows: self.rows(),
            cols: self.cols,
            query_rows,
            bias: has_bias.then(|| halves(&self.bias)),
            weights: self.weights,
            scales: self.scales,
            layout: match form {
                Form::Dense => LayoutChoice::Dense,
                Form::Sparse(target) => LayoutChoice::Cheapest(target.costs()),
            },
        })
    }
}

fn quantize(
    linear: &Linear,
    inputs: usize,
    gram: Option<&[f32]>,
) -> candle_core::Result<QuantizedMatrix> {
    let weights = all_columns(linear, inputs)?;
    QuantizedMatrix::new(&weights, inputs, linear.bias.to_vec()?, gram)
}

/// The weights with their cut columns as zeros, `[rows, inputs]`.
fn all_columns(linear: &Linear, inputs: usize) -> candle_core::Result<Vec<f32>> {
    let left = linear.weight.to_vec()?;
    let Some(columns) = &linear.columns else {
        return Ok(left);
    };
    let mut all = vec![0.0; linear.bias.value.elem_count() * inputs];
    for (all, left) in all
        .chunks_exact_mut(inputs)
        .zip(left.chunks_exact(columns.len()))
    {
        for (&column, &weight) in columns.iter().zip(left) {
            all[column as usize] = weight;
        }
    }
    Ok(all)
}

fn table(role: Role, table: &Parameter, values: TableValues) -> candle_core::Result<TensorSource> {
    let (rows, cols) = table.value.dims2()?;
    let bias = vec![0.0; rows];
    let quantized = QuantizedMatrix::rounded(&table.to_vec()?, cols, bias, None, values)?;
    Ok(TensorSource::Table(TableSource {
        role,
        rows,
        cols,
        values,
        weights: quantized.weights,
        scales: quantized.scales,
    }))
}

fn norm(role: Role, layer: u16, norm: &Norm) -> candle_core::Result<TensorSource> {
    Ok(TensorSource::Norm(NormSource {
        role,
        layer,
        gain: halves(&norm.gain.to_vec()?),
        shift: halves(&norm.shift.to_vec()?),
    }))
}

fn halves(values: &[f32]) -> Vec<f16> {
    values.iter().map(|&value| f16::from_f32(value)).collect()
}
