//! Marks what callgrind counts: it writes its counts and starts again from zero before
//! each call of [`region_begins`] and of [`region_ends`].

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
