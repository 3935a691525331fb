//! What the DSP extension adds (Cortex-M4, M7; optional on M33 and M55): two products of
//! 16 bits with one `SMLAD`.
#![allow(unsafe_code, reason = "assembly; the call says what it stands on")]

use core::arch::global_asm;

/// See [`super::scalar::mix`].
#[inline]
#[must_use]
pub fn mix(weights: &[i16], values: &[i16]) -> i32 {
    let count = weights.len().min(values.len());
    // SAFETY: `count` is within both slices.
    unsafe { neuroprune_mix(weights.as_ptr(), values.as_ptr(), count) }
}

unsafe extern "C" {
    /// Reads `count` numbers from each.
    fn neuroprune_mix(weights: *const i16, values: *const i16, count: usize) -> i32;
}

global_asm!(
    ".syntax unified",
    ".thumb",
    // Two products an instruction; a word may lie on any boundary of two bytes.
    ".section .text.neuroprune_mix, \"ax\", %progbits",
    ".global neuroprune_mix",
    ".type neuroprune_mix, %function",
    ".thumb_func",
    "neuroprune_mix:",
    "push {{r4, r5}}",
    "movs r3, #0",
    "subs r2, #4",
    "blo 2f",
    "1:",
    "ldr r4, [r0], #4",
    "ldr r5, [r1], #4",
    "smlad r3, r4, r5, r3",
    "ldr r4, [r0], #4",
    "ldr r5, [r1], #4",
    "subs r2, #4",
    "smlad r3, r4, r5, r3",
    "bhs 1b",
    "2:",
    "adds r2, #4",
    "beq 4f",
    "3:",
    "ldrsh r4, [r0], #2",
    "ldrsh r5, [r1], #2",
    "subs r2, #1",
    "mla r3, r4, r5, r3",
    "bne 3b",
    "4:",
    "mov r0, r3",
    "pop {{r4, r5}}",
    "bx lr",
);
