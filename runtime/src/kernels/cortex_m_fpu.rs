//! What a float unit adds (Cortex-M4F, M7, M33, M55): the passes of [`super::floats`] with
//! whole registers of lanes.
//!
//! The same operations on the same numbers in the same order, so the same bits: `VMLA`
//! rounds behind its multiplication and behind its addition, as two instructions do.
#![allow(unsafe_code, reason = "assembly; each call says what it stands on")]

use core::arch::global_asm;

use neuroprune_format::tensor::Norm;

use super::floats::{LARGEST_MIXTURE, MixtureScales};
#[cfg(not(helium))]
use super::pairs::Feature;
use super::{GRAIN, LANES, Lanes, Mixture, QUAD};
use crate::math;

/// See [`super::floats::rescale`].
pub fn rescale(x: &mut [Lanes<f32>], scales: &Lanes<f32>, _tokens: usize) {
    if !x.is_empty() {
        // SAFETY: reads and writes the rows of `x`, at least one; eight scales.
        unsafe { neuroprune_rescale(x.as_mut_ptr(), x.len(), scales) };
    }
}

/// See [`super::floats::largest`].
#[cfg(not(helium))]
pub fn largest(x: &[Lanes<f32>], _tokens: usize) -> Lanes<u32> {
    let mut largest = [0; LANES];
    if !x.is_empty() {
        // SAFETY: reads the rows of `x`, at least one; writes eight words.
        unsafe { neuroprune_largest(x.as_ptr(), x.len(), &raw mut largest) };
    }
    largest
}

/// See [`super::floats::quantize`].
#[cfg(not(helium))]
pub fn quantize(x: &[Lanes<f32>], inverses: &Lanes<f32>, _tokens: usize, features: &mut [Feature]) {
    let count = x.len().min(features.len());
    if count > 0 {
        // SAFETY: both have `count` rows, at least one; eight inverses.
        unsafe { neuroprune_quantize(x.as_ptr(), count, inverses, features.as_mut_ptr()) };
    }
}

/// See [`super::floats::quantize_bytes`].
pub fn quantize_bytes(
    x: &[Lanes<f32>],
    inverses: &Lanes<f32>,
    _tokens: usize,
    bytes: &mut [Lanes<i8>],
) {
    let count = x.len().min(bytes.len());
    if count > 0 {
        // SAFETY: both have `count` rows, at least one; eight inverses.
        unsafe { neuroprune_quantize_bytes(x.as_ptr(), count, inverses, bytes.as_mut_ptr()) };
    }
}

/// See [`super::floats::round`].
pub fn round(x: &[Lanes<f32>], inverses: &Lanes<f32>, _tokens: usize, steps: &mut [Lanes<i16>]) {
    let count = x.len().min(steps.len());
    if count > 0 {
        // SAFETY: both have `count` rows, at least one; eight inverses.
        unsafe { neuroprune_round(x.as_ptr(), count, inverses, steps.as_mut_ptr()) };
    }
}

/// See [`super::floats::add`].
pub fn add(x: &mut [Lanes<f32>], steps: &[Lanes<i16>], scales: &Lanes<f32>, _tokens: usize) {
    let count = x.len().min(steps.len());
    if count > 0 {
        // SAFETY: both have `count` rows, at least one; eight scales.
        unsafe { neuroprune_add(x.as_mut_ptr(), count, scales, steps.as_ptr()) };
    }
}

/// See [`super::floats::sum`].
pub fn sum(x: &[Lanes<f32>], _tokens: usize) -> Lanes<f32> {
    let mut sums = [0.0; LANES];
    if !x.is_empty() {
        // SAFETY: reads the rows of `x`, at least one; writes eight words.
        unsafe { neuroprune_sum(x.as_ptr(), x.len(), &raw mut sums) };
    }
    sums
}

/// See [`super::floats::sum_of_squares`].
pub fn sum_of_squares(x: &[Lanes<f32>], mean: &Lanes<f32>, _tokens: usize) -> Lanes<f32> {
    let mut sums = *mean;
    if !x.is_empty() {
        // SAFETY: reads the rows of `x`, at least one; reads and writes eight words.
        unsafe { neuroprune_sum_of_squares(x.as_ptr(), x.len(), &raw mut sums) };
    }
    sums
}

/// See [`super::floats::normalize`].
pub fn normalize(
    x: &mut [Lanes<f32>],
    mean: &Lanes<f32>,
    inverse: &Lanes<f32>,
    norm: Norm<'_>,
    _tokens: usize,
) {
    let (gain, shift) = (norm.gain(), norm.shift());
    let count = x.len().min(gain.len() / 2).min(shift.len() / 2);
    if count > 0 {
        let (gain, shift) = (gain.as_ptr(), shift.as_ptr());
        // SAFETY: all have `count` items, at least one; eight means and inverses.
        unsafe { neuroprune_normalize(x.as_mut_ptr(), gain, shift, count, mean, inverse) };
    }
}

/// See [`super::floats::gelu`]. A grain at a time: half the code of whole rows.
pub fn gelu(x: &mut [Lanes<f32>], tokens: usize) {
    let row = size_of::<Lanes<f32>>();
    let (count, stride) = if tokens <= GRAIN {
        (x.len(), row)
    } else {
        (2 * x.len(), row / 2)
    };
    if count > 0 {
        let constants = math::GELU.as_ptr();
        // SAFETY: reads and writes the first grains of the rows of `x`, at least one, or all.
        unsafe { neuroprune_gelu(x.as_mut_ptr(), count, constants, stride) };
    }
}

/// What [`softmax`] multiplies with and adds, in the order of its registers.
const SOFTMAX: [f32; 9] = {
    let [a, b, c, d, e] = math::EXPONENTIAL;
    let log = core::f32::consts::LOG2_E;
    let (shift, floor) = (math::SHIFT, math::EXPONENT_FLOOR);
    [LARGEST_MIXTURE, log, shift, e, d, c, b, a, floor]
};

/// See [`super::floats::softmax`]. One query after the other, so that all of it stays in
/// registers.
pub fn softmax(
    scores: &mut [Lanes<f32>],
    query_scales: &Lanes<f32>,
    queries: usize,
    key_scales: &[f32],
    value_scales: &[f32],
) -> MixtureScales {
    let mut scales = MixtureScales::default();
    let (key, value) = (key_scales.as_ptr(), value_scales.as_ptr());
    let count = scores.len().min(key_scales.len()).min(value_scales.len());
    let queries = queries.min(LANES);
    if count > 0 && queries > 0 {
        let scores = scores.as_mut_ptr();
        let (scales, constants) = (&raw mut scales, SOFTMAX.as_ptr());
        // SAFETY: scores and scales have `count` rows, at least one; of eight lanes at least
        // one is a query. Writes up to eight words of both parts of the scales.
        unsafe {
            neuroprune_softmax(
                scores,
                count,
                query_scales,
                queries,
                key,
                value,
                scales,
                constants,
            );
        }
    }
    scales
}

/// See [`super::floats::mixture`].
pub fn mixture(weights: &[Lanes<f32>; QUAD], inverses: &Lanes<f32>) -> Mixture {
    let mut mixture = Mixture::default();
    // SAFETY: four rows of eight floats and eight inverses; writes eight times four halves.
    unsafe { neuroprune_mixture(weights, inverses, &raw mut mixture) };
    mixture
}

unsafe extern "C" {
    // `count` is not zero, nor is `queries`.

    fn neuroprune_rescale(x: *mut Lanes<f32>, count: usize, scales: *const Lanes<f32>);
    #[cfg(not(helium))]
    fn neuroprune_largest(x: *const Lanes<f32>, count: usize, largest: *mut Lanes<u32>);
    #[cfg(not(helium))]
    fn neuroprune_quantize(
        x: *const Lanes<f32>,
        count: usize,
        inverses: *const Lanes<f32>,
        features: *mut Feature,
    );
    fn neuroprune_quantize_bytes(
        x: *const Lanes<f32>,
        count: usize,
        inverses: *const Lanes<f32>,
        bytes: *mut Lanes<i8>,
    );
    fn neuroprune_round(
        x: *const Lanes<f32>,
        count: usize,
        inverses: *const Lanes<f32>,
        steps: *mut Lanes<i16>,
    );
    fn neuroprune_add(
        x: *mut Lanes<f32>,
        count: usize,
        scales: *const Lanes<f32>,
        steps: *const Lanes<i16>,
    );
    fn neuroprune_sum(x: *const Lanes<f32>, count: usize, sums: *mut Lanes<f32>);
    /// `sums` holds the means before.
    fn neuroprune_sum_of_squares(x: *const Lanes<f32>, count: usize, sums: *mut Lanes<f32>);
    fn neuroprune_normalize(
        x: *mut Lanes<f32>,
        gain: *const u8,
        shift: *const u8,
        count: usize,
        mean: *const Lanes<f32>,
        inverse: *const Lanes<f32>,
    );
    fn neuroprune_softmax(
        scores: *mut Lanes<f32>,
        count: usize,
        query_scales: *const Lanes<f32>,
        queries: usize,
        key_scales: *const f32,
        value_scales: *const f32,
        scales: *mut MixtureScales,
        constants: *const f32,
    );
    fn neuroprune_mixture(
        weights: *const [Lanes<f32>; QUAD],
        inverses: *const Lanes<f32>,
        mixture: *mut Mixture,
    );
    /// `stride` bytes from one grain to the next.
    fn neuroprune_gelu(x: *mut Lanes<f32>, count: usize, constants: *const f32, stride: usize);
}

// np_x is a row, np_a and np_b are what belongs to its lanes.
global_asm!(
    ".syntax unified",
    ".thumb",
    ".fpu fpv4-sp-d16",
    "np_a0 .req s0",
    "np_a1 .req s1",
    "np_a2 .req s2",
    "np_a3 .req s3",
    "np_a4 .req s4",
    "np_a5 .req s5",
    "np_a6 .req s6",
    "np_a7 .req s7",
    "np_x0 .req s8",
    "np_x1 .req s9",
    "np_x2 .req s10",
    "np_x3 .req s11",
    "np_x4 .req s12",
    "np_x5 .req s13",
    "np_x6 .req s14",
    "np_x7 .req s15",
    "np_b0 .req s16",
    "np_b1 .req s17",
    "np_b2 .req s18",
    "np_b3 .req s19",
    "np_b4 .req s20",
    "np_b5 .req s21",
    "np_b6 .req s22",
    "np_b7 .req s23",
    ".macro np_passes name",
    ".section .text.\\name, \"ax\", %progbits",
    ".global \\name",
    ".type \\name, %function",
    ".thumb_func",
    "\\name:",
    ".endm",
    // One operation in each lane.
    ".macro np_lanes operation, to, from, with",
    ".irp lane, 0, 1, 2, 3, 4, 5, 6, 7",
    "\\operation \\to\\lane, \\from\\lane, \\with\\lane",
    ".endr",
    ".endm",
    ".macro np_lanes_with operation, to, from, with",
    ".irp lane, 0, 1, 2, 3, 4, 5, 6, 7",
    "\\operation \\to\\lane, \\from\\lane, \\with",
    ".endr",
    ".endm",
    ".macro np_lanes_to operation, to, from",
    ".irp lane, 0, 1, 2, 3, 4, 5, 6, 7",
    "\\operation \\to\\lane, \\from\\lane",
    ".endr",
    ".endm",
    ".macro np_zero_sums",
    "movs r3, #0",
    "vmov s0, r3",
    ".irp lane, 1, 2, 3, 4, 5, 6, 7",
    "vmov.f32 np_a\\lane, s0",
    ".endr",
    ".endm",
    // The nearest integers of np_x · np_a, in the low bits of r4…r11; s16 is the shift.
    ".macro np_nearest_here",
    "vldmia r0!, {{s8-s15}}",
    "np_lanes vmul.f32, np_x, np_x, np_a",
    "np_lanes_with vadd.f32, np_x, np_x, s16",
    "vmov r4, r5, s8, s9",
    "vmov r6, r7, s10, s11",
    "vmov r8, r9, s12, s13",
    "vmov r10, r11, s14, s15",
    ".endm",
    ".if {unrolled} == 0",
    "np_passes neuroprune_nearest",
    "np_nearest_here",
    "bx lr",
    ".endif",
    ".macro np_nearest",
    ".if {unrolled}",
    "np_nearest_here",
    ".else",
    "bl neuroprune_nearest",
    ".endif",
    ".endm",
    ".macro np_enter_nearest",
    "push {{r4-r11, lr}}",
    "vpush {{s16}}",
    "movw r12, #0",
    "movt r12, #0x4b40",
    "vmov s16, r12",
    "vldmia r2, {{s0-s7}}",
    ".endm",
    ".macro np_leave_nearest",
    "subs r1, #1",
    "bne 1b",
    "vpop {{s16}}",
    "pop {{r4-r11, pc}}",
    ".endm",
    // ---- scale: r0 returns as it came, r1 is the frame of `cortex_m`; then r1 scales, r2
    // bias, r3 output, r4 its end, r5 what the bits of a scale begin at
    "np_passes neuroprune_scale",
    "push {{r4, r5}}",
    "ldr r12, [r1, #36]",
    "vpush {{s16-s25}}",
    "vldmia r12, {{s0-s7}}",
    "ldrd r2, r4, [r1, #8]",
    "ldr r5, [r1, #20]",
    "ldrd r3, r1, [r1]",
    "1:",
    "ldrb r12, [r1], #1",
    "vldmia r3, {{s8-s15}}",
    "add r12, r5, r12, lsl #20",
    "vmov s24, r12",
    "np_lanes_to vcvt.f32.s32, np_x, np_x",
    "np_lanes_with vmul.f32, np_b, np_a, s24",
    "np_lanes vmul.f32, np_x, np_x, np_b",
    "cbz r2, 2f",
    "ldrh r12, [r2], #2",
    "vmov s25, r12",
    "vcvtb.f32.f16 s25, s25",
    "np_lanes_with vadd.f32, np_x, np_x, s25",
    "2:",
    "vstmia r3!, {{s8-s15}}",
    "cmp r3, r4",
    "bne 1b",
    "vpop {{s16-s25}}",
    "pop {{r4, r5}}",
    "bx lr",
    // ---- rescale: r0 x, r1 count, r2 scales
    "np_passes neuroprune_rescale",
    "vldmia r2, {{s0-s7}}",
    "1:",
    "vldmia r0, {{s8-s15}}",
    "np_lanes_to vcvt.f32.s32, np_x, np_x",
    "np_lanes vmul.f32, np_x, np_x, np_a",
    "vstmia r0!, {{s8-s15}}",
    "subs r1, #1",
    "bne 1b",
    "bx lr",
    // ---- largest: magnitudes, doubled to lose the sign, in r4…r11
    ".macro np_larger a, b",
    "ldrd r3, r12, [r0], #8",
    "cmp \\a, r3, lsl #1",
    "it lo",
    "lsllo \\a, r3, #1",
    "cmp \\b, r12, lsl #1",
    "it lo",
    "lsllo \\b, r12, #1",
    ".endm",
    "np_passes neuroprune_largest",
    "push {{r4-r11}}",
    "movs r4, #0",
    "movs r5, #0",
    "movs r6, #0",
    "movs r7, #0",
    "mov r8, r4",
    "mov r9, r4",
    "mov r10, r4",
    "mov r11, r4",
    "1:",
    "np_larger r4, r5",
    "np_larger r6, r7",
    "np_larger r8, r9",
    "np_larger r10, r11",
    "subs r1, #1",
    "bne 1b",
    ".irp of, r4, r5, r6, r7, r8, r9, r10, r11",
    "lsr \\of, \\of, #1",
    ".endr",
    "stmia r2, {{r4-r11}}",
    "pop {{r4-r11}}",
    "bx lr",
    // ---- quantize: words of two tokens
    "np_passes neuroprune_quantize",
    "np_enter_nearest",
    "1:",
    "np_nearest",
    "sxtb r4, r4",
    "add r4, r4, r5, lsl #24",
    "sxtb r6, r6",
    "add r6, r6, r7, lsl #24",
    "sxtb r8, r8",
    "add r8, r8, r9, lsl #24",
    "sxtb r10, r10",
    "add r10, r10, r11, lsl #24",
    "stmia r3!, {{r4, r6, r8, r10}}",
    "np_leave_nearest",
    // ---- quantize_bytes
    "np_passes neuroprune_quantize_bytes",
    "np_enter_nearest",
    "1:",
    "np_nearest",
    "bfi r4, r5, #8, #8",
    "bfi r4, r6, #16, #8",
    "bfi r4, r7, #24, #8",
    "bfi r8, r9, #8, #8",
    "bfi r8, r10, #16, #8",
    "bfi r8, r11, #24, #8",
    "stmia r3!, {{r4, r8}}",
    "np_leave_nearest",
    // ---- round: 16 bits
    "np_passes neuroprune_round",
    "np_enter_nearest",
    "1:",
    "np_nearest",
    "bfi r4, r5, #16, #16",
    "bfi r6, r7, #16, #16",
    "bfi r8, r9, #16, #16",
    "bfi r10, r11, #16, #16",
    "stmia r3!, {{r4, r6, r8, r10}}",
    "np_leave_nearest",
    // ---- add: r0 x, r1 count, r2 scales, r3 steps
    ".macro np_widen word, next, even, odd",
    "asr \\next, \\word, #16",
    "sxth \\word, \\word",
    "vmov \\even, \\odd, \\word, \\next",
    ".endm",
    "np_passes neuroprune_add",
    "push {{r4-r11}}",
    "vpush {{s16-s23}}",
    "vldmia r2, {{s0-s7}}",
    "1:",
    "ldmia r3!, {{r4, r6, r8, r10}}",
    "np_widen r4, r5, s16, s17",
    "np_widen r6, r7, s18, s19",
    "np_widen r8, r9, s20, s21",
    "np_widen r10, r11, s22, s23",
    "vldmia r0, {{s8-s15}}",
    "np_lanes_to vcvt.f32.s32, np_b, np_b",
    "np_lanes vmla.f32, np_x, np_b, np_a",
    "vstmia r0!, {{s8-s15}}",
    "subs r1, #1",
    "bne 1b",
    "vpop {{s16-s23}}",
    "pop {{r4-r11}}",
    "bx lr",
    // ---- sums: r0 x, r1 count, r2 sums
    "np_passes neuroprune_sum",
    "np_zero_sums",
    "1:",
    "vldmia r0!, {{s8-s15}}",
    "np_lanes vadd.f32, np_a, np_a, np_x",
    "subs r1, #1",
    "bne 1b",
    "vstmia r2, {{s0-s7}}",
    "bx lr",
    "np_passes neuroprune_sum_of_squares",
    "vpush {{s16-s23}}",
    "vldmia r2, {{s16-s23}}",
    "np_zero_sums",
    "1:",
    "vldmia r0!, {{s8-s15}}",
    "np_lanes vsub.f32, np_x, np_x, np_b",
    "np_lanes vmla.f32, np_a, np_x, np_x",
    "subs r1, #1",
    "bne 1b",
    "vstmia r2, {{s0-s7}}",
    "vpop {{s16-s23}}",
    "bx lr",
    // ---- normalize: r0 x, r1 gain, r2 shift, r3 count
    "np_passes neuroprune_normalize",
    "ldr r12, [sp]",
    "vldmia r12, {{s0-s7}}",
    "ldr r12, [sp, #4]",
    "vpush {{s16-s25}}",
    "vldmia r12, {{s16-s23}}",
    "1:",
    "ldrh r12, [r1], #2",
    "vmov s24, r12",
    "ldrh r12, [r2], #2",
    "vmov s25, r12",
    "vldmia r0, {{s8-s15}}",
    "vcvtb.f32.f16 s24, s24",
    "vcvtb.f32.f16 s25, s25",
    "np_lanes vsub.f32, np_x, np_x, np_a",
    "np_lanes vmul.f32, np_x, np_x, np_b",
    "np_lanes_with vmul.f32, np_x, np_x, s24",
    "np_lanes_with vadd.f32, np_x, np_x, s25",
    "vstmia r0!, {{s8-s15}}",
    "subs r3, #1",
    "bne 1b",
    "vpop {{s16-s25}}",
    "bx lr",
    // ---- softmax: r0 scores of a query, r1 their count, r2 the next query's scale, r3 queries;
    // r4 scales of keys, r5 of values, r6 results. r7 and r8 run through scores and scales, r9
    // counts. s1 is the largest score, s4 the sum of weights, s5 the largest of them.
    ".macro np_finite to",
    "vmov r12, s0",
    "lsl r10, r12, #1",
    "cmp r10, #0xff000000",
    "it hs",
    "movhs r12, #0",
    "str r12, \\to",
    ".endm",
    "np_passes neuroprune_softmax",
    "push {{r4-r10}}",
    "ldrd r4, r5, [sp, #28]",
    "ldrd r6, r12, [sp, #36]",
    "vldmia r12, {{s7-s15}}",
    "1:",
    "mov r7, r0",
    "mov r8, r4",
    "mov r9, r1",
    "vldmia r2!, {{s0}}",
    "mov r12, #0x7f800000",
    "vmov s1, r12",
    "vneg.f32 s1, s1",
    "2:",
    "vldr s2, [r7]",
    "vldmia r8!, {{s3}}",
    "vcvt.f32.s32 s2, s2",
    "vmul.f32 s3, s0, s3",
    "vmul.f32 s2, s2, s3",
    "vstr s2, [r7]",
    "adds r7, #32",
    "vcmp.f32 s2, s1",
    "vmrs APSR_nzcv, fpscr",
    "it gt",
    "vmovgt.f32 s1, s2",
    "subs r9, #1",
    "bne 2b",
    "mov r7, r0",
    "mov r8, r5",
    "mov r9, r1",
    "movs r12, #0",
    "vmov s4, r12",
    "vmov s5, r12",
    "3:",
    "vldr s0, [r7]",
    "vsub.f32 s0, s0, s1",
    "vmul.f32 s2, s0, s8",
    "vadd.f32 s3, s2, s9",
    "vsub.f32 s6, s3, s9",
    "vsub.f32 s2, s2, s6",
    "vmul.f32 s6, s2, s10",
    "vadd.f32 s6, s6, s11",
    "vmul.f32 s6, s6, s2",
    "vadd.f32 s6, s6, s12",
    "vmul.f32 s6, s6, s2",
    "vadd.f32 s6, s6, s13",
    "vmul.f32 s6, s6, s2",
    "vadd.f32 s6, s6, s14",
    "vmov r10, s3",
    "vmov r12, s6",
    "vcmp.f32 s0, s15",
    "vmrs APSR_nzcv, fpscr",
    "add r12, r12, r10, lsl #23",
    "it lt",
    "movlt r12, #0",
    "vmov s2, r12",
    "vldmia r8!, {{s3}}",
    "vadd.f32 s4, s4, s2",
    "vmul.f32 s2, s2, s3",
    "vstr s2, [r7]",
    "adds r7, #32",
    "vcmp.f32 s2, s5",
    "vmrs APSR_nzcv, fpscr",
    "it gt",
    "vmovgt.f32 s5, s2",
    "subs r9, #1",
    "bne 3b",
    "vdiv.f32 s0, s7, s5",
    "np_finite [r6]",
    "vmul.f32 s4, s7, s4",
    "vdiv.f32 s0, s5, s4",
    "np_finite \"[r6, #32]\"",
    "adds r6, #4",
    "adds r0, #4",
    "subs r3, #1",
    "bne 1b",
    "pop {{r4-r10}}",
    "bx lr",
    // ---- mixture: r0 weights of a query, r1 the next inverse, r2 results, r3 counts queries.
    // The bits of what is added, taken off again, leave the nearest integer.
    "np_passes neuroprune_mixture",
    "push {{r4-r7}}",
    "movs r3, #8",
    "movw r12, #0",
    "movt r12, #0x4b40",
    "vmov s5, r12",
    "1:",
    "vldmia r1!, {{s4}}",
    "vldr s0, [r0]",
    "vldr s1, [r0, #32]",
    "vldr s2, [r0, #64]",
    "vldr s3, [r0, #96]",
    "adds r0, #4",
    ".irp of, s0, s1, s2, s3",
    "vmul.f32 \\of, \\of, s4",
    "vadd.f32 \\of, \\of, s5",
    ".endr",
    "vmov r4, r5, s0, s1",
    "vmov r6, r7, s2, s3",
    ".irp of, r4, r5, r6, r7",
    "sub \\of, \\of, r12",
    "usat \\of, #13, \\of",
    ".endr",
    "orr r4, r4, r5, lsl #16",
    "orr r6, r6, r7, lsl #16",
    "strd r4, r6, [r2], #8",
    "subs r3, #1",
    "bne 1b",
    "pop {{r4-r7}}",
    "bx lr",
    // ---- gelu: r0 x, r1 count, r2 constants, r3 bytes from one grain to the next; t in s0…s3,
    // the bump in s4…s7, x in s8…s11, constants in s12…s16
    ".macro np_grain operation, to, from, with",
    ".irp lane, 0, 1, 2, 3",
    "\\operation \\to\\lane, \\from\\lane, \\with\\lane",
    ".endr",
    ".endm",
    ".macro np_grain_with operation, to, from, with",
    ".irp lane, 0, 1, 2, 3",
    "\\operation \\to\\lane, \\from\\lane, \\with",
    ".endr",
    ".endm",
    "np_c0 .req s4",
    "np_c1 .req s5",
    "np_c2 .req s6",
    "np_c3 .req s7",
    "np_passes neuroprune_gelu",
    ".macro np_magnitude to, x",
    "bic \\to, \\x, #0x80000000",
    "cmp \\to, r8",
    "it hi",
    "movhi \\to, r8",
    ".endm",
    "push {{r4-r11}}",
    "vpush {{s16}}",
    "vldmia r2, {{s12-s16}}",
    "vmov r8, s12",
    "1:",
    "ldm r0, {{r4-r7}}",
    "np_magnitude r2, r4",
    "np_magnitude r9, r5",
    "np_magnitude r10, r6",
    "np_magnitude r11, r7",
    "vmov s0, s1, r2, r9",
    "vmov s2, s3, r10, r11",
    "np_grain_with vmul.f32, np_c, np_a, s16",
    "np_grain_with vadd.f32, np_c, np_c, s15",
    "np_grain vmul.f32, np_c, np_c, np_a",
    "np_grain_with vadd.f32, np_c, np_c, s14",
    "np_grain vmul.f32, np_c, np_c, np_a",
    "np_grain_with vadd.f32, np_c, np_c, s13",
    "np_grain vmul.f32, np_c, np_c, np_a",
    ".irp lane, 0, 1, 2, 3",
    "vsub.f32 np_a\\lane, s12, np_a\\lane",
    ".endr",
    "np_grain vmul.f32, np_a, np_a, np_a",
    ".irp x, r4, r5, r6, r7",
    "bic \\x, \\x, \\x, asr #31",
    ".endr",
    "vmov s8, s9, r4, r5",
    "vmov s10, s11, r6, r7",
    "np_grain vmul.f32, np_c, np_c, np_a",
    "np_grain vsub.f32, np_x, np_x, np_c",
    "vstm r0, {{s8-s11}}",
    "add r0, r3",
    "subs r1, #1",
    "bne 1b",
    "vpop {{s16}}",
    "pop {{r4-r11}}",
    "bx lr",
    unrolled = const cfg!(feature = "unrolled") as u32,
);
