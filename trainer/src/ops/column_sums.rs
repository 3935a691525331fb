//! Σ over the rows of a matrix, first to last: what a bias gets. Of magnitudes: what an
//! input dimension weighs.
//!
//! A GPU adds up parts of the rows, then the parts. A backward has two dozen such sums of parts,
//! each too small for a GPU: [`DeferredSums`] makes them in one launch.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use super::values;

/// Sums that wait for their last pass, [`DeferredSums::finish`], before which they must not be read.
/// On a CPU none waits.
#[derive(Debug, Default)]
#[must_use = "sums that nobody finishes hold anything"]
pub struct DeferredSums {
    #[cfg(feature = "cuda")]
    pub(super) waiting: Vec<super::cuda::PartialSums>,
}

impl DeferredSums {
    /// Makes all of them.
    ///
    /// # Errors
    /// When a GPU has no memory for the list.
    pub fn finish(self) -> Result<()> {
        #[cfg(feature = "cuda")]
        super::cuda::finish(&self.waiting)?;
        Ok(())
    }
}

/// `x` `[rows, width]` → `[width]`, without a backward.
///
/// # Errors
/// When `x` is not a contiguous matrix.
#[cfg_attr(not(feature = "cuda"), expect(unused_variables, reason = "for a GPU"))]
pub(crate) fn column_sums(x: &Tensor, deferred: &mut DeferredSums) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if x.device().is_cuda() {
        return super::cuda::column_sums(x, deferred);
    }
    x.apply_op1_no_bwd(&ColumnSums::OfValues)
}

/// Σ|x| of each column, `[rows, width]` → `[width]`, without a backward. Rows are added
/// one by one on every device: what is pruned does not depend on it.
///
/// # Errors
/// When `x` is not a contiguous matrix.
pub(crate) fn column_magnitudes(x: &Tensor) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if x.device().is_cuda() {
        return super::cuda::column_magnitudes(x);
    }
    x.apply_op1_no_bwd(&ColumnSums::OfMagnitudes)
}

/// A copy for each summand, so that the inner loop has no call.
fn sums(
    x: &CpuStorage,
    layout: &Layout,
    summand: impl Fn(f32) -> f32,
) -> Result<(CpuStorage, Shape)> {
    let (_, width) = layout.shape().dims2()?;
    let mut sums = vec![0.0; width];
    for row in values(x, layout)?.chunks_exact(width.max(1)) {
        for (sum, &x) in sums.iter_mut().zip(row) {
            *sum += summand(x);
        }
    }
    Ok((CpuStorage::F32(sums), width.into()))
}

enum ColumnSums {
    OfValues,
    OfMagnitudes,
}

impl CustomOp1 for ColumnSums {
    fn name(&self) -> &'static str {
        match self {
            Self::OfValues => "column-sums",
            Self::OfMagnitudes => "column-magnitudes",
        }
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        match self {
            Self::OfValues => sums(x, layout, |x| x),
            Self::OfMagnitudes => sums(x, layout, f32::abs),
        }
    }
}
