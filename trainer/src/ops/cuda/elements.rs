//! Launches with one thread per value: biases, activations, rounding.

use candle_core::{Result, Tensor};

use super::sums::{PartialSums, Parts};
use super::{
    Kernel, Source, address, alone, device_of, for_each, for_each_row, fresh, kernel, size,
};
use crate::ops::{DeferredSums, Lifetime};
use crate::recipe::ActivationKind;

/// See [`crate::ops::fake_quantize`].
pub(in crate::ops) fn fake_quantize(x: &Tensor, steps: f32) -> Result<Tensor> {
    let device = device_of(x)?;
    let (rows, width) = x.dims2()?;
    let y = alone(device, (rows, width))?;
    let (from, to) = (address(x, rows * width)?, address(&y, rows * width)?);
    let (rows, width) = (size(rows)?, size(width)?);
    launch!(
        kernel(device, Source::General, "fake_quantize")?,
        for_each_row(rows),
        &from,
        &to,
        &rows,
        &width,
        &steps
    );
    Ok(y)
}

/// Adds a bias to a product; see [`crate::ops::add_bias`].
pub(in crate::ops) fn add_bias(product: &Tensor, bias: &Tensor) -> Result<()> {
    let device = device_of(product)?;
    let (tokens, width) = product.dims2()?;
    let (product, bias) = (address(product, tokens * width)?, address(bias, width)?);
    let (count, width) = (size(tokens * width)?, size(width)?);
    launch!(
        kernel(device, Source::General, "add_bias")?,
        for_each(count),
        &product,
        &bias,
        &count,
        &width
    );
    Ok(())
}

/// See [`crate::ops::activation`].
pub(in crate::ops) fn activation(x: &Tensor, kind: ActivationKind) -> Result<Tensor> {
    let device = device_of(x)?;
    let count = x.elem_count();
    let y = alone(device, x.shape())?;
    let (from, to) = (address(x, count)?, address(&y, count)?);
    let (count, kind) = (size(count)?, kind.number_in_kernels());
    launch!(
        kernel(device, Source::General, "activation")?,
        for_each(count),
        &from,
        &to,
        &count,
        &kind
    );
    Ok(y)
}

/// See [`crate::ops::bias_and_activate`]; the bias is added to `product` in place.
pub(in crate::ops) fn bias_and_activate(
    product: &Tensor,
    bias: &Tensor,
    kind: ActivationKind,
) -> Result<Tensor> {
    let device = device_of(product)?;
    let (rows, width) = product.dims2()?;
    let y = fresh(device, (rows, width), Lifetime::Step)?;
    // Fresh from a product: nothing else uses it.
    let (x, bias) = (address(product, rows * width)?, address(bias, width)?);
    let to = address(&y, rows * width)?;
    let (count, cols) = (size(rows * width)?, size(width)?);
    let kind = kind.number_in_kernels();
    launch!(
        kernel(device, Source::General, "bias_and_activate")?,
        for_each(count),
        &x,
        &bias,
        &to,
        &count,
        &cols,
        &kind
    );
    Ok(y)
}

/// See [`crate::ops::activation_backward`]: gradients of x, and of a bias added to it.
pub(in crate::ops) fn activation_backward(
    x: &Tensor,
    gradient: &Tensor,
    kind: ActivationKind,
    deferred: &mut DeferredSums,
) -> Result<[Tensor; 2]> {
    let device = device_of(x)?;
    let (rows, width) = x.dims2()?;
    let grad_x = fresh(device, (rows, width), Lifetime::Moment)?;
    let parts = Parts::new(rows, width)?;
    let partial = PartialSums::new(device, parts.count, width)?;
    let (x, gradient) = (address(x, rows * width)?, address(gradient, rows * width)?);
    let (to_x, to_partial) = (address(&grad_x, rows * width)?, partial.address()?);
    let (count, cols) = (size(rows)?, size(width)?);
    let kind = kind.number_in_kernels();
    launch!(
        kernel(device, Source::General, "activation_backward")?,
        parts.configuration,
        &x,
        &gradient,
        &to_x,
        &to_partial,
        &count,
        &cols,
        &parts.rows_each,
        &kind
    );
    Ok([grad_x, partial.sums(deferred)?])
}
