//! Products of bf16 matrices with results in f32, by cuBLAS.

use core::ffi::c_int;

use candle_core::backend::BackendStorage as _;
use candle_core::cuda_backend::cudarc::cublas::{result, sys};
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, DevicePtr as _, DevicePtrMut as _};
use candle_core::{CudaStorage, Error, Layout, Result, bail};
use half::bf16;

use super::{Output, room, wrap};

/// A matrix as cuBLAS, which counts down columns, is to read it: what it gets is the transpose.
struct Operand {
    turned: sys::cublasOperation_t,
    /// Values from one row of what is stored to the next.
    pitch: c_int,
}

impl Operand {
    /// Of a matrix that is stored row by row, or whose transpose is.
    fn new(layout: &Layout) -> Result<Self> {
        let (rows, columns) = layout.shape().dims2()?;
        let (turned, pitch) = match *layout.stride() {
            [pitch, 1] if pitch >= columns => (sys::cublasOperation_t::CUBLAS_OP_N, pitch),
            [1, pitch] if pitch >= rows => (sys::cublasOperation_t::CUBLAS_OP_T, pitch),
            ref strides => bail!("a product of {rows} × {columns} with strides {strides:?}"),
        };
        Ok(Self {
            turned,
            pitch: length(pitch)?,
        })
    }
}

fn length(value: usize) -> Result<c_int> {
    c_int::try_from(value).map_err(|_| Error::msg(format!("{value} is too long for a product")))
}

/// Where the values of a matrix begin.
fn begin<'s>(storage: &'s CudaStorage, layout: &Layout) -> Result<(&'s CudaSlice<bf16>, u64)> {
    let offset = layout.start_offset() * size_of::<bf16>();
    Ok((storage.as_cuda_slice::<bf16>()?, offset as u64))
}

/// `left` `[m, k]` · `right` `[k, n]`; see [`crate::ops::product`].
pub(in crate::ops) fn product_of_bf16(
    [(left, left_layout), (right, right_layout)]: [(&CudaStorage, &Layout); 2],
) -> Output {
    let (rows, inner) = left_layout.shape().dims2()?;
    let (right_rows, columns) = right_layout.shape().dims2()?;
    if inner != right_rows {
        bail!("a product of {rows} × {inner} and {right_rows} × {columns}");
    }
    let (of_left, of_right) = (Operand::new(left_layout)?, Operand::new(right_layout)?);
    let device = left.device();
    let mut product = room(device, rows * columns)?;
    let (m, n, k) = (length(rows)?, length(columns)?, length(inner)?);
    let (one, zero) = (1.0_f32, 0.0_f32);
    let (left, left_offset) = begin(left, left_layout)?;
    let (right, right_offset) = begin(right, right_layout)?;
    let (stream, blas) = (device.cuda_stream(), device.cublas_handle());
    {
        let (left, _left_read) = left.device_ptr(&stream);
        let (right, _right_read) = right.device_ptr(&stream);
        let (made, _written) = product.device_ptr_mut(&stream);
        // SAFETY: the strides of both layouts are those of whole matrices within their
        // storages, `made` has room for m · n values, and a sum without a multiple of what is
        // there does not read it.
        unsafe {
            result::gemm_ex(
                *blas.handle(),
                of_right.turned,
                of_left.turned,
                n,
                m,
                k,
                (&raw const one).cast(),
                (right + right_offset) as *const _,
                sys::cudaDataType_t::CUDA_R_16BF,
                of_right.pitch,
                (left + left_offset) as *const _,
                sys::cudaDataType_t::CUDA_R_16BF,
                of_left.pitch,
                (&raw const zero).cast(),
                made as *mut _,
                sys::cudaDataType_t::CUDA_R_32F,
                n,
                sys::cublasComputeType_t::CUBLAS_COMPUTE_32F,
                sys::cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT,
            )
        }
        .map_err(Error::wrap)?;
    }
    wrap(product, device, (rows, columns))
}
