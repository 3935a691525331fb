//! Launches that add to a loss and to the gradient of its logits; see
//! [`crate::ops::LossSum`].
#![expect(clippy::cast_possible_truncation, reason = "f32 is what is trained")]

use candle_core::{Result, Tensor};

use super::{Kernel, Source, WARP, address, device_of, for_each, fresh, grid, kernel, size};
use crate::ops::Lifetime;

/// Threads of the one block that adds up a loss.
const THREADS: u32 = 1024;

/// Adds `weight`·CE(`scale`·logits, targets) to both sums; or, where `targets` are the
/// logits of a teacher, softmax(`scale`·targets) is the target.
pub(in crate::ops) fn add_cross_entropy(
    [value, grad_logits]: [&Tensor; 2],
    [logits, targets]: [&Tensor; 2],
    is_taught: bool,
    scale: f64,
    weight: f64,
) -> Result<()> {
    let device = device_of(logits)?;
    let (rows, width) = logits.dims2()?;
    let places = [logits, targets, grad_logits].map(|it| address(it, rows * width));
    let [logits, targets, grad_logits] = places;
    let (logits, targets, grad_logits) = (logits?, targets?, grad_logits?);
    let value = address(value, 1)?;
    let (count, cols) = (size(rows)?, size(width)?);
    let (scale, weight) = (scale as f32, weight as f32);
    let answers = u32::from(is_taught);
    launch!(
        kernel(device, Source::General, "cross_entropy")?,
        grid(1, 1, 1, (THREADS, 1), 0),
        &logits,
        &targets,
        &value,
        &grad_logits,
        &count,
        &cols,
        &scale,
        &weight,
        &answers
    );
    Ok(())
}

/// Adds `weight`·Σ(own − shown)² to `value`; returns the gradient of `own`.
pub(in crate::ops) fn add_squared_distance(
    value: &Tensor,
    [own, shown]: [&Tensor; 2],
    weight: f64,
) -> Result<Tensor> {
    let device = device_of(own)?;
    let count = own.elem_count();
    let gradient = fresh(device, own.shape(), Lifetime::Step)?;
    let configuration = for_each(size(count)?);
    let blocks = configuration.grid_dim.0;
    let partial = fresh(device, blocks as usize, Lifetime::Moment)?;
    let (to, partial) = (
        address(&gradient, count)?,
        address(&partial, blocks as usize)?,
    );
    let (own, shown) = (address(own, count)?, address(shown, count)?);
    let value = address(value, 1)?;
    let (values, weight) = (size(count)?, weight as f32);
    launch!(
        kernel(device, Source::General, "squared_distance")?,
        configuration,
        &own,
        &shown,
        &to,
        &partial,
        &values,
        &weight
    );
    launch!(
        kernel(device, Source::General, "add_up")?,
        grid(1, 1, 1, (WARP, 1), 0),
        &partial,
        &value,
        &blocks,
        &weight
    );
    Ok(gradient)
}
