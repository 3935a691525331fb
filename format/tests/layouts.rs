//! Every layout stores every matrix that it can store, and the writer chooses as documented.
#![cfg(feature = "alloc")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

mod sources;
mod walk;

use std::sync::OnceLock;

use neuroprune_format::tensor::{
    COLUMN_LIST, Layout, Matrix, Pattern, ROW_SUM_LIMIT, Record, Role, RowWeights, Scale,
};
use neuroprune_format::writer::{
    LayoutChoice, LayoutCosts, MatrixSource, ModelSource, TensorSource, WriteError,
};
use neuroprune_format::{ErrorKind, FormatError, Model};
use proptest::prelude::*;

/// Every pattern that any matrix can have; dense ones name their columns where that is smaller.
fn matrices() -> impl Iterator<Item = Pattern> {
    let all = Pattern::ALL.into_iter();
    all.filter(|&pattern| pattern != Pattern::Columns)
}
/// Rows of the matrix that the tests change: the width of [`sources::single`].
const ROWS: usize = 6;

/// Weights of [`ROWS`] rows. Densities from none to all; at 2 ‰ most gaps need a bridge,
/// and the widest rows have more entries than fit in one byte of a count.
fn weights() -> impl Strategy<Value = (usize, Vec<i8>)> {
    let densities = prop::sample::select(vec![0, 2, 20, 100, 300, 600, 1000_u16]);
    let weight = prop_oneof![6 => 1..=127_i8, 6 => -127..=-1_i8, 1 => Just(0)];
    let cols = prop_oneof![3 => 0..40_usize, 2 => 250..1_400_usize];
    let row = move |cols| {
        let drawn = (weight.clone(), 0..1000_u16);
        (densities.clone(), prop::collection::vec(drawn, cols)).prop_map(|(density, drawn)| {
            let kept = drawn.into_iter();
            let kept = kept.map(|(weight, draw)| if draw < density { weight } else { 0 });
            kept.collect::<Vec<_>>()
        })
    };
    cols.prop_flat_map(move |cols| {
        let rows = prop::collection::vec(row(cols), ROWS);
        rows.prop_map(move |rows| (cols, rows.concat()))
    })
}

/// A model whose MLP output has these weights.
fn model(cols: usize, weights: Vec<i8>, layout: LayoutChoice) -> ModelSource {
    // Asking about all characters takes longer than a whole test case.
    static BASE: OnceLock<ModelSource> = OnceLock::new();
    let mut source = BASE.get_or_init(sources::single).clone();
    assert_eq!(source.hidden, ROWS);
    for tensor in &mut source.tensors {
        let TensorSource::Matrix(matrix) = tensor else {
            continue;
        };
        if matrix.role == Role::MlpInput {
            matrix.rows = cols;
            matrix.weights = vec![1; cols * ROWS];
            matrix.scales = vec![Scale::ONE; cols];
            matrix.bias = None;
        } else if matrix.role == Role::MlpOutput {
            *matrix = MatrixSource {
                cols,
                weights: weights.clone(),
                layout,
                ..matrix.clone()
            };
        }
    }
    source
}

/// Reads the matrix of [`model`] back.
fn with_matrix<T>(file: &[u8], read: impl FnOnce(Record, Matrix<'_>) -> T) -> T {
    let model = Model::open(file).unwrap();
    walk::walk(&model);
    let tensors = walk::encoder(&model).tensors();
    let record = tensors
        .records()
        .find(|record| record.role == Role::MlpOutput);
    let record = record.unwrap();
    read(record, tensors.matrix(&record).unwrap())
}

fn is_possible(layout: Pattern, cols: usize, weights: &[i8]) -> bool {
    let sum = |row: &[i8]| row.iter().map(|w| u32::from(w.unsigned_abs())).sum::<u32>();
    let light = || cols == 0 || weights.chunks(cols).all(|row| sum(row) <= ROW_SUM_LIMIT);
    match layout {
        Pattern::Dense => true,
        Pattern::Blocks2 => cols >= 2 && light(),
        Pattern::Blocks4 => cols >= 4 && light(),
        Pattern::Columns | Pattern::DeltaU8 | Pattern::Bitmap => light(),
    }
}

/// Weights that a row stores, zeros too, and bytes of its bitmap.
fn entries(row: RowWeights<'_>) -> (usize, usize) {
    match row {
        RowWeights::Dense(weights) | RowWeights::Columns(_, weights) => (weights.len(), 0),
        RowWeights::DeltaU8(pairs) => (pairs.len() / 2, 0),
        RowWeights::Bitmap { bits, weights } => (weights.len(), bits.len()),
        RowWeights::Blocks2(blocks) => (blocks.len() / 3 * 2, 0),
        RowWeights::Blocks4(blocks) => (blocks.len() / 5 * 4, 0),
    }
}

/// Bytes × work, computed from the file.
fn price(record: &Record, matrix: &Matrix<'_>, costs: &LayoutCosts) -> u64 {
    let entry = match record.layout.pattern().unwrap() {
        Pattern::Columns => costs.columns,
        Pattern::Dense => costs.dense,
        Pattern::DeltaU8 => costs.delta_u8,
        Pattern::Bitmap => costs.bitmap,
        Pattern::Blocks2 => costs.blocks2,
        Pattern::Blocks4 => costs.blocks4,
    };
    let rows = matrix.iter().map(|row| {
        let (entries, bytes) = entries(row.weights);
        entries as u64 * u64::from(entry) + bytes as u64 * u64::from(costs.bitmap_byte)
    });
    let work = rows.sum::<u64>() + matrix.rows() as u64 * u64::from(costs.row);
    record.length as u64 * work
}

fn costs() -> impl Strategy<Value = LayoutCosts> {
    prop::array::uniform8(1..2_000_u32).prop_map(
        |[
            dense,
            columns,
            delta_u8,
            bitmap,
            bitmap_byte,
            blocks2,
            blocks4,
            row,
        ]| LayoutCosts {
            dense,
            columns,
            delta_u8,
            bitmap,
            bitmap_byte,
            blocks2,
            blocks4,
            row,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_layout_reads_back((cols, weights) in weights()) {
        for layout in matrices() {
            let source = model(cols, weights.clone(), LayoutChoice::Forced(layout));
            let written = source.to_bytes();
            if !is_possible(layout, cols, &weights) {
                let (role, layer) = (Role::MlpOutput, 0);
                prop_assert_eq!(written, Err(WriteError::Layout { role, layer, pattern: layout }));
                continue;
            }
            let file = written.unwrap();
            let read = with_matrix(&file, |record, matrix| {
                let is_dense = layout == Pattern::Dense && record.flags & COLUMN_LIST != 0;
                let found = if is_dense { Pattern::Columns } else { layout };
                assert_eq!(record.layout, Layout::matrix(found));
                let mut read = vec![0; weights.len()];
                for (row, weights) in matrix.iter().enumerate() {
                    for (column, weight) in weights.weights.nonzeros() {
                        read[row * cols + column] = weight;
                    }
                }
                read
            });
            prop_assert_eq!(&read, &weights);
        }
    }

    /// `Smallest` chooses as it did before there were other layouts.
    #[test]
    fn smallest_is_dense_or_delta((cols, weights) in weights()) {
        let lay_out = |layout| model(cols, weights.clone(), layout).to_bytes();
        let smallest = lay_out(LayoutChoice::Smallest).unwrap();
        let dense = lay_out(LayoutChoice::Forced(Pattern::Dense)).unwrap();
        let expected = match lay_out(LayoutChoice::Forced(Pattern::DeltaU8)) {
            Ok(delta) if length(&delta) < length(&dense) => delta,
            _ => dense,
        };
        prop_assert_eq!(smallest, expected);
    }

    #[test]
    fn cheapest_is_the_least_bytes_times_work((cols, weights) in weights(), costs in costs()) {
        let price_of = |layout| {
            let file = model(cols, weights.clone(), layout).to_bytes().ok()?;
            Some(with_matrix(&file, |record, matrix| price(&record, &matrix, &costs)))
        };
        let forced = matrices().map(LayoutChoice::Forced);
        let mut prices: Vec<u64> = forced.into_iter().filter_map(price_of).collect();
        // Where a list of columns is smaller but costs more work, all columns may be cheaper.
        prices.push(all_columns_price(cols, &weights, &costs));
        let found = price_of(LayoutChoice::Cheapest(costs)).unwrap();
        prop_assert_eq!(Some(found), prices.into_iter().min());
    }
}

/// Bytes of the matrix.
fn length(file: &[u8]) -> usize {
    with_matrix(file, |record, _| record.length)
}

/// Bytes × work of the rows that are not zero, all columns stored.
fn all_columns_price(cols: usize, weights: &[i8], costs: &LayoutCosts) -> u64 {
    let rows = weights.chunks(cols.max(1));
    let stored = rows.filter(|row| row.iter().any(|&weight| weight != 0));
    let stored = stored.count();
    let map = usize::from(stored < ROWS);
    let work = (stored * cols) as u64 * u64::from(costs.dense) + ROWS as u64 * u64::from(costs.row);
    (map + stored * (1 + cols)) as u64 * work
}

/// Each layout is the cheapest for some matrix.
#[test]
fn every_layout_has_its_use() {
    let costs = LayoutCosts {
        dense: 730,
        columns: 1_500,
        delta_u8: 1_100,
        bitmap: 1_300,
        bitmap_byte: 400,
        blocks2: 900,
        blocks4: 830,
        row: 2_000,
    };
    // Each row keeps different columns, so that no list of columns helps.
    let chosen = |is_kept: fn(usize) -> bool| {
        let weights = (0..ROWS * 400).map(|at| i8::from(is_kept((at + at / 400 * 53) % 400)));
        let source = model(400, weights.collect(), LayoutChoice::Cheapest(costs));
        with_matrix(&source.to_bytes().unwrap(), |record, _| {
            record.layout.pattern()
        })
    };
    assert_eq!(chosen(|_| true), Some(Pattern::Dense));
    assert_eq!(chosen(|column| column % 10 % 3 == 1), Some(Pattern::Bitmap));
    assert_eq!(chosen(|column| column % 50 == 0), Some(Pattern::DeltaU8));
    assert_eq!(chosen(|column| column % 40 < 2), Some(Pattern::Blocks2));
    assert_eq!(chosen(|column| column % 40 < 4), Some(Pattern::Blocks4));
}

/// If naming the columns saves nothing, no columns are named.
#[test]
fn a_list_of_columns_cannot_be_forced_where_it_saves_nothing() {
    let forced = LayoutChoice::Forced(Pattern::Columns);
    let error = model(3, vec![1; 3 * ROWS], forced).to_bytes().unwrap_err();
    let (role, layer, pattern) = (Role::MlpOutput, 0, Pattern::Columns);
    let expected = WriteError::Layout {
        role,
        layer,
        pattern,
    };
    assert_eq!(error, expected);
    let text = error.to_string();
    assert!(text.contains("cannot be laid out as"), "{text}");
    let weights = (0..40 * ROWS).map(|at| i8::from(at % 40 == 7)).collect();
    let file = model(40, weights, forced).to_bytes().unwrap();
    let found = with_matrix(&file, |record, _| record.layout.pattern());
    assert_eq!(found, Some(Pattern::Columns));
}

#[test]
fn no_layout_takes_the_lowest_weight() {
    let mut weights = vec![0; 8 * ROWS];
    weights[9] = i8::MIN;
    for layout in matrices() {
        let source = model(8, weights.clone(), LayoutChoice::Forced(layout));
        let error = source.to_bytes().unwrap_err();
        if layout == Pattern::Dense {
            let is_weight = |error: FormatError| error.kind == ErrorKind::Weight;
            assert!(matches!(error, WriteError::Format(error) if is_weight(error)));
        } else {
            assert!(matches!(error, WriteError::Layout { .. }));
        }
    }
}

#[test]
fn numbers_of_columns_that_are_no_multiple() {
    for cols in 0..=9 {
        for layout in matrices() {
            let weights = vec![-3; cols * ROWS];
            let possible = is_possible(layout, cols, &weights);
            let source = model(cols, weights, LayoutChoice::Forced(layout));
            let file = source.to_bytes();
            assert_eq!(file.is_ok(), possible, "{cols} columns, {layout:?}");
            if let Ok(file) = file {
                let nonzeros = with_matrix(&file, |_, matrix| matrix.count_nonzeros());
                assert_eq!(nonzeros, cols * ROWS);
            }
        }
    }
}
