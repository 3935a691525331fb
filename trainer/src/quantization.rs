//! From floats to int8: symmetric, one f16 scale a row.
//!
//! The largest weight of a row need not decide its scale. On calibration texts the
//! error of a row's output is eᵀGe, e the rounding errors of its weights and G = XᵀX
//! the Gram matrix of what goes in; the scale with the smallest error wins.

use half::f16;
use rayon::iter::{IndexedParallelIterator as _, IntoParallelIterator as _, ParallelIterator as _};

use crate::batch::{Batch, EncodedExample};
use crate::network::{Captured, Layer, LayerInputs, Network};
use crate::training::spread;

/// Largest magnitude of a quantised weight.
const LARGEST: f32 = 127.0;
/// Scales tried, as shares of the one that the largest weight asks for.
const SHARES: [f32; 8] = [1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65];
/// Scales are above zero, those of empty rows too.
const SMALLEST_SCALE: f16 = f16::MIN_POSITIVE_SUBNORMAL;
/// Calibration texts of one forward pass.
const BATCH: usize = 32;

/// A quantised matrix `[rows, cols]`, row by row: y = scale·Σ w·x + bias.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantizedMatrix {
    /// Number of columns.
    pub cols: usize,
    /// −127…127.
    pub weights: Vec<i8>,
    /// One a row.
    pub scales: Vec<f16>,
    /// One a row.
    pub bias: Vec<f32>,
}

/// XᵀX of what goes into each matrix of a layer, `[cols, cols]` each.
#[derive(Clone, Debug)]
pub struct LayerGrams {
    /// Of the residual stream before the attention.
    pub projection: Vec<f32>,
    /// Of the heads' context.
    pub attention_output: Vec<f32>,
    /// Of the residual stream before the MLP.
    pub mlp_input: Vec<f32>,
    /// Of the neurons' activations.
    pub mlp_output: Vec<f32>,
}

/// What calibration texts say of the inputs of every matrix.
#[derive(Clone, Debug, Default)]
pub struct Calibration {
    /// One a layer; none without calibration texts.
    pub layers: Vec<LayerGrams>,
    /// Of the pooled vectors.
    pub classifier: Vec<f32>,
}

impl Calibration {
    /// Runs `texts` of the examples, evenly spread, through the network.
    ///
    /// # Errors
    /// When a shape does not fit.
    pub fn new(
        network: &Network,
        examples: &[EncodedExample],
        texts: usize,
    ) -> candle_core::Result<Self> {
        let chosen: Vec<_> = spread(examples, texts).collect();
        let mut calibration = Self::default();
        for part in chosen.chunks(BATCH) {
            let mut captured = Captured::default();
            network.forward_capturing(&Batch::new(part.iter().copied()), Some(&mut captured))?;
            calibration.add(network, &captured)?;
        }
        Ok(calibration)
    }

    fn add(&mut self, network: &Network, captured: &Captured) -> candle_core::Result<()> {
        let gram = |x: &candle_core::Tensor| -> candle_core::Result<Vec<f32>> {
            x.t()?.matmul(x)?.flatten_all()?.to_vec1()
        };
        let layer_grams = |(layer, inputs): (&Layer, &LayerInputs)| {
            // The exporter moves the bias of the values behind W_O.
            let columns = network.heads_of(layer).columns();
            let bias = layer
                .projection
                .bias
                .value
                .narrow(0, 2 * columns, columns)?;
            let context = inputs.attention_output.broadcast_sub(&bias.detach())?;
            Ok(LayerGrams {
                projection: gram(&inputs.projection)?,
                attention_output: gram(&context)?,
                mlp_input: gram(&inputs.mlp_input)?,
                mlp_output: gram(&inputs.mlp_output)?,
            })
        };
        let layers = network.layers.iter().zip(&captured.layers);
        let layers = layers
            .map(layer_grams)
            .collect::<candle_core::Result<Vec<_>>>()?;
        let pooled = captured
            .pooled
            .as_ref()
            .map(gram)
            .transpose()?
            .unwrap_or_default();
        if self.layers.is_empty() {
            self.layers = layers;
            self.classifier = pooled;
            return Ok(());
        }
        for (sum, layer) in self.layers.iter_mut().zip(layers) {
            add(&mut sum.projection, &layer.projection);
            add(&mut sum.attention_output, &layer.attention_output);
            add(&mut sum.mlp_input, &layer.mlp_input);
            add(&mut sum.mlp_output, &layer.mlp_output);
        }
        add(&mut self.classifier, &pooled);
        Ok(())
    }
}

fn add(sum: &mut [f32], other: &[f32]) {
    for (sum, other) in sum.iter_mut().zip(other) {
        *sum += other;
    }
}

impl QuantizedMatrix {
    /// Quantises `weights`, `[bias.len(), cols]`. Without a Gram matrix the largest
    /// weight of each row decides.
    #[must_use]
    pub fn new(weights: &[f32], cols: usize, bias: Vec<f32>, gram: Option<&[f32]>) -> Self {
        let rows = bias.len();
        let quantize = |row: usize| {
            let weights = &weights[row * cols..(row + 1) * cols];
            quantize_row(weights, gram)
        };
        let quantized: Vec<(f16, Vec<i8>)> = (0..rows)
            .into_par_iter()
            .with_min_len(8)
            .map(quantize)
            .collect();
        Self {
            cols,
            scales: quantized.iter().map(|(scale, _)| *scale).collect(),
            weights: quantized
                .into_iter()
                .flat_map(|(_, weights)| weights)
                .collect(),
            bias,
        }
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.bias.len()
    }

    /// Weights of one row.
    #[must_use]
    pub fn row(&self, row: usize) -> &[i8] {
        &self.weights[row * self.cols..(row + 1) * self.cols]
    }

    /// Whether every weight of a row is zero.
    #[must_use]
    pub fn is_row_empty(&self, row: usize) -> bool {
        self.row(row).iter().all(|&weight| weight == 0)
    }

    /// Whether every weight of a column is zero.
    #[must_use]
    pub fn is_column_empty(&self, col: usize) -> bool {
        (0..self.rows()).all(|row| self.row(row)[col] == 0)
    }

    /// Keeps these rows.
    pub fn keep_rows(&mut self, kept: &[usize]) {
        self.weights = kept
            .iter()
            .flat_map(|&row| self.row(row).to_vec())
            .collect();
        self.scales = kept.iter().map(|&row| self.scales[row]).collect();
        self.bias = kept.iter().map(|&row| self.bias[row]).collect();
    }

    /// Keeps these columns.
    pub fn keep_columns(&mut self, kept: &[usize]) {
        let rows = (0..self.rows()).flat_map(|row| kept.iter().map(move |&col| (row, col)));
        self.weights = rows.map(|(row, col)| self.row(row)[col]).collect();
        self.cols = kept.len();
    }

    /// bias += W·input in columns `going`, for inputs that never change.
    pub fn absorb(&mut self, going: impl Iterator<Item = (usize, f32)>) {
        for (col, input) in going {
            for row in 0..self.rows() {
                let weight = f32::from(self.row(row)[col]) * self.scales[row].to_f32();
                self.bias[row] += weight * input;
            }
        }
    }
}

fn quantize_row(weights: &[f32], gram: Option<&[f32]>) -> (f16, Vec<i8>) {
    let largest = weights
        .iter()
        .fold(0.0, |largest: f32, w| largest.max(w.abs()));
    let at_share = |share: f32| {
        let scale = f16::from_f32(largest * share / LARGEST).max(SMALLEST_SCALE);
        (scale, round_row(weights, scale.to_f32()))
    };
    let Some(gram) = gram else {
        return at_share(1.0);
    };
    let candidates = SHARES.map(at_share).into_iter().map(|(scale, row)| {
        let error = output_error(weights, &row, scale.to_f32(), gram);
        (error, scale, row)
    });
    let best = candidates.min_by(|(a, ..), (b, ..)| a.total_cmp(b));
    best.map_or_else(|| at_share(1.0), |(_, scale, row)| (scale, row))
}

#[expect(clippy::cast_possible_truncation, reason = "clamped")]
fn round_row(weights: &[f32], scale: f32) -> Vec<i8> {
    let round = |w: &f32| (w / scale).round_ties_even().clamp(-LARGEST, LARGEST) as i8;
    weights.iter().map(round).collect()
}

/// eᵀGe; only columns with an error count, which are few in a sparse row.
fn output_error(weights: &[f32], row: &[i8], scale: f32, gram: &[f32]) -> f64 {
    let errors = weights
        .iter()
        .zip(row)
        .map(|(w, &q)| w - f32::from(q) * scale);
    let errors: Vec<(usize, f32)> = errors.enumerate().filter(|(_, e)| *e != 0.0).collect();
    let mut total = 0.0_f64;
    for &(i, a) in &errors {
        let gram_row = &gram[i * weights.len()..(i + 1) * weights.len()];
        let inner: f32 = errors.iter().map(|&(j, b)| gram_row[j] * b).sum();
        total += f64::from(a * inner);
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_is_at_most_half_a_step() {
        let weights = [0.5, -1.0, 0.0, 0.123, -0.77, 1.27];
        let matrix = QuantizedMatrix::new(&weights, 3, vec![0.0, 0.0], None);
        assert_eq!(matrix.row(0)[1], -127);
        for (row, scale) in matrix.scales.iter().enumerate() {
            for (q, w) in matrix.row(row).iter().zip(&weights[row * 3..]) {
                assert!((f32::from(*q) * scale.to_f32() - w).abs() <= scale.to_f32() * 0.51);
            }
        }
    }

    #[test]
    fn calibration_never_makes_the_output_worse() {
        let mut weights: Vec<f32> = (0..32_i16).map(|i| (f32::from(i) * 1.7).sin()).collect();
        weights[1] = 2.0;
        weights[17] = -2.0;
        // Inputs that hardly use the column with the largest weight.
        let mut gram = vec![0.0; 16 * 16];
        for i in 0..16_u8 {
            gram[usize::from(i) * 17] = if i == 1 { 1e-3 } else { 1.0 + f32::from(i) };
        }
        let plain = QuantizedMatrix::new(&weights, 16, vec![0.0; 2], None);
        let calibrated = QuantizedMatrix::new(&weights, 16, vec![0.0; 2], Some(&gram));
        let error = |matrix: &QuantizedMatrix, row: usize| {
            let scale = matrix.scales[row].to_f32();
            output_error(
                &weights[row * 16..(row + 1) * 16],
                matrix.row(row),
                scale,
                &gram,
            )
        };
        for row in 0..2 {
            assert!(error(&calibrated, row) <= error(&plain, row));
        }
        assert_ne!(calibrated, plain);
    }

    #[test]
    fn rows_without_weights_have_a_valid_scale() {
        let matrix = QuantizedMatrix::new(&[0.0; 4], 2, vec![1.0, 2.0], Some(&[1.0; 4]));
        assert!(matrix.scales.iter().all(|scale| scale.to_f32() > 0.0));
        assert!(matrix.is_row_empty(0) && matrix.is_column_empty(1));
    }

    #[test]
    fn constant_inputs_move_into_the_bias() {
        let mut matrix = QuantizedMatrix::new(&[1.0, 0.5, -1.0, 0.25], 2, vec![0.0, 1.0], None);
        matrix.absorb([(1, 2.0)].into_iter());
        matrix.keep_columns(&[0]);
        assert!((matrix.bias[0] - 1.0).abs() < 0.02 && (matrix.bias[1] - 1.5).abs() < 0.02);
        assert_eq!(matrix.weights, [127, -127]);
    }
}
