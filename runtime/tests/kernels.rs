//! The parity test: every set of kernels gives the oracle's sums.
//!
//! Kernels in assembly run on boards only; there the program `classify` holds them to the
//! host's logits.

use neuroprune_format::tensor::ROW_SUM_LIMIT;
use neuroprune_runtime::kernels::pairs::{self, Portable, Rows};
use neuroprune_runtime::kernels::{LANES, Lanes, scalar};
use proptest::prelude::*;

/// Mostly anything, often the ends of the range.
fn byte() -> impl Strategy<Value = i8> {
    prop_oneof![3 => -127..=127_i8, 1 => Just(127), 1 => Just(-127), 1 => Just(0)]
}

fn lanes() -> impl Strategy<Value = [i8; LANES]> {
    prop::array::uniform8(byte())
}

fn paired(tile: &[[i8; LANES]]) -> Vec<pairs::Feature> {
    let pack = |lanes: &[i8; LANES]| {
        let mut feature = pairs::Feature::default();
        for (pair, lanes) in lanes.chunks_exact(2).enumerate() {
            if let &[even, odd] = lanes {
                pairs::set_pair(&mut feature, pair, even, odd);
            }
        }
        feature
    };
    tile.iter().map(pack).collect()
}

/// The pairs of a sparse row, as the writer makes them, within the format's row sum.
fn delta(weights: &[i8]) -> Vec<u8> {
    let (mut stream, mut position, mut sum) = (Vec::new(), 0, 0_u32);
    for (column, &weight) in weights.iter().enumerate() {
        sum += u32::from(weight.unsigned_abs());
        if weight == 0 || sum > ROW_SUM_LIMIT {
            continue;
        }
        let mut gap = column - position;
        while gap > 255 {
            stream.extend([255, 0]);
            gap -= 255;
        }
        stream.extend([u8::try_from(gap).unwrap_or(0), weight.cast_unsigned()]);
        position = column;
    }
    stream
}

fn same(expected: Lanes<i32>, found: Lanes<i32>) -> Result<(), TestCaseError> {
    prop_assert_eq!(expected, found);
    Ok(())
}

proptest! {
    #[test]
    fn sums_are_the_oracles(
        rows in prop::collection::vec((byte(), lanes(), 0..10_u8), 0..1400),
        density in 0..=10_u8,
    ) {
        let tile: Vec<_> = rows.iter().map(|row| row.1).collect();
        let pair_tile = paired(&tile);
        let dense: Vec<u8> = rows.iter().map(|row| row.0.cast_unsigned()).collect();
        same(scalar::dense_row(&dense, &tile), pairs::dense_row::<Portable>(&dense, &pair_tile))?;

        let sparse = rows.iter().map(|row| if row.2 < density { row.0 } else { 0 });
        let sparse: Vec<i8> = sparse.collect();
        let stream = delta(&sparse);
        same(scalar::delta_row(&stream, &tile), Portable::delta(&stream, &pair_tile))?;

        let kept = sparse.iter().enumerate().filter(|(_, weight)| **weight != 0);
        let (columns, weights): (Vec<_>, Vec<_>) = kept
            .map(|(column, weight)| (u16::try_from(column).unwrap().to_le_bytes(), weight.cast_unsigned()))
            .unzip();
        same(
            scalar::listed_row(columns.as_flattened(), &weights, &tile),
            pairs::listed_row(columns.as_flattened(), &weights, &pair_tile),
        )?;
    }
}

/// The largest sums that a row may have, of both signs beside each other.
#[test]
fn lanes_stay_apart_at_the_row_sum_limit() {
    let mut lanes = [127, -127, 127, 127, -127, -127, 0, 127];
    for _ in 0..LANES {
        lanes.rotate_left(1);
        let tile = vec![lanes; 521];
        let mut weights = vec![-127; 521];
        // 66,052 = 520 · 127 + 12
        weights[520] = -12;
        let stream = delta(&weights);
        assert_eq!(
            scalar::delta_row(&stream, &tile),
            Portable::delta(&stream, &paired(&tile))
        );
    }
}
