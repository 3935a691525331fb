//! What products of a matrix cost, row by row: the instructions of the kernels in
//! `kernels/cortex_m/smlal/assembly.rs` and of `scale` in `kernels/cortex_m/fpu/assembly.rs`.

use core::ops::Range;

use neuroprune_format::tensor::{Matrix, Pattern, RowWeights};

use super::{price, wide};
use crate::kernels::LANES;

/// Columns of one dense sum.
const STRETCH: u64 = 512;
/// Tokens of a short tile, for which there are kernels of their own.
const SHORT: usize = LANES / 2;

/// The price of some rows with one tile, full and short.
pub(super) struct Products {
    full: u64,
    short: u64,
}

impl Products {
    /// All rows of `matrix`.
    pub(super) fn of(matrix: &Matrix<'_>) -> Self {
        Self::of_rows(matrix, 0..matrix.rows())
    }

    /// The rows `range` of `matrix`.
    pub(super) fn of_rows(matrix: &Matrix<'_>, range: Range<usize>) -> Self {
        let has_bias = matrix.has_bias();
        let is_dense = match matrix.iter().bytes().pattern {
            Pattern::Dense | Pattern::Columns => true,
            Pattern::DeltaU8 | Pattern::Bitmap | Pattern::Blocks2 | Pattern::Blocks4 => false,
        };
        let (run, cut_row, test) = if is_dense {
            (price::DENSE_RUN, price::DENSE_CUT_ROW, price::DENSE_TEST)
        } else {
            (price::RUN, price::CUT_ROW, price::TEST)
        };
        let (mut full, mut short) = (0, 0);
        let mut common = price::CALL;
        let mut tests = 0;
        let mut in_run = false;
        for (index, row) in matrix.iter().enumerate().skip(range.start) {
            let is_cut = row.scale == 0.0;
            if index >= range.end {
                // The end of the last run is looked for in all rows.
                if is_cut || !in_run {
                    break;
                }
                tests += 1;
                continue;
            }
            tests += if in_run && !is_cut { 1 } else { 2 };
            if is_cut {
                common += cut_row;
            } else {
                if !in_run {
                    common += run;
                }
                let [in_full, in_short] = of_row(row.weights, has_bias);
                full += in_full;
                short += in_short;
            }
            in_run = !is_cut;
        }
        if matrix.has_row_map() {
            common += test * tests;
        }
        Self {
            full: full + common,
            short: short + common,
        }
    }

    /// With a tile of `tokens` tokens.
    pub(super) fn tile(&self, tokens: usize) -> u64 {
        if tokens > SHORT {
            self.full
        } else {
            self.short
        }
    }

    /// With all tiles of `tokens` tokens.
    pub(super) fn tiles(&self, tokens: usize) -> u64 {
        super::tiles(tokens).map(|tokens| self.tile(tokens)).sum()
    }
}

/// The price of a stored row with a full tile and with a short one.
fn of_row(weights: RowWeights<'_>, has_bias: bool) -> [u64; 2] {
    let bias = |instructions| if has_bias { instructions } else { 0 };
    // What follows the sums of a sparse row; dense rows are scaled in a loop of their own.
    let sparse = |full: u64, short: u64| [full + 49 + bias(11), short + 32 + bias(7)];
    let scaled = 32 + bias(11);
    let mut compiled = 0;
    let instructions = match weights {
        RowWeights::Dense(weights) => {
            let cols = wide(weights.len());
            if cols > STRETCH {
                compiled = price::STRETCH * cols.div_ceil(STRETCH);
            }
            [LANES, SHORT].map(|tokens| dense(cols, tokens) + scaled)
        }
        RowWeights::Columns(_, weights) => {
            let stored = wide(weights.len());
            compiled = price::LISTED_ROW;
            [13 * stored + 46 * stored.div_ceil(STRETCH) + scaled; 2]
        }
        RowWeights::DeltaU8(pairs) => {
            let pairs = wide(pairs.len() / 2);
            sparse(delta(pairs, 9, 16), delta(pairs, 6, 8))
        }
        RowWeights::Bitmap { bits, .. } => sparse(bitmap(bits, 7), bitmap(bits, 4)),
        RowWeights::Blocks2(row) => {
            let count = wide(row.len() / 3);
            sparse(blocks(count, 16), blocks(count, 10))
        }
        RowWeights::Blocks4(row) => {
            let count = wide(row.len() / 5);
            sparse(blocks(count, 30), blocks(count, 18))
        }
    };
    instructions.map(|instructions| price::INSTRUCTION * instructions + compiled)
}

/// A row of dense weights, or of the scores of attention, with a tile of `tokens` tokens.
pub(super) fn dense(cols: u64, tokens: usize) -> u64 {
    let (first, step, end) = if tokens > SHORT {
        (10, 7, 20)
    } else {
        (7, 4, 13)
    };
    let rest = cols.saturating_sub(1);
    first + step * rest + 2 * (1 + rest / 16) + end
}

/// A row of delta-u8, whose loop takes `unrolled` pairs a turn.
fn delta(pairs: u64, step: u64, unrolled: u64) -> u64 {
    let Some(rest) = pairs.checked_sub(1) else {
        return 20;
    };
    if rest <= unrolled {
        return 5 + step * pairs + 2;
    }
    15 + step * pairs + 2 * (1 + rest / unrolled)
}

/// A row of blocks, two of which a turn of the loop takes.
fn blocks(count: u64, block: u64) -> u64 {
    let own_count = if count > 15 { 5 } else { 0 };
    10 + own_count + block * count + count % 2 + count / 2 * 2
}

/// A row of a bitmap: each pattern of up to four columns has its own code.
fn bitmap(bits: &[u8], bit: u64) -> u64 {
    let (words, rest) = bits.as_chunks::<4>();
    let words = words.iter().map(|word| (10, u32::from_be_bytes(*word)));
    let rest = rest.iter().map(|&byte| (14, u32::from(byte) << 24));
    let mut instructions = 15 + 7;
    for (overhead, mut bits) in words.chain(rest) {
        instructions += overhead;
        let mut is_aligned = false;
        while bits != 0 {
            if !is_aligned {
                bits <<= bits.leading_zeros();
                instructions += 3;
            }
            let pattern = bits >> 28;
            let columns = 4 - pattern.trailing_zeros().min(3);
            instructions += 2 + bit * u64::from(pattern.count_ones());
            bits = bits.checked_shl(columns).unwrap_or(0);
            let is_whole = columns == 4;
            is_aligned = is_whole && bits >> 31 != 0;
            instructions += 1 + u64::from(is_whole);
            if !is_aligned {
                instructions += if bits == 0 { 2 } else { 1 };
            }
        }
    }
    instructions
}
