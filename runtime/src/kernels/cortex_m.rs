//! Cortex-M4, M7, M33, M55: calls the kernels in assembly, those of [`smlal`] or, with Helium,
//! those of [`helium`].
#![allow(unsafe_code, reason = "assembly; each call says what it stands on")]

#[cfg(dsp)]
mod dsp;
#[cfg(fpu)]
mod fpu;
#[cfg(helium)]
mod helium;
#[cfg(not(helium))]
mod smlal;

use core::ptr::null;

use neuroprune_format::tensor::{Pattern, RowBytes, Rows, Scale, Values};

pub use crate::kernels::portable::floats::scale;
#[cfg(not(fpu))]
pub use crate::kernels::portable::floats::{
    add, gelu, largest, mixture, normalize, quantize_bytes, rescale, round, softmax, sum,
    sum_of_squares,
};
#[cfg(not(fpu))]
pub use crate::kernels::portable::pairs::quantize;
#[cfg(not(fpu))]
pub use crate::kernels::portable::recurrence::{dequantize_bytes, recur};
#[cfg(not(dsp))]
pub use crate::kernels::portable::scalar::{mix, value_word};
#[cfg(dsp)]
pub use dsp::{mix, value_word};
#[cfg(all(fpu, not(helium)))]
pub(super) use fpu::quantize_pairs;
#[cfg(fpu)]
pub use fpu::{
    add, gelu, mixture, normalize, quantize_bytes, rescale, round, softmax, sum, sum_of_squares,
};
#[cfg(fpu)]
pub use fpu::{dequantize_bytes, recur};
#[cfg(all(fpu, not(helium)))]
pub use fpu::{largest, quantize};
#[cfg(helium)]
use helium as products;
#[cfg(helium)]
pub use helium::{largest, quantize};
pub use products::{Feature, multiply, set_grain};
use products::{STRETCH, add_listed_row};
#[cfg(not(helium))]
use smlal as products;

#[cfg(not(all(fpu, not(helium))))]
use crate::kernels::portable::recurrence::{self, PairScales};
#[cfg(not(all(fpu, not(helium))))]
use crate::kernels::tile::Direction;
use crate::kernels::tile::{LANES, Lanes, Tile};

/// What a row kernel reads and writes besides the weights, in the order in which it keeps them on
/// its stack.
#[repr(C)]
struct Frame {
    /// The next row.
    output: *mut Lanes<f32>,
    /// The next scale, of one byte.
    scales: *const u8,
    /// The next f16, or null.
    bias: *const u8,
    /// The end of the last row.
    end: *const Lanes<f32>,
    tile: *const Feature,
    /// Base of a scale's bits: the shifted byte is added to it.
    scale_bits: u32,
    /// Counts of blocks: the byte after `halves`.
    counts: *const u8,
    /// The remaining halves of a byte, the next one lowest, below a bit that is set.
    halves: u32,
    /// Bytes that hold one bit per column.
    bit_bytes: usize,
    token_scales: *const Lanes<f32>,
}

/// Rows of one layout, at least one, starting at their bytes. Returns the byte after them.
type Kernel = unsafe extern "C" fn(weights: *const u8, frame: *const Frame) -> *const u8;

/// For sums that are already in the memory of the output; reads no weights.
#[cfg(fpu)]
const SCALE: Option<Kernel> = Some(neuroprune_scale);
#[cfg(not(fpu))]
const SCALE: Option<Kernel> = None;

/// Whether kernels of sparse rows leave sums that are not scaled yet.
const LEAVE_SUMS: bool = cfg!(not(any(helium, feature = "unrolled")));

fn is_short(tile: &Tile<'_, Feature>) -> bool {
    cfg!(feature = "unrolled") && tile.tokens <= LANES / 2
}

/// See `project` of the chooser: with a float unit, rows are scaled while their sums are in
/// registers.
pub(super) fn project(rows: &Rows<'_>, tile: &Tile<'_, Feature>, output: &mut [Lanes<f32>]) {
    let (cols, bytes) = (rows.cols(), rows.bytes());
    let kernel: Option<Kernel> = match (bytes.pattern, bytes.values, is_short(tile)) {
        (Pattern::DeltaU8, Values::I8, false) => Some(neuroprune_delta8),
        (Pattern::DeltaU8, Values::I8, true) => Some(neuroprune_delta4),
        (Pattern::Bitmap, Values::I8, false) => Some(neuroprune_bitmap8),
        (Pattern::Bitmap, Values::I8, true) => Some(neuroprune_bitmap4),
        (Pattern::Blocks2, Values::I8, false) => Some(neuroprune_blocks2_8),
        (Pattern::Blocks2, Values::I8, true) => Some(neuroprune_blocks2_4),
        (Pattern::Blocks4, Values::I8, false) => Some(neuroprune_blocks4_8),
        (Pattern::Blocks4, Values::I8, true) => Some(neuroprune_blocks4_4),
        (Pattern::Dense | Pattern::Columns, Values::I8, _) => None,
    };
    if tile.features.len() < cols {
        return;
    }
    if kernel.is_none() {
        multiply_dense(rows, tile, bytemuck::cast_slice_mut(output));
    }
    let scale_sums = SCALE.filter(|_| LEAVE_SUMS && kernel.is_some());
    let Some(kernel) = kernel.or(SCALE) else {
        return scale(rows, tile, output);
    };
    let mut weights = bytes.weights.as_ptr();
    let mut scales = bytes.scales;
    let mut row = 0;
    while let Some(left) = output.get_mut(row..).filter(|left| !left.is_empty()) {
        let run = rows.stored_from(row).min(left.len()).min(scales.len());
        if run == 0 {
            // A cut row, or the end: rows there are not read.
            let value = if cfg!(fpu) { bytes.bias_of(row) } else { 0.0 };
            left.iter_mut().take(1).for_each(|y| *y = [value; LANES]);
            row += 1;
            continue;
        }
        let bias = bytes.bias.get(2 * row..).unwrap_or(&[]);
        let output = left.as_mut_ptr_range();
        let (counts, halves) = counts_after(&bytes, bytes.scales.len() - scales.len());
        let frame = Frame {
            output: output.start,
            scales: scales.as_ptr(),
            bias: if bias.len() < 2 * run {
                null()
            } else {
                bias.as_ptr()
            },
            end: output.start.wrapping_add(run),
            tile: tile.features.as_ptr(),
            scale_bits: Scale::LEAST_BITS,
            counts,
            halves,
            bit_bytes: cols.div_ceil(8),
            token_scales: &raw const tile.scales,
        };
        // SAFETY: `Model::open` checked that the rows of this layout are in `bytes`, one after
        // another, and that their columns are below `cols`, for which there are features. `run`
        // stored rows follow, at least one; `left` and `scales` have as many, and so have the
        // counts of blocks, and the bias if it is not null.
        unsafe {
            weights = kernel(weights, &raw const frame);
            if let Some(scale) = scale_sums {
                scale(weights, &raw const frame);
            }
        }
        scales = scales.get(run..).unwrap_or(&[]);
        row += run;
    }
    if !cfg!(fpu) {
        scale(rows, tile, output);
    }
}

/// [`Frame::counts`] and [`Frame::halves`] after `rows` stored rows.
fn counts_after(bytes: &RowBytes<'_>, rows: usize) -> (*const u8, u32) {
    let stored = bytes.before + rows;
    let counts = bytes.counts.get(stored / 2..).unwrap_or(&[]);
    let (&pair, after) = counts.split_first().unwrap_or((&0, &[]));
    let halves = (u32::from(pair) | 1 << 8) >> (stored % 2 * 4);
    (after.as_ptr(), halves)
}

/// See [`recurrence::quantize_pairs`].
#[cfg(not(all(fpu, not(helium))))]
pub(super) fn quantize_pairs(
    steps: &[Lanes<i16>],
    after: &mut [i16],
    scales: &PairScales,
    tokens: usize,
    direction: Direction,
    features: &mut [Feature],
) {
    recurrence::quantize_pairs(steps, after, scales, tokens, direction, features, set_grain);
}

/// Sums of dense rows, which may have a list of columns.
#[inline(never)]
fn multiply_dense(rows: &Rows<'_>, tile: &Tile<'_, Feature>, sums: &mut [Lanes<i32>]) {
    let (cols, bytes) = (rows.cols(), rows.bytes());
    let list = match (bytes.pattern, bytes.values) {
        (Pattern::Dense, Values::I8) => None,
        (Pattern::Columns, Values::I8) => Some(bytes.columns),
        // These have kernels that scale their rows.
        (Pattern::DeltaU8 | Pattern::Bitmap | Pattern::Blocks2 | Pattern::Blocks4, Values::I8) => {
            return;
        }
    };
    let stored = list.map_or(cols, |columns| columns.len() / 2);
    let mut weights = bytes.weights;
    let mut row = 0;
    while let Some(left) = sums.get_mut(row..).filter(|left| !left.is_empty()) {
        // A cut row, whose sum is not read, or consecutive rows.
        let run = rows.stored_from(row).min(left.len());
        let run_weights = weights.split_off(..run * stored).unwrap_or(&[]);
        let sums = left.get_mut(..run).unwrap_or_default();
        match list {
            None => dense(run_weights, cols, tile, sums),
            Some(columns) => multiply_listed(run_weights, columns, tile, sums),
        }
        row += run.max(1);
    }
}

/// Sums of rows with a list of columns, each of which has a feature.
fn multiply_listed(
    weights: &[u8],
    columns: &[u8],
    tile: &Tile<'_, Feature>,
    sums: &mut [Lanes<i32>],
) {
    sums.as_flattened_mut().fill(0);
    let stored = columns.len() / 2;
    for (sums, weights) in sums.iter_mut().zip(weights.chunks_exact(stored.max(1))) {
        // SAFETY: `Model::open` checked that the columns are below `cols`, and `project` that there
        // are features for them.
        unsafe { add_listed_row(columns, weights, tile.features, sums) };
    }
}

/// See [`pairs::pack`].
pub fn pack(steps: &[Lanes<i16>], features: &mut [Feature]) {
    let count = steps.len().min(features.len());
    if count > 0 {
        // SAFETY: both have `count` rows, at least one.
        unsafe { neuroprune_pack(steps.as_ptr(), count, features.as_mut_ptr()) };
    }
}

/// See [`floats::rectify`].
pub fn rectify(x: &mut [Lanes<f32>], _tokens: usize) {
    if !x.is_empty() {
        // SAFETY: reads and writes the rows of `x`, at least one.
        unsafe { neuroprune_rectify(x.as_mut_ptr(), x.len()) };
    }
}

/// See [`scalar::dense`].
pub fn dense(weights: &[u8], cols: usize, tile: &Tile<'_, Feature>, sums: &mut [Lanes<i32>]) {
    let (features, rows) = (tile.features, sums.len());
    let fits = rows * cols <= weights.len() && cols <= features.len();
    if rows == 0 || cols == 0 || !fits {
        return sums.as_flattened_mut().fill(0);
    }
    let kernel = if is_short(tile) {
        neuroprune_dense4
    } else {
        neuroprune_dense8
    };
    if cols <= STRETCH {
        let sums = sums.as_mut_ptr();
        // SAFETY: `fits`; there is at least one row of at least one column.
        unsafe { kernel(weights.as_ptr(), rows, features.as_ptr(), sums, cols) };
        return;
    }
    // Too long for one sum.
    let mut weights = weights.as_ptr();
    for sums in sums {
        *sums = [0; LANES];
        for start in (0..cols).step_by(STRETCH) {
            let (mut more, count) = ([0; LANES], STRETCH.min(cols - start));
            // SAFETY: `fits`, and each call reads the `count` weights after those of the last;
            // `start + count` is at most the number of features.
            unsafe {
                let features = features.as_ptr().add(start);
                weights = kernel(weights, 1, features, &raw mut more, count);
            }
            for (sum, more) in sums.iter_mut().zip(more) {
                *sum += more;
            }
        }
    }
}

unsafe extern "C" {
    // `count` is not zero.
    fn neuroprune_pack(steps: *const Lanes<i16>, count: usize, features: *mut Feature);
    fn neuroprune_rectify(x: *mut Lanes<f32>, count: usize);

    // The digit after the name is the number of lanes.
    fn neuroprune_delta8(weights: *const u8, frame: *const Frame) -> *const u8;
    fn neuroprune_delta4(weights: *const u8, frame: *const Frame) -> *const u8;
    fn neuroprune_bitmap8(weights: *const u8, frame: *const Frame) -> *const u8;
    fn neuroprune_bitmap4(weights: *const u8, frame: *const Frame) -> *const u8;
    fn neuroprune_blocks2_8(weights: *const u8, frame: *const Frame) -> *const u8;
    fn neuroprune_blocks2_4(weights: *const u8, frame: *const Frame) -> *const u8;
    fn neuroprune_blocks4_8(weights: *const u8, frame: *const Frame) -> *const u8;
    fn neuroprune_blocks4_4(weights: *const u8, frame: *const Frame) -> *const u8;
    #[cfg(fpu)]
    fn neuroprune_scale(weights: *const u8, frame: *const Frame) -> *const u8;
    // Reads `rows` rows, at least one, of `cols` weights, at least one and at most `STRETCH`.
    fn neuroprune_dense8(
        weights: *const u8,
        rows: usize,
        tile: *const Feature,
        sums: *mut Lanes<i32>,
        cols: usize,
    ) -> *const u8;
    fn neuroprune_dense4(
        weights: *const u8,
        rows: usize,
        tile: *const Feature,
        sums: *mut Lanes<i32>,
        cols: usize,
    ) -> *const u8;
}
