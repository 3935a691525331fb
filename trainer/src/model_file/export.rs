//! From a trained network to a `.neuro` file.
//!
//! Quantises, cuts what is empty after quantisation, and hands the rest to the
//! format's writer. Each cut leaves the answers as they are:
//! - the bias of a key adds the same to every score, so softmax does not see it;
//! - the bias of a value comes out of the attention as it went in: W_O's bias absorbs it;
//! - a query and a key dimension are cut together if either is empty (an empty query only without
//!   bias), a value dimension with W_O's column, a neuron with L_out's column.

use half::f16;
use neuroprune_format::architecture::{Activation, Architecture, Head, Pooling, StackSettings};
use neuroprune_format::manifest::Scores;
use neuroprune_format::tensor::Role;
use neuroprune_format::writer::{
    CharacterMap, LayoutChoice, MatrixSource, ModelSource, NormSource, TensorSource, WriteError,
};
use neuroprune_runtime::math;

use crate::model_file::quantization::{Calibration, LayerGrams, QuantizedMatrix};
use crate::network::parameter::Parameter;
use crate::network::{Layer, Linear, Network, Norm, Shape};
use crate::recipe::target::{LAYOUTS_FOR, Target};
use crate::recipe::{ActivationKind, PoolingKind};
use crate::text::vocabulary::VocabularyError;
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
/// `characters` is the table of the run's vocabulary, which takes a second to make.
pub(crate) fn export(
    run: &Run,
    network: &Network,
    calibration: &Calibration,
    characters: &CharacterMap,
    name: &str,
    form: Form,
) -> Result<ModelSource, ExportError> {
    let shape = &network.shape;
    let vocabulary = &run.vocabulary;
    let mut tensors = vec![
        embedding(Role::TokenEmbedding, &network.token_embedding)?,
        embedding(Role::PositionEmbedding, &network.position_embedding)?,
        norm(Role::EmbeddingNorm, 0, &network.embedding_norm)?,
    ];
    if let Some(segment) = &network.segment_embedding {
        tensors.push(embedding(Role::SegmentEmbedding, segment)?);
    }
    for (number, layer) in (0..).zip(&network.layers) {
        let grams = calibration.layers.get(usize::from(number));
        let mut quantized = QuantizedLayer::new(layer, network, grams)?;
        if form != Form::Dense {
            quantized.cut(shape.activation);
        }
        tensors.extend(quantized.into_tensors(number, form));
        tensors.push(norm(Role::AttentionNorm, number, &layer.attention_norm)?);
        tensors.push(norm(Role::MlpNorm, number, &layer.mlp_norm)?);
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

/// One head: queries, keys and values have as many rows as the file will have.
struct QuantizedHead {
    number: u16,
    query: QuantizedMatrix,
    key: QuantizedMatrix,
    value: QuantizedMatrix,
}

struct QuantizedLayer {
    heads: Vec<QuantizedHead>,
    attention_output: QuantizedMatrix,
    mlp_input: QuantizedMatrix,
    mlp_output: QuantizedMatrix,
}

impl QuantizedLayer {
    fn new(
        layer: &Layer,
        network: &Network,
        grams: Option<&LayerGrams>,
    ) -> candle_core::Result<Self> {
        let hidden = network.shape.hidden;
        let shape = layer.heads_in(&network.shape);
        let (width, columns) = (shape.width, shape.columns());
        let weights = all_columns(&layer.projection, hidden)?;
        let bias = layer.projection.bias.to_vec()?;
        let gram = grams.map(|grams| grams.projection.as_slice());
        let part = |part: usize, head: usize, scale: f32, has_bias: bool| {
            let rows = part * columns + head * width..part * columns + (head + 1) * width;
            let weights = &weights[rows.start * hidden..rows.end * hidden];
            let weights: Vec<f32> = weights.iter().map(|w| w * scale).collect();
            let factor = if has_bias { scale } else { 0.0 };
            let bias = bias[rows].iter().map(|b| b * factor).collect();
            QuantizedMatrix::new(&weights, hidden, bias, gram)
        };
        let heads = layer.heads.iter().enumerate().map(|(head, &number)| {
            Ok(QuantizedHead {
                number,
                query: part(0, head, shape.scale, true)?,
                key: part(1, head, 1.0, false)?,
                value: part(2, head, 1.0, false)?,
            })
        });
        let heads = heads.collect::<candle_core::Result<_>>()?;

        let output = &layer.attention_output;
        let output_weights = output.weight.to_vec()?;
        let mut output_bias = output.bias.to_vec()?;
        let value_bias = &bias[2 * columns..];
        for (bias, row) in output_bias
            .iter_mut()
            .zip(output_weights.chunks_exact(columns))
        {
            *bias += row.iter().zip(value_bias).map(|(w, b)| w * b).sum::<f32>();
        }
        let gram = grams.map(|grams| grams.attention_output.as_slice());
        let attention_output = QuantizedMatrix::new(&output_weights, columns, output_bias, gram)?;
        let gram = grams.map(|grams| grams.mlp_input.as_slice());
        let mlp_input = quantize(&layer.mlp_input, hidden, gram)?;
        let gram = grams.map(|grams| grams.mlp_output.as_slice());
        let mlp_output = quantize(&layer.mlp_output, mlp_input.rows(), gram)?;
        Ok(Self {
            heads,
            attention_output,
            mlp_input,
            mlp_output,
        })
    }

    /// Cuts dimensions, heads and neurons that are empty.
    fn cut(&mut self, activation: ActivationKind) {
        let mut first = 0;
        let mut kept_context = Vec::new();
        for head in &mut self.heads {
            let QuantizedHead {
                query, key, value, ..
            } = head;
            let is_used = |row: &usize| {
                let query_says = !query.is_row_empty(*row) || query.bias[*row] != 0.0;
                query_says && !key.is_row_empty(*row)
            };
            let kept: Vec<usize> = (0..query.rows()).filter(is_used).collect();
            query.keep_rows(&kept);
            key.keep_rows(&kept);
            let output = &self.attention_output;
            let is_used =
                |row: &usize| !value.is_row_empty(*row) && !output.is_column_empty(first + row);
            let kept: Vec<usize> = (0..value.rows()).filter(is_used).collect();
            kept_context.extend(kept.iter().map(|row| first + row));
            first += value.rows();
            value.keep_rows(&kept);
        }
        self.heads.retain(|head| head.value.rows() > 0);
        self.attention_output.keep_columns(&kept_context);

        let (input, output) = (&mut self.mlp_input, &mut self.mlp_output);
        let is_silent = |neuron: &usize| input.is_row_empty(*neuron);
        let constant = |neuron: usize| {
            let bias = f16::from_f32(input.bias[neuron]).to_f32();
            let value = match activation {
                ActivationKind::Relu => bias.max(0.0),
                ActivationKind::Gelu => math::gelu(bias),
            };
            (neuron, value)
        };
        output.absorb((0..input.rows()).filter(is_silent).map(constant));
        let is_used =
            |&neuron: &usize| !input.is_row_empty(neuron) && !output.is_column_empty(neuron);
        let kept: Vec<usize> = (0..input.rows()).filter(is_used).collect();
        input.keep_rows(&kept);
        output.keep_columns(&kept);
    }

    fn into_tensors(self, layer: u16, form: Form) -> Vec<TensorSource> {
        let heads = self.heads.into_iter().map(|head| {
            let query_rows = head.query.rows();
            let QuantizedMatrix {
                cols,
                mut weights,
                mut scales,
                mut bias,
            } = head.query;
            for part in [head.key, head.value] {
                weights.extend(part.weights);
                scales.extend(part.scales);
                bias.extend(part.bias);
            }
            let matrix = QuantizedMatrix {
                cols,
                weights,
                scales,
                bias,
            };
            matrix.into_tensor(Role::Head, layer, head.number, query_rows, form)
        });
        let mut tensors: Vec<TensorSource> = heads.collect();
        for (role, matrix) in [
            (Role::AttentionOutput, self.attention_output),
            (Role::MlpInput, self.mlp_input),
            (Role::MlpOutput, self.mlp_output),
        ] {
            tensors.push(matrix.into_tensor(role, layer, 0, 0, form));
        }
        tensors
    }
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

fn embedding(role: Role, table: &Parameter) -> candle_core::Result<TensorSource> {
    let (rows, cols) = table.value.dims2()?;
    let quantized = QuantizedMatrix::new(&table.to_vec()?, cols, vec![0.0; rows], None)?;
    let (weights, scales) = (quantized.weights, quantized.scales);
    let table = MatrixSource::table(role, rows, cols, weights, scales);
    Ok(TensorSource::Matrix(table))
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
