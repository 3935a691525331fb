//! y = x·Wᵀ + b.
//!
//! One operation instead of three: the gradient of W comes out as `[rows, cols]`,
//! as W is stored, where candle's transpose would add it up column by column.

use candle_core::backend::BackendStorage as _;
use candle_core::{CpuStorage, CustomOp3, InplaceOp2, Layout, Result, Shape, Tensor, bail};

use super::column_sums::column_sums;
use super::values;

/// `x` `[tokens, cols]`, `weight` `[rows, cols]`, `bias` `[rows]` → `[tokens, rows]`.
///
/// # Errors
/// When the shapes do not fit, or a tensor is not contiguous.
pub fn linear(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let ((_, cols), (rows, weight_cols)) = (x.dims2()?, weight.dims2()?);
    if cols != weight_cols || bias.dims() != [rows] {
        bail!(
            "linear: x has {cols} columns, W is [{rows}, {weight_cols}], b {:?}",
            bias.dims()
        );
    }
    x.apply_op3(weight, bias, Linear)
}

/// x·Wᵀ alone: a bias comes with what is next.
///
/// # Errors
/// When the shapes do not fit.
pub fn product(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    x.matmul(&weight.t()?)
}

/// Adds `bias` `[rows]` to what [`product`] made, which nobody else has yet.
pub(super) fn add_bias(product: &Tensor, bias: &Tensor) -> Result<()> {
    let (_, rows) = product.dims2()?;
    if bias.dims() != [rows] {
        bail!("a bias of {:?} for {rows} columns", bias.dims());
    }
    product.inplace_op2(bias, &AddBias)
}

/// Gradients of `x` and `weight`, where `gradient` is that of the result; that of the bias is
/// the sum of its columns.
///
/// # Errors
/// When the shapes do not fit.
pub fn linear_backward(x: &Tensor, weight: &Tensor, gradient: &Tensor) -> Result<(Tensor, Tensor)> {
    let gradient = gradient.contiguous()?;
    let of_x = gradient.matmul(weight)?;
    let of_weight = gradient.t()?.matmul(x)?;
    Ok((of_x, of_weight))
}

struct AddBias;

impl InplaceOp2 for AddBias {
    fn name(&self) -> &'static str {
        "add-bias"
    }

    fn cpu_fwd(
        &self,
        product: &mut CpuStorage,
        layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<()> {
        let bias = values(bias, bias_layout)?;
        match (product, layout.contiguous_offsets()) {
            (CpuStorage::F32(product), Some((start, end))) => {
                add_to_rows(&mut product[start..end], bias);
                Ok(())
            }
            _ => bail!("a product is contiguous and f32"),
        }
    }
}

fn add_to_rows(product: &mut [f32], bias: &[f32]) {
    for row in product.chunks_exact_mut(bias.len().max(1)) {
        for (y, b) in row.iter_mut().zip(bias) {
            *y += b;
        }
    }
}

struct Linear;

impl CustomOp3 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (tokens, cols) = x_layout.shape().dims2()?;
        let (rows, _) = weight_layout.shape().dims2()?;
        let bias = values(bias, bias_layout)?;
        let transposed = weight_layout.transpose(0, 1)?;
        let mut product = x.matmul(weight, (1, tokens, rows, cols), x_layout, &transposed)?;
        if let CpuStorage::F32(product) = &mut product {
            add_to_rows(product, bias);
        }
        Ok((product, (tokens, rows).into()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        x: &candle_core::CudaStorage,
        x_layout: &Layout,
        weight: &candle_core::CudaStorage,
        weight_layout: &Layout,
        bias: &candle_core::CudaStorage,
        bias_layout: &Layout,
    ) -> Result<(candle_core::CudaStorage, Shape)> {
        let operands = [(x, x_layout), (weight, weight_layout), (bias, bias_layout)];
        super::cuda::linear(operands)
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _bias: &Tensor,
        _result: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (of_x, of_weight) = linear_backward(x, weight, gradient)?;
        let of_bias = column_sums(&gradient.contiguous()?)?;
        Ok((Some(of_x), Some(of_weight), Some(of_bias)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::gradient_check::{check, variable};
    use super::*;

    #[test]
    fn gradient_is_that_of_differences() {
        let x = variable((3, 4), 0);
        let weight = variable((5, 4), 1);
        let bias = variable((1, 5), 2);
        check(&[x.clone(), weight.clone(), bias.clone()], || {
            linear(&x, &weight, &bias.flatten_all()?)
        });
    }

    #[test]
    fn shapes_must_fit() {
        let x = variable((3, 4), 0);
        let weight = variable((5, 3), 1);
        let bias = variable((1, 5), 2).flatten_all().unwrap();
        let error = linear(&x, &weight, &bias).unwrap_err().to_string();
        assert!(error.contains("x has 4 columns"), "{error}");
    }
}
