//! Memory for what kernels write, cut from large pieces.
//!
//! A step makes about two hundred tensors. Getting the memory of each from the driver, and giving
//! it back, takes as long as launching a kernel: in a small network the GPU waits for that. A
//! tensor of a chunk is a view of it. Nothing is overwritten: a chunk's memory is freed when the
//! last of its tensors is, so long-lived tensors have chunks of their own.

use core::cell::RefCell;

use candle_core::backend::BackendDevice as _;
use candle_core::cuda_backend::CudaDevice;
use candle_core::{Result, Shape, Tensor};

use super::{device_of, room, tensor};
use crate::ops::Lifetime;

/// Values of a chunk: 64 MiB.
const CHUNK: usize = 1 << 24;
/// Larger tensors have memory of their own: the end of a chunk, where nothing fits, is small.
const LARGEST: usize = CHUNK / 4;
/// Values from the beginning of a tensor to that of the next: whole lines of memory.
const LINE: usize = 64;

/// The chunk that is cut, and how far.
struct Chunk {
    values: Tensor,
    used: usize,
}

thread_local! {
    /// By lifetime. Each thread has its own, as it has a stream.
    static CHUNKS: RefCell<[Option<Chunk>; 2]> = const { RefCell::new([None, None]) };
}

/// A tensor, all values of which a kernel is to write before any is read.
pub(super) fn fresh(
    device: &CudaDevice,
    shape: impl Into<Shape>,
    lifetime: Lifetime,
) -> Result<Tensor> {
    let shape = shape.into();
    let count = shape.elem_count();
    if count > LARGEST {
        return Ok(tensor(room(device, count)?, device, shape));
    }
    CHUNKS.with_borrow_mut(|chunks| {
        let place = &mut chunks[lifetime as usize];
        // A chunk belongs to the stream that frees it.
        let fits = |chunk: &Chunk| {
            chunk.used + count <= CHUNK
                && device_of(&chunk.values).is_ok_and(|its| its.same_device(device))
        };
        let mut chunk = match place.take().filter(fits) {
            Some(chunk) => chunk,
            None => Chunk {
                values: tensor(room(device, CHUNK)?, device, CHUNK),
                used: 0,
            },
        };
        let made = chunk.values.narrow(0, chunk.used, count)?.reshape(shape)?;
        chunk.used += count.next_multiple_of(LINE);
        *place = Some(chunk);
        Ok(made)
    })
}
