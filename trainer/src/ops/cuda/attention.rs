//! Launches of `attention.cu`.

use candle_core::cuda_backend::cudarc::driver::{LaunchConfig, sys};
use candle_core::{Error, Layout, Result, Tensor, bail};

use super::{Kernel, Source, address, alone, device_of, fresh, grid, kernel, offsets, size};
use crate::ops::{Heads, Lifetime, Sequences};

/// As in `attention.cu`.
const TILE: usize = 64;
const THREADS: u32 = 128;

/// Rows are read four values at a time.
const FOUR: usize = 4;

fn source(heads: Heads) -> Source {
    Source::Attention {
        head_width: heads.width,
    }
}

/// One block per tile, head and sequence, with two tiles in shared memory.
fn blocks(kernel: &Kernel, heads: Heads, sequences: &Sequences) -> Result<LaunchConfig> {
    let pitch = heads.width.next_multiple_of(8) + 4;
    let bytes = size(2 * TILE * pitch * size_of::<f32>())?;
    let allowed = i32::try_from(bytes).map_err(Error::wrap)?;
    let attribute = sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
    let allow = kernel.function.set_attribute(attribute, allowed);
    allow.map_err(|error| {
        Error::msg(format!(
            "heads {} wide need {bytes} bytes of a GPU core's memory: {error}",
            heads.width
        ))
    })?;
    let lengths = sequences.lengths().map(|(_, length)| length);
    let tiles = size(lengths.max().unwrap_or(0).div_ceil(TILE))?;
    let (heads, sequences) = (size(heads.count)?, size(sequences.count())?);
    Ok(grid(tiles, heads, sequences, (THREADS, 1), bytes))
}

fn check_alignment(layouts: &[&Layout]) -> Result<()> {
    match layouts
        .iter()
        .find(|layout| !layout.start_offset().is_multiple_of(FOUR))
    {
        Some(layout) => bail!("attention: a tensor begins at {}", layout.start_offset()),
        None => Ok(()),
    }
}

/// See [`crate::ops::attention`].
pub(in crate::ops) fn attention(
    projected: &Tensor,
    heads: Heads,
    sequences: &Sequences,
) -> Result<Tensor> {
    check_alignment(&[projected.layout()])?;
    let device = device_of(projected)?;
    let (tokens, columns) = (sequences.tokens(), heads.columns());
    let offsets = offsets(device, sequences)?;
    let context = alone(device, (tokens, columns))?;
    let projected = address(projected, 3 * tokens * columns)?;
    let to = address(&context, tokens * columns)?;
    let kernel = kernel(device, source(heads), "attention")?;
    let blocks = blocks(&kernel, heads, sequences)?;
    let count = size(heads.count)?;
    launch!(
        kernel,
        blocks,
        &projected,
        &*offsets,
        &to,
        &count,
        &heads.scale
    );
    Ok(context)
}

/// Gradient of the projection.
pub(in crate::ops) fn attention_backward(
    [projected, context, gradient]: [&Tensor; 3],
    heads: Heads,
    sequences: &Sequences,
) -> Result<Tensor> {
    check_alignment(&[projected.layout(), gradient.layout()])?;
    let device = device_of(projected)?;
    let (tokens, columns) = (sequences.tokens(), heads.columns());
    let shape = (tokens, 3 * columns);
    let [context, gradient] = [context, gradient].map(|it| address(it, tokens * columns));
    let (projected, context, gradient) = (
        address(projected, 3 * tokens * columns)?,
        context?,
        gradient?,
    );
    let offsets = offsets(device, sequences)?;
    let result = fresh(device, shape, Lifetime::Moment)?;
    let stats = fresh(device, (tokens, heads.count, 2), Lifetime::Moment)?;
    let grad_result = address(&result, 3 * tokens * columns)?;
    let stats = address(&stats, tokens * heads.count * 2)?;
    let count = size(heads.count)?;
    let of_queries = kernel(device, source(heads), "attention_backward_queries")?;
    launch!(
        of_queries,
        blocks(&of_queries, heads, sequences)?,
        &projected,
        &context,
        &gradient,
        &*offsets,
        &grad_result,
        &stats,
        &count,
        &heads.scale
    );
    let of_keys = kernel(device, source(heads), "attention_backward_keys")?;
    launch!(
        of_keys,
        blocks(&of_keys, heads, sequences)?,
        &projected,
        &gradient,
        &stats,
        &*offsets,
        &grad_result,
        &count,
        &heads.scale
    );
    Ok(result)
}
