//! Multi-head attention over packed sequences: softmax(q·kᵀ·scale)·v.
//!
//! Each sequence's heads are copied into small matrices with rows of whole registers, which
//! are multiplied there. Only the sequences are parallel, each with rows of its own, so the
//! result does not depend on the number of threads. The backward computes the attention
//! weights again instead of keeping them.

use core::ops::Range;

use candle_core::{Result, Tensor, bail};
use rayon::iter::{IndexedParallelIterator as _, IntoParallelIterator as _, ParallelIterator as _};

use super::exponential::exponential;
use super::reduction::{largest, sum};
use super::tile::{self, ROWS, Tile};
use super::{Sequences, on_cpu};

/// Shape of the heads of one layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Heads {
    /// Number of heads.
    pub count: usize,
    /// Query, key and value dimensions of each.
    pub width: usize,
    /// Multiplies q·kᵀ; 1/√width of the unpruned head.
    pub scale: f32,
}

impl Heads {
    /// Columns of all queries, which are as many as those of all keys or values.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.count * self.width
    }
}

/// `[tokens, 3 · heads · width]` (queries, keys, values) → `[tokens, heads · width]`.
pub(crate) fn attention(projected: &Tensor, heads: Heads, sequences: &Sequences) -> Result<Tensor> {
    let (tokens, width) = projected.dims2()?;
    if width != 3 * heads.columns() || tokens != sequences.tokens() {
        bail!("attention: [{tokens}, {width}] for {heads:?}");
    }
    #[cfg(feature = "cuda")]
    if projected.device().is_cuda() {
        return super::cuda::attention(projected, heads, sequences);
    }
    on_cpu([projected], (tokens, heads.columns()), |[projected]| {
        heads.mix(projected, sequences)
    })
}

/// Gradient of `projected`, where `context` is the result and `gradient` its gradient.
///
/// # Errors
/// When a tensor is not contiguous.
#[cfg_attr(not(feature = "cuda"), expect(unused_variables, reason = "for a GPU"))]
pub(crate) fn attention_backward(
    projected: &Tensor,
    context: &Tensor,
    heads: Heads,
    sequences: &Sequences,
    gradient: &Tensor,
) -> Result<Tensor> {
    let gradient = gradient.contiguous()?;
    #[cfg(feature = "cuda")]
    if projected.device().is_cuda() {
        return super::cuda::attention_backward([projected, context, &gradient], heads, sequences);
    }
    on_cpu(
        [projected, &gradient],
        projected.shape(),
        |[projected, gradient]| heads.mix_backward(projected, gradient, sequences),
    )
}

/// Which part of a projected row.
#[derive(Clone, Copy)]
enum Part {
    Query,
    Key,
    Value,
}

impl Heads {
    /// Where a part of a head is in a projected row. A context is where its query was.
    fn place(self, head: usize, part: Part) -> Range<usize> {
        let first = (part as usize * self.count + head) * self.width;
        first..first + self.width
    }

    /// Attention weights from scores that are not scaled yet, row by row; 0 in the columns
    /// from `length` on.
    fn softmax(self, scores: &mut Tile, rows: Range<usize>, length: usize) {
        for row in rows {
            let row = scores.row_mut(row);
            row[length..].fill(f32::NEG_INFINITY);
            let largest = largest(row) * self.scale;
            for weight in row.iter_mut() {
                *weight = exponential(*weight * self.scale - largest);
            }
            let inverse = sum(row, row, |weight, _| weight).recip();
            for weight in row {
                *weight *= inverse;
            }
        }
    }
}

impl Heads {
    /// Contexts of all sequences.
    fn mix(self, projected: &[f32], sequences: &Sequences) -> Vec<f32> {
        let (heads, columns) = (self, self.columns());
        let width = 3 * columns;
        let mut context = vec![0.0; sequences.tokens() * columns];
        let starts: Vec<_> = sequences.lengths().collect();
        let parts = sequences.split_mut(&mut context, columns);
        parts
            .into_par_iter()
            .zip(starts)
            .for_each(|(context, (start, length))| {
                let rows = &projected[start * width..(start + length) * width];
                let rows = || rows.chunks_exact(width);
                let mut queries = Tile::new(length, heads.width);
                let mut keys = Tile::new(heads.width, length);
                let mut head_values = Tile::new(length, heads.width);
                let mut weights = Tile::new(ROWS, length);
                let mut mixed = Tile::new(ROWS, heads.width);
                for head in 0..heads.count {
                    let part = |part| rows().map(move |row| &row[heads.place(head, part)]);
                    queries.fill(part(Part::Query));
                    keys.fill_transposed(part(Part::Key));
                    head_values.fill(part(Part::Value));
                    for (block, context) in context.chunks_mut(ROWS * columns).enumerate() {
                        let rows = queries.factors(block, heads.width);
                        tile::multiply(rows, &keys, &mut weights, 0);
                        heads.softmax(&mut weights, 0..ROWS, length);
                        let rows = weights.factors(0, length);
                        tile::multiply(rows, &head_values, &mut mixed, 0);
                        for (row, context) in context.chunks_exact_mut(columns).enumerate() {
                            let context = &mut context[heads.place(head, Part::Query)];
                            context.copy_from_slice(&mixed.row(row)[..heads.width]);
                        }
                    }
                }
            });
        context
    }

    /// Gradients of all queries, keys and values.
    fn mix_backward(self, projected: &[f32], gradient: &[f32], sequences: &Sequences) -> Vec<f32> {
        let (heads, columns) = (self, self.columns());
        let width = 3 * columns;
        let mut result = vec![0.0; projected.len()];
        let starts: Vec<_> = sequences.lengths().collect();
        let parts = sequences.split_mut(&mut result, width);
        parts
            .into_par_iter()
            .zip(starts)
            .for_each(|(result, (start, length))| {
                let rows = &projected[start * width..(start + length) * width];
                let gradient = &gradient[start * columns..(start + length) * columns];
                let tile = || Tile::new(length, heads.width);
                let (mut queries, mut keys, mut grad_contexts) = (tile(), tile(), tile());
                let mut grad_part = tile();
                let turned = || Tile::new(heads.width, length);
                let (mut turned_keys, mut turned_values) = (turned(), turned());
                let square = || Tile::new(length, length);
                let (mut weights, mut grad_scores) = (square(), square());
                let blocks = length.div_ceil(ROWS);
                for head in 0..heads.count {
                    let place = |part| heads.place(head, part);
                    let part = |part| rows.chunks_exact(width).map(move |row| &row[place(part)]);
                    queries.fill(part(Part::Query));
                    keys.fill(part(Part::Key));
                    turned_keys.fill_transposed(part(Part::Key));
                    turned_values.fill_transposed(part(Part::Value));
                    let grad_context = gradient.chunks_exact(columns);
                    grad_contexts.fill(grad_context.map(|row| &row[place(Part::Query)]));
                    for block in 0..blocks {
                        let rows = queries.factors(block, heads.width);
                        tile::multiply(rows, &turned_keys, &mut weights, block);
                        let rows = grad_contexts.factors(block, heads.width);
                        tile::multiply(rows, &turned_values, &mut grad_scores, block);
                    }
                    heads.softmax(&mut weights, 0..length, length);
                    for row in 0..length {
                        let (weights, grad_scores) = (weights.row(row), grad_scores.row_mut(row));
                        let mean = sum(weights, grad_scores, |a, b| a * b);
                        for (grad_score, weight) in grad_scores.iter_mut().zip(weights) {
                            *grad_score = weight * (*grad_score - mean) * heads.scale;
                        }
                    }
                    let mut write = |part, made: &Tile| {
                        for (row, result) in result.chunks_exact_mut(width).enumerate() {
                            result[place(part)].copy_from_slice(&made.row(row)[..heads.width]);
                        }
                    };
                    for block in 0..blocks {
                        let rows = grad_scores.factors(block, length);
                        tile::multiply(rows, &keys, &mut grad_part, block);
                    }
                    write(Part::Query, &grad_part);
                    for block in 0..blocks {
                        let columns = grad_scores.factors_transposed(block, length);
                        tile::multiply(columns, &queries, &mut grad_part, block);
                    }
                    write(Part::Key, &grad_part);
                    for block in 0..blocks {
                        let columns = weights.factors_transposed(block, length);
                        tile::multiply(columns, &grad_contexts, &mut grad_part, block);
                    }
                    write(Part::Value, &grad_part);
                }
            });
        result
    }
}

#[cfg(test)]
mod tests {
    use super::super::gradient_check::{check, values};
    use super::*;

    const HEADS: Heads = Heads {
        count: 2,
        width: 3,
        scale: 0.6,
    };

    #[test]
    fn gradient_is_that_of_differences() {
        let wide = Heads { width: 17, ..HEADS };
        let scaled = values(&[20, 6 * 17], 13).affine(0.3, 0.0).unwrap();
        let cases = [
            ([3, 1, 2], HEADS, values(&[6, 18], 9)),
            // More than a register's width, and none.
            ([18, 0, 2], wide, scaled),
        ];
        for (lengths, heads, projected) in cases {
            let sequences = Sequences::of_lengths(lengths);
            check(
                [projected],
                |[projected]| attention(projected, heads, &sequences),
                |[projected], gradient| {
                    let context = attention(projected, heads, &sequences)?;
                    let gradient =
                        attention_backward(projected, &context, heads, &sequences, gradient)?;
                    Ok([gradient])
                },
            );
        }
    }

    #[test]
    fn sequences_do_not_see_each_other() {
        let projected = values(&[5, 18], 10);
        let together = Sequences::of_lengths([2, 3]);
        let together = attention(&projected, HEADS, &together).unwrap();
        for (start, length) in [(0, 2), (2, 3)] {
            let alone = projected.narrow(0, start, length).unwrap();
            let alone = attention(&alone, HEADS, &Sequences::of_lengths([length])).unwrap();
            let part = together.narrow(0, start, length).unwrap();
            assert_eq!(
                part.to_vec2::<f32>().unwrap(),
                alone.to_vec2::<f32>().unwrap()
            );
        }
    }
}
