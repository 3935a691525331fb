//! Cortex-M4, M7, M33, M55: two int8 products with one `SMLAL`.
//!
//! The pairs of [`super::pairs`] in assembly, since a row needs all fourteen registers:
//! eight hold the sums, two the words of a feature. A nonzero weight costs its two
//! loads, one addition, two loads of a feature and four multiplications for eight
//! tokens. The first weight of a row sets the sums, so nothing is cleared; the rest run
//! through a loop of eight that is entered where they fit. Tiles of up to four tokens
//! have forms of their own with half the features and sums.
#![allow(unsafe_code, reason = "assembly; each call says what it stands on")]

use core::arch::global_asm;
use core::ptr::null;

use neuroprune_format::tensor::{LayoutKind, RowWeights, Rows};

#[cfg(dsp)]
pub use super::cortex_m_dsp::{mix, value_word};
#[cfg(fpu)]
pub use super::cortex_m_fpu::{
    add, gelu, largest, normalize, quantize, quantize_bytes, round, scale, sum, sum_of_squares,
};
#[cfg(not(fpu))]
pub use super::floats::{
    add, gelu, largest, normalize, quantize_bytes, round, scale, sum, sum_of_squares,
};
pub use super::floats::{mixture, softmax};
#[cfg(not(fpu))]
pub use super::pairs::quantize;
use super::pairs::{self, Portable, STRETCH};
pub use super::pairs::{Feature, set_grain};
#[cfg(not(dsp))]
pub use super::scalar::{mix, value_word};
use super::{LANES, Lanes, Tile};

/// What a kernel of sparse rows reads and writes beside the weights, in the order in which
/// it keeps them on its stack.
#[repr(C)]
struct Frame {
    /// The next row.
    output: *mut Lanes<f32>,
    /// The next f16.
    scales: *const u8,
    /// The next f16, or null.
    bias: *const u8,
    /// Behind the last row.
    end: *const Lanes<f32>,
    tile: *const Feature,
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
        let run = rows.stored_from(row).min(left.len()).min(scales.len() / 2);
        if run == 0 {
            // A cut row, or the end: rows there are not read.
            let value = if cfg!(fpu) { bytes.bias_of(row) } else { 0.0 };
            left.iter_mut().take(1).for_each(|y| *y = [value; LANES]);
            row += 1;
            continue;
        }
        let bias = bytes.bias.get(2 * row..).unwrap_or(&[]);
        let output = left.as_mut_ptr_range();
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
            bit_bytes: cols.div_ceil(8),
            token_scales: &raw const tile.scales,
        };
        // SAFETY: `Model::open` checked that the rows of this layout lie in `bytes`, one
        // behind the other, and that their columns are below `cols`, for which there are
        // features. `run` stored rows follow, at least one; `left` and `scales` have as many,
        // and so has the bias where it is not null.
        weights = unsafe { kernel(weights, &raw const frame) };
        scales = scales.get(2 * run..).unwrap_or(&[]);
        row += run;
    }
    if !cfg!(fpu) {
        scale(rows, tile, output);
    }
}

/// See [`super::scalar::multiply`]. Only tests ask for sums alone.
pub fn multiply(rows: &Rows<'_>, tile: &Tile<'_>, sums: &mut [Lanes<i32>]) {
    pairs::multiply::<Portable>(rows, tile, sums);
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
            RowWeights::Columns(columns, weights) => {
                pairs::listed_row(columns, weights, tile.features)
            }
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

// r0 stream, r1 what is left of its row, r2 feature, r3 weight; r4…r11 the four 64-bit sums;
// r12 and lr the words of a feature. The frame lies on the stack; between two rows r4…r8 are
// its output, scales, bias, end and tile.
//
// Loops are entered in their midst, so each of their steps has to have the same size: `.w`
// everywhere.
global_asm!(
    ".syntax unified",
    ".thumb",
    ".set np_fpu, {fpu}",
    ".set np_dsp, {dsp}",
    ".if np_fpu",
    ".fpu fpv4-sp-d16",
    ".endif",
    // ---- products of the weight r3 with a feature: the first of a row, or another
    ".macro np_first lanes, next",
    "ldrd r12, lr, [r2], #\\next",
    "smull r4, r5, r3, r12",
    "smull r6, r7, r3, lr",
    ".if \\lanes == 8",
    "ldrd r12, lr, [r2], #8",
    "smull r8, r9, r3, r12",
    "smull r10, r11, r3, lr",
    ".endif",
    ".endm",
    ".macro np_next lanes, next",
    "ldrd r12, lr, [r2], #\\next",
    "smlal r4, r5, r3, r12",
    "smlal r6, r7, r3, lr",
    ".if \\lanes == 8",
    "ldrd r12, lr, [r2], #8",
    "smlal r8, r9, r3, r12",
    "smlal r10, r11, r3, lr",
    ".endif",
    ".endm",
    // r2 stays.
    ".macro np_at first, lanes, offset",
    "ldrd r12, lr, [r2, #\\offset]",
    ".if \\first",
    "smull r4, r5, r3, r12",
    "smull r6, r7, r3, lr",
    ".else",
    "smlal r4, r5, r3, r12",
    "smlal r6, r7, r3, lr",
    ".endif",
    ".if \\lanes == 8",
    "ldrd r12, lr, [r2, #\\offset + 8]",
    ".if \\first",
    "smull r8, r9, r3, r12",
    "smull r10, r11, r3, lr",
    ".else",
    "smlal r8, r9, r3, r12",
    "smlal r10, r11, r3, lr",
    ".endif",
    ".endif",
    ".endm",
    // ---- frames: `more` bytes behind what is copied
    ".macro np_enter more=0",
    "push {{r4-r11, lr}}",
    "ldm r1, {{r4-r10}}",
    ".if np_fpu",
    "vpush {{s16-s25}}",
    "vldmia r10, {{s0-s7}}",
    ".endif",
    ".if \\more",
    "sub sp, #\\more",
    ".endif",
    "push {{r4-r9}}",
    ".endm",
    // Even lane: the low 24 bits, sign-extended. Odd lane: the rest; bit 23 of the low
    // word, which the shift leaves in the carry, is the borrow of a negative even lane.
    ".macro np_split low, high",
    "sbfx r12, \\low, #0, #24",
    "lsrs lr, \\low, #24",
    "adc lr, lr, \\high, lsl #8",
    ".endm",
    ".macro np_store_pair low, high",
    "np_split \\low, \\high",
    "strd r12, lr, [r3], #8",
    ".endm",
    ".macro np_float_pair low, high, even, odd",
    "np_split \\low, \\high",
    "vmov \\even, \\odd, r12, lr",
    ".endm",
    // np_t scales of tokens, np_y sums and what becomes of them, np_z their scales.
    ".irp lane, 0, 1, 2, 3, 4, 5, 6, 7",
    "np_t\\lane .req s\\lane",
    ".endr",
    "np_y0 .req s8",
    "np_y1 .req s9",
    "np_y2 .req s10",
    "np_y3 .req s11",
    "np_y4 .req s12",
    "np_y5 .req s13",
    "np_y6 .req s14",
    "np_y7 .req s15",
    "np_z0 .req s16",
    "np_z1 .req s17",
    "np_z2 .req s18",
    "np_z3 .req s19",
    "np_z4 .req s20",
    "np_z5 .req s21",
    "np_z6 .req s22",
    "np_z7 .req s23",
    // One operation in each lane.
    ".macro np_each_lane lanes, operation",
    ".irp lane, 0, 1, 2, 3",
    "\\operation \\lane",
    ".endr",
    ".if \\lanes == 8",
    ".irp lane, 4, 5, 6, 7",
    "\\operation \\lane",
    ".endr",
    ".endif",
    ".endm",
    ".macro np_to_float lane",
    "vcvt.f32.s32 np_y\\lane, np_y\\lane",
    ".endm",
    ".macro np_row_scale lane",
    "vmul.f32 np_z\\lane, np_t\\lane, s24",
    ".endm",
    ".macro np_scale lane",
    "vmul.f32 np_y\\lane, np_y\\lane, np_z\\lane",
    ".endm",
    ".macro np_add_bias lane",
    "vadd.f32 np_y\\lane, np_y\\lane, s25",
    ".endm",
    // The sums of a row; goes on with the next at `again`, or returns.
    ".macro np_leave_row lanes, again, frame=24",
    ".if np_fpu",
    "np_float_pair r4, r5, s8, s9",
    "np_float_pair r6, r7, s10, s11",
    ".if \\lanes == 8",
    "np_float_pair r8, r9, s12, s13",
    "np_float_pair r10, r11, s14, s15",
    ".endif",
    "ldm sp, {{r4-r8}}",
    "ldrh r12, [r5], #2",
    "vmov s24, r12",
    "vcvtb.f32.f16 s24, s24",
    "np_each_lane \\lanes, np_to_float",
    "np_each_lane \\lanes, np_row_scale",
    "np_each_lane \\lanes, np_scale",
    "cbz r6, .Lnp_unbiased\\@",
    "ldrh r12, [r6], #2",
    "vmov s25, r12",
    "vcvtb.f32.f16 s25, s25",
    "np_each_lane \\lanes, np_add_bias",
    ".Lnp_unbiased\\@:",
    ".if \\lanes == 8",
    "vstmia r4!, {{s8-s15}}",
    ".else",
    "vstmia r4, {{s8-s11}}",
    "adds r4, #32",
    ".endif",
    "stm sp, {{r4-r6}}",
    "cmp r4, r7",
    ".else",
    "ldr r3, [sp]",
    "np_store_pair r4, r5",
    "np_store_pair r6, r7",
    ".if \\lanes == 8",
    "np_store_pair r8, r9",
    "np_store_pair r10, r11",
    ".else",
    "adds r3, #16",
    ".endif",
    "str r3, [sp]",
    "ldrd r1, r8, [sp, #12]",
    "cmp r3, r1",
    ".endif",
    "bne \\again",
    "add sp, #\\frame",
    ".if np_fpu",
    "vpop {{s16-s25}}",
    ".endif",
    "pop {{r4-r11, pc}}",
    ".endm",
    ".macro np_clear",
    "movs r4, #0",
    "movs r5, #0",
    "movs r6, #0",
    "movs r7, #0",
    "mov r8, r4",
    "mov r9, r4",
    "mov r10, r4",
    "mov r11, r4",
    ".endm",
    ".macro np_function name",
    ".section .text.\\name, \"ax\", %progbits",
    ".global \\name",
    ".type \\name, %function",
    ".p2align 2",
    ".thumb_func",
    "\\name:",
    ".endm",
    // Jumps to where `index` steps are left in front of `end`: 0 up to `most`.
    ".macro np_jump index, most, end, size",
    "tbh [pc, \\index, lsl #1]",
    ".Lnp_table\\@:",
    ".set np_left, 0",
    ".rept \\most + 1",
    ".hword (\\end - .Lnp_table\\@ - np_left * \\size) / 2",
    ".set np_left, np_left + 1",
    ".endr",
    ".endm",
    // ---- delta-u8
    ".macro np_delta_first lanes",
    "ldrb r12, [r0], #1",
    "ldrsb r3, [r0], #1",
    "add r2, r8, r12, lsl #4",
    "np_at 1, \\lanes, 0",
    ".endm",
    ".macro np_delta_step lanes",
    "ldrb.w r12, [r0], #1",
    "ldrsb.w r3, [r0], #1",
    "add.w r2, r2, r12, lsl #4",
    "np_at 0, \\lanes, 0",
    ".endm",
    // Rows of one weight and up to `steps` more run through once; r1 is how many more, and
    // no address, so that they leave the loop.
    ".macro np_delta name, lanes, log, steps, size",
    "np_function \\name",
    "np_enter",
    "1:",
    "ldrb r1, [r0], #1",
    "subs r1, #1",
    "cmp r1, #\\steps",
    "bhi.w 7f",
    "np_delta_first \\lanes",
    "np_jump r1, \\steps, 6f, \\size",
    // More weights, then r1 is where they end; or none. Tables reach forward only.
    "7:",
    "adds r1, #1",
    "beq 8f",
    "cmp r1, #255",
    "it eq",
    "ldrheq r1, [r0], #2",
    "cmp r1, #0",
    "beq 8f",
    "add r1, r0, r1, lsl #1",
    "np_delta_first \\lanes",
    "sub lr, r1, r0",
    "ubfx lr, lr, #1, #\\log",
    "np_jump lr, \\steps - 1, 6f, \\size",
    "8:",
    "np_clear",
    "b.w 9f",
    ".p2align 2",
    "3:",
    ".rept \\steps",
    "np_delta_step \\lanes",
    ".endr",
    "6:",
    "cmp r0, r1",
    "blo.w 3b",
    "9:",
    "np_leave_row \\lanes, 1b",
    ".endm",
    "np_delta neuroprune_delta8, 8, 4, 16, 36",
    "np_delta neuroprune_delta4, 4, 3, 8, 24",
    // ---- blocks
    ".macro np_block first, base, lanes, width",
    "ldrb r12, [r0], #1",
    "add r2, \\base, r12, lsl #4",
    "ldrsb r3, [r0], #1",
    "np_at \\first, \\lanes, 0",
    "ldrsb r3, [r0], #1",
    "np_at 0, \\lanes, 16",
    ".if \\width == 4",
    "ldrsb r3, [r0], #1",
    "np_at 0, \\lanes, 32",
    "ldrsb r3, [r0], #1",
    "np_at 0, \\lanes, 48",
    ".endif",
    ".endm",
    // r1 counts pairs of blocks behind the first.
    ".macro np_blocks name, lanes, width",
    "np_function \\name",
    "np_enter",
    "1:",
    "ldrb r1, [r0], #1",
    "subs r1, #1",
    "cmp r1, #254",
    "bhs.w 7f",
    "2:",
    "np_block 1, r8, \\lanes, \\width",
    "lsrs r1, r1, #1",
    "bcs.w 4f",
    "subs r1, #1",
    "bmi.w 9f",
    "3:",
    "np_block 0, r2, \\lanes, \\width",
    "4:",
    "np_block 0, r2, \\lanes, \\width",
    "subs r1, #1",
    "bpl.w 3b",
    "9:",
    "np_leave_row \\lanes, 1b",
    // As many as two bytes say, or none.
    "7:",
    "adds r1, #1",
    "beq 8f",
    "ldrh r1, [r0], #2",
    "subs r1, #1",
    "bpl.w 2b",
    "8:",
    "np_clear",
    "b.w 9b",
    ".endm",
    "np_blocks neuroprune_blocks2_8, 8, 2",
    "np_blocks neuroprune_blocks2_4, 4, 2",
    "np_blocks neuroprune_blocks4_8, 8, 4",
    "np_blocks neuroprune_blocks4_4, 4, 4",
    // ---- bitmap: r0 runs through the weights; the place in the bits, the feature of their
    // first column and the place of the last whole word lie on the stack behind the frame. r2 is `before`
    // the feature of the highest bit of r1. The next bit that is set is found by counting
    // zeros; it and the three columns behind it are one of eight patterns, each with code of
    // its own.
    ".macro np_bit lanes, before, column, last",
    "ldrsb r3, [r0], #1",
    ".if \\lanes == 8",
    "ldrd r12, lr, [r2, #\\column * 16 + \\before]",
    "smlal r4, r5, r3, r12",
    "smlal r6, r7, r3, lr",
    ".if \\last",
    "ldrd r12, lr, [r2, #\\column * 16 + 16]!",
    ".else",
    "ldrd r12, lr, [r2, #\\column * 16 + 16]",
    ".endif",
    "smlal r8, r9, r3, r12",
    "smlal r10, r11, r3, lr",
    ".else",
    ".if \\last",
    "ldrd r12, lr, [r2, #\\column * 16 + 16]!",
    ".else",
    "ldrd r12, lr, [r2, #\\column * 16 + 16]",
    ".endif",
    "smlal r4, r5, r3, r12",
    "smlal r6, r7, r3, lr",
    ".endif",
    ".if \\last",
    "lsls r1, r1, #\\column + 1",
    // Behind a pattern that ends early there is no bit.
    ".if \\column == 3",
    "bmi.w 5b",
    ".endif",
    "bne.w 4b",
    "b.w 2b",
    ".endif",
    ".endm",
    ".macro np_bitmap name, lanes, before",
    "np_function \\name",
    "np_enter 12",
    "1:",
    "ldr r1, [sp, #20]",
    "mov r3, r0",
    "sub r8, r8, #\\before",
    "add r0, r1",
    "subs r1, r0, #4",
    "strd r3, r8, [sp, #24]",
    "str r1, [sp, #32]",
    "np_clear",
    "2:",
    "ldrd r3, r2, [sp, #24]",
    "ldr lr, [sp, #32]",
    "cmp r3, lr",
    "bhi.w 8f",
    "ldr r1, [r3], #4",
    "add lr, r2, #512",
    "rev r1, r1",
    "3:",
    "strd r3, lr, [sp, #24]",
    "cmp r1, #0",
    "beq 2b",
    "4:",
    "clz r3, r1",
    "lsl r1, r1, r3",
    "add r2, r2, r3, lsl #4",
    "5:",
    "ubfx r3, r1, #28, #3",
    "tbh [pc, r3, lsl #1]",
    ".Lnp_patterns\\@:",
    ".irp pattern, 0, 1, 2, 3, 4, 5, 6, 7",
    ".hword (.Lnp_\\@_pattern\\pattern - .Lnp_patterns\\@) / 2",
    ".endr",
    ".irp pattern, 0, 1, 2, 3, 4, 5, 6, 7",
    ".Lnp_\\@_pattern\\pattern:",
    "np_bit \\lanes, \\before, 0, (\\pattern == 0)",
    ".if \\pattern & 4",
    "np_bit \\lanes, \\before, 1, (\\pattern == 4)",
    ".endif",
    ".if \\pattern & 2",
    "np_bit \\lanes, \\before, 2, (\\pattern & 1 == 0)",
    ".endif",
    ".if \\pattern & 1",
    "np_bit \\lanes, \\before, 3, 1",
    ".endif",
    ".endr",
    // Fewer than 32 columns are left: eight at a time.
    "8:",
    "add lr, #4",
    "cmp r3, lr",
    "beq 9f",
    "ldrb r1, [r3], #1",
    "add lr, r2, #128",
    "lsls r1, r1, #24",
    "b.w 3b",
    "9:",
    "np_leave_row \\lanes, 1b, 36",
    ".endm",
    "np_bitmap neuroprune_bitmap8, 8, 8",
    "np_bitmap neuroprune_bitmap4, 4, 16",
    // ---- dense: r0 weights, r1 rows, r2 tile, r3 sums. On the stack these three, the columns
    // behind the first, and where the loop is entered.
    ".macro np_dense name, lanes, next, size",
    "np_function \\name",
    "push {{r4-r11, lr}}",
    "ldr r4, [sp, #36]",
    "subs r4, #1",
    "and lr, r4, #15",
    "mov r5, #\\size",
    "adr.w r12, 6f",
    "mls r5, lr, r5, r12",
    "orr r5, r5, #1",
    "push {{r2, r4, r5}}",
    "push {{r1, r3}}",
    "1:",
    "ldrd r2, r1, [sp, #8]",
    "ldrsb r3, [r0], #1",
    "add r1, r0",
    "np_first \\lanes, \\next",
    "ldr pc, [sp, #16]",
    ".p2align 2",
    "3:",
    ".rept 16",
    "ldrsb.w r3, [r0], #1",
    "np_next \\lanes, \\next",
    ".endr",
    ".p2align 2",
    "6:",
    "cmp r0, r1",
    "bne.w 3b",
    "ldrd r2, r3, [sp]",
    "np_store_pair r4, r5",
    "np_store_pair r6, r7",
    ".if \\lanes == 8",
    "np_store_pair r8, r9",
    "np_store_pair r10, r11",
    ".else",
    "adds r3, #16",
    ".endif",
    "subs r2, #1",
    "strd r2, r3, [sp]",
    "bne.w 1b",
    "add sp, #20",
    "pop {{r4-r11, pc}}",
    ".endm",
    "np_dense neuroprune_dense8, 8, 8, 28",
    "np_dense neuroprune_dense4, 4, 16, 16",
    // ---- pack: r0 steps, r1 count, r2 features. The upper bytes of both halves, rounded:
    // the lower half cannot carry into the upper, which it must not.
    ".macro np_pack word",
    ".if np_dsp",
    "uadd16 \\word, \\word, r12",
    "and r3, \\word, #0xff000000",
    "sxtab \\word, r3, \\word, ror #8",
    ".else",
    "add r3, \\word, #128",
    "add \\word, \\word, #0x800000",
    "sbfx r3, r3, #8, #8",
    "and \\word, \\word, #0xff000000",
    "add \\word, \\word, r3",
    ".endif",
    ".endm",
    "np_function neuroprune_pack",
    "push {{r4-r7}}",
    "mov r12, #0x00800080",
    "1:",
    "ldmia r0!, {{r4-r7}}",
    "np_pack r4",
    "np_pack r5",
    "np_pack r6",
    "np_pack r7",
    "stmia r2!, {{r4-r7}}",
    "subs r1, #1",
    "bne 1b",
    "pop {{r4-r7}}",
    "bx lr",
    // ---- rectify: r0 floats, r1 count
    "np_function neuroprune_rectify",
    "push {{r4-r11}}",
    "1:",
    "ldmia r0, {{r4-r11}}",
    ".irp x, r4, r5, r6, r7, r8, r9, r10, r11",
    "bic \\x, \\x, \\x, asr #31",
    ".endr",
    "stmia r0!, {{r4-r11}}",
    "subs r1, #1",
    "bne 1b",
    "pop {{r4-r11}}",
    "bx lr",
    fpu = const cfg!(fpu) as u32,
    dsp = const cfg!(dsp) as u32,
);
