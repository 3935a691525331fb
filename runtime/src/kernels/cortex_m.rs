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
use super::pairs::{self, STRETCH};
pub use super::pairs::{Feature, set_grain};
#[cfg(not(dsp))]
pub use super::scalar::{mix, value_word};
use super::{LANES, Lanes, Tile};

/// Rows of one layout: the bytes, how many rows, the first feature, the sums, and the
/// columns of dense rows. Returns the byte behind the last row.
type Kernel = unsafe extern "C" fn(
    weights: *const u8,
    rows: usize,
    tile: *const Feature,
    sums: *mut Lanes<i32>,
    cols: usize,
) -> *const u8;

/// See [`super::scalar::multiply`].
pub fn multiply(rows: &Rows<'_>, tile: &Tile<'_>, sums: &mut [Lanes<i32>]) {
    let (cols, bytes) = (rows.cols(), rows.bytes());
    let short = tile.tokens <= LANES / 2;
    let kernel: Kernel = match (bytes.layout, short) {
        (Some(LayoutKind::Dense), _) if cols > STRETCH => return others(rows, tile, sums),
        (Some(LayoutKind::Dense), _) if cols == 0 => return sums.fill([0; LANES]),
        (Some(LayoutKind::Dense), false) => neuroprune_dense8,
        (Some(LayoutKind::Dense), true) => neuroprune_dense4,
        (Some(LayoutKind::DeltaU8), false) => neuroprune_delta8,
        (Some(LayoutKind::DeltaU8), true) => neuroprune_delta4,
        (Some(LayoutKind::Bitmap), false) => neuroprune_bitmap8,
        (Some(LayoutKind::Bitmap), true) => neuroprune_bitmap4,
        (Some(LayoutKind::Blocks2), false) => neuroprune_blocks2_8,
        (Some(LayoutKind::Blocks2), true) => neuroprune_blocks2_4,
        (Some(LayoutKind::Blocks4), false) => neuroprune_blocks4_8,
        (Some(LayoutKind::Blocks4), true) => neuroprune_blocks4_4,
        _ => return others(rows, tile, sums),
    };
    if tile.features.len() < cols {
        return;
    }
    let features = tile.features.as_ptr();
    let mut weights = bytes.weights.as_ptr();
    let mut row = 0;
    while let Some(left) = sums.get_mut(row..).filter(|left| !left.is_empty()) {
        let run = rows.stored_from(row).min(left.len());
        if run == 0 {
            // A cut row, or the end: rows there are not read.
            left.iter_mut().take(1).for_each(|sums| *sums = [0; LANES]);
            row += 1;
            continue;
        }
        // SAFETY: `Model::open` checked that the rows of this layout lie in `bytes`, one
        // behind the other, and that their columns are below `cols`, for which there are
        // features. `run` stored rows follow; `left` has as many sums.
        weights = unsafe { kernel(weights, run, features, left.as_mut_ptr(), cols) };
        row += run;
    }
}

/// Rows with a list of columns, and long ones.
#[cold]
fn others(rows: &Rows<'_>, tile: &Tile<'_>, sums: &mut [Lanes<i32>]) {
    for (sums, weights) in sums.iter_mut().zip(rows.weights()) {
        *sums = match weights {
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

    // Each reads `rows` rows, at least one, of checked bytes. The digit behind the name is
    // the number of lanes.
    fn neuroprune_delta8(
        weights: *const u8,
        rows: usize,
        tile: *const Feature,
        sums: *mut Lanes<i32>,
        cols: usize,
    ) -> *const u8;
    fn neuroprune_delta4(
        weights: *const u8,
        rows: usize,
        tile: *const Feature,
        sums: *mut Lanes<i32>,
        cols: usize,
    ) -> *const u8;
    fn neuroprune_bitmap8(
        weights: *const u8,
        rows: usize,
        tile: *const Feature,
        sums: *mut Lanes<i32>,
        cols: usize,
    ) -> *const u8;
    fn neuroprune_bitmap4(
        weights: *const u8,
        rows: usize,
        tile: *const Feature,
        sums: *mut Lanes<i32>,
        cols: usize,
    ) -> *const u8;
    fn neuroprune_blocks2_8(
        weights: *const u8,
        rows: usize,
        tile: *const Feature,
        sums: *mut Lanes<i32>,
        cols: usize,
    ) -> *const u8;
    fn neuroprune_blocks2_4(
        weights: *const u8,
        rows: usize,
        tile: *const Feature,
        sums: *mut Lanes<i32>,
        cols: usize,
    ) -> *const u8;
    fn neuroprune_blocks4_8(
        weights: *const u8,
        rows: usize,
        tile: *const Feature,
        sums: *mut Lanes<i32>,
        cols: usize,
    ) -> *const u8;
    fn neuroprune_blocks4_4(
        weights: *const u8,
        rows: usize,
        tile: *const Feature,
        sums: *mut Lanes<i32>,
        cols: usize,
    ) -> *const u8;
    // `cols` is not zero and at most `STRETCH`.
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

// r0 stream, r1 the end of its row, r2 feature, r3 weight; r4…r11 the four 64-bit sums;
// r12 and lr the words of a feature. On the stack: rows left, sums, tile, columns.
//
// The loops of eight are entered by address, so each of their steps has to have the same
// size: `.w` everywhere.
global_asm!(
    ".syntax unified",
    ".thumb",
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
    // ---- frames
    ".macro np_enter",
    "push {{r4-r11, lr}}",
    "ldr r4, [sp, #36]",
    "push {{r2, r4}}",
    "push {{r1, r3}}",
    ".endm",
    // Even lane: the low 24 bits, sign-extended. Odd lane: the rest; bit 23 of the low
    // word, which the shift leaves in the carry, is the borrow of a negative even lane.
    ".macro np_store_pair low, high",
    "sbfx r12, \\low, #0, #24",
    "lsrs lr, \\low, #24",
    "adc lr, lr, \\high, lsl #8",
    "strd r12, lr, [r3], #8",
    ".endm",
    // The sums of a row; goes on with the next at `again`, or returns.
    ".macro np_leave_row lanes, again, frame=16",
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
    "bne \\again",
    "add sp, #\\frame",
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
    // ---- delta-u8
    ".macro np_delta_step lanes",
    "ldrb.w r12, [r0], #1",
    "ldrsb.w r3, [r0], #1",
    "add.w r2, r2, r12, lsl #4",
    "np_at 0, \\lanes, 0",
    ".endm",
    ".macro np_delta name, lanes",
    "np_function \\name",
    "np_enter",
    "1:",
    "ldrsb r1, [r0], #1",
    "ldr r2, [sp, #8]",
    "cmp r1, #0",
    "ble.w 7f",
    "2:",
    "add r1, r0, r1, lsl #1",
    "ldrb r12, [r0], #1",
    "ldrsb r3, [r0], #1",
    "add r2, r2, r12, lsl #4",
    "np_at 1, \\lanes, 0",
    // Two bytes a step are left; so many as eight does not divide come first.
    "sub lr, r1, r0",
    "ands lr, lr, #14",
    "beq 5f",
    "adr.w r12, 6f",
    ".if \\lanes == 8",
    "add r3, lr, lr, lsl #3",
    "sub r12, r12, r3, lsl #1",
    ".else",
    "add r3, lr, lr, lsl #1",
    "sub r12, r12, r3, lsl #2",
    ".endif",
    "mov pc, r12",
    "5:",
    "cmp r0, r1",
    "beq.w 9f",
    ".p2align 2",
    "3:",
    ".rept 8",
    "np_delta_step \\lanes",
    ".endr",
    "6:",
    "cmp r0, r1",
    "bne.w 3b",
    "9:",
    "np_leave_row \\lanes, 1b",
    // No weight, more than 127, or more than one byte counts.
    "7:",
    "beq 8f",
    "uxtb r1, r1",
    "cmp r1, #255",
    "it eq",
    "ldrheq r1, [r0], #2",
    "cmp r1, #0",
    "bne 2b",
    "8:",
    "np_clear",
    "b 9b",
    ".endm",
    "np_delta neuroprune_delta8, 8",
    "np_delta neuroprune_delta4, 4",
    // ---- dense
    ".macro np_dense name, lanes, next",
    "np_function \\name",
    "np_enter",
    "1:",
    "ldrd r2, r1, [sp, #8]",
    "ldrsb r3, [r0], #1",
    "add r1, r0",
    "subs r1, #1",
    "np_first \\lanes, \\next",
    "subs lr, r1, r0",
    "ands lr, lr, #15",
    "beq 5f",
    "adr.w r12, 6f",
    ".if \\lanes == 8",
    "sub r12, r12, lr, lsl #5",
    "add r12, r12, lr, lsl #2",
    ".else",
    "sub r12, r12, lr, lsl #4",
    ".endif",
    "mov pc, r12",
    "5:",
    "cmp r0, r1",
    "beq.w 9f",
    ".p2align 2",
    "3:",
    ".rept 16",
    "ldrsb.w r3, [r0], #1",
    "np_next \\lanes, \\next",
    ".endr",
    "6:",
    "cmp r0, r1",
    "bne.w 3b",
    "9:",
    "np_leave_row \\lanes, 1b",
    ".endm",
    "np_dense neuroprune_dense8, 8, 8",
    "np_dense neuroprune_dense4, 4, 16",
    // ---- blocks
    ".macro np_block first, lanes, width",
    "ldrb r12, [r0], #1",
    "add r2, r2, r12, lsl #4",
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
    ".macro np_blocks name, lanes, width, shift",
    "np_function \\name",
    "np_enter",
    "1:",
    "ldrb r1, [r0], #1",
    "ldr r2, [sp, #8]",
    "cmp r1, #255",
    "beq.w 7f",
    "2:",
    "add r1, r1, r1, lsl #\\shift",
    "adds r1, r0",
    "cmp r1, r0",
    "beq.w 8f",
    "np_block 1, \\lanes, \\width",
    // A block has an odd number of bytes: an odd number of them is left where that of
    // bytes is.
    "subs r12, r1, r0",
    "beq.w 9f",
    "lsls r12, r12, #31",
    "bne.w 4f",
    "3:",
    "np_block 0, \\lanes, \\width",
    "4:",
    "np_block 0, \\lanes, \\width",
    "cmp r0, r1",
    "bne.w 3b",
    "9:",
    "np_leave_row \\lanes, 1b",
    "7:",
    "ldrh r1, [r0], #2",
    "b.w 2b",
    "8:",
    "np_clear",
    "b.w 9b",
    ".endm",
    "np_blocks neuroprune_blocks2_8, 8, 2, 1",
    "np_blocks neuroprune_blocks2_4, 4, 2, 1",
    "np_blocks neuroprune_blocks4_8, 8, 4, 2",
    "np_blocks neuroprune_blocks4_4, 4, 4, 2",
    // ---- bitmap: r0 runs through the weights, the place in the bits, the feature of their
    // first column and the end of the bits lie on the stack behind the frame
    ".macro np_bitmap name, lanes, next",
    "np_function \\name",
    "push {{r4-r11, lr}}",
    "ldr r4, [sp, #36]",
    "sub sp, #16",
    "push {{r2, r4}}",
    "push {{r1, r3}}",
    "1:",
    "ldrd r2, r1, [sp, #8]",
    "adds r1, #7",
    "mov r3, r0",
    "add r0, r0, r1, lsr #3",
    "strd r3, r2, [sp, #16]",
    "str r0, [sp, #24]",
    "np_clear",
    "2:",
    "ldrd r3, r2, [sp, #16]",
    "ldr lr, [sp, #24]",
    "sub lr, lr, r3",
    "cmp lr, #4",
    "blo 5f",
    "ldr r1, [r3], #4",
    "add lr, r2, #512",
    "rev r1, r1",
    "3:",
    "strd r3, lr, [sp, #16]",
    "cmp r1, #0",
    "beq 2b",
    "4:",
    "clz r3, r1",
    "lsl r1, r1, r3",
    "add r2, r2, r3, lsl #4",
    "ldrsb r3, [r0], #1",
    "np_next \\lanes, \\next",
    "lsls r1, r1, #1",
    "bne 4b",
    "b 2b",
    "5:",
    "cmp lr, #0",
    "beq 9f",
    "ldrb r1, [r3], #1",
    "add lr, r2, #128",
    "lsls r1, r1, #24",
    "b 3b",
    "9:",
    "np_leave_row \\lanes, 1b, 32",
    ".endm",
    "np_bitmap neuroprune_bitmap8, 8, 8",
    "np_bitmap neuroprune_bitmap4, 4, 16",
    // ---- pack: r0 steps, r1 count, r2 features. The upper bytes of both halves, rounded:
    // the lower half cannot carry into the upper, which it must not.
    ".macro np_pack word",
    "add r3, \\word, #128",
    "add \\word, \\word, #0x800000",
    "sbfx r3, r3, #8, #8",
    "and \\word, \\word, #0xff000000",
    "add \\word, \\word, r3",
    ".endm",
    "np_function neuroprune_pack",
    "push {{r4-r7}}",
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
);
