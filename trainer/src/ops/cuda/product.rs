//! Products of matrices with results in f32, by cuBLAS.

use core::ffi::c_int;

use candle_core::backend::BackendStorage as _;
use candle_core::cuda_backend::CudaDType;
use candle_core::cuda_backend::cudarc::cublas::{result, sys};
use candle_core::cuda_backend::cudarc::driver::DevicePtr as _;
use candle_core::{CudaStorage, DType, Error, Result, Storage, Tensor, bail};
use half::bf16;

use super::{address, device_of, fresh};
use crate::ops::Lifetime;

/// A matrix for cuBLAS, which counts down columns, and so reads the transpose.
struct Operand {
    /// Of its first value.
    address: u64,
    turned: sys::cublasOperation_t,
    /// Values from one row of what is stored to the next.
    pitch: c_int,
}

impl Operand {
    /// Of a matrix that is stored row by row, or whose transpose is.
    fn new(matrix: &Tensor) -> Result<Self> {
        let (storage, layout) = matrix.storage_and_layout();
        let Storage::Cuda(storage) = &*storage else {
            bail!("a matrix is not on the GPU");
        };
        let (rows, columns) = layout.shape().dims2()?;
        let (turned, pitch) = match *layout.stride() {
            [pitch, 1] if pitch >= columns => (sys::cublasOperation_t::CUBLAS_OP_N, pitch),
            [1, pitch] if pitch >= rows => (sys::cublasOperation_t::CUBLAS_OP_T, pitch),
            ref strides => bail!("a product of {rows} × {columns} with strides {strides:?}"),
        };
        let start = layout.start_offset();
        Ok(Self {
            address: match storage.dtype() {
                DType::BF16 => address_from::<bf16>(storage, start)?,
                _ => address_from::<f32>(storage, start)?,
            },
            turned,
            pitch: length(pitch)?,
        })
    }
}

fn address_from<T: CudaDType>(storage: &CudaStorage, start: usize) -> Result<u64> {
    let stream = storage.device().cuda_stream();
    let values = storage.as_cuda_slice::<T>()?.slice(start..);
    let (address, _synchronized) = values.device_ptr(&stream);
    Ok(address)
}

fn length(value: usize) -> Result<c_int> {
    c_int::try_from(value).map_err(|_| Error::msg(format!("{value} is too long for a product")))
}

/// `left` `[m, k]` · `right` `[k, n]`, both in f32, which is read as TF32, or both in bf16; see
/// [`crate::ops::product`].
pub(in crate::ops) fn product([left, right]: [&Tensor; 2], lifetime: Lifetime) -> Result<Tensor> {
    use sys::cublasComputeType_t::{CUBLAS_COMPUTE_32F, CUBLAS_COMPUTE_32F_FAST_TF32};
    use sys::cudaDataType_t::{CUDA_R_16BF, CUDA_R_32F};

    let ((rows, inner), (_, columns)) = (left.dims2()?, right.dims2()?);
    let (kind, compute) = match left.dtype() {
        DType::BF16 => (CUDA_R_16BF, CUBLAS_COMPUTE_32F),
        _ => (CUDA_R_32F, CUBLAS_COMPUTE_32F_FAST_TF32),
    };
    if rows * inner * columns == 0 {
        return Tensor::zeros((rows, columns), DType::F32, left.device());
    }
    let device = device_of(left)?;
    let product = fresh(device, (rows, columns), lifetime)?;
    let to = address(&product, rows * columns)?;
    let (left, right) = (Operand::new(left)?, Operand::new(right)?);
    let (m, n, k) = (length(rows)?, length(columns)?, length(inner)?);
    let (one, zero) = (1.0_f32, 0.0_f32);
    let blas = device.cublas_handle();
    // SAFETY: both operands are of one type, the left with as many columns as the right has rows,
    // which the caller has checked; their strides are those of whole matrices within their
    // storages; `to` has room for m · n values, and with a factor of zero for its old values they
    // are not read.
    unsafe {
        result::gemm_ex(
            *blas.handle(),
            right.turned,
            left.turned,
            n,
            m,
            k,
            (&raw const one).cast(),
            right.address as *const _,
            kind,
            right.pitch,
            left.address as *const _,
            kind,
            left.pitch,
            (&raw const zero).cast(),
            to as *mut _,
            CUDA_R_32F,
            n,
            compute,
            sys::cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT,
        )
    }
    .map_err(Error::wrap)?;
    Ok(product)
}
