//! The float passes of this board's kernels against the portable ones, bit for bit.
//!
//! `bench_matrices` does the same for products, and `classify` for whole networks.
#![no_std]
#![no_main]

use neuroprune_runtime::kernels::{
    self, Direction, Feature, GRAIN, LANES, Lanes, PairScales, floats, recurrence,
};
use neuroprune_runtime::{Model, include_model};

include_model!("../../models/commands.neuro");

/// Rows of each pass.
const ROWS: usize = 24;
/// Rounds with other numbers and other numbers of tokens.
const ROUNDS: usize = 200;

type Rows<T> = [Lanes<T>; ROWS];

#[board::entry]
fn main() -> ! {
    let Ok(model) = Model::open(MODEL_FILE) else {
        board::fail(&["the model does not open"]);
    };
    let neuroprune_runtime::Network::Encoder(encoder) = model.network();
    let norm = encoder.embedding_norm();
    let mut random = Random(1);
    for round in 0..ROUNDS {
        let tokens = 1 + round % LANES;
        let x = random.rows();
        let mut expected = [[0.0; LANES]; 2];
        for row in &mut expected {
            *row = [(); LANES].map(|()| random.float());
        }
        let [mean, inverse] = expected;
        let steps = [(); ROWS].map(|()| [(); LANES].map(|()| random.half()));

        check("add", tokens, &x, |x, own| {
            let add = if own { kernels::add } else { floats::add };
            add(x, &steps, &inverse, tokens);
        });
        check("gelu", tokens, &x, |x, own| {
            let gelu = if own { kernels::gelu } else { floats::gelu };
            gelu(x, tokens);
        });
        check("rectify", tokens, &x, |x, own| {
            let rectify = if own {
                kernels::rectify
            } else {
                floats::rectify
            };
            rectify(x, tokens);
        });
        check("normalize", tokens, &x, |x, own| {
            let normalize = if own {
                kernels::normalize
            } else {
                floats::normalize
            };
            normalize(x, &mean, &inverse, norm, tokens);
        });
        check("sum", tokens, &x, |x, own| {
            let sum = if own { kernels::sum } else { floats::sum };
            x[0] = sum(x, tokens);
        });
        check("sum_of_squares", tokens, &x, |x, own| {
            let sum = if own {
                kernels::sum_of_squares
            } else {
                floats::sum_of_squares
            };
            x[0] = sum(x, &mean, tokens);
        });
        check("largest", tokens, &x, |x, own| {
            let largest = if own {
                kernels::largest
            } else {
                floats::largest
            };
            x[0] = largest(x, tokens).map(f32::from_bits);
        });

        let largest = floats::largest(&x, LANES).map(f32::from_bits);
        let bytes = largest.map(|largest| 127.0 / largest);
        let halves = largest.map(|largest| 32_512.0 / largest);
        check("round", tokens, &x, |x, own| {
            let round = if own { kernels::round } else { floats::round };
            let mut steps = [[0; LANES]; ROWS];
            round(x, &halves, tokens, &mut steps);
            *x = steps.map(|row| row.map(f32::from));
        });
        check("quantize_bytes", tokens, &x, |x, own| {
            let quantize = if own {
                kernels::quantize_bytes
            } else {
                floats::quantize_bytes
            };
            let mut steps = [[0; LANES]; ROWS];
            quantize(x, &bytes, tokens, &mut steps);
            *x = steps.map(|row| row.map(f32::from));
        });
        let scores =
            steps.map(|row| row.map(|step| f32::from_bits(i32::from(step).cast_unsigned())));
        let scales = [(); 3].map(|()| [(); ROWS].map(|()| random.float().abs()));
        let [of_queries, of_keys, of_values] = &scales;
        let (of_queries, _) = of_queries.as_chunks::<LANES>();
        let softmax = |x: &mut Rows<f32>, own| {
            let softmax = if own {
                kernels::softmax
            } else {
                floats::softmax
            };
            softmax(x, &of_queries[0], tokens, of_keys, of_values)
        };
        check("weights of softmax", tokens, &scores, |x, own| {
            softmax(x, own);
        });
        check("scales of softmax", tokens, &scores, |x, own| {
            let scales = softmax(x, own);
            x[0] = scales.inverses;
            x[1] = scales.sum_scales;
        });
        check("rescale", tokens, &scores, |x, own| {
            let rescale = if own {
                kernels::rescale
            } else {
                floats::rescale
            };
            rescale(x, &inverse, tokens);
        });
        check("mixture", tokens, &x, |x, own| {
            let mixture = if own {
                kernels::mixture
            } else {
                floats::mixture
            };
            for weights in x.as_chunks_mut().0 {
                let mixture = mixture(weights, &halves);
                for (place, row) in weights.iter_mut().enumerate() {
                    *row = mixture.map(|steps| f32::from(steps[place]));
                }
            }
        });
        // A lane shares its word with another: both lanes of the word count.
        let mut own = [Feature::default(); ROWS];
        let mut portable = [Feature::default(); ROWS];
        kernels::quantize(&x, &bytes, LANES, &mut own);
        floats::quantize(&x, &bytes, LANES, &mut portable, kernels::set_grain);
        if own != portable {
            board::fail(&["quantize: not the portable pass"]);
        }
        kernels::pack(&steps, &mut own);
        for (feature, steps) in portable.iter_mut().zip(&steps) {
            let bytes = steps.map(|step| (step + 128).to_le_bytes()[1].cast_signed());
            for (grain, bytes) in bytes.as_chunks::<GRAIN>().0.iter().enumerate() {
                kernels::set_grain(feature, grain, *bytes);
            }
        }
        if own != portable {
            board::fail(&["pack: not the upper bytes"]);
        }
        for direction in [Direction::Forward, Direction::Backward] {
            check("recur", tokens, &x, |x, own| {
                let recur = if own {
                    kernels::recur
                } else {
                    recurrence::recur
                };
                let mut state = mean;
                let (gates, candidates) = x.split_at_mut(LANES);
                recur(gates, candidates, &mut state, tokens, direction);
                // Only z and h are results.
                gates.fill([0.0; LANES]);
                if tokens == LANES {
                    gates[0] = state;
                }
            });
            check("dequantize_bytes", tokens, &x, |x, own| {
                let dequantize = if own {
                    kernels::dequantize_bytes
                } else {
                    recurrence::dequantize_bytes
                };
                let bytes = steps.map(|row| row.map(|step| step.to_le_bytes()[0].cast_signed()));
                dequantize(&bytes, 1.0 / 127.0, x);
            });
            check_pairs(&steps[..ROWS / 2], &inverse, tokens, direction);
        }
    }
    board::print("every pass is the portable one\n");
    board::exit(0)
}

/// Bytes of neighbours and tokens: twice as many features as steps.
#[inline(never)]
fn check_pairs(steps: &[Lanes<i16>], inverse: &Lanes<f32>, tokens: usize, direction: Direction) {
    let mut scales = PairScales {
        after: inverse[0].abs(),
        ..PairScales::default()
    };
    let lanes = scales.own.iter_mut().zip(&mut scales.inverses);
    for ((scale, of_pair), inverse) in lanes.zip(inverse).take(tokens) {
        *scale = inverse.abs();
        *of_pair = 127.0 / (32_512.0 * 8.0);
    }
    let mut own = ([Feature::default(); ROWS], [7; ROWS / 2]);
    let mut portable = own;
    let (features, after) = (&mut own.0, &mut own.1);
    kernels::quantize_pairs(steps, after, &scales, tokens, direction, features);
    let (features, after) = (&mut portable.0, &mut portable.1);
    let set = kernels::set_grain;
    recurrence::quantize_pairs(steps, after, &scales, tokens, direction, features, set);
    if own != portable {
        board::fail(&["quantize_pairs: not the portable pass"]);
    }
}

/// Runs a pass both ways and compares the lanes that have a token.
#[inline(never)]
fn check(name: &str, tokens: usize, x: &Rows<f32>, pass: impl Fn(&mut Rows<f32>, bool)) {
    let (mut own, mut portable) = (*x, *x);
    pass(&mut own, true);
    pass(&mut portable, false);
    for (own, portable) in own.iter().zip(&portable) {
        let bits = |row: &Lanes<f32>| row.map(f32::to_bits);
        if bits(own)[..tokens] != bits(portable)[..tokens] {
            board::fail(&[name, ": not the portable pass"]);
        }
    }
}

/// A linear congruential generator (Knuth): any numbers will do, if they are the same on every
/// board.
struct Random(u32);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.0 >> 8
    }

    /// −32,512…32,512.
    fn half(&mut self) -> i16 {
        let steps = i32::try_from(self.next() % 65_025).unwrap_or(0) - 32_512;
        i16::try_from(steps).unwrap_or(0)
    }

    /// −8…8, some of it small.
    fn float(&mut self) -> f32 {
        let scale = if self.next().is_multiple_of(4) {
            1e-6
        } else {
            1.0 / 4096.0
        };
        f32::from(self.half()) * scale
    }

    fn rows(&mut self) -> Rows<f32> {
        [(); ROWS].map(|()| [(); LANES].map(|()| self.float()))
    }
}
