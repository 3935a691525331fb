//! The matrices of a layer: quantised, cut, and as tensors of a file.

use half::f16;
use neuroprune_format::tensor::Role;
use neuroprune_format::writer::TensorSource;
use neuroprune_runtime::math;

use super::{Form, all_columns, norm, quantize};
use crate::model_file::quantization::{LayerGrams, QuantizedMatrix};
use crate::network::{Attention, Layer, Mixing, Mlp, Recurrence, Shape};
use crate::recipe::ActivationKind;

/// The tensors of layer `number`.
pub(super) fn tensors(
    layer: &Layer,
    shape: &Shape,
    number: u16,
    grams: Option<&LayerGrams>,
    form: Form,
) -> candle_core::Result<Vec<TensorSource>> {
    let of_mixing = grams.map(|grams| grams.mixing.each_ref().map(Vec::as_slice));
    let of_mlp = grams.and_then(|grams| grams.mlp.as_ref());
    let of_mlp = of_mlp.map(|grams| grams.each_ref().map(Vec::as_slice));
    let mut tensors = match &layer.mixing {
        Mixing::Attention(attention) => {
            let mut quantized = QuantizedAttention::new(attention, shape, of_mixing)?;
            if form != Form::Dense {
                quantized.cut();
            }
            let mut tensors = quantized.into_tensors(number, form);
            tensors.push(norm(Role::AttentionNorm, number, &attention.norm)?);
            tensors
        }
        Mixing::Recurrence(recurrence) => {
            recurrence_tensors(recurrence, shape, number, of_mixing, form)?
        }
    };
    if let Some(mlp) = &layer.mlp {
        let mut quantized = QuantizedMlp::new(mlp, shape, of_mlp)?;
        if form != Form::Dense {
            quantized.cut(shape.activation);
        }
        tensors.extend(quantized.into_tensors(number, form));
        tensors.push(norm(Role::MlpNorm, number, &mlp.norm)?);
    }
    Ok(tensors)
}

/// Rows of a recurrence are gates, which work by their biases where they have no weights: none is
/// cut.
fn recurrence_tensors(
    recurrence: &Recurrence,
    shape: &Shape,
    number: u16,
    grams: Option<[&[f32]; 2]>,
    form: Form,
) -> candle_core::Result<Vec<TensorSource>> {
    let Recurrence {
        forward,
        backward,
        norm: after,
    } = recurrence;
    let mut tensors = Vec::new();
    for (part, role, linear) in [
        (0, Role::ForwardRecurrence, forward),
        (1, Role::BackwardRecurrence, backward),
    ] {
        let gram = grams.map(|grams| grams[part]);
        let quantized = quantize(linear, 2 * shape.hidden, gram)?;
        tensors.push(quantized.into_tensor(role, number, 0, 0, form));
    }
    tensors.push(norm(Role::RecurrenceNorm, number, after)?);
    Ok(tensors)
}

/// One head: queries, keys and values have as many rows as the file will have.
struct QuantizedHead {
    number: u16,
    query: QuantizedMatrix,
    key: QuantizedMatrix,
    value: QuantizedMatrix,
}

struct QuantizedAttention {
    heads: Vec<QuantizedHead>,
    output: QuantizedMatrix,
}

impl QuantizedAttention {
    fn new(
        attention: &Attention,
        network: &Shape,
        grams: Option<[&[f32]; 2]>,
    ) -> candle_core::Result<Self> {
        let hidden = network.hidden;
        let shape = attention.heads_in(network);
        let (width, columns) = (shape.width, shape.columns());
        let weights = all_columns(&attention.projection, hidden)?;
        let bias = attention.projection.bias.to_vec()?;
        let part = |part: usize, head: usize, scale: f32, has_bias: bool| {
            let rows = part * columns + head * width..part * columns + (head + 1) * width;
            let weights = &weights[rows.start * hidden..rows.end * hidden];
            let weights: Vec<f32> = weights.iter().map(|w| w * scale).collect();
            let factor = if has_bias { scale } else { 0.0 };
            let bias = bias[rows].iter().map(|b| b * factor).collect();
            QuantizedMatrix::new(&weights, hidden, bias, grams.map(|[inputs, _]| inputs))
        };
        let heads = attention.heads.iter().enumerate().map(|(head, &number)| {
            Ok(QuantizedHead {
                number,
                query: part(0, head, shape.scale, true)?,
                key: part(1, head, 1.0, false)?,
                value: part(2, head, 1.0, false)?,
            })
        });
        let heads = heads.collect::<candle_core::Result<_>>()?;

        let output = &attention.output;
        let weights = output.weight.to_vec()?;
        let mut output_bias = output.bias.to_vec()?;
        let value_bias = &bias[2 * columns..];
        for (bias, row) in output_bias.iter_mut().zip(weights.chunks_exact(columns)) {
            *bias += row.iter().zip(value_bias).map(|(w, b)| w * b).sum::<f32>();
        }
        let gram = grams.map(|[_, context]| context);
        let output = QuantizedMatrix::new(&weights, columns, output_bias, gram)?;
        Ok(Self { heads, output })
    }

    /// Cuts dimensions and heads that are empty.
    fn cut(&mut self) {
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
            let output = &self.output;
            let is_used =
                |row: &usize| !value.is_row_empty(*row) && !output.is_column_empty(first + row);
            let kept: Vec<usize> = (0..value.rows()).filter(is_used).collect();
            kept_context.extend(kept.iter().map(|row| first + row));
            first += value.rows();
            value.keep_rows(&kept);
        }
        self.heads.retain(|head| head.value.rows() > 0);
        self.output.keep_columns(&kept_context);
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
        let output = self.output;
        tensors.push(output.into_tensor(Role::AttentionOutput, layer, 0, 0, form));
        tensors
    }
}

struct QuantizedMlp {
    input: QuantizedMatrix,
    output: QuantizedMatrix,
}

impl QuantizedMlp {
    fn new(mlp: &Mlp, shape: &Shape, grams: Option<[&[f32]; 2]>) -> candle_core::Result<Self> {
        let input = quantize(&mlp.input, shape.hidden, grams.map(|[inputs, _]| inputs))?;
        let gram = grams.map(|[_, neurons]| neurons);
        let output = quantize(&mlp.output, input.rows(), gram)?;
        Ok(Self { input, output })
    }

    /// Cuts neurons that are empty.
    fn cut(&mut self, activation: ActivationKind) {
        let (input, output) = (&mut self.input, &mut self.output);
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
        let matrices = [(Role::MlpInput, self.input), (Role::MlpOutput, self.output)];
        let tensor =
            |(role, matrix): (Role, QuantizedMatrix)| matrix.into_tensor(role, layer, 0, 0, form);
        matrices.map(tensor).into()
    }
}
