//! The operations on an NVIDIA GPU: launches of what is in the `.cu` files, which NVRTC
//! compiles when the first of each is needed.
//!
//! Everything runs on the one stream of its device (`crate::ops::device`), so what a launch
//! reads is written before it. Shapes are checked before an operation knows its device:
//! kernels trust them.
#![allow(unsafe_code, reason = "kernel launches; see `launch`")]

use core::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::backend::BackendStorage as _;
use candle_core::cuda_backend::CudaDevice;
use candle_core::cuda_backend::cudarc::driver::{
    CudaFunction, CudaModule, CudaSlice, CudaStream, CudaView, DevicePtr as _, LaunchConfig,
    result, sys,
};
use candle_core::cuda_backend::cudarc::nvrtc::{CompileOptions, compile_ptx_with_opts};
use candle_core::op::BackpropOp;
use candle_core::{CudaStorage, Device, Error, Layout, Result, Shape, Storage, Tensor, bail};

use self::chunks::fresh;
use self::rows::offsets;
use neuroprune_runtime::math::GELU;

/// Launches a kernel with these arguments.
macro_rules! launch {
    ($kernel:expr, $configuration:expr, $($argument:expr),+ $(,)?) => {{
        use candle_core::cuda_backend::cudarc::driver::PushKernelArg as _;
        let Kernel { function, stream } = &$kernel;
        let mut builder = stream.launch_builder(function);
        $(builder.arg($argument);)+
        // SAFETY: number, order and types of the arguments are those of the kernel, and
        // its caller has made every buffer as large as the kernel's comment says.
        unsafe { builder.launch($configuration) }.map_err(candle_core::Error::wrap)?;
    }};
}

// After the macro, which they use.
mod adamw;
mod attention;
mod choice;
mod chunks;
mod elements;
mod layer_norm;
mod loss;
mod product;
mod recurrence;
mod rows;
mod sums;

pub(super) use adamw::adamw;
pub(super) use attention::{attention, attention_backward};
pub(super) use choice::keep_best;
pub(super) use elements::{
    activation, activation_backward, add_bias, bias_and_activate, fake_quantize,
};
pub(super) use layer_norm::{add_and_normalize, layer_norm, layer_norm_backward};
pub(super) use loss::{add_cross_entropy, add_squared_distance};
pub(super) use product::product;
pub(super) use recurrence::{
    recurrence, recurrence_backward, with_neighbours, with_neighbours_backward,
};
pub(super) use rows::{Uploaded, mean, mean_backward, rows, rows_backward};
pub(super) use sums::{PartialSums, column_magnitudes, column_sums, finish};

/// The oldest architecture the kernels are compiled for; the driver adapts them.
const ARCHITECTURE: &str = "compute_80";
const OLDEST: i32 = 8;

/// Threads of a warp, and of a block where nothing else decides.
const WARP: u32 = 32;
const THREADS: u32 = 256;
/// Blocks that fill a large GPU.
const BLOCKS: u32 = 2048;
/// As in `kernels.cu`.
const CHUNK: usize = 8192;

/// Makes a fresh device fit for many small operations.
///
/// Memory that was freed is kept by the program: by default the driver takes it back
/// whenever the host waits, once a step, and every allocation after that is a slow one.
///
/// # Errors
/// When the driver refuses, or the GPU is older than the kernels.
pub(crate) fn prepare(device: &CudaDevice) -> Result<()> {
    let major = sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR;
    let context = device.cuda_stream().context().clone();
    let major = context.attribute(major).map_err(Error::wrap)?;
    if major < OLDEST {
        bail!("its compute capability is {major}, {OLDEST} (Ampere) is the oldest that will do");
    }
    // SAFETY: the device was opened with a stream of its own, and all tensors on it are
    // made, used and freed in the order of that stream: nothing has to wait for events.
    unsafe { device.disable_event_tracking() };
    let gpu = context.cu_device();
    let mut kept = u64::MAX;
    // SAFETY: the pool is that of an open device, and the attribute is a `u64`.
    unsafe {
        let pool = result::device::get_default_mem_pool(gpu).map_err(Error::wrap)?;
        let attribute = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
        result::mem_pool::set_attribute(pool, attribute, (&raw mut kept).cast())
            .map_err(Error::wrap)
    }
}

/// Bytes that this program can use in all: what is free, and what its pool holds already.
///
/// # Errors
/// When the driver refuses.
pub(crate) fn available(device: &CudaDevice) -> Result<u64> {
    let context = device.cuda_stream().context().clone();
    let (free, _) = context.mem_get_info().map_err(Error::wrap)?;
    let gpu = context.cu_device();
    let mut held = 0_u64;
    // SAFETY: the pool is that of an open device, and the attribute is a `u64`.
    unsafe {
        let pool = result::device::get_default_mem_pool(gpu).map_err(Error::wrap)?;
        let attribute = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT;
        result::mem_pool::get_attribute(pool, attribute, (&raw mut held).cast())
            .map_err(Error::wrap)?;
    }
    Ok(free as u64 + held)
}

/// Where kernels are, with the sizes that are constants in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    /// `kernels.cu`, for all sizes.
    General,
    /// `attention.cu`.
    Attention { head_width: usize },
    /// `layer_norm.cu`.
    LayerNorm { width: usize, warps: usize },
}

impl Source {
    fn text(self) -> &'static str {
        match self {
            Self::General => include_str!("kernels.cu"),
            Self::Attention { .. } => include_str!("attention.cu"),
            Self::LayerNorm { .. } => include_str!("layer_norm.cu"),
        }
    }

    fn options(self) -> Vec<String> {
        match self {
            Self::General => ["END", "A", "B", "C", "D"]
                .iter()
                .zip(GELU)
                .map(|(name, value)| format!("-DGELU_{name}={value:e}f"))
                .collect(),
            Self::Attention { head_width } => vec![format!("-DHEAD_WIDTH={head_width}")],
            Self::LayerNorm { width, warps } => {
                vec![format!("-DWIDTH={width}"), format!("-DWARPS={warps}")]
            }
        }
    }
}

/// Compiled kernels by GPU and source.
static MODULES: Mutex<BTreeMap<(usize, Source), Arc<CudaModule>>> = Mutex::new(BTreeMap::new());

thread_local! {
    /// Their functions by name: the driver takes longer to find one than to launch it. Each
    /// thread has its own, so that parallel runs do not wait for one another.
    static FUNCTIONS: RefCell<BTreeMap<(usize, Source, &'static str), CudaFunction>> =
        const { RefCell::new(BTreeMap::new()) };
}

/// A kernel and the stream it goes to.
struct Kernel {
    function: CudaFunction,
    stream: Arc<CudaStream>,
}

fn kernel(device: &CudaDevice, source: Source, name: &'static str) -> Result<Kernel> {
    let stream = device.cuda_stream();
    let gpu = stream.context().ordinal();
    FUNCTIONS.with_borrow_mut(|functions| {
        let function = match functions.entry((gpu, source, name)) {
            Entry::Occupied(entry) => entry.get().clone(),
            Entry::Vacant(entry) => {
                let module = module(&stream, source)?;
                let function = module.load_function(name).map_err(Error::wrap)?;
                entry.insert(function).clone()
            }
        };
        Ok(Kernel { function, stream })
    })
}

fn module(stream: &CudaStream, source: Source) -> Result<Arc<CudaModule>> {
    let mut modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
    match modules.entry((stream.context().ordinal(), source)) {
        Entry::Occupied(entry) => Ok(entry.get().clone()),
        Entry::Vacant(entry) => {
            let options = CompileOptions {
                arch: Some(ARCHITECTURE),
                options: source.options(),
                ..CompileOptions::default()
            };
            let ptx = compile_ptx_with_opts(source.text(), options)
                .map_err(|error| Error::msg(format!("NVRTC: {error:?}")))?;
            let module = stream.context().load_module(ptx).map_err(Error::wrap)?;
            Ok(entry.insert(module).clone())
        }
    }
}

fn grid(x: u32, y: u32, z: u32, threads: (u32, u32), shared_bytes: u32) -> LaunchConfig {
    LaunchConfig {
        grid_dim: (x, y, z),
        block_dim: (threads.0, threads.1, 1),
        shared_mem_bytes: shared_bytes,
    }
}

/// One thread per value, up to a limit.
fn for_each(count: u32) -> LaunchConfig {
    let blocks = count.div_ceil(THREADS).clamp(1, BLOCKS);
    grid(blocks, 1, 1, (THREADS, 1), 0)
}

/// One warp per row.
fn for_each_row(rows: u32) -> LaunchConfig {
    grid(rows.div_ceil(THREADS / WARP), 1, 1, (THREADS, 1), 0)
}

fn size(value: usize) -> Result<u32> {
    u32::try_from(value).map_err(|_| Error::msg(format!("{value} values are too many for a GPU")))
}

/// The values of a contiguous `f32` tensor.
fn values<'s>(storage: &'s CudaStorage, layout: &Layout) -> Result<CudaView<'s, f32>> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(storage.as_cuda_slice::<f32>()?.slice(start..end)),
        None => bail!(
            "expected a contiguous tensor, got strides {:?}",
            layout.stride()
        ),
    }
}

/// Address of the `count` values of a contiguous `f32` tensor on its GPU, for tables of tensors
/// that a kernel reads.
fn address(tensor: &Tensor, count: usize) -> Result<u64> {
    let (storage, layout) = tensor.storage_and_layout();
    let Storage::Cuda(storage) = &*storage else {
        bail!("a tensor is not on the GPU");
    };
    if layout.shape().elem_count() != count {
        bail!("{:?} for {count} weights", layout.shape());
    }
    let values = values(storage, layout)?;
    let stream = storage.device().cuda_stream();
    let (address, _synchronized) = values.device_ptr(&stream);
    Ok(address)
}

/// A tensor in memory of its own, all values of which a kernel is to write.
fn alone(device: &CudaDevice, shape: impl Into<Shape>) -> Result<Tensor> {
    let shape = shape.into();
    Ok(tensor(room(device, shape.elem_count())?, device, shape))
}

/// Memory for values, all of which a kernel writes.
fn room(device: &CudaDevice, count: usize) -> Result<CudaSlice<f32>> {
    // SAFETY: each user launches a kernel that writes every value before any is read.
    unsafe { device.alloc::<f32>(count) }
}

/// A tensor of what kernels wrote.
fn tensor(values: CudaSlice<f32>, device: &CudaDevice, shape: impl Into<Shape>) -> Tensor {
    let storage = Storage::Cuda(CudaStorage::wrap_cuda_slice(values, device.clone()));
    Tensor::from_storage(storage, shape, BackpropOp::none(), false)
}

/// The GPU of a tensor.
fn device_of(tensor: &Tensor) -> Result<&CudaDevice> {
    match tensor.device() {
        Device::Cuda(device) => Ok(device),
        _ => bail!("a tensor is not on a GPU"),
    }
}
