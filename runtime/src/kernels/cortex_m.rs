//! Cortex-M4, M7, M33, M55: two int8 products with one `SMLAL`.
//!
//! The pairs of [`super::pairs`] in assembly, since a row needs all fourteen registers:
//! eight hold the sums, two the words of a feature. A nonzero weight costs its two
//! loads, one addition, two loads of a feature and four multiplications for eight
//! tokens; a quarter of a loop's end comes on top.
#![allow(unsafe_code, reason = "assembly; each call says what it stands on")]

use core::arch::global_asm;

use neuroprune_format::tensor::{Matrix, Row};

#[cfg(dsp)]
pub use super::cortex_m_dsp::mix;
use super::pairs::{self, Rows};
pub use super::pairs::{Feature, set_pair};
#[cfg(not(dsp))]
pub use super::scalar::mix;
use super::{LANES, Lanes};

/// The rows in assembly.
struct Assembly;

/// See [`super::scalar::multiply`].
#[inline]
pub fn multiply(
    matrix: &Matrix<'_>,
    tile: &[Feature],
    emit: impl FnMut(usize, Row<'_>, Lanes<i32>),
) {
    // The one check that the assembly stands on.
    if tile.len() >= matrix.cols() {
        pairs::multiply::<Assembly>(matrix, tile, emit);
    }
}

/// See [`super::scalar::dense_row`].
#[inline]
#[must_use]
pub fn dense_row(weights: &[u8], tile: &[Feature]) -> Lanes<i32> {
    pairs::dense_row::<Assembly>(weights, tile)
}

unsafe extern "C" {
    /// Reads `2 * count` bytes at `pairs`, and features as the steps say.
    fn neuroprune_delta_row(pairs: *const u8, count: usize, tile: *const Feature, sums: *mut i32);
    /// Reads `count` bytes at `weights` and `count` features.
    fn neuroprune_dense_row(weights: *const u8, count: usize, tile: *const Feature, sums: *mut i32);
    /// Reads `3 * count` bytes at `blocks`, and two features a block as the steps say.
    fn neuroprune_blocks2_row(
        blocks: *const u8,
        count: usize,
        tile: *const Feature,
        sums: *mut i32,
    );
    /// Reads `5 * count` bytes at `blocks`, and four features a block as the steps say.
    fn neuroprune_blocks4_row(
        blocks: *const u8,
        count: usize,
        tile: *const Feature,
        sums: *mut i32,
    );
}

impl Rows for Assembly {
    #[inline]
    fn dense(weights: &[u8], tile: &[Feature]) -> Lanes<i32> {
        let mut sums = [0; LANES];
        let count = weights.len().min(tile.len());
        // SAFETY: `count` is within both slices; `sums` has the eight words written.
        unsafe {
            neuroprune_dense_row(weights.as_ptr(), count, tile.as_ptr(), sums.as_mut_ptr());
        }
        sums
    }

    #[inline]
    fn delta(pairs: &[u8], tile: &[Feature]) -> Lanes<i32> {
        let mut sums = [0; LANES];
        // SAFETY: the pairs come from a matrix that `Model::open` checked: its columns are
        // below `cols`, and `multiply` compared `cols` with the tile. `sums` has the eight
        // words written.
        unsafe {
            neuroprune_delta_row(
                pairs.as_ptr(),
                pairs.len() / 2,
                tile.as_ptr(),
                sums.as_mut_ptr(),
            );
        }
        sums
    }

    #[inline]
    fn blocks2(blocks: &[u8], tile: &[Feature]) -> Lanes<i32> {
        let mut sums = [0; LANES];
        let count = blocks.len() / 3;
        // SAFETY: as in `delta`: `Model::open` checked that each block ends within `cols`.
        unsafe {
            neuroprune_blocks2_row(blocks.as_ptr(), count, tile.as_ptr(), sums.as_mut_ptr());
        }
        sums
    }

    #[inline]
    fn blocks4(blocks: &[u8], tile: &[Feature]) -> Lanes<i32> {
        let mut sums = [0; LANES];
        let count = blocks.len() / 5;
        // SAFETY: as in `blocks2`.
        unsafe {
            neuroprune_blocks4_row(blocks.as_ptr(), count, tile.as_ptr(), sums.as_mut_ptr());
        }
        sums
    }
}

// r0 stream, r1 its end, r2 feature, r3 weight; r4…r11 the four 64-bit sums; r12, lr the
// words of a feature. The odd weights first, then four at a time.
global_asm!(
    ".syntax unified",
    ".thumb",
    // Even lane: the low 24 bits, sign-extended. Odd lane: the rest; bit 23 of the low
    // word, which the shift leaves in the carry, is the borrow of a negative even lane.
    ".macro np_store_pair low, high, offset",
    "sbfx r12, \\low, #0, #24",
    "lsrs lr, \\low, #24",
    "adc lr, lr, \\high, lsl #8",
    "strd r12, lr, [r3, \\offset]",
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
    ".macro np_products",
    "ldrd r12, lr, [r2]",
    "smlal r4, r5, r3, r12",
    "smlal r6, r7, r3, lr",
    "ldrd r12, lr, [r2, #8]",
    "smlal r8, r9, r3, r12",
    "smlal r10, r11, r3, lr",
    ".endm",
    ".macro np_delta_step offset",
    "ldrb r12, [r0, #\\offset]",
    "ldrsb r3, [r0, #\\offset + 1]",
    "add r2, r2, r12, lsl #4",
    "np_products",
    ".endm",
    // The features of neighbouring columns: reading one moves on to the next.
    ".macro np_next_products",
    "ldrd r12, lr, [r2], #8",
    "smlal r4, r5, r3, r12",
    "smlal r6, r7, r3, lr",
    "ldrd r12, lr, [r2], #8",
    "smlal r8, r9, r3, r12",
    "smlal r10, r11, r3, lr",
    ".endm",
    ".macro np_dense_step offset",
    "ldrsb r3, [r0, #\\offset]",
    "np_next_products",
    ".endm",
    // A block steps to its first column and leaves r2 there.
    ".macro np_blocks_row width",
    "push {{r3-r11, lr}}",
    "np_clear",
    "mov r3, #\\width + 1",
    "mla r1, r1, r3, r0",
    "cmp r0, r1",
    "beq 2f",
    "1:",
    "ldrb r12, [r0], #\\width + 1",
    "add r2, r2, r12, lsl #4",
    "np_block_weight \\width, 0",
    "np_block_weight \\width, 1",
    ".if \\width == 4",
    "np_block_weight \\width, 2",
    "np_block_weight \\width, 3",
    ".endif",
    "cmp r0, r1",
    "bne 1b",
    "2:",
    "np_finish",
    ".endm",
    ".macro np_block_weight width, index",
    "ldrsb r3, [r0, #\\index - \\width]",
    "ldrd r12, lr, [r2, #16 * \\index]",
    "smlal r4, r5, r3, r12",
    "smlal r6, r7, r3, lr",
    "ldrd r12, lr, [r2, #16 * \\index + 8]",
    "smlal r8, r9, r3, r12",
    "smlal r10, r11, r3, lr",
    ".endm",
    ".macro np_finish",
    "ldr r3, [sp], #4",
    "np_store_pair r4, r5, #0",
    "np_store_pair r6, r7, #8",
    "np_store_pair r8, r9, #16",
    "np_store_pair r10, r11, #24",
    "pop {{r4-r11, pc}}",
    ".endm",
    ".section .text.neuroprune_delta_row, \"ax\", %progbits",
    ".global neuroprune_delta_row",
    ".type neuroprune_delta_row, %function",
    ".thumb_func",
    "neuroprune_delta_row:",
    "push {{r3-r11, lr}}",
    "np_clear",
    "ands r3, r1, #3",
    "add r1, r0, r1, lsl #1",
    "beq 2f",
    "add r3, r0, r3, lsl #1",
    "push {{r3}}",
    "1:",
    "np_delta_step 0",
    "adds r0, #2",
    "ldr r3, [sp]",
    "cmp r0, r3",
    "bne 1b",
    "add sp, #4",
    "2:",
    "cmp r0, r1",
    "beq 4f",
    "3:",
    "np_delta_step 0",
    "np_delta_step 2",
    "np_delta_step 4",
    "np_delta_step 6",
    "adds r0, #8",
    "cmp r0, r1",
    "bne 3b",
    "4:",
    "np_finish",
    ".section .text.neuroprune_dense_row, \"ax\", %progbits",
    ".global neuroprune_dense_row",
    ".type neuroprune_dense_row, %function",
    ".thumb_func",
    "neuroprune_dense_row:",
    "push {{r3-r11, lr}}",
    "np_clear",
    "ands r3, r1, #3",
    "add r1, r0",
    "beq 2f",
    "add r3, r0",
    "push {{r3}}",
    "1:",
    "np_dense_step 0",
    "adds r0, #1",
    "ldr r3, [sp]",
    "cmp r0, r3",
    "bne 1b",
    "add sp, #4",
    "2:",
    "cmp r0, r1",
    "beq 4f",
    "3:",
    "np_dense_step 0",
    "np_dense_step 1",
    "np_dense_step 2",
    "np_dense_step 3",
    "adds r0, #4",
    "cmp r0, r1",
    "bne 3b",
    "4:",
    "np_finish",
    ".section .text.neuroprune_blocks2_row, \"ax\", %progbits",
    ".global neuroprune_blocks2_row",
    ".type neuroprune_blocks2_row, %function",
    ".thumb_func",
    "neuroprune_blocks2_row:",
    "np_blocks_row 2",
    ".section .text.neuroprune_blocks4_row, \"ax\", %progbits",
    ".global neuroprune_blocks4_row",
    ".type neuroprune_blocks4_row, %function",
    ".thumb_func",
    "neuroprune_blocks4_row:",
    "np_blocks_row 4",
);
