//! What the DSP extension adds (Cortex-M4, M7; optional on M33 and M55): two products of
//! 16 bits with one `SMLAD`.
#![allow(unsafe_code, reason = "assembly; the call says what it stands on")]

use core::arch::global_asm;

use super::MIXED;

/// See [`super::scalar::mix`].
#[inline]
#[must_use]
pub fn mix(weights: &[i16], values: &[u32], stride: usize, first: usize) -> [i32; MIXED] {
    let mut sums = [0; MIXED];
    let pairs = weights.len() / 2;
    // The last word that is read, and all before it, are within `values`.
    let fits = first + MIXED <= stride && pairs * stride <= values.len();
    if pairs > 0 && fits {
        // SAFETY: `fits`; `weights` has two numbers a pair, `sums` the four words written.
        unsafe {
            let values = values.as_ptr().add(first);
            neuroprune_mix(weights.as_ptr(), values, stride, pairs, sums.as_mut_ptr());
        }
    }
    sums
}

unsafe extern "C" {
    /// Reads `2 * pairs` weights, at least two, and four words for each pair.
    fn neuroprune_mix(
        weights: *const i16,
        values: *const u32,
        stride: usize,
        pairs: usize,
        sums: *mut i32,
    );
}

// r0 weights, r1 values, r2 stride in bytes, r3 pairs; r4…r7 the sums, r8 two weights,
// r9…r12 their values.
global_asm!(
    ".syntax unified",
    ".thumb",
    ".section .text.neuroprune_mix, \"ax\", %progbits",
    ".global neuroprune_mix",
    ".type neuroprune_mix, %function",
    ".thumb_func",
    "neuroprune_mix:",
    "push {{r4-r11, lr}}",
    "lsls r2, r2, #2",
    "movs r4, #0",
    "movs r5, #0",
    "movs r6, #0",
    "movs r7, #0",
    "1:",
    "ldr r8, [r0], #4",
    "ldm r1, {{r9-r12}}",
    "add r1, r2",
    "smlad r4, r8, r9, r4",
    "smlad r5, r8, r10, r5",
    "smlad r6, r8, r11, r6",
    "smlad r7, r8, r12, r7",
    "subs r3, #1",
    "bne 1b",
    "ldr r0, [sp, #36]",
    "stm r0, {{r4-r7}}",
    "pop {{r4-r11, pc}}",
);
