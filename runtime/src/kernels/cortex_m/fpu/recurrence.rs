//! The passes of [`recurrence`](crate::kernels::recurrence) with whole registers of lanes.
#![allow(unsafe_code, reason = "assembly; each call says what it stands on")]

use core::arch::global_asm;

#[cfg(not(helium))]
use crate::kernels::portable::pairs::Feature;
#[cfg(not(helium))]
use crate::kernels::portable::recurrence::PairScales;
use crate::kernels::tile::{Direction, LANES, Lanes};

/// See [`recurrence::quantize_pairs`](crate::kernels::recurrence::quantize_pairs).
#[cfg(not(helium))]
pub(in crate::kernels) fn quantize_pairs(
    steps: &[Lanes<i16>],
    after: &mut [i16],
    scales: &PairScales,
    _tokens: usize,
    direction: Direction,
    features: &mut [Feature],
) {
    let count = steps.len();
    if count == 0 || after.len() < count || features.len() < 2 * count {
        return;
    }
    let (features, after) = (features.as_mut_ptr(), after.as_mut_ptr());
    let kernel = match direction {
        Direction::Forward => neuroprune_pairs_forward,
        Direction::Backward => neuroprune_pairs_backward,
    };
    // SAFETY: there are `count` steps, at least one, as many items of `after`, and twice as many
    // features.
    unsafe { kernel(steps.as_ptr(), count, scales, features, after) };
}

/// See [`recurrence::dequantize_bytes`](crate::kernels::recurrence::dequantize_bytes).
pub fn dequantize_bytes(bytes: &[Lanes<i8>], scale: f32, x: &mut [Lanes<f32>]) {
    let count = bytes.len().min(x.len());
    if count > 0 {
        // SAFETY: both have `count` rows, at least one.
        unsafe { neuroprune_dequantize_bytes(bytes.as_ptr(), count, x.as_mut_ptr(), scale) };
    }
}

/// See [`recurrence::recur`](crate::kernels::recurrence::recur).
pub fn recur(
    gates: &mut [Lanes<f32>],
    candidates: &mut [Lanes<f32>],
    state: &mut [f32],
    tokens: usize,
    direction: Direction,
) {
    let count = gates.len().min(candidates.len()).min(state.len());
    if count == 0 {
        return;
    }
    let kernel = match direction {
        Direction::Forward => neuroprune_recur_forward,
        Direction::Backward => {
            if tokens < LANES {
                // These come first, and leave h as it is: f is 1, z is 0.
                for (gates, candidates) in gates.iter_mut().zip(candidates.iter_mut()) {
                    gates.iter_mut().skip(tokens).for_each(|y| *y = f32::MAX);
                    candidates.iter_mut().skip(tokens).for_each(|y| *y = 0.0);
                }
            }
            neuroprune_recur_backward
        }
    };
    // SAFETY: all have `count` items, at least one.
    unsafe {
        kernel(
            gates.as_ptr(),
            candidates.as_mut_ptr(),
            state.as_mut_ptr(),
            count,
        );
    }
}

unsafe extern "C" {
    // `count` is not zero. There are twice as many features.
    #[cfg(not(helium))]
    fn neuroprune_pairs_forward(
        steps: *const Lanes<i16>,
        count: usize,
        scales: *const PairScales,
        features: *mut Feature,
        after: *mut i16,
    );
    #[cfg(not(helium))]
    fn neuroprune_pairs_backward(
        steps: *const Lanes<i16>,
        count: usize,
        scales: *const PairScales,
        features: *mut Feature,
        after: *mut i16,
    );
    fn neuroprune_dequantize_bytes(
        bytes: *const Lanes<i8>,
        count: usize,
        x: *mut Lanes<f32>,
        scale: f32,
    );
    fn neuroprune_recur_forward(
        gates: *const Lanes<f32>,
        candidates: *mut Lanes<f32>,
        state: *mut f32,
        count: usize,
    );
    fn neuroprune_recur_backward(
        gates: *const Lanes<f32>,
        candidates: *mut Lanes<f32>,
        state: *mut f32,
        count: usize,
    );
}

global_asm!(
    ".syntax unified",
    ".thumb",
    ".fpu fpv4-sp-d16",
    ".macro np_recurrence name",
    ".section .text.\\name, \"ax\", %progbits",
    ".global \\name",
    ".type \\name, %function",
    ".thumb_func",
    "\\name:",
    ".endm",
    // ---- pairs: r0 steps, r1 count, r2 scales, then what the tile begins after, r3 features of
    // neighbours; r12 those of tokens. s0…s7 scales, s8…s15 values, s16…s23 inverses, s24 the scale
    // and s25 the value of what the tile begins after.
    ".if {helium} == 0",
    ".macro np_widened word, next, even, odd",
    "asr \\next, \\word, #16",
    "sxth \\word, \\word",
    "vmov \\even, \\odd, \\word, \\next",
    ".endm",
    // Four lanes as two words.
    ".macro np_pair_words a, b, c, d, i, j, k, l, first, odd, second, even",
    "vmul.f32 s26, \\a, \\i",
    "vmul.f32 s27, \\b, \\j",
    "vmul.f32 s28, \\c, \\k",
    "vmul.f32 s29, \\d, \\l",
    // To nearest, ties to even, as the float unit is set.
    "vcvtr.s32.f32 s26, s26",
    "vcvtr.s32.f32 s27, s27",
    "vcvtr.s32.f32 s28, s28",
    "vcvtr.s32.f32 s29, s29",
    "vmov \\first, \\odd, s26, s27",
    "vmov \\second, \\even, s28, s29",
    "add \\first, \\first, \\odd, lsl #24",
    "add \\second, \\second, \\even, lsl #24",
    ".endm",
    ".macro np_pairs name, last, a, b, c, d, e, f, g, h",
    "np_recurrence \\name",
    "push {{r4-r11, lr}}",
    "vpush {{s16-s29}}",
    "vldmia r2!, {{s0-s7}}",
    "vldmia r2, {{s16-s24}}",
    "ldr r2, [sp, #92]",
    "add r12, r3, r1, lsl #4",
    "1:",
    "ldmia r0!, {{r4, r6, r8, r10}}",
    "ldrsh lr, [r2]",
    "np_widened r4, r5, s8, s9",
    "np_widened r6, r7, s10, s11",
    "np_widened r8, r9, s12, s13",
    "np_widened r10, r11, s14, s15",
    "vmov s25, lr",
    "strh \\last, [r2], #2",
    "vcvt.f32.s32 s25, s25",
    "vmul.f32 s25, s25, s24",
    ".irp value, s8, s9, s10, s11, s12, s13, s14, s15",
    "vcvt.f32.s32 \\value, \\value",
    ".endr",
    "vmul.f32 s8, s8, s0",
    "vmul.f32 s9, s9, s1",
    "vmul.f32 s10, s10, s2",
    "vmul.f32 s11, s11, s3",
    "vmul.f32 s12, s12, s4",
    "vmul.f32 s13, s13, s5",
    "vmul.f32 s14, s14, s6",
    "vmul.f32 s15, s15, s7",
    "np_pair_words \\a, \\b, \\c, \\d, s16, s17, s18, s19, r4, r5, r6, r7",
    "np_pair_words \\e, \\f, \\g, \\h, s20, s21, s22, s23, r8, r9, r10, r11",
    "stmia r3!, {{r4, r6, r8, r10}}",
    "np_pair_words s8, s9, s10, s11, s16, s17, s18, s19, r4, r5, r6, r7",
    "np_pair_words s12, s13, s14, s15, s20, s21, s22, s23, r8, r9, r10, r11",
    "stmia r12!, {{r4, r6, r8, r10}}",
    "subs r1, #1",
    "bne 1b",
    "vpop {{s16-s29}}",
    "pop {{r4-r11, pc}}",
    ".endm",
    "np_pairs neuroprune_pairs_forward, r11, s25, s8, s9, s10, s11, s12, s13, s14",
    "np_pairs neuroprune_pairs_backward, r4, s9, s10, s11, s12, s13, s14, s15, s25",
    ".endif",
    // ---- dequantize_bytes: r0 bytes, r1 count, r2 x, s0 scale
    "np_recurrence neuroprune_dequantize_bytes",
    "push {{r4-r7}}",
    "1:",
    "ldmia r0!, {{r3, r12}}",
    "sxtb r4, r3",
    "sxtb r5, r3, ror #8",
    "sxtb r6, r3, ror #16",
    "asr r7, r3, #24",
    "vmov s8, s9, r4, r5",
    "vmov s10, s11, r6, r7",
    "sxtb r4, r12",
    "sxtb r5, r12, ror #8",
    "sxtb r6, r12, ror #16",
    "asr r7, r12, #24",
    "vmov s12, s13, r4, r5",
    "vmov s14, s15, r6, r7",
    ".irp x, s8, s9, s10, s11, s12, s13, s14, s15",
    "vcvt.f32.s32 \\x, \\x",
    "vmul.f32 \\x, \\x, s0",
    ".endr",
    "vstmia r2!, {{s8-s15}}",
    "subs r1, #1",
    "bne 1b",
    "pop {{r4-r7}}",
    "bx lr",
    // ---- recur: r0 gates, r1 candidates, r2 state, r3 count. s0…s7 f, s8…s15 z and then h, s16
    // 1/4, s17 1/2, s18 h of the token before.
    ".macro np_recur_lane before, h, f",
    "vsub.f32 s19, \\before, \\h",
    "vmla.f32 \\h, \\f, s19",
    ".endm",
    ".macro np_recur name, last",
    "np_recurrence \\name",
    "push {{r4-r11, lr}}",
    "vpush {{s16-s19}}",
    "vmov.f32 s16, #0.25",
    "vmov.f32 s17, #0.5",
    // The bits of 1, and without the sign's place.
    "mov r12, #0x3f800000",
    "mov lr, #0x7f000000",
    "1:",
    "vldmia r0!, {{s0-s7}}",
    ".irp f, s0, s1, s2, s3, s4, s5, s6, s7",
    "vmul.f32 \\f, \\f, s16",
    ".endr",
    ".irp f, s0, s1, s2, s3, s4, s5, s6, s7",
    "vadd.f32 \\f, \\f, s17",
    ".endr",
    "vmov r4, r5, s0, s1",
    "vmov r6, r7, s2, s3",
    "vmov r8, r9, s4, s5",
    "vmov r10, r11, s6, s7",
    // Within 0…1: bits above those of 1 are of larger numbers, or of negative ones.
    ".irp f, r4, r5, r6, r7, r8, r9, r10, r11",
    "cmp \\f, r12",
    "it hi",
    "bichi \\f, r12, \\f, asr #31",
    ".endr",
    "vmov s0, s1, r4, r5",
    "vmov s2, s3, r6, r7",
    "vmov s4, s5, r8, r9",
    "vmov s6, s7, r10, r11",
    "ldmia r1, {{r4-r11}}",
    // Within −1…1: all but the sign becomes 1.
    ".irp z, r4, r5, r6, r7, r8, r9, r10, r11",
    "cmp lr, \\z, lsl #1",
    "it lo",
    "bfilo \\z, r12, #0, #31",
    ".endr",
    "vmov s8, s9, r4, r5",
    "vmov s10, s11, r6, r7",
    "vmov s12, s13, r8, r9",
    "vmov s14, s15, r10, r11",
    "vldr s18, [r2]",
    ".ifc \\last, s15",
    "np_recur_lane s18, s8, s0",
    "np_recur_lane s8, s9, s1",
    "np_recur_lane s9, s10, s2",
    "np_recur_lane s10, s11, s3",
    "np_recur_lane s11, s12, s4",
    "np_recur_lane s12, s13, s5",
    "np_recur_lane s13, s14, s6",
    "np_recur_lane s14, s15, s7",
    ".else",
    "np_recur_lane s18, s15, s7",
    "np_recur_lane s15, s14, s6",
    "np_recur_lane s14, s13, s5",
    "np_recur_lane s13, s12, s4",
    "np_recur_lane s12, s11, s3",
    "np_recur_lane s11, s10, s2",
    "np_recur_lane s10, s9, s1",
    "np_recur_lane s9, s8, s0",
    ".endif",
    "vstmia r1!, {{s8-s15}}",
    "vstmia r2!, {{\\last}}",
    "subs r3, #1",
    "bne 1b",
    "vpop {{s16-s19}}",
    "pop {{r4-r11, pc}}",
    ".endm",
    "np_recur neuroprune_recur_forward, s15",
    "np_recur neuroprune_recur_backward, s8",
    helium = const cfg!(helium) as u32,
);
