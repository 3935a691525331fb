//! The cost of the network's float functions on this board: instructions per call.
//!
//! `docs/arithmetic.md` has the table with their errors.
#![no_std]
#![no_main]

use core::hint::black_box;

use board::instructions::Counter;
use defmt_semihosting as _;
use neuroprune_runtime::math;

const CALLS: u32 = 1000;

#[board::entry]
fn main() -> ! {
    let Some(mut counter) = Counter::new() else {
        board::fail(&["this board has no clock"]);
    };
    let mut report = |name: &str, function: &mut dyn FnMut(f32) -> f32| {
        let empty = count(&mut counter, &mut |x| x);
        let full = count(&mut counter, function);
        let (Some(empty), Some(full)) = (empty, full) else {
            board::fail(&["the clock wrapped"]);
        };
        defmt::println!("{=str}: {=u32} instructions", name, (full - empty) / CALLS);
    };
    report("exponential", &mut |x| math::exponential(-x));
    report("inverse square root", &mut math::inverse_square_root);
    report("GELU", &mut |x| math::gelu(x - 4.0));
    #[allow(clippy::cast_precision_loss, reason = "small numbers")]
    report("nearest", &mut |x| math::nearest(x) as f32);
    board::exit(0)
}

/// Instructions of [`CALLS`] calls, with arguments from 0 to 8.
fn count(counter: &mut Counter, function: &mut dyn FnMut(f32) -> f32) -> Option<u32> {
    let work = || {
        let mut x = 0.001;
        for _ in 0..CALLS {
            black_box(function(black_box(x)));
            x += 0.008;
        }
    };
    counter.count(work).1
}
