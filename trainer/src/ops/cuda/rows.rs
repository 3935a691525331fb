//! Launches with one block per row: rows of a table by number, and means of sequences.

use std::sync::{Arc, OnceLock};

use candle_core::cuda_backend::CudaDevice;
use candle_core::cuda_backend::cudarc::driver::CudaSlice;
use candle_core::{Result, Tensor};

use super::{Kernel, Source, THREADS, address, alone, device_of, grid, kernel, size, tensor};
use crate::ops::{RowIndex, Sequences};

/// See [`crate::ops::rows`].
pub(in crate::ops) fn rows(table: &Tensor, index: &RowIndex) -> Result<Tensor> {
    let device = device_of(table)?;
    let (_, width) = table.dims2()?;
    let count = index.ids().len();
    let ids = device.clone_htod(index.ids())?;
    let y = alone(device, (count, width))?;
    let table = address(table, table.elem_count())?;
    let to = address(&y, count * width)?;
    let cols = size(width)?;
    launch!(
        kernel(device, Source::General, "gather_rows")?,
        grid(size(count)?, 1, 1, (THREADS, 1), 0),
        &table,
        &ids,
        &to,
        &cols
    );
    Ok(y)
}

/// See [`crate::ops::rows_backward`].
pub(in crate::ops) fn rows_backward(
    gradient: &Tensor,
    index: &RowIndex,
    table_rows: usize,
) -> Result<Tensor> {
    let device = device_of(gradient)?;
    let (_, width) = gradient.dims2()?;
    let gradient = address(gradient, gradient.elem_count())?;
    let (distinct, starts, places) = index.grouped(table_rows);
    let blocks = size(distinct.len())?;
    let all = [distinct, starts, places];
    let [after_distinct, after_starts] = [all[0].len(), all[0].len() + all[1].len()];
    let all = device.clone_htod(&all.concat())?;
    let (distinct, starts) = (
        all.slice(..after_distinct),
        all.slice(after_distinct..after_starts),
    );
    let places = all.slice(after_starts..);
    let mut grad_table = device.alloc_zeros::<f32>(table_rows * width)?;
    let cols = size(width)?;
    launch!(
        kernel(device, Source::General, "scatter_rows")?,
        grid(blocks, 1, 1, (THREADS, 1), 0),
        &gradient,
        &distinct,
        &starts,
        &places,
        &mut grad_table,
        &cols
    );
    Ok(tensor(grad_table, device, (table_rows, width)))
}

/// Offsets of [`Sequences`] on a GPU, once they have been copied there, with its number: every
/// layer reads them twice.
#[derive(Clone, Debug, Default)]
pub(in crate::ops) struct Uploaded(Arc<OnceLock<(usize, Arc<CudaSlice<u32>>)>>);

/// Sequences are equal whether they have been copied or not.
impl PartialEq for Uploaded {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Uploaded {}

pub(super) fn offsets(device: &CudaDevice, sequences: &Sequences) -> Result<Arc<CudaSlice<u32>>> {
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
    // Those of another GPU remain.
    let _ = uploaded.set((gpu, offsets.clone()));
    Ok(offsets)
}

/// See [`crate::ops::mean`].
pub(in crate::ops) fn mean(x: &Tensor, sequences: &Sequences) -> Result<Tensor> {
    let (_, width) = x.dims2()?;
    a_block_each(x, sequences, "mean_rows", (sequences.count(), width))
}

/// See [`crate::ops::mean_backward`].
pub(in crate::ops) fn mean_backward(gradient: &Tensor, sequences: &Sequences) -> Result<Tensor> {
    let (_, width) = gradient.dims2()?;
    let shape = (sequences.tokens(), width);
    a_block_each(gradient, sequences, "mean_rows_backward", shape)
}

/// A launch with one block per sequence.
fn a_block_each(
    x: &Tensor,
    sequences: &Sequences,
    name: &'static str,
    shape: (usize, usize),
) -> Result<Tensor> {
    let device = device_of(x)?;
    let offsets = offsets(device, sequences)?;
    let y = alone(device, shape)?;
    let (from, to) = (address(x, x.elem_count())?, address(&y, shape.0 * shape.1)?);
    let cols = size(shape.1)?;
    launch!(
        kernel(device, Source::General, name)?,
        grid(size(sequences.count())?, 1, 1, (THREADS, 1), 0),
        &from,
        &*offsets,
        &to,
        &cols
    );
    Ok(y)
}
