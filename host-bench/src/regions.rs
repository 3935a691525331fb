//! Marks what callgrind counts: before each call of [`region_begins`] and [`region_ends`] it
//! writes what it has counted, and starts again from zero.

use core::arch::asm;
use core::hint::black_box;

/// Turns of the loop of [`calibrate`], four instructions each.
const TURNS: u64 = 100_000;

/// A region begins.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn region_begins() {
    black_box(());
}

/// The region ends.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn region_ends() {
    black_box(());
}

/// First a region of nothing, whose count is what the marks cost, then one of exactly 400,000
/// instructions: shows in every run that the counter counts.
pub fn calibrate() {
    println!("nothing");
    region_begins();
    region_ends();
    println!("calibration");
    region_begins();
    // SAFETY: counts a register down and touches nothing else.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        asm!(
            "2: nop",
            "nop",
            "dec {turns}",
            "jnz 2b",
            turns = inout(reg) TURNS => _,
            options(nomem, nostack)
        );
    }
    region_ends();
}
