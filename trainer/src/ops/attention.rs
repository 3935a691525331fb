//! Multi-head attention over packed sequences: softmax(q·kᵀ·scale)·v.
//!
//! Reads queries, keys and values where the projection left them, so nothing is
//! transposed or padded. Only the sequences are parallel, each with rows of its own,
//! so the result does not depend on the number of threads. The backward computes the
//! attention weights again instead of keeping them.

use candle_core::{CpuStorage, CustomOp1, CustomOp3, Layout, Result, Shape, Tensor, bail};
use rayon::iter::{IndexedParallelIterator as _, IntoParallelIterator as _, ParallelIterator as _};

use super::{Sequences, values};

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
///
/// # Errors
/// When the shape does not fit, or the tensor is not contiguous.
pub fn attention(projected: &Tensor, heads: Heads, sequences: &Sequences) -> Result<Tensor> {
    let (tokens, width) = projected.dims2()?;
    if width != 3 * heads.columns() || tokens != sequences.tokens() {
        bail!("attention: [{tokens}, {width}] for {heads:?}");
    }
    let sequences = sequences.clone();
    projected.apply_op1(Attention { heads, sequences })
}

/// Gradient of `projected`, where `context` is the result and `gradient` that of it.
///
/// # Errors
/// When a tensor is not contiguous.
pub fn attention_backward(
    projected: &Tensor,
    context: &Tensor,
    heads: Heads,
    sequences: &Sequences,
    gradient: &Tensor,
) -> Result<Tensor> {
    let sequences = sequences.clone();
    let backward = Backward { heads, sequences };
    projected.apply_op3_no_bwd(context, &gradient.contiguous()?, &backward)
}

struct Attention {
    heads: Heads,
    sequences: Sequences,
}

struct Backward {
    heads: Heads,
    sequences: Sequences,
}

/// Rows of one sequence, seen head by head.
struct View<'a> {
    rows: &'a [f32],
    heads: Heads,
    head: usize,
}

impl<'a> View<'a> {
    /// Part 0 is the query, 1 the key, 2 the value.
    fn vector(&self, token: usize, part: usize) -> &'a [f32] {
        let columns = self.heads.columns();
        let start = (token * 3 + part) * columns + self.head * self.heads.width;
        &self.rows[start..start + self.heads.width]
    }

    /// Attention weights of `token` over all tokens.
    fn weights(&self, token: usize, weights: &mut [f32]) {
        let query = self.vector(token, 0);
        let mut largest = f32::NEG_INFINITY;
        for (other, weight) in weights.iter_mut().enumerate() {
            *weight = dot(query, self.vector(other, 1)) * self.heads.scale;
            largest = largest.max(*weight);
        }
        let mut sum = 0.0;
        for weight in weights.iter_mut() {
            *weight = (*weight - largest).exp();
            sum += *weight;
        }
        for weight in weights.iter_mut() {
            *weight /= sum;
        }
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    // Eight partial sums, so that the compiler may use vector registers.
    let mut sums = [0.0_f32; 8];
    let (a_blocks, b_blocks) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest = a_blocks.remainder().iter().zip(b_blocks.remainder());
    let rest: f32 = rest.map(|(a, b)| a * b).sum();
    for (a, b) in a_blocks.zip(b_blocks) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    sums.iter().sum::<f32>() + rest
}

fn add_scaled(target: &mut [f32], factor: f32, source: &[f32]) {
    for (target, source) in target.iter_mut().zip(source) {
        *target += factor * source;
    }
}

impl CustomOp1 for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(&self, projected: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (tokens, width) = layout.shape().dims2()?;
        let (heads, columns) = (self.heads, self.heads.columns());
        let projected = values(projected, layout)?;
        let mut context = vec![0.0; tokens * columns];
        let starts: Vec<_> = self.sequences.lengths().collect();
        let parts = self.sequences.split_mut(&mut context, columns);
        parts
            .into_par_iter()
            .zip(starts)
            .for_each(|(context, (start, length))| {
                let rows = &projected[start * width..(start + length) * width];
                let mut weights = vec![0.0; length];
                for head in 0..heads.count {
                    let view = View { rows, heads, head };
                    for token in 0..length {
                        view.weights(token, &mut weights);
                        let first = token * columns + head * heads.width;
                        let context = &mut context[first..first + heads.width];
                        for (other, &weight) in weights.iter().enumerate() {
                            add_scaled(context, weight, view.vector(other, 2));
                        }
                    }
                }
            });
        Ok((CpuStorage::F32(context), (tokens, columns).into()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        projected: &candle_core::CudaStorage,
        projected_layout: &Layout,
    ) -> Result<(candle_core::CudaStorage, Shape)> {
        super::cuda::attention(projected, projected_layout, self.heads, &self.sequences)
    }

    fn bwd(
        &self,
        projected: &Tensor,
        context: &Tensor,
        gradient: &Tensor,
    ) -> Result<Option<Tensor>> {
        attention_backward(projected, context, self.heads, &self.sequences, gradient).map(Some)
    }
}

impl CustomOp3 for Backward {
    fn name(&self) -> &'static str {
        "attention-backward"
    }

    fn cpu_fwd(
        &self,
        projected: &CpuStorage,
        layout: &Layout,
        _context: &CpuStorage,
        _: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (heads, columns) = (self.heads, self.heads.columns());
        let width = 3 * columns;
        let projected = values(projected, layout)?;
        let gradient = values(gradient, gradient_layout)?;
        let mut result = vec![0.0; projected.len()];
        let starts: Vec<_> = self.sequences.lengths().collect();
        let parts = self.sequences.split_mut(&mut result, width);
        parts
            .into_par_iter()
            .zip(starts)
            .for_each(|(result, (start, length))| {
                let rows = &projected[start * width..(start + length) * width];
                let gradient = &gradient[start * columns..(start + length) * columns];
                let mut weights = vec![0.0; length];
                let mut of_scores = vec![0.0; length];
                for head in 0..heads.count {
                    let view = View { rows, heads, head };
                    let place = |token: usize, part: usize| {
                        let first = (token * 3 + part) * columns + head * heads.width;
                        first..first + heads.width
                    };
                    for token in 0..length {
                        view.weights(token, &mut weights);
                        let first = token * columns + head * heads.width;
                        let of_context = &gradient[first..first + heads.width];
                        let mut mean = 0.0;
                        for (other, (&weight, of_score)) in
                            weights.iter().zip(&mut of_scores).enumerate()
                        {
                            add_scaled(&mut result[place(other, 2)], weight, of_context);
                            *of_score = dot(of_context, view.vector(other, 2));
                            mean += weight * *of_score;
                        }
                        for (other, (&weight, &of_score)) in
                            weights.iter().zip(&of_scores).enumerate()
                        {
                            let of_score = weight * (of_score - mean) * heads.scale;
                            add_scaled(
                                &mut result[place(token, 0)],
                                of_score,
                                view.vector(other, 1),
                            );
                            add_scaled(
                                &mut result[place(other, 1)],
                                of_score,
                                view.vector(token, 0),
                            );
                        }
                    }
                }
            });
        Ok((CpuStorage::F32(result), layout.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        projected: &candle_core::CudaStorage,
        projected_layout: &Layout,
        context: &candle_core::CudaStorage,
        context_layout: &Layout,
        gradient: &candle_core::CudaStorage,
        gradient_layout: &Layout,
    ) -> Result<(candle_core::CudaStorage, Shape)> {
        let projected = (projected, projected_layout);
        let operands = [
            projected,
            (context, context_layout),
            (gradient, gradient_layout),
        ];
        super::cuda::attention_backward(operands, self.heads, &self.sequences)
    }
}

#[cfg(test)]
mod tests {
    use super::super::gradient_check::{check, variable};
    use super::*;

    const HEADS: Heads = Heads {
        count: 2,
        width: 3,
        scale: 0.6,
    };

    #[test]
    fn gradient_is_that_of_differences() {
        let sequences = Sequences::of_lengths([3, 1, 2]);
        let projected = variable((6, 18), 9);
        check(core::slice::from_ref(&projected), || {
            attention(&projected, HEADS, &sequences)
        });
    }

    #[test]
    fn sequences_do_not_see_each_other() {
        let projected = variable((5, 18), 10);
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
