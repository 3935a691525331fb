//! Where a run computes: on the CPU, or on an NVIDIA GPU where the program was built with
//! the feature `cuda`.

use core::fmt;
use core::str::FromStr;

use candle_core::{Device, Tensor};

/// A device by name: `cpu`, `cuda`, `cuda:1`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum DeviceName {
    /// The processor: the same bits for any number of threads.
    #[default]
    Cpu,
    /// The GPU of this number.
    Cuda(usize),
}

/// Why a device cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum DeviceError {
    /// Not in this program.
    #[cfg_attr(feature = "cuda", expect(dead_code, reason = "built with it"))]
    #[error(
        "{0}: this program was built without CUDA; build it with \
         `cargo build --release --features cuda` (needs nvcc)"
    )]
    NotBuilt(DeviceName),
    /// Not in this machine.
    #[cfg_attr(
        not(feature = "cuda"),
        expect(dead_code, reason = "only a GPU fails so")
    )]
    #[error("{name}: {source}")]
    Open {
        /// The device.
        name: DeviceName,
        /// The driver's error.
        source: candle_core::Error,
    },
}

impl DeviceName {
    /// Opens the device.
    ///
    /// On a GPU products of matrices are in TF32, with sums in `f32`.
    pub(crate) fn open(self) -> Result<Device, DeviceError> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            #[cfg(not(feature = "cuda"))]
            Self::Cuda(_) => Err(DeviceError::NotBuilt(self)),
            #[cfg(feature = "cuda")]
            Self::Cuda(number) => {
                candle_core::cuda::set_gemm_reduced_precision_f32(true);
                open_cuda(number).map_err(|source| DeviceError::Open { name: self, source })
            }
        }
    }
}

/// One stream for all threads, so that nothing has to wait for events.
#[cfg(feature = "cuda")]
fn open_cuda(number: usize) -> candle_core::Result<Device> {
    let device = Device::new_cuda_with_stream(number)?;
    crate::ops::prepare(device.as_cuda_device()?)?;
    Ok(device)
}

/// Whether products of matrices of odd sizes are slower there than somewhat larger ones of
/// even sizes.
pub(crate) fn multiplies_whole_lines(device: &Device) -> bool {
    device.is_cuda()
}

/// Sequences of one forward pass when nothing is learned, none of more than `tokens`: what the cache of
/// a processor holds, or what keeps a GPU busy.
pub(crate) fn sequences_at_once(device: &Device, tokens: usize) -> usize {
    const ON_CPU: usize = 64;
    const TOKENS_ON_GPU: usize = 16_384;
    match device {
        Device::Cpu => ON_CPU,
        Device::Cuda(_) | Device::Metal(_) => (TOKENS_ON_GPU / tokens.max(1)).max(ON_CPU),
    }
}

/// The values of a tensor, row by row.
///
/// On a GPU a tensor is often cut from a chunk of memory (`cuda/chunks.rs`), all of which candle's own
/// `to_vec` functions copy to the host: 64 MiB for a few logits.
pub(crate) fn values_on_host(tensor: &Tensor) -> candle_core::Result<Vec<f32>> {
    let own = match tensor.device() {
        Device::Cpu => tensor.clone(),
        Device::Cuda(_) | Device::Metal(_) => tensor.force_contiguous()?,
    };
    own.flatten_all()?.to_vec1::<f32>()
}

/// Bytes that this program may use in all on a GPU: what is free, and what it holds; `None` where
/// the device does not report it.
pub(crate) fn available(device: &Device) -> Option<u64> {
    match device {
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => super::cuda::available(device).ok(),
        _ => None,
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

impl FromStr for DeviceName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("{text}: expected cpu, cuda or cuda:NUMBER");
        match text.split_once(':') {
            None if text == "cpu" => Ok(Self::Cpu),
            None if text == "cuda" => Ok(Self::Cuda(0)),
            Some(("cuda", number)) => number.parse().map(Self::Cuda).map_err(|_| expected()),
            _ => Err(expected()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for name in ["cpu", "cuda:0", "cuda:3"] {
            assert_eq!(name.parse::<DeviceName>().unwrap().to_string(), name);
        }
        assert_eq!("cuda".parse(), Ok(DeviceName::Cuda(0)));
        for name in ["", "gpu", "cuda:", "cuda:x", "cpu:0"] {
            assert!(
                name.parse::<DeviceName>()
                    .unwrap_err()
                    .contains("expected cpu")
            );
        }
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_program_without_cuda_says_how_to_get_it() {
        let error = DeviceName::Cuda(0).open().unwrap_err().to_string();
        assert!(error.contains("--features cuda"), "{error}");
    }
}
