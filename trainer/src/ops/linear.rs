//! y = x·Wᵀ + b.
//!
//! The gradient of W is `[rows, cols]`, as W is stored. Operands in bf16 are multiplied as such,
//! and the result is in f32 all the same: sums of many small numbers do not fit into seven bits of
//! fraction.

use candle_core::{DType, Result, Tensor, bail};

use super::{Lifetime, change};

/// x·Wᵀ: `x` `[tokens, cols]`, `weight` `[rows, cols]`, both f32 or both bf16 →
/// `[tokens, rows]` in f32.
pub(crate) fn product(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    multiply(x, &weight.t()?, Lifetime::Step)
}

/// Adds `bias` `[rows]` to what [`product`] made, which nothing else uses yet.
pub(crate) fn add_bias(product: &Tensor, bias: &Tensor) -> Result<()> {
    let (_, rows) = product.dims2()?;
    if bias.dims() != [rows] {
        bail!("a bias of {:?} for {rows} columns", bias.dims());
    }
    #[cfg(feature = "cuda")]
    if product.device().is_cuda() {
        return super::cuda::add_bias(product, bias);
    }
    change(product, [bias; 2], |product, bias, _| {
        for row in product.chunks_exact_mut(bias.len().max(1)) {
            for (y, b) in row.iter_mut().zip(bias) {
                *y += b;
            }
        }
    })
}

/// Gradients of `x` and `weight` in f32, where `gradient` is that of the result; that of the
/// bias is the sum of its columns.
pub(crate) fn linear_backward(
    x: &Tensor,
    weight: &Tensor,
    gradient: &Tensor,
) -> Result<(Tensor, Tensor)> {
    let gradient = gradient.contiguous()?.to_dtype(x.dtype())?;
    let grad_x = multiply(&gradient, weight, Lifetime::Moment)?;
    let grad_weight = multiply(&gradient.t()?, x, Lifetime::Step)?;
    Ok((grad_x, grad_weight))
}

/// `left` `[m, k]` · `right` `[k, n]` → `[m, n]` in f32; each may be the transpose of a matrix.
#[cfg_attr(not(feature = "cuda"), expect(unused_variables, reason = "for a GPU"))]
fn multiply(left: &Tensor, right: &Tensor, lifetime: Lifetime) -> Result<Tensor> {
    let (left_shape, right_shape) = (left.dims2()?, right.dims2()?);
    if left_shape.1 != right_shape.0 || left.dtype() != right.dtype() {
        bail!(
            "a product of {left_shape:?} in {:?} and {right_shape:?} in {:?}",
            left.dtype(),
            right.dtype()
        );
    }
    #[cfg(feature = "cuda")]
    if left.device().is_cuda() {
        return super::cuda::product([left, right], lifetime);
    }
    if left.dtype() == DType::BF16 {
        // candle would round the result to bf16 too.
        return widen(left)?.matmul(&widen(right)?);
    }
    left.matmul(right)
}

/// A matrix of bf16 in f32, stored as it is or as its transpose is.
fn widen(matrix: &Tensor) -> Result<Tensor> {
    if matrix.is_contiguous() {
        matrix.to_dtype(DType::F32)
    } else {
        matrix.t()?.to_dtype(DType::F32)?.t()
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::super::gradient_check::{check, values};
    use super::*;

    fn matrix(rows: usize, columns: usize, index: u64) -> Tensor {
        values(&[rows, columns], index)
    }

    #[test]
    fn gradients_are_those_of_differences() {
        check(
            [matrix(3, 4, 0), matrix(5, 4, 1)],
            |[x, weight]| product(x, weight),
            |[x, weight], gradient| {
                let (grad_x, grad_weight) = linear_backward(x, weight, gradient)?;
                Ok([grad_x, grad_weight])
            },
        );
    }

    /// The same in bf16 as in f32 where bf16 holds every operand, with sums that it cannot hold.
    #[test]
    fn products_of_bf16_are_exact() {
        let whole = |rows: usize, columns: usize, step: usize| {
            let values = (0..rows * columns).map(|it| ((it * step) % 255) as f32 - 127.0);
            Tensor::from_iter(values, &Device::Cpu)
                .unwrap()
                .reshape((rows, columns))
                .unwrap()
        };
        let (x, weight, gradient) = (whole(7, 33, 5), whole(9, 33, 7), whole(7, 9, 11));
        let [short_x, short_weight] = [&x, &weight].map(|it| it.to_dtype(DType::BF16).unwrap());
        let rows = |x: Tensor| x.to_vec2::<f32>().unwrap();
        let expected = rows(product(&x, &weight).unwrap());
        assert_eq!(rows(product(&short_x, &short_weight).unwrap()), expected);
        assert!(
            expected
                .iter()
                .flatten()
                .any(|&y| half::bf16::from_f32(y).to_f32() != y)
        );
        let (grad_x, grad_weight) = linear_backward(&x, &weight, &gradient).unwrap();
        let short = linear_backward(&short_x, &short_weight, &gradient).unwrap();
        assert_eq!(rows(short.0), rows(grad_x));
        assert_eq!(rows(short.1), rows(grad_weight));
    }

    #[test]
    fn shapes_and_types_must_fit() {
        let (x, weight) = (matrix(3, 4, 0), matrix(5, 3, 1));
        let error = product(&x, &weight).unwrap_err().to_string();
        assert!(error.contains("(3, 4) in F32 and (3, 5)"), "{error}");
        let weight = matrix(5, 4, 1).to_dtype(DType::BF16).unwrap();
        let error = product(&x, &weight).unwrap_err().to_string();
        assert!(error.contains("BF16"), "{error}");
        let bias = matrix(1, 4, 2).flatten_all().unwrap();
        let y = product(&x, &matrix(5, 4, 1)).unwrap();
        let error = add_bias(&y, &bias).unwrap_err().to_string();
        assert!(error.contains("bias of [4]"), "{error}");
    }
}
