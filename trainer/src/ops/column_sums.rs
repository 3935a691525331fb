//! Σ over the rows of a matrix, first to last: what a bias gets. Of magnitudes: what an
//! input dimension weighs.
//!
//! A GPU adds up parts of the rows, then the parts. A backward has two dozen such sums of parts,
//! each too small for a GPU: [`DeferredSums`] makes them in one launch.

use candle_core::{Result, Tensor};

use super::on_cpu;

/// Sums that wait for their last pass, [`DeferredSums::finish`], and must not be read before it. On
/// a CPU none waits.
#[derive(Debug, Default)]
#[must_use = "sums that nobody finishes hold anything"]
pub(crate) struct DeferredSums {
    #[cfg(feature = "cuda")]
    pub(super) waiting: Vec<super::cuda::PartialSums>,
}

impl DeferredSums {
    /// Makes all of them.
    ///
    /// # Errors
    /// When a GPU has no memory for the list.
    pub(crate) fn finish(self) -> Result<()> {
        #[cfg(feature = "cuda")]
        super::cuda::finish(&self.waiting)?;
        Ok(())
    }
}

/// `x` `[rows, width]` → `[width]`.
#[cfg_attr(not(feature = "cuda"), expect(unused_variables, reason = "for a GPU"))]
pub(crate) fn column_sums(x: &Tensor, deferred: &mut DeferredSums) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if x.device().is_cuda() {
        return super::cuda::column_sums(x, deferred);
    }
    sums(x, |x| x)
}

/// Σ|x| of each column, `[rows, width]` → `[width]`. Rows are added
/// one by one on every device: what is pruned does not depend on it.
pub(crate) fn column_magnitudes(x: &Tensor) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if x.device().is_cuda() {
        return super::cuda::column_magnitudes(x);
    }
    sums(x, f32::abs)
}

/// A copy for each summand, so that the inner loop has no call.
fn sums(x: &Tensor, summand: impl Fn(f32) -> f32) -> Result<Tensor> {
    let (_, width) = x.dims2()?;
    on_cpu([x], width, |[x]| {
        let mut sums = vec![0.0; width];
        for row in x.chunks_exact(width.max(1)) {
            for (sum, &x) in sums.iter_mut().zip(row) {
                *sum += summand(x);
            }
        }
        sums
    })
}
