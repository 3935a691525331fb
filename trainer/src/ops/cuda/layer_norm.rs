//! Launches of `layer_norm.cu`.

use candle_core::cuda_backend::cudarc::driver::{DeviceRepr, LaunchConfig};
use candle_core::{Result, Tensor, bail};

use super::sums::PartialSums;
use super::{Kernel, Source, WARP, address, alone, device_of, fresh, grid, kernel, size};
use crate::ops::{DeferredSums, Lifetime};

/// Values of shared memory that every GPU gives to a block: a row of sums for each warp.
const SHARED_VALUES: usize = 48 * 1024 / size_of::<f32>();
/// Warps of a block at most.
const WARPS: usize = 8;
/// Blocks of [`layer_norm_backward`] at most: two for each core of a large GPU.
const BLOCKS: usize = 264;

/// The gradients of a LayerNorm's result, whose sum is its gradient; as in `layer_norm.cu`.
#[repr(C)]
struct Addends([u64; MOST_ADDENDS]);
const MOST_ADDENDS: usize = 3;
// SAFETY: a kernel takes it by value, as it is in memory.
unsafe impl DeviceRepr for Addends {}

/// Rows of one width, one warp each.
struct Rows {
    source: Source,
    count: u32,
    warps: usize,
}

impl Rows {
    fn new(count: usize, width: usize) -> Result<Self> {
        if !(1..=SHARED_VALUES).contains(&width) {
            bail!("layer-norm: rows of {width} values, 1 to {SHARED_VALUES} will do");
        }
        let warps = (SHARED_VALUES / width).min(WARPS);
        Ok(Self {
            source: Source::LayerNorm { width, warps },
            count: size(count)?,
            warps,
        })
    }

    /// Blocks for all rows at once.
    fn blocks(&self) -> usize {
        (self.count as usize).div_ceil(self.warps).max(1)
    }

    fn grid(&self, blocks: usize) -> Result<LaunchConfig> {
        Ok(grid(size(blocks)?, 1, 1, (size(self.warps)? * WARP, 1), 0))
    }
}

/// See [`crate::ops::layer_norm`].
pub(in crate::ops) fn layer_norm(
    x: &Tensor,
    gain: &Tensor,
    shift: &Tensor,
    epsilon: f32,
) -> Result<Tensor> {
    let device = device_of(x)?;
    let (count, width) = x.dims2()?;
    let rows = Rows::new(count, width)?;
    let y = alone(device, (count, width))?;
    let (x, to) = (address(x, count * width)?, address(&y, count * width)?);
    let (gain, shift) = (address(gain, width)?, address(shift, width)?);
    launch!(
        kernel(device, rows.source, "layer_norm")?,
        rows.grid(rows.blocks())?,
        &x,
        &gain,
        &shift,
        &to,
        &rows.count,
        &epsilon
    );
    Ok(y)
}

/// See [`crate::ops::add_and_normalize`]; `product` becomes the sum.
pub(in crate::ops) fn add_and_normalize(
    [product, bias, residual, gain, shift]: [&Tensor; 5],
    epsilon: f32,
) -> Result<Tensor> {
    let device = device_of(product)?;
    let (count, width) = product.dims2()?;
    let rows = Rows::new(count, width)?;
    let y = fresh(device, (count, width), Lifetime::Step)?;
    // Fresh from a product: nothing else uses it.
    let (sum, residual) = (
        address(product, count * width)?,
        address(residual, count * width)?,
    );
    let [bias, gain, shift] = [bias, gain, shift].map(|it| address(it, width));
    let (bias, gain, shift) = (bias?, gain?, shift?);
    let grad_y = address(&y, count * width)?;
    launch!(
        kernel(device, rows.source, "add_and_normalize")?,
        rows.grid(rows.blocks())?,
        &sum,
        &bias,
        &residual,
        &gain,
        &shift,
        &grad_y,
        &rows.count,
        &epsilon
    );
    Ok(y)
}

/// See [`crate::ops::layer_norm_backward`]: gradients of x, gain, shift, and of a bias added
/// to x.
pub(in crate::ops) fn layer_norm_backward(
    x: &Tensor,
    gain: &Tensor,
    epsilon: f32,
    gradients: &[Tensor],
    deferred: &mut DeferredSums,
) -> Result<[Tensor; 4]> {
    let device = device_of(x)?;
    let (count, width) = x.dims2()?;
    let rows = Rows::new(count, width)?;
    let mut addends = [0_u64; MOST_ADDENDS];
    if gradients.is_empty() || gradients.len() > addends.len() {
        bail!("layer-norm: the sum of {} gradients", gradients.len());
    }
    for (place, gradient) in addends.iter_mut().zip(gradients) {
        *place = address(gradient, count * width)?;
    }
    let addends = Addends(addends);
    let blocks = rows.blocks().min(BLOCKS);
    let grad_x = fresh(device, (count, width), Lifetime::Moment)?;
    let partial = PartialSums::new(device, blocks, 3 * width)?;
    let (x, gain) = (address(x, count * width)?, address(gain, width)?);
    let (to_x, to_partial) = (address(&grad_x, count * width)?, partial.address()?);
    launch!(
        kernel(device, rows.source, "layer_norm_backward")?,
        rows.grid(blocks)?,
        &x,
        &gain,
        &addends,
        &to_x,
        &to_partial,
        &rows.count,
        &epsilon
    );
    let sums = partial.sums(deferred)?;
    let part = |number: usize| sums.narrow(0, number * width, width);
    Ok([grad_x, part(0)?, part(1)?, part(2)?])
}
