//! Marks what callgrind counts: before each call of `region_mark` it writes what it has counted,
//! and starts again from zero. Regions alternate with the code between them.

use core::hint::black_box;

/// Iterations of the loop of [`calibrate`], four instructions each.
#[cfg(target_arch = "x86_64")]
const TURNS: u64 = 100_000;

/// The call that callgrind looks for.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn region_mark() {
    black_box(());
}

/// A region begins.
#[inline]
pub fn begin() {
    region_mark();
}

/// The region ends.
#[inline]
pub fn end() {
    region_mark();
}

/// A region of 400,000 instructions and a few more: shows in every run that the counter works.
pub fn calibrate() {
    println!("calibration");
    begin();
    // SAFETY: counts a register down and touches nothing else.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        core::arch::asm!(
            "2: nop",
            "nop",
            "dec {turns}",
            "jnz 2b",
            turns = inout(reg) TURNS => _,
            options(nomem, nostack)
        );
    }
    end();
}
