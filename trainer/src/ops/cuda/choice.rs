//! Which groups of weights are removed, chosen on the GPU: exactly the choice of
//! [`crate::ops::keep_best`].
//!
//! Scores, masks and the choice remain on the device; histograms of
//! [`crate::ops::selection`] go to the host.

use candle_core::cuda_backend::cudarc::driver::{CudaSlice, DevicePtr as _};
use candle_core::{Device, Result, bail};

use super::{CHUNK, Kernel, Source, THREADS, address, grid, kernel, size};
use crate::ops::selection::{self, Selection};
use crate::ops::{Candidates, Choice, Chosen, Costs};
use crate::recipe::ScoreKind;

/// Chooses; `None` where there are no more weights than those to keep.
///
/// # Errors
/// When a tensor is not a contiguous `f32` matrix on one GPU.
pub(in crate::ops) fn keep_best(matrices: &[Candidates], choice: Choice) -> Result<Option<Chosen>> {
    let Some(Device::Cuda(device)) = matrices.first().map(|first| first.mask.device()) else {
        bail!("a removal without a matrix on a GPU");
    };
    let copies = matrices.iter().map(|matrix| matrix.mask.copy());
    let copies = copies.collect::<Result<Vec<_>>>()?;
    let (costs, cost_places) = all_costs(matrices);
    let costs = device.clone_htod(&costs)?;
    let stream = device.cuda_stream();
    let (first_cost, _synchronized) = costs.device_ptr(&stream);

    let (mut table, mut chunks, mut groups) = (Vec::new(), Vec::new(), 0);
    let all = matrices.iter().zip(&copies).zip(cost_places);
    for (number, ((matrix, copy), place)) in (0_u32..).zip(all) {
        let (rows, cols) = matrix.mask.dims2()?;
        let in_row = cols.div_ceil(choice.width);
        let count = rows * in_row;
        table.extend([
            address(&matrix.scores, rows * cols)?,
            address(copy, rows * cols)?,
            first_cost + (place * size_of::<f32>()) as u64,
            match &matrix.costs {
                Costs::Even => 0,
                Costs::Rows(_) => 1,
                Costs::Columns(_) => 2,
            },
            u64::from(size(cols)?),
            u64::from(size(in_row)?),
            u64::from(size(count)?),
            u64::from(size(groups)?),
        ]);
        for first in (0..count).step_by(CHUNK) {
            chunks.extend([number, size(first)?]);
        }
        groups += count;
    }
    size(groups * choice.width)?;
    let width = size(choice.width)?;
    let score: u32 = match choice.score {
        ScoreKind::Sensitivity => 0,
        ScoreKind::Magnitude => 1,
        ScoreKind::Movement => 2,
    };
    let blocks = grid(size(chunks.len() / 2)?, 1, 1, (THREADS, 1), 0);
    let (table, chunks) = (device.clone_htod(&table)?, device.clone_htod(&chunks)?);
    // SAFETY: the first launch writes the key of every group before any is read.
    let mut keys: CudaSlice<u32> = unsafe { device.alloc(groups)? };
    // The tensors outlive the launches: memory of a stream is freed in its order.
    launch!(
        kernel(device, Source::General, "group_keys")?,
        blocks,
        &table,
        &chunks,
        &mut keys,
        &width,
        &score
    );

    let mut nonzeros = None;
    let mut last = u64::MAX;
    let mut kept = 0;
    // Without room for one group all of them are removed.
    let limit = choice.kept.checked_sub(choice.width);
    let mut selection = Selection::new(limit.map_or(0, |limit| limit as u64));
    let histogram_of = kernel(device, Source::General, "group_histogram")?;
    while let Some(digit) = selection.digit() {
        let mut weights = device.alloc_zeros::<u32>(Selection::VALUES)?;
        launch!(
            histogram_of,
            blocks,
            &table,
            &chunks,
            &keys,
            &mut weights,
            &width,
            &digit.known,
            &digit.prefix,
            &digit.shift,
            &digit.values
        );
        let mut weights = device.clone_dtoh(&weights)?;
        weights.truncate(digit.values as usize);
        let total = || weights.iter().map(|&weights| u64::from(weights)).sum();
        let nonzeros = *nonzeros.get_or_insert_with(total);
        if nonzeros <= choice.kept as u64 {
            return Ok(None);
        }
        if limit.is_none() || !selection.narrow(&weights) {
            break;
        }
        (last, kept) = (selection.place(), selection.kept());
    }
    launch!(
        kernel(device, Source::General, "remove_groups")?,
        blocks,
        &table,
        &chunks,
        &keys,
        &width,
        &last
    );
    let removed_weights = nonzeros.unwrap_or(0).saturating_sub(kept);
    Ok(Some(Chosen {
        masks: copies,
        removed_weights: usize::try_from(removed_weights).unwrap_or(usize::MAX),
        last: selection::score(last),
    }))
}

/// The costs of all matrices one after the other, and where those of each begin.
fn all_costs(matrices: &[Candidates]) -> (Vec<f32>, Vec<usize>) {
    // Not empty: an allocation of nothing has no address.
    let mut all = vec![1.0];
    let mut places = Vec::with_capacity(matrices.len());
    for matrix in matrices {
        places.push(all.len());
        match &matrix.costs {
            Costs::Even => {}
            Costs::Rows(costs) | Costs::Columns(costs) => all.extend(costs),
        }
    }
    (all, places)
}
