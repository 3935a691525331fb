//! Instructions of the dense int8 layer of `embedded-nn`, on the shapes of
//! `bench_matrices`: sixteen tokens, requantisation included.
//!
//! It reads every weight, so only the shape matters.
#![no_std]
#![no_main]

use core::hint::black_box;

use board::numbers::decimal;
use board::regions;
use embedded_nn::fully_connected::fully_connected_s8;
use embedded_nn::types::{Activation, Dims, FcParams, PerTensorQuantParams};
use static_cell::ConstStaticCell;

const TOKENS: usize = 16;
const LONGEST: usize = 1536;

static WEIGHTS: ConstStaticCell<[i8; 384 * LONGEST]> = ConstStaticCell::new([3; 384 * LONGEST]);
static INPUT: ConstStaticCell<[i8; TOKENS * LONGEST]> = ConstStaticCell::new([5; TOKENS * LONGEST]);
static OUTPUT: ConstStaticCell<[i8; TOKENS * LONGEST]> =
    ConstStaticCell::new([0; TOKENS * LONGEST]);
static BIAS: [i32; LONGEST] = [7; LONGEST];

#[board::entry]
fn main() -> ! {
    let (weights, input, output) = (WEIGHTS.take(), INPUT.take(), OUTPUT.take());
    regions::calibrate();
    let mut layers = Layers {
        weights,
        input,
        output,
    };
    layers.measure::<384, 1536>();
    layers.measure::<1536, 384>();
    layers.measure::<384, 384>();
    layers.measure::<128, 512>();
    layers.measure::<512, 128>();
    layers.measure::<128, 128>();
    board::exit(0)
}

/// Data that every shape uses a part of.
struct Layers {
    weights: &'static [i8; 384 * LONGEST],
    input: &'static [i8; TOKENS * LONGEST],
    output: &'static mut [i8; TOKENS * LONGEST],
}

impl Layers {
    /// Shapes are constants, as in a program made for one network: the library then checks fewer
    /// bounds.
    #[inline(never)]
    fn measure<const INPUTS: usize, const OUTPUTS: usize>(&mut self) {
        let (mut columns, mut rows) = ([0; 10], [0; 10]);
        regions::name(&[
            decimal(u32::try_from(INPUTS).unwrap_or(0), &mut columns),
            "x",
            decimal(u32::try_from(OUTPUTS).unwrap_or(0), &mut rows),
        ]);
        let dims = |n: usize, c: usize| Dims {
            n: i32::try_from(n).unwrap_or(0),
            h: 1,
            w: 1,
            c: i32::try_from(c).unwrap_or(0),
        };
        let layer = FcParams {
            input_offset: 0,
            filter_offset: 0,
            output_offset: 0,
            activation: Activation {
                min: -128,
                max: 127,
            },
        };
        let scale = PerTensorQuantParams {
            multiplier: 1 << 30,
            shift: -7,
        };
        regions::begin();
        let done = fully_connected_s8(
            &layer,
            &scale,
            &dims(TOKENS, INPUTS),
            &self.input[..TOKENS * INPUTS],
            &dims(INPUTS, OUTPUTS),
            &self.weights[..INPUTS * OUTPUTS],
            Some(&BIAS[..OUTPUTS]),
            &dims(TOKENS, OUTPUTS),
            &mut self.output[..TOKENS * OUTPUTS],
        );
        regions::end();
        black_box(&self.output);
        if done.is_err() {
            board::fail(&["embedded-nn refuses the shape"]);
        }
    }
}
