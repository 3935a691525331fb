//! Marks what `cargo xtask bench` counts, with instructions that do nothing and that its plugin for
//! QEMU recognises.
//!
//! A region is between [`begin`] and [`end`]; [`next`] ends one and begins another.
//! On hardware, and in QEMU without the plugin, they cost one instruction each.

use core::arch::asm;

/// A region begins.
#[inline(always)]
pub fn begin() {
    // SAFETY: does nothing. Nothing may be moved across it, so memory counts as touched.
    unsafe {
        #[cfg(target_arch = "arm")]
        asm!("mov r10, r10", options(nostack, preserves_flags));
        #[cfg(target_arch = "riscv32")]
        asm!("ori x0, x0, 4", options(nostack, preserves_flags));
    }
}

/// The region ends.
#[inline(always)]
pub fn end() {
    // SAFETY: as in `begin`.
    unsafe {
        #[cfg(target_arch = "arm")]
        asm!("mov r11, r11", options(nostack, preserves_flags));
        #[cfg(target_arch = "riscv32")]
        asm!("ori x0, x0, 5", options(nostack, preserves_flags));
    }
}

/// The region ends, and the next begins.
#[inline(always)]
pub fn next() {
    // SAFETY: as in `begin`.
    unsafe {
        #[cfg(target_arch = "arm")]
        asm!("mov r12, r12", options(nostack, preserves_flags));
        #[cfg(target_arch = "riscv32")]
        asm!("ori x0, x0, 6", options(nostack, preserves_flags));
    }
}

/// Prints the name of a region. The counts find their names by the order of these lines, one per
/// region.
pub fn name(parts: &[&str]) {
    for part in parts {
        crate::print(part);
    }
    crate::print("\n");
}

/// A region of exactly 400,000 instructions: shows in every run that the counter works.
pub fn calibrate() {
    name(&["calibration"]);
    // SAFETY: counts a register down and touches nothing else; the markers do nothing.
    unsafe {
        #[cfg(target_arch = "arm")]
        asm!(
            "mov r10, r10",
            "1: nop",
            "nop",
            "subs {turns}, #1",
            "bne 1b",
            "mov r11, r11",
            turns = inout(reg) TURNS => _,
            options(nomem, nostack)
        );
        #[cfg(target_arch = "riscv32")]
        asm!(
            "ori x0, x0, 4",
            "1: nop",
            "nop",
            "addi {turns}, {turns}, -1",
            "bnez {turns}, 1b",
            "ori x0, x0, 5",
            turns = inout(reg) TURNS => _,
            options(nomem, nostack)
        );
    }
}

/// Iterations of the calibration, four instructions each.
const TURNS: u32 = 100_000;
