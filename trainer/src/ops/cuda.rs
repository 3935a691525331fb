//! The operations on an NVIDIA GPU: launches of `kernels.cu` and `attention.cu`, which NVRTC
//! compiles when the first of them is needed.
//!
//! Everything runs on the one stream of its device (`crate::device`), so what a launch
//! reads is written before it. Shapes are checked before an operation knows its device:
//! kernels trust them.
#![allow(unsafe_code, reason = "kernel launches; see `launch`")]

use core::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use candle_core::backend::BackendStorage as _;
use candle_core::cuda_backend::CudaDevice;
use candle_core::cuda_backend::cudarc::driver::{
    CudaFunction, CudaModule, CudaSlice, CudaStream, CudaView, DevicePtr as _, DeviceRepr,
    LaunchConfig, result, sys,
};
use candle_core::cuda_backend::cudarc::nvrtc::{CompileOptions, compile_ptx_with_opts};
use candle_core::op::BackpropOp;
use candle_core::{CudaStorage, Device, Error, Layout, Result, Shape, Storage, Tensor, bail};

use super::{RowIndex, Sequences};
use crate::recipe::ActivationKind;

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

// Behind the macro, which they use.
mod attention;
mod product;
pub(crate) mod removal;

pub(super) use attention::{attention, attention_backward};
pub(super) use product::product_of_bf16;

const SOURCE: &str = include_str!("kernels.cu");
const ATTENTION_SOURCE: &str = include_str!("attention.cu");
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
const ROWS_OF_SUMS: u32 = 8;

/// Makes a fresh device fit for many small operations.
///
/// Memory that was freed stays with the program: by default the driver takes it back
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

/// Bytes that this program can have in all: what is free, and what its pool holds already.
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

type Output = Result<(CudaStorage, Shape)>;

/// Compiled kernels by GPU and by the head width they are for; 0 is those of `kernels.cu`.
static MODULES: Mutex<BTreeMap<(usize, usize), Arc<CudaModule>>> = Mutex::new(BTreeMap::new());

thread_local! {
    /// Their functions by name: the driver takes longer to find one than to launch it. Each
    /// thread has its own, so that runs side by side do not wait for one another.
    static FUNCTIONS: RefCell<BTreeMap<(usize, usize, &'static str), CudaFunction>> =
        const { RefCell::new(BTreeMap::new()) };
}

/// A kernel and the stream it goes to.
struct Kernel {
    function: CudaFunction,
    stream: Arc<CudaStream>,
}

fn kernel(device: &CudaDevice, name: &'static str, head_width: usize) -> Result<Kernel> {
    let stream = device.cuda_stream();
    let gpu = stream.context().ordinal();
    FUNCTIONS.with_borrow_mut(|functions| {
        let function = match functions.entry((gpu, head_width, name)) {
            Entry::Occupied(entry) => entry.get().clone(),
            Entry::Vacant(entry) => {
                let module = module(&stream, head_width)?;
                let function = module.load_function(name).map_err(Error::wrap)?;
                entry.insert(function).clone()
            }
        };
        Ok(Kernel { function, stream })
    })
}

fn module(stream: &CudaStream, head_width: usize) -> Result<Arc<CudaModule>> {
    let mut modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
    match modules.entry((stream.context().ordinal(), head_width)) {
        Entry::Occupied(entry) => Ok(entry.get().clone()),
        Entry::Vacant(entry) => {
            let mut options = CompileOptions {
                arch: Some(ARCHITECTURE),
                ..CompileOptions::default()
            };
            let mut source = SOURCE;
            if head_width > 0 {
                options.options = vec![format!("-DHEAD_WIDTH={head_width}")];
                source = ATTENTION_SOURCE;
            }
            let ptx = compile_ptx_with_opts(source, options)
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

/// One thread a value, as far as there are.
fn for_each(count: u32) -> LaunchConfig {
    let blocks = count.div_ceil(THREADS).clamp(1, BLOCKS);
    grid(blocks, 1, 1, (THREADS, 1), 0)
}

/// One warp a row.
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

/// Where the `count` values of a contiguous `f32` tensor are on its GPU, for tables of
/// tensors that a kernel reads.
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

/// Room for values that a kernel writes, all of them.
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

fn wrap(values: CudaSlice<f32>, device: &CudaDevice, shape: impl Into<Shape>) -> Output {
    let storage = CudaStorage::wrap_cuda_slice(values, device.clone());
    Ok((storage, shape.into()))
}

/// See [`super::layer_norm`].
pub(super) fn layer_norm([x, gain, shift]: [(&CudaStorage, &Layout); 3], epsilon: f32) -> Output {
    let (device, shape) = (x.0.device(), x.1.shape());
    let (rows, width) = shape.dims2()?;
    let mut y = room(device, rows * width)?;
    let (x, gain, shift) = (
        values(x.0, x.1)?,
        values(gain.0, gain.1)?,
        values(shift.0, shift.1)?,
    );
    let (rows, width) = (size(rows)?, size(width)?);
    launch!(
        kernel(device, "layer_norm", 0)?,
        for_each_row(rows),
        &x,
        &gain,
        &shift,
        &mut y,
        &rows,
        &width,
        &epsilon
    );
    wrap(y, device, shape)
}

/// See [`super::add_and_normalize`]; what `product` holds becomes the sum.
pub(super) fn add_and_normalize(
    [product, bias, residual, gain, shift]: [&Tensor; 5],
    epsilon: f32,
) -> Result<Tensor> {
    let device = device_of(product)?;
    let (rows, width) = product.dims2()?;
    let mut y = room(device, rows * width)?;
    // Fresh from a product, nobody else has it.
    let (sum, residual) = (
        address(product, rows * width)?,
        address(residual, rows * width)?,
    );
    let [bias, gain, shift] = [bias, gain, shift].map(|it| address(it, width));
    let (bias, gain, shift) = (bias?, gain?, shift?);
    let (count, cols) = (size(rows)?, size(width)?);
    launch!(
        kernel(device, "add_and_normalize", 0)?,
        for_each_row(count),
        &sum,
        &bias,
        &residual,
        &gain,
        &shift,
        &mut y,
        &count,
        &cols,
        &epsilon
    );
    Ok(tensor(y, device, (rows, width)))
}

/// See [`super::layer_norm_backward`]: gradients of x, gain, shift, and of a bias added to x.
pub(super) fn layer_norm_backward(
    x: &Tensor,
    gain: &Tensor,
    epsilon: f32,
    gradients: &[&Tensor],
) -> Result<[Tensor; 4]> {
    let device = device_of(x)?;
    let (rows, width) = x.dims2()?;
    let count = rows * width;
    let mut addends = [0_u64; MOST_ADDENDS];
    if gradients.is_empty() || gradients.len() > addends.len() {
        bail!("layer-norm: the sum of {} gradients", gradients.len());
    }
    for (place, gradient) in addends.iter_mut().zip(gradients) {
        *place = address(gradient, count)?;
    }
    let addends = Addends(addends);
    let bytes_of_warp = 3 * width * size_of::<f32>();
    let warps = (SHARED_BYTES / bytes_of_warp.max(1)).clamp(1, 8);
    let blocks = rows.div_ceil(warps).clamp(1, NORM_BLOCKS);
    let configuration = grid(
        size(blocks)?,
        1,
        1,
        (size(warps)? * WARP, 1),
        size(warps * bytes_of_warp)?,
    );
    let mut of_x = room(device, count)?;
    let mut partial = room(device, blocks * 3 * width)?;
    let (x, gain) = (address(x, count)?, address(gain, width)?);
    let (row_count, cols) = (size(rows)?, size(width)?);
    launch!(
        kernel(device, "layer_norm_backward", 0)?,
        configuration,
        &x,
        &gain,
        &addends,
        &mut of_x,
        &mut partial,
        &row_count,
        &cols,
        &epsilon
    );
    let sums = tensor(
        add_rows(device, &partial, blocks, 3 * width)?,
        device,
        3 * width,
    );
    let part = |number: usize| sums.narrow(0, number * width, width);
    Ok([
        tensor(of_x, device, (rows, width)),
        part(0)?,
        part(1)?,
        part(2)?,
    ])
}

/// The gradients of a LayerNorm's result, whose sum is its gradient; as in `kernels.cu`.
#[repr(C)]
struct Addends([u64; MOST_ADDENDS]);
const MOST_ADDENDS: usize = 3;
// SAFETY: a kernel takes it by value, as it lies in memory.
unsafe impl DeviceRepr for Addends {}

/// Shared memory that every GPU gives to a block.
const SHARED_BYTES: usize = 48 * 1024;
/// Blocks of [`layer_norm_backward`]: two for each core of a large GPU.
const NORM_BLOCKS: usize = 264;

/// Column sums are added up in two passes.
struct Sums {
    parts: usize,
    rows_each: u32,
    configuration: LaunchConfig,
}

impl Sums {
    fn new(rows: usize, width: usize) -> Result<Self> {
        // Parts of at least 64 rows, and at most 64 parts.
        let rows_each = rows.div_ceil(64).max(64);
        let parts = rows.max(1).div_ceil(rows_each);
        Ok(Self {
            parts,
            rows_each: size(rows_each)?,
            configuration: columns(width, parts)?,
        })
    }

    /// Room for the sums of each part.
    fn room(&self, device: &CudaDevice, width: usize) -> Result<CudaSlice<f32>> {
        room(device, self.parts * width)
    }

    fn finish(
        &self,
        device: &CudaDevice,
        partial: CudaSlice<f32>,
        width: usize,
    ) -> Result<CudaSlice<f32>> {
        if self.parts == 1 {
            return Ok(partial);
        }
        add_rows(device, &partial, self.parts, width)
    }
}

/// Blocks of columns for each part of the rows.
fn columns(width: usize, parts: usize) -> Result<LaunchConfig> {
    let columns = size(width)?.div_ceil(WARP);
    Ok(grid(columns, size(parts)?, 1, (WARP, ROWS_OF_SUMS), 0))
}

/// Sums of the columns of `x` `[rows, width]`, in one pass.
fn add_rows(
    device: &CudaDevice,
    x: &CudaSlice<f32>,
    rows: usize,
    width: usize,
) -> Result<CudaSlice<f32>> {
    let mut sums = room(device, width)?;
    let (rows, cols) = (size(rows)?, size(width)?);
    launch!(
        kernel(device, "column_sums", 0)?,
        columns(width, 1)?,
        x,
        &mut sums,
        &rows,
        &cols,
        &rows
    );
    Ok(sums)
}

/// See [`super::column_sums`].
pub(super) fn column_sums(x: &CudaStorage, layout: &Layout) -> Output {
    let device = x.device();
    let (rows, width) = layout.shape().dims2()?;
    let x = values(x, layout)?;
    let sums = Sums::new(rows, width)?;
    let mut partial = sums.room(device, width)?;
    let (count, cols) = (size(rows)?, size(width)?);
    launch!(
        kernel(device, "column_sums", 0)?,
        sums.configuration,
        &x,
        &mut partial,
        &count,
        &cols,
        &sums.rows_each
    );
    wrap(sums.finish(device, partial, width)?, device, width)
}

/// See [`super::column_magnitudes`].
pub(super) fn column_magnitudes(x: &CudaStorage, layout: &Layout) -> Output {
    let device = x.device();
    let (rows, width) = layout.shape().dims2()?;
    let x = values(x, layout)?;
    let mut sums = room(device, width)?;
    let (rows, cols) = (size(rows)?, size(width)?);
    launch!(
        kernel(device, "column_magnitudes", 0)?,
        grid(cols.div_ceil(WARP), 1, 1, (WARP, 1), 0),
        &x,
        &mut sums,
        &rows,
        &cols
    );
    wrap(sums, device, width)
}

/// See [`super::fake_quantize`].
pub(super) fn fake_quantize(x: &CudaStorage, layout: &Layout) -> Output {
    let (device, shape) = (x.device(), layout.shape());
    let (rows, width) = shape.dims2()?;
    let x = values(x, layout)?;
    let mut y = room(device, rows * width)?;
    let (rows, width) = (size(rows)?, size(width)?);
    launch!(
        kernel(device, "fake_quantize", 0)?,
        for_each_row(rows),
        &x,
        &mut y,
        &rows,
        &width
    );
    wrap(y, device, shape)
}

/// Adds a bias to a product; see [`super::linear()`].
pub(super) fn add_bias(
    (product, layout): (&mut CudaStorage, &Layout),
    bias: (&CudaStorage, &Layout),
) -> Result<()> {
    let (tokens, rows) = layout.shape().dims2()?;
    let Some((start, end)) = layout.contiguous_offsets() else {
        bail!("a product is contiguous");
    };
    let bias = values(bias.0, bias.1)?;
    let device = product.device().clone();
    let (count, width) = (size(tokens * rows)?, size(rows)?);
    let product = product.as_cuda_slice_mut::<f32>()?;
    let mut product = product.slice_mut(start..end);
    launch!(
        kernel(&device, "add_bias", 0)?,
        for_each(count),
        &mut product,
        &bias,
        &count,
        &width
    );
    Ok(())
}

/// As in `kernels.cu`.
fn number_of(kind: ActivationKind) -> u32 {
    match kind {
        ActivationKind::Relu => 0,
        ActivationKind::Gelu => 1,
    }
}

/// See [`super::activation`].
pub(super) fn activation(x: &CudaStorage, layout: &Layout, kind: ActivationKind) -> Output {
    let device = x.device();
    let x = values(x, layout)?;
    let mut y = room(device, x.len())?;
    let (count, kind) = (size(x.len())?, number_of(kind));
    launch!(
        kernel(device, "activation", 0)?,
        for_each(count),
        &x,
        &mut y,
        &count,
        &kind
    );
    wrap(y, device, layout.shape())
}

/// See [`super::bias_and_activate`]; what `product` holds gets the bias.
pub(super) fn bias_and_activate(
    product: &Tensor,
    bias: &Tensor,
    kind: ActivationKind,
) -> Result<Tensor> {
    let device = device_of(product)?;
    let (rows, width) = product.dims2()?;
    let mut y = room(device, rows * width)?;
    // Fresh from a product, nobody else has it.
    let (x, bias) = (address(product, rows * width)?, address(bias, width)?);
    let (count, cols) = (size(rows * width)?, size(width)?);
    let kind = number_of(kind);
    launch!(
        kernel(device, "bias_and_activate", 0)?,
        for_each(count),
        &x,
        &bias,
        &mut y,
        &count,
        &cols,
        &kind
    );
    Ok(tensor(y, device, (rows, width)))
}

/// See [`super::activation_backward`]: gradients of x, and of a bias added to it.
pub(super) fn activation_backward(
    x: &Tensor,
    gradient: &Tensor,
    kind: ActivationKind,
) -> Result<[Tensor; 2]> {
    let device = device_of(x)?;
    let (rows, width) = x.dims2()?;
    let mut of_x = room(device, rows * width)?;
    let sums = Sums::new(rows, width)?;
    let mut partial = sums.room(device, width)?;
    let (x, gradient) = (address(x, rows * width)?, address(gradient, rows * width)?);
    let (count, cols) = (size(rows)?, size(width)?);
    let kind = number_of(kind);
    launch!(
        kernel(device, "activation_backward", 0)?,
        sums.configuration,
        &x,
        &gradient,
        &mut of_x,
        &mut partial,
        &count,
        &cols,
        &sums.rows_each,
        &kind
    );
    let of_bias = sums.finish(device, partial, width)?;
    Ok([
        tensor(of_x, device, (rows, width)),
        tensor(of_bias, device, width),
    ])
}

/// See [`super::rows`].
pub(super) fn rows(table: &CudaStorage, layout: &Layout, index: &RowIndex) -> Output {
    let device = table.device();
    let (_, width) = layout.shape().dims2()?;
    let count = index.ids().len();
    let table = values(table, layout)?;
    let ids = device.clone_htod(index.ids())?;
    let mut y = room(device, count * width)?;
    let cols = size(width)?;
    launch!(
        kernel(device, "gather_rows", 0)?,
        grid(size(count)?, 1, 1, (THREADS, 1), 0),
        &table,
        &ids,
        &mut y,
        &cols
    );
    wrap(y, device, (count, width))
}

/// Gradient of the table.
pub(super) fn rows_backward(
    gradient: &CudaStorage,
    layout: &Layout,
    index: &RowIndex,
    table_rows: usize,
) -> Output {
    let device = gradient.device();
    let (_, width) = layout.shape().dims2()?;
    let gradient = values(gradient, layout)?;
    let (distinct, starts, places) = index.grouped();
    let blocks = size(distinct.len())?;
    let all = [distinct, starts, places];
    let [after_distinct, after_starts] = [all[0].len(), all[0].len() + all[1].len()];
    let all = device.clone_htod(&all.concat())?;
    let (distinct, starts) = (
        all.slice(..after_distinct),
        all.slice(after_distinct..after_starts),
    );
    let places = all.slice(after_starts..);
    let mut of_table = device.alloc_zeros::<f32>(table_rows * width)?;
    let cols = size(width)?;
    launch!(
        kernel(device, "scatter_rows", 0)?,
        grid(blocks, 1, 1, (THREADS, 1), 0),
        &gradient,
        &distinct,
        &starts,
        &places,
        &mut of_table,
        &cols
    );
    wrap(of_table, device, (table_rows, width))
}

/// Offsets of [`Sequences`] on a GPU, once they are there, with its number: every layer reads
/// them twice.
#[derive(Clone, Debug, Default)]
pub(super) struct Uploaded(Arc<OnceLock<(usize, Arc<CudaSlice<u32>>)>>);

/// Where sequences lie does not depend on it.
impl PartialEq for Uploaded {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Uploaded {}

fn offsets(device: &CudaDevice, sequences: &Sequences) -> Result<Arc<CudaSlice<u32>>> {
    let gpu = device.cuda_stream().context().ordinal();
    let Uploaded(uploaded) = &sequences.uploaded;
    if let Some((there, offsets)) = uploaded.get()
        && *there == gpu
    {
        return Ok(offsets.clone());
    }
    let offsets = sequences.offsets.iter().map(|&offset| size(offset));
    let offsets = offsets.collect::<Result<Vec<u32>>>()?;
    let offsets = Arc::new(device.clone_htod(&offsets)?);
    // Another GPU's stay where they are.
    let _ = uploaded.set((gpu, offsets.clone()));
    Ok(offsets)
}

/// See [`super::mean`].
pub(super) fn mean(x: &CudaStorage, layout: &Layout, sequences: &Sequences) -> Output {
    let device = x.device();
    let (_, width) = layout.shape().dims2()?;
    let x = values(x, layout)?;
    let offsets = offsets(device, sequences)?;
    let mut y = room(device, sequences.count() * width)?;
    let cols = size(width)?;
    launch!(
        kernel(device, "mean_rows", 0)?,
        grid(size(sequences.count())?, 1, 1, (THREADS, 1), 0),
        &x,
        &*offsets,
        &mut y,
        &cols
    );
    wrap(y, device, (sequences.count(), width))
}

/// Gradient of the tokens.
pub(super) fn mean_backward(
    gradient: &CudaStorage,
    layout: &Layout,
    sequences: &Sequences,
) -> Output {
    let device = gradient.device();
    let (_, width) = layout.shape().dims2()?;
    let gradient = values(gradient, layout)?;
    let offsets = offsets(device, sequences)?;
    let mut of_x = room(device, sequences.tokens() * width)?;
    let cols = size(width)?;
    launch!(
        kernel(device, "mean_rows_backward", 0)?,
        grid(size(sequences.count())?, 1, 1, (THREADS, 1), 0),
        &gradient,
        &*offsets,
        &mut of_x,
        &cols
    );
    wrap(of_x, device, (sequences.tokens(), width))
}

/// A loss and the gradient of its logits, which grow by what is added to them; see
/// `crate::loss`.
pub(crate) struct Losses {
    /// One number.
    pub(crate) value: Tensor,
    /// `[sequences, labels]`.
    pub(crate) of_logits: Tensor,
}

impl Losses {
    /// Zeros for these logits.
    ///
    /// # Errors
    /// When memory cannot be had.
    pub(crate) fn new(logits: &Tensor) -> Result<Self> {
        let device = device_of(logits)?;
        Ok(Self {
            value: tensor(device.alloc_zeros::<f32>(1)?, device, ()),
            of_logits: logits.zeros_like()?,
        })
    }

    /// Adds `weight`·CE(`scale`·logits, targets); or, where `targets` are the logits of a
    /// teacher, softmax(`scale`·targets) is what is aimed at.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub(crate) fn add_cross_entropy(
        &self,
        [logits, targets]: [&Tensor; 2],
        is_taught: bool,
        scale: f32,
        weight: f32,
    ) -> Result<()> {
        let device = device_of(logits)?;
        let (rows, width) = logits.dims2()?;
        let places = [logits, targets, &self.of_logits].map(|it| address(it, rows * width));
        let [logits, targets, of_logits] = places;
        let (logits, targets, of_logits) = (logits?, targets?, of_logits?);
        let value = address(&self.value, 1)?;
        let (count, cols) = (size(rows)?, size(width)?);
        let answers = u32::from(is_taught);
        launch!(
            kernel(device, "cross_entropy", 0)?,
            grid(1, 1, 1, (LOSS_THREADS, 1), 0),
            &logits,
            &targets,
            &value,
            &of_logits,
            &count,
            &cols,
            &scale,
            &weight,
            &answers
        );
        Ok(())
    }

    /// Adds `weight`·Σ(own − shown)²; returns the gradient of `own`.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub(crate) fn add_squared_distance(
        &self,
        own: &Tensor,
        shown: &Tensor,
        weight: f32,
    ) -> Result<Tensor> {
        let device = device_of(own)?;
        let count = own.elem_count();
        let mut gradient = room(device, count)?;
        let configuration = for_each(size(count)?);
        let blocks = configuration.grid_dim.0;
        let mut partial = room(device, blocks as usize)?;
        let (own_place, shown) = (address(own, count)?, address(shown, count)?);
        let value = address(&self.value, 1)?;
        let values = size(count)?;
        launch!(
            kernel(device, "squared_distance", 0)?,
            configuration,
            &own_place,
            &shown,
            &mut gradient,
            &mut partial,
            &values,
            &weight
        );
        launch!(
            kernel(device, "add_up", 0)?,
            grid(1, 1, 1, (WARP, 1), 0),
            &partial,
            &value,
            &blocks,
            &weight
        );
        Ok(tensor(gradient, device, own.shape()))
    }
}

/// Threads of the one block that adds up a loss.
const LOSS_THREADS: u32 = 1024;

/// One trained tensor for [`adamw`]; all of one shape.
pub(crate) struct Slot<'t> {
    /// Weight, moments, gradient; then mask and sensitivity where it is pruned.
    pub(crate) tensors: [Option<&'t Tensor>; 6],
    /// Whether its weights decay.
    pub(crate) decays: bool,
}

/// What [`adamw`] does to all of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AdamW {
    pub(crate) rate: f32,
    pub(crate) decay: f32,
    pub(crate) first_correction: f32,
    pub(crate) second_correction: f32,
    pub(crate) score_memory: f32,
    /// The score is −Σ w·g instead of a moving average of |w·g|.
    pub(crate) is_movement: bool,
}

/// One step of the optimiser for every tensor, unless `loss` is not finite.
///
/// # Errors
/// When a tensor is not contiguous `f32` on the GPU of `loss`.
pub(crate) fn adamw(slots: &[Slot<'_>], loss: &Tensor, step: AdamW) -> Result<()> {
    let (storage, layout) = loss.storage_and_layout();
    let Storage::Cuda(loss) = &*storage else {
        bail!("adamw: the loss is not on a GPU");
    };
    let device = loss.device();
    let loss = values(loss, layout)?;
    let (mut table, mut chunks) = (Vec::new(), Vec::new());
    for (number, slot) in (0_u32..).zip(slots) {
        let count = slot.tensors[0].map_or(0, Tensor::elem_count);
        for tensor in slot.tensors {
            table.push(tensor.map_or(Ok(0), |tensor| address(tensor, count))?);
        }
        table.extend([count as u64, u64::from(slot.decays)]);
        for first in (0..count).step_by(CHUNK) {
            chunks.extend([number, size(first)?]);
        }
    }
    let is_movement = u32::from(step.is_movement);
    let blocks = size(chunks.len() / 2)?;
    let (table, chunks) = (device.clone_htod(&table)?, device.clone_htod(&chunks)?);
    // The tensors outlive the launch: memory of a stream is freed in its order.
    launch!(
        kernel(device, "adamw", 0)?,
        grid(blocks, 1, 1, (THREADS, 1), 0),
        &table,
        &chunks,
        &loss,
        &step.rate,
        &step.decay,
        &step.first_correction,
        &step.second_correction,
        &step.score_memory,
        &is_movement
    );
    Ok(())
}
