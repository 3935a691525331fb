//! Cortex-M4, M7, M33, M55: what calls the kernels in assembly, of [`super::smlal`] or, where
//! there is Helium, of [`super::helium`].
#![allow(unsafe_code, reason = "assembly; each call says what it stands on")]

use core::ptr::null;

use neuroprune_format::tensor::{LayoutKind, RowBytes, RowWeights, Rows, Scale};

#[cfg(dsp)]
pub use super::cortex_m_dsp::{mix, value_word};
#[cfg(fpu)]
pub use super::cortex_m_fpu::{
    add, gelu, normalize, quantize_bytes, round, scale, sum, sum_of_squares,
};
#[cfg(all(fpu, not(helium)))]
pub use super::cortex_m_fpu::{largest, quantize};
#[cfg(not(fpu))]
pub use super::floats::{
    add, gelu, largest, normalize, quantize_bytes, round, scale, sum, sum_of_squares,
};
pub use super::floats::{mixture, softmax};
#[cfg(helium)]
use super::helium as products;
#[cfg(helium)]
pub use super::helium::{largest, quantize};
#[cfg(not(fpu))]
pub use super::pairs::quantize;
#[cfg(not(dsp))]
pub use super::scalar::{mix, value_word};
#[cfg(not(helium))]
use super::smlal as products;
use super::{LANES, Lanes, Tile};
pub use products::{Feature, multiply, set_grain};
use products::{STRETCH, listed_row};

/// What a kernel of sparse rows reads and writes beside the weights, in the order in which
/// it keeps them on its stack.
#[repr(C)]
struct Frame {
    /// The next row.
    output: *mut Lanes<f32>,
    /// The next scale, of one byte.
    scales: *const u8,
    /// The next f16, or null.
    bias: *const u8,
    /// Behind the last row.
    end: *const Lanes<f32>,
    tile: *const Feature,
    /// What the bits of a scale begin at.
    scale_bits: u32,
    /// Counts of blocks: the byte behind `halves`.
    counts: *const u8,
    /// Halves of a byte that are still to come, the next one lowest, below a bit that is set.
    halves: u32,
    /// Bytes that hold a bit a column.
    bit_bytes: usize,
    token_scales: *const Lanes<f32>,
}

/// Rows of one layout, at least one, from their bytes on. Returns the byte behind them.
type Kernel = unsafe extern "C" fn(weights: *const u8, frame: *const Frame) -> *const u8;

/// See [`super::project`]: rows are scaled while their sums are in registers, where there is a
/// float unit.
pub(super) fn project(rows: &Rows<'_>, tile: &Tile<'_>, output: &mut [Lanes<f32>]) {
    let (cols, bytes) = (rows.cols(), rows.bytes());
    let short = tile.tokens <= LANES / 2;
    let kernel: Kernel = match (bytes.layout, short) {
        (Some(LayoutKind::DeltaU8), false) => neuroprune_delta8,
        (Some(LayoutKind::DeltaU8), true) => neuroprune_delta4,
        (Some(LayoutKind::Bitmap), false) => neuroprune_bitmap8,
        (Some(LayoutKind::Bitmap), true) => neuroprune_bitmap4,
        (Some(LayoutKind::Blocks2), false) => neuroprune_blocks2_8,
        (Some(LayoutKind::Blocks2), true) => neuroprune_blocks2_4,
        (Some(LayoutKind::Blocks4), false) => neuroprune_blocks4_8,
        (Some(LayoutKind::Blocks4), true) => neuroprune_blocks4_4,
        _ => {
            multiply_dense(rows, tile, bytemuck::cast_slice_mut(output));
            return scale(rows, tile, output);
        }
    };
    if tile.features.len() < cols {
        return;
    }
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
        let (counts, halves) = counts_behind(&bytes, bytes.scales.len() - scales.len());
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
        // SAFETY: `Model::open` checked that the rows of this layout lie in `bytes`, one
        // behind the other, and that their columns are below `cols`, for which there are
        // features. `run` stored rows follow, at least one; `left` and `scales` have as many,
        // and so have the counts of blocks, and the bias where it is not null.
        weights = unsafe { kernel(weights, &raw const frame) };
        scales = scales.get(run..).unwrap_or(&[]);
        row += run;
    }
    if !cfg!(fpu) {
        scale(rows, tile, output);
    }
}

/// [`Frame::counts`] and [`Frame::halves`] behind `rows` stored rows.
fn counts_behind(bytes: &RowBytes<'_>, rows: usize) -> (*const u8, u32) {
    let stored = bytes.before + rows;
    let counts = bytes.counts.get(stored / 2..).unwrap_or(&[]);
    let (&pair, behind) = counts.split_first().unwrap_or((&0, &[]));
    let halves = (u32::from(pair) | 1 << 8) >> (stored % 2 * 4);
    (behind.as_ptr(), halves)
}

/// Sums of dense rows, and of those with a list of columns.
fn multiply_dense(rows: &Rows<'_>, tile: &Tile<'_>, sums: &mut [Lanes<i32>]) {
    let (cols, bytes) = (rows.cols(), rows.bytes());
    if bytes.layout.is_none() || cols > STRETCH {
        return others(rows, tile, sums);
    }
    let mut weights = bytes.weights;
    let mut row = 0;
    while let Some(left) = sums.get_mut(row..).filter(|left| !left.is_empty()) {
        let run = rows.stored_from(row).min(left.len());
        let (left, _) = left.split_at_mut_checked(run.max(1)).unwrap_or_default();
        let of_run = weights.split_off(..run * cols).unwrap_or(&[]);
        // A cut row has no weights, and its sum is zero.
        dense(of_run, cols, tile, left);
        row += left.len();
    }
}

/// Rows with a list of columns, and long ones.
#[cold]
fn others(rows: &Rows<'_>, tile: &Tile<'_>, sums: &mut [Lanes<i32>]) {
    for (sums, row) in sums.iter_mut().zip(rows.clone()) {
        *sums = match row.weights {
            RowWeights::Columns(columns, weights) => listed_row(columns, weights, tile.features),
            RowWeights::Dense(weights) => long_row(weights, tile),
            // A cut row; other layouts have kernels.
            _ => [0; LANES],
        };
    }
}

/// One dense row that is too long for one sum.
#[cold]
fn long_row(weights: &[u8], tile: &Tile<'_>) -> Lanes<i32> {
    let mut sums = [0; LANES];
    for (weights, features) in weights.chunks(STRETCH).zip(tile.features.chunks(STRETCH)) {
        let mut more = [Lanes::default()];
        dense(
            weights,
            weights.len(),
            &Tile { features, ..*tile },
            &mut more,
        );
        for (sum, more) in sums.iter_mut().zip(more.as_flattened()) {
            *sum += more;
        }
    }
    sums
}

/// See [`super::pairs::pack`].
pub fn pack(steps: &[Lanes<i16>], features: &mut [Feature]) {
    let count = steps.len().min(features.len());
    if count > 0 {
        // SAFETY: both have `count` rows, at least one.
        unsafe { neuroprune_pack(steps.as_ptr(), count, features.as_mut_ptr()) };
    }
}

/// See [`super::floats::rectify`].
pub fn rectify(x: &mut [Lanes<f32>], _tokens: usize) {
    if !x.is_empty() {
        // SAFETY: reads and writes the rows of `x`, at least one.
        unsafe { neuroprune_rectify(x.as_mut_ptr(), x.len()) };
    }
}

/// See [`super::scalar::dense`].
pub fn dense(weights: &[u8], cols: usize, tile: &Tile<'_>, sums: &mut [Lanes<i32>]) {
    if cols > STRETCH {
        for (sums, weights) in sums.iter_mut().zip(weights.chunks_exact(cols)) {
            *sums = long_row(weights, tile);
        }
        return;
    }
    let fits = sums.len() * cols <= weights.len() && cols <= tile.features.len();
    if sums.is_empty() || cols == 0 || !fits {
        return sums.fill([0; LANES]);
    }
    let kernel = if tile.tokens > LANES / 2 {
        neuroprune_dense8
    } else {
        neuroprune_dense4
    };
    let (features, rows) = (tile.features.as_ptr(), sums.len());
    // SAFETY: `fits`; there is at least one row of at least one column.
    unsafe {
        kernel(weights.as_ptr(), rows, features, sums.as_mut_ptr(), cols);
    }
}

unsafe extern "C" {
    // `count` is not zero.
    fn neuroprune_pack(steps: *const Lanes<i16>, count: usize, features: *mut Feature);
    fn neuroprune_rectify(x: *mut Lanes<f32>, count: usize);

    // The digit behind the name is the number of lanes.
    fn neuroprune_delta8(weights: *const u8, frame: *const Frame) -> *const u8;
    fn neuroprune_delta4(weights: *const u8, frame: *const Frame) -> *const u8;
    fn neuroprune_bitmap8(weights: *const u8, frame: *const Frame) -> *const u8;
    fn neuroprune_bitmap4(weights: *const u8, frame: *const Frame) -> *const u8;
    fn neuroprune_blocks2_8(weights: *const u8, frame: *const Frame) -> *const u8;
    fn neuroprune_blocks2_4(weights: *const u8, frame: *const Frame) -> *const u8;
    fn neuroprune_blocks4_8(weights: *const u8, frame: *const Frame) -> *const u8;
    fn neuroprune_blocks4_4(weights: *const u8, frame: *const Frame) -> *const u8;
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
