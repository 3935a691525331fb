//! Sums of columns: of parts of the rows, then of the parts, which wait for one launch.

use candle_core::cuda_backend::CudaDevice;
use candle_core::cuda_backend::cudarc::driver::LaunchConfig;
use candle_core::{Result, Tensor};

use super::{Kernel, Source, WARP, address, alone, device_of, fresh, grid, kernel, size};
use crate::ops::{DeferredSums, Lifetime};

/// Threads of a block: columns by rows.
const BLOCK: (u32, u32) = (WARP, 8);

/// How the rows of a matrix are divided: at least 64 rows each, and at most 64 parts.
pub(super) struct Parts {
    pub(super) count: usize,
    pub(super) rows_each: u32,
    /// Blocks of columns for each part.
    pub(super) configuration: LaunchConfig,
}

impl Parts {
    pub(super) fn new(rows: usize, width: usize) -> Result<Self> {
        let rows_each = rows.div_ceil(64).max(64);
        let count = rows.max(1).div_ceil(rows_each);
        let columns = size(width)?.div_ceil(WARP);
        Ok(Self {
            count,
            rows_each: size(rows_each)?,
            configuration: grid(columns, size(count)?, 1, BLOCK, 0),
        })
    }
}

/// What a kernel computes for each part of the rows, `[parts, width]`, and the sums of that.
#[derive(Debug)]
pub(in crate::ops) struct PartialSums {
    parts: Tensor,
    sums: Tensor,
}

impl PartialSums {
    pub(super) fn new(device: &CudaDevice, parts: usize, width: usize) -> Result<Self> {
        let partial = fresh(device, (parts, width), Lifetime::Step)?;
        let sums = if parts == 1 {
            partial.flatten_all()?
        } else {
            fresh(device, width, Lifetime::Step)?
        };
        Ok(Self {
            parts: partial,
            sums,
        })
    }

    /// Where the parts are written.
    pub(super) fn address(&self) -> Result<u64> {
        address(&self.parts, self.parts.elem_count())
    }

    /// The sums, which are deferred where there are several parts.
    pub(super) fn sums(self, deferred: &mut DeferredSums) -> Result<Tensor> {
        let sums = self.sums.clone();
        if self.parts.dim(0)? > 1 {
            deferred.waiting.push(self);
        }
        Ok(sums)
    }
}

/// See [`DeferredSums::finish`].
pub(in crate::ops) fn finish(waiting: &[PartialSums]) -> Result<()> {
    let Some(first) = waiting.first() else {
        return Ok(());
    };
    let device = device_of(&first.sums)?;
    let (mut table, mut blocks) = (Vec::new(), Vec::new());
    for (number, it) in (0_u64..).zip(waiting) {
        let (rows, width) = it.parts.dims2()?;
        let columns = u64::from(size(width)?);
        table.extend([
            it.address()?,
            address(&it.sums, width)?,
            u64::from(size(rows)?),
            columns,
        ]);
        blocks.extend(
            (0..columns)
                .step_by(WARP as usize)
                .map(|column| number << 32 | column),
        );
    }
    let (matrices, count) = (size(waiting.len())?, size(blocks.len())?);
    table.extend(blocks);
    let table = device.clone_htod(&table)?;
    launch!(
        kernel(device, Source::General, "add_parts")?,
        grid(count, 1, 1, BLOCK, 0),
        &table,
        &matrices
    );
    Ok(())
}

/// See [`crate::ops::column_sums`].
pub(in crate::ops) fn column_sums(x: &Tensor, deferred: &mut DeferredSums) -> Result<Tensor> {
    let device = device_of(x)?;
    let (rows, width) = x.dims2()?;
    let parts = Parts::new(rows, width)?;
    let partial = PartialSums::new(device, parts.count, width)?;
    let (x, to) = (address(x, rows * width)?, partial.address()?);
    let (count, cols) = (size(rows)?, size(width)?);
    launch!(
        kernel(device, Source::General, "column_sums")?,
        parts.configuration,
        &x,
        &to,
        &count,
        &cols,
        &parts.rows_each
    );
    partial.sums(deferred)
}

/// See [`crate::ops::column_magnitudes`].
pub(in crate::ops) fn column_magnitudes(x: &Tensor) -> Result<Tensor> {
    let device = device_of(x)?;
    let (rows, width) = x.dims2()?;
    let sums = alone(device, width)?;
    let (x, to) = (address(x, rows * width)?, address(&sums, width)?);
    let (rows, cols) = (size(rows)?, size(width)?);
    launch!(
        kernel(device, Source::General, "column_magnitudes")?,
        grid(cols.div_ceil(WARP), 1, 1, (WARP, 1), 0),
        &x,
        &to,
        &rows,
        &cols
    );
    Ok(sums)
}
