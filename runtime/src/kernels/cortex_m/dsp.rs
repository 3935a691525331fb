//! What the DSP extension adds (Cortex-M4, M7; optional on M33 and M55): two products of
//! 16 bits with one `SMLAD`.
#![allow(unsafe_code, reason = "assembly; the call says what it stands on")]

use core::arch::global_asm;

use crate::kernels::lanes::grains;
use crate::kernels::tile::{GRAIN, LANES, Lanes, Mixture, QUAD};

/// See [`scalar::value_word`]. `SXTB16` takes bytes 0 and 2, or 1 and 3.
#[inline]
#[must_use]
pub fn value_word(values: Option<[i8; QUAD]>) -> u32 {
    let [a, b, c, d] = values.unwrap_or_default().map(i8::cast_unsigned);
    u32::from_ne_bytes([a, c, b, d])
}

/// See [`scalar::mix`].
pub fn mix(mixture: &[Mixture], values: &[u32], queries: usize, sums: &mut [Lanes<i32>]) {
    let (quads, stride) = (mixture.len(), sums.len());
    // The last word read, and all before it, are within `values`.
    if quads == 0 || quads * stride > values.len() {
        return sums.fill([0; LANES]);
    }
    for (sums, values) in sums.iter_mut().zip(values) {
        for part in grains(queries).take(LANES / GRAIN) {
            let (weights, _) = mixture.as_flattened().as_chunks::<GRAIN>();
            let weights = weights.get(part..).unwrap_or(&[]);
            let Some(sums) = sums.as_chunks_mut::<GRAIN>().0.get_mut(part) else {
                break;
            };
            // SAFETY: as compared above, and there is at least one quad. `weights` is not
            // empty; the last grain read is 2·(quads − 1) after it. `sums` has the four
            // words that are written.
            unsafe {
                neuroprune_mix(weights.as_ptr(), values, stride, quads, sums);
            }
        }
    }
}

unsafe extern "C" {
    /// Reads every other of `2 * quads` grains at `weights`, and `quads` words from `values`
    /// onwards, `stride` apart; `quads` is not zero.
    fn neuroprune_mix(
        weights: *const [[i16; QUAD]; GRAIN],
        values: *const u32,
        stride: usize,
        quads: usize,
        sums: *mut [i32; GRAIN],
    );
}

// r0 weights, r1 values, r2 stride in bytes, r3 quads; r4…r7 the sums, r8 and r9 the values
// of two tokens each, r10…lr the weights of two queries.
global_asm!(
    ".syntax unified",
    ".thumb",
    // The target of a Cortex-M55 lacks what the core has.
    ".if {helium}",
    ".cpu cortex-m55",
    ".endif",
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
    "ldr r8, [r1]",
    "ldm r0!, {{r10-r12, lr}}",
    "add r1, r2",
    "sxtb16 r9, r8, ror #8",
    "sxtb16 r8, r8",
    "smlad r4, r8, r10, r4",
    "smlad r5, r8, r12, r5",
    "smlad r4, r9, r11, r4",
    "smlad r5, r9, lr, r5",
    "ldm r0!, {{r10-r12, lr}}",
    "adds r0, #32",
    "smlad r6, r8, r10, r6",
    "smlad r7, r8, r12, r7",
    "smlad r6, r9, r11, r6",
    "smlad r7, r9, lr, r7",
    "subs r3, #1",
    "bne 1b",
    "ldr r0, [sp, #36]",
    "stm r0, {{r4-r7}}",
    "pop {{r4-r11, pc}}",
    helium = const cfg!(helium) as u32,
);
