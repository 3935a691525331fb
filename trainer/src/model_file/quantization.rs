//! From floats to int8: symmetric, one scale per row.
//!
//! The largest weight of a row need not decide its scale. On calibration texts the
//! error of a row's output is eᵀGe, e the rounding errors of its weights and G = XᵀX
//! the Gram matrix of what goes in; the scale with the smallest error wins. Without texts
//! G is the identity.

use candle_core::{Device, Tensor};
use neuroprune_format::tensor::{Scale, TableValues};
use rayon::iter::{
    IndexedParallelIterator as _, IntoParallelRefIterator as _, ParallelIterator as _,
};

use crate::network::tape::Tape;
use crate::network::{Layer, Linear, Mixing, Mlp, Network, Recurrence};
use crate::text::batch::spread;
use crate::text::batch::{Batch, EncodedExample};

/// Scales tried: how many steps above the one that the largest weight requires. Larger ones may fit
/// the few weights of a row better by chance.
const ABOVE: [i8; 8] = [0, -1, -2, -3, -4, -5, 1, 2];
/// Calibration texts per forward pass.
const BATCH: usize = 32;

/// A quantised matrix `[rows, cols]`, row by row: y = scale·Σ w·x + bias.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct QuantizedMatrix {
    /// Number of columns.
    pub cols: usize,
    /// −127…127.
    pub weights: Vec<i8>,
    /// One per row.
    pub scales: Vec<Scale>,
    /// One per row.
    pub bias: Vec<f32>,
}

/// XᵀX of what goes into each matrix of a layer, `[cols, cols]` each.
#[derive(Clone, Debug)]
pub(crate) struct LayerGrams {
    /// Of the two matrices of the mixing: for attention of the residual stream and of the heads'
    /// context, for a recurrence of the pairs of neighbours.
    pub mixing: [Vec<f32>; 2],
    /// Of the residual stream before the MLP, and of the neurons' activations.
    pub mlp: Option<[Vec<f32>; 2]>,
}

impl LayerGrams {
    fn all(&mut self) -> impl Iterator<Item = &mut Vec<f32>> {
        self.mixing.iter_mut().chain(self.mlp.iter_mut().flatten())
    }
}

/// What calibration texts show about the inputs of every matrix.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calibration {
    /// One per layer; none without calibration texts.
    pub layers: Vec<LayerGrams>,
    /// Of the pooled vectors.
    pub classifier: Vec<f32>,
}

impl Calibration {
    /// Runs `texts` of the examples, evenly spread, through the network.
    pub(crate) fn new(
        network: &Network,
        examples: &[EncodedExample],
        texts: usize,
    ) -> candle_core::Result<Self> {
        let chosen: Vec<_> = spread(examples, texts).collect();
        let mut calibration = Self::default();
        for part in chosen.chunks(BATCH) {
            let recording = network.record(&Batch::new(part.iter().copied()))?;
            calibration.add(network, &recording.tape)?;
        }
        Ok(calibration)
    }

    fn add(&mut self, network: &Network, tape: &Tape) -> candle_core::Result<()> {
        let input_of = |linear: &Linear| {
            let input = tape.input_of(&linear.weight).cloned();
            input.ok_or_else(|| candle_core::Error::msg("a matrix without an input"))
        };
        let gram = |x: candle_core::Tensor| -> candle_core::Result<Vec<f32>> {
            x.t()?.matmul(&x)?.flatten_all()?.to_vec1()
        };
        let layer_grams = |layer: &Layer| {
            let mixing = match &layer.mixing {
                Mixing::Attention(attention) => {
                    // The exporter moves the bias of the values into that of W_O.
                    let columns = attention.heads_in(&network.shape).columns();
                    let bias = &attention.projection.bias.value;
                    let bias = bias.narrow(0, 2 * columns, columns)?;
                    let context = input_of(&attention.output)?;
                    [
                        gram(input_of(&attention.projection)?)?,
                        gram(context.broadcast_sub(&bias)?)?,
                    ]
                }
                Mixing::Recurrence(Recurrence {
                    forward, backward, ..
                }) => [gram(input_of(forward)?)?, gram(input_of(backward)?)?],
            };
            let of_mlp = |mlp: &Mlp| -> candle_core::Result<[Vec<f32>; 2]> {
                Ok([gram(input_of(&mlp.input)?)?, gram(input_of(&mlp.output)?)?])
            };
            let mlp = layer.mlp.as_ref().map(of_mlp).transpose()?;
            Ok(LayerGrams { mixing, mlp })
        };
        let layers = network.layers.iter().map(layer_grams);
        let layers = layers.collect::<candle_core::Result<Vec<_>>>()?;
        let pooled = gram(input_of(&network.classifier)?)?;
        if self.classifier.is_empty() {
            self.layers = layers;
            self.classifier = pooled;
            return Ok(());
        }
        for (sum, mut layer) in self.layers.iter_mut().zip(layers) {
            for (sum, gram) in sum.all().zip(layer.all()) {
                add(sum, gram);
            }
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
    /// Quantises `weights`, `[bias.len(), cols]`.
    pub(crate) fn new(
        weights: &[f32],
        cols: usize,
        bias: Vec<f32>,
        gram: Option<&[f32]>,
    ) -> candle_core::Result<Self> {
        Self::rounded(weights, cols, bias, gram, TableValues::I8)
    }

    /// Quantises `weights`, `[bias.len(), cols]`, to these values.
    pub(crate) fn rounded(
        weights: &[f32],
        cols: usize,
        bias: Vec<f32>,
        gram: Option<&[f32]>,
        values: TableValues,
    ) -> candle_core::Result<Self> {
        let rows: Vec<&[f32]> = weights.chunks_exact(cols.max(1)).collect();
        let largest = f32::from(values.largest());
        let scales = best_scales(&rows, cols, gram, largest)?;
        let rounded = rows.par_iter().zip(&scales).with_min_len(8);
        let rounded = rounded.flat_map_iter(|(row, scale)| round_row(row, scale.to_f32(), largest));
        Ok(Self {
            cols,
            weights: rounded.collect(),
            scales,
            bias,
        })
    }

    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.bias.len()
    }

    /// Weights of one row.
    pub(crate) fn row(&self, row: usize) -> &[i8] {
        &self.weights[row * self.cols..(row + 1) * self.cols]
    }

    /// Whether every weight of a row is zero.
    pub(crate) fn is_row_empty(&self, row: usize) -> bool {
        self.row(row).iter().all(|&weight| weight == 0)
    }

    /// Whether every weight of a column is zero.
    pub(crate) fn is_column_empty(&self, col: usize) -> bool {
        (0..self.rows()).all(|row| self.row(row)[col] == 0)
    }

    /// Keeps these rows.
    pub(crate) fn keep_rows(&mut self, kept: &[usize]) {
        self.weights = kept
            .iter()
            .flat_map(|&row| self.row(row).to_vec())
            .collect();
        self.scales = kept.iter().map(|&row| self.scales[row]).collect();
        self.bias = kept.iter().map(|&row| self.bias[row]).collect();
    }

    /// Keeps these columns.
    pub(crate) fn keep_columns(&mut self, kept: &[usize]) {
        let rows = (0..self.rows()).flat_map(|row| kept.iter().map(move |&col| (row, col)));
        self.weights = rows.map(|(row, col)| self.row(row)[col]).collect();
        self.cols = kept.len();
    }

    /// bias += W·input in columns `constant`, for inputs that never change.
    pub(crate) fn absorb(&mut self, constant: impl Iterator<Item = (usize, f32)>) {
        for (col, input) in constant {
            for row in 0..self.rows() {
                let weight = f32::from(self.row(row)[col]) * self.scales[row].to_f32();
                self.bias[row] += weight * input;
            }
        }
    }
}

/// The least scale at which a weight of this magnitude is not clipped to `largest` steps.
pub(crate) fn unclipped_scale(magnitude: f32, largest: f32) -> Scale {
    Scale::at_least(magnitude / largest)
}

/// For each row the scale with the smallest eᵀGe of several.
fn best_scales(
    rows: &[&[f32]],
    cols: usize,
    gram: Option<&[f32]>,
    largest: f32,
) -> candle_core::Result<Vec<Scale>> {
    let gram = gram.map(|gram| Tensor::from_slice(gram, (cols, cols), &Device::Cpu));
    let gram = gram.transpose()?;
    let magnitude = |row: &&[f32]| row.iter().fold(0.0, |most: f32, w| most.max(w.abs()));
    let unclipped: Vec<Scale> = rows
        .iter()
        .map(|row| unclipped_scale(magnitude(row), largest))
        .collect();
    let mut best: Vec<_> = unclipped
        .iter()
        .map(|&scale| (f64::INFINITY, scale))
        .collect();
    for above in ABOVE {
        let scales = unclipped
            .iter()
            .map(|scale| Scale(scale.0.saturating_add_signed(above)));
        let scales: Vec<Scale> = scales.collect();
        let errors = rows.par_iter().zip(&scales).with_min_len(8);
        let errors = errors.flat_map_iter(|(row, scale)| errors_of(row, scale.to_f32(), largest));
        let errors: Vec<f32> = errors.collect();
        let products = gram.as_ref().map(|gram| {
            let all = Tensor::from_slice(&errors, (rows.len(), cols), &Device::Cpu)?;
            all.matmul(gram)?.flatten_all()?.to_vec1::<f32>()
        });
        let products = products.transpose()?;
        let products = products.as_ref().unwrap_or(&errors);
        let pairs = errors.chunks_exact(cols).zip(products.chunks_exact(cols));
        for ((best, scale), (errors, products)) in best.iter_mut().zip(scales).zip(pairs) {
            let terms = errors.iter().zip(products);
            let total = terms.map(|(e, p)| f64::from(e * p)).sum();
            if total < best.0 {
                *best = (total, scale);
            }
        }
    }
    Ok(best.into_iter().map(|(_, scale)| scale).collect())
}

/// What rounding to steps of `scale` takes from each weight.
fn errors_of(row: &[f32], scale: f32, largest: f32) -> impl Iterator<Item = f32> {
    let rounded = round_row(row, scale, largest);
    row.iter()
        .zip(rounded)
        .map(move |(w, q)| w - f32::from(q) * scale)
}

#[expect(clippy::cast_possible_truncation, reason = "clamped")]
fn round_row(row: &[f32], scale: f32, largest: f32) -> impl Iterator<Item = i8> {
    let round = move |w: &f32| (w / scale).round_ties_even().clamp(-largest, largest) as i8;
    row.iter().map(round)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGEST: f32 = 127.0;

    /// Σe² of a row at the scale that was chosen, and at the one that clips nothing.
    fn errors(row: &[f32], chosen: Scale) -> (f32, f32) {
        let largest = row.iter().fold(0.0, |most: f32, w| most.max(w.abs()));
        let sum = |scale: Scale| errors_of(row, scale.to_f32(), LARGEST).map(|e| e * e).sum();
        (sum(chosen), sum(unclipped_scale(largest, LARGEST)))
    }

    #[test]
    fn without_clipping_the_error_is_at_most_half_a_step() {
        let row = [0.5, -1.0, 0.0, 0.123, -0.77, 1.27];
        let scale = unclipped_scale(1.27, LARGEST).to_f32();
        assert!(LARGEST * scale >= 1.27 && LARGEST * scale < 1.27 * 1.126);
        assert!(errors_of(&row, scale, LARGEST).all(|e| e.abs() <= scale * 0.501));
    }

    #[test]
    fn no_row_has_more_error_than_without_clipping() {
        let weights: Vec<f32> = (0..400_i16).map(|i| (f32::from(i) * 1.7).sin()).collect();
        let matrix = QuantizedMatrix::new(&weights, 10, vec![0.0; 40], None).unwrap();
        let rows = weights.chunks(10).zip(&matrix.scales);
        let (chosen, unclipped): (Vec<f32>, Vec<f32>) =
            rows.map(|(row, &scale)| errors(row, scale)).unzip();
        assert!(
            chosen
                .iter()
                .zip(&unclipped)
                .all(|(chosen, other)| chosen <= other)
        );
        assert!(chosen.iter().sum::<f32>() < 0.97 * unclipped.iter().sum::<f32>());
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
        let plain = QuantizedMatrix::new(&weights, 16, vec![0.0; 2], None).unwrap();
        let calibrated = QuantizedMatrix::new(&weights, 16, vec![0.0; 2], Some(&gram)).unwrap();
        let error = |matrix: &QuantizedMatrix, row: usize| {
            let scale = matrix.scales[row].to_f32();
            let errors = errors_of(&weights[row * 16..(row + 1) * 16], scale, LARGEST);
            // This Gram matrix is diagonal.
            let terms = errors.enumerate().map(|(i, e)| e * e * gram[i * 17]);
            terms.sum::<f32>()
        };
        for row in 0..2 {
            assert!(error(&calibrated, row) <= error(&plain, row));
        }
        assert_ne!(calibrated, plain);
    }

    #[test]
    fn rows_without_weights_have_a_valid_scale() {
        let matrix = QuantizedMatrix::new(&[0.0; 4], 2, vec![1.0, 2.0], Some(&[1.0; 4])).unwrap();
        assert!(matrix.scales.iter().all(|scale| scale.to_f32() > 0.0));
        assert!(matrix.is_row_empty(0) && matrix.is_column_empty(1));
    }

    #[test]
    fn constant_inputs_move_into_the_bias() {
        let mut matrix =
            QuantizedMatrix::new(&[127.0, 64.0, -127.0, 32.0], 2, vec![0.0, 1.0], None).unwrap();
        matrix.absorb([(1, 2.0)].into_iter());
        matrix.keep_columns(&[0]);
        assert_eq!(matrix.bias, [128.0, 65.0]);
        assert_eq!(matrix.weights, [127, -127]);
    }
}
