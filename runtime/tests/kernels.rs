//! The parity test: every set of kernels gives the oracle's sums, and the set of this target also
//! gives the bits of its float passes. `cargo xtask test` runs it on WebAssembly too.
//!
//! Kernels in assembly run only on boards; there the program `classify` checks them against the
//! host's logits.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

mod models;

use std::sync::OnceLock;

use models::{Random, Shape, encoder_of};
use neuroprune_format::Model;
use neuroprune_format::tensor::{Matrix, Pattern, ROW_SUM_LIMIT, Role, Scale};
use neuroprune_format::writer::{
    CharacterMap, LayoutChoice, ModelSource, TensorSource, WriteError,
};
use neuroprune_runtime::kernels::pairs::{self, Portable, RowSums};
use neuroprune_runtime::kernels::{self, GRAIN, LANES, Lanes, QUAD, TILES, Tile, floats, scalar};
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
        for (grain, lanes) in lanes.as_chunks::<GRAIN>().0.iter().enumerate() {
            pairs::set_grain(&mut feature, grain, *lanes);
        }
        feature
    };
    tile.iter().map(pack).collect()
}

/// As the set of this target reads them.
fn packed(tile: &[[i8; LANES]]) -> Vec<kernels::Feature> {
    let pack = |lanes: &[i8; LANES]| {
        let mut feature = kernels::Feature::default();
        for (grain, lanes) in lanes.as_chunks::<GRAIN>().0.iter().enumerate() {
            kernels::set_grain(&mut feature, grain, *lanes);
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
        same(scalar::dense_row::<LANES>(&dense, &tile), pairs::dense_row::<Portable>(&dense, &pair_tile))?;

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

/// Every pattern that any matrix can have; dense ones name their columns where that is smaller.
fn layouts() -> impl Iterator<Item = Pattern> {
    let all = Pattern::ALL.into_iter();
    all.filter(|&pattern| pattern != Pattern::Columns)
}

/// Calls `use_matrix` with these weights, `[rows, cols]` of at least one each, in this layout as
/// the writer makes it; does not call it if the writer cannot.
fn with_layout(cols: usize, weights: &[i8], layout: Pattern, use_matrix: impl FnOnce(Matrix<'_>)) {
    static BASE: OnceLock<ModelSource> = OnceLock::new();
    let base = BASE.get_or_init(|| {
        let mut shape = Shape::small();
        (shape.hidden, shape.labels) = (1, 1);
        shape.layers.clear();
        let mut source = shape.source(&mut Random::new(0));
        source.characters = CharacterMap::default();
        source
    });
    let rows = weights.len() / cols;
    let mut source = base.clone();
    source.hidden = cols;
    source.labels = vec!["class".into(); rows];
    for tensor in &mut source.tensors {
        match tensor {
            TensorSource::Table(table) => {
                table.cols = cols;
                table.weights = vec![1; table.rows * cols];
            }
            TensorSource::Norm(norm) => {
                norm.gain.resize(cols, 1_u8.into());
                norm.shift.resize(cols, 0_u8.into());
            }
            TensorSource::Matrix(classifier) => {
                (classifier.rows, classifier.cols) = (rows, cols);
                classifier.weights = weights.to_vec();
                classifier.scales = vec![Scale::ONE; rows];
                classifier.bias = None;
                classifier.layout = LayoutChoice::Forced(layout);
            }
        }
    }
    match source.to_bytes() {
        Ok(file) => {
            let model = Model::open(&file).unwrap();
            let mut records = model.tensors().records();
            let record = records.find(|record| record.role == Role::Classifier);
            let found = record.and_then(|record| record.layout.pattern());
            let names_columns = layout == Pattern::Dense && found == Some(Pattern::Columns);
            assert!(names_columns || found == Some(layout), "{found:?}");
            use_matrix(encoder_of(&model).classifier());
        }
        Err(error) => assert!(matches!(error, WriteError::Layout { .. }), "{error}"),
    }
}

/// Sums of every row, by the oracle, by the pairs and by the set of this target, for a full
/// tile and for short ones.
fn assert_all_sums(matrix: &Matrix<'_>, features: &[scalar::Feature], expected: &[Lanes<i32>]) {
    let (pairs, packed) = (paired(features), packed(features));
    for tokens in [LANES, GRAIN + 1, GRAIN, 1] {
        let mut oracle = vec![[i32::MAX; LANES]; expected.len()];
        let (mut found, mut chosen) = (oracle.clone(), oracle.clone());
        let scales = [1.0; LANES];
        let tile = Tile {
            features,
            scales,
            tokens,
        };
        scalar::multiply(&matrix.iter(), &tile, &mut oracle);
        #[cfg(target_arch = "x86_64")]
        if let Some(avx2) = host::avx2() {
            let mut found = oracle.clone();
            found.fill([i32::MAX; LANES]);
            avx2.multiply(&matrix.iter(), &tile, &mut found);
            for (found, expected) in found.iter().zip(expected) {
                assert_eq!(found[..tokens], expected[..tokens]);
            }
        }
        let tile = Tile {
            features: &pairs,
            scales,
            tokens,
        };
        pairs::multiply::<Portable>(&matrix.iter(), &tile, &mut found);
        let tile = Tile {
            features: &packed,
            scales,
            tokens,
        };
        kernels::multiply(&matrix.iter(), &tile, &mut chosen);
        for (row, expected) in expected.iter().enumerate() {
            for sums in [oracle[row], found[row], chosen[row]] {
                assert_eq!(sums[..tokens], expected[..tokens]);
            }
        }
    }
}

/// As many tiles at once as this target takes, and fewer: each gives what the oracle gives for it
/// alone.
fn assert_all_tiles(matrix: &Matrix<'_>, features: &[scalar::Feature]) {
    let rotated = (0..TILES).map(|by| {
        let mut features = features.to_vec();
        for lanes in &mut features {
            lanes.rotate_left(by);
        }
        features
    });
    let rotated: Vec<_> = rotated.collect();
    let packed: Vec<_> = rotated.iter().map(|features| packed(features)).collect();
    let rows = matrix.rows();
    let scales: Lanes<f32> = core::array::from_fn(|lane| 0.01 + lane as f32);
    for count in 1..=TILES {
        let tokens = |tile: usize| if tile + 1 == count { 3 + tile } else { LANES };
        let tiles: Vec<_> = (0..count)
            .map(|tile| Tile {
                features: &packed[tile][..],
                scales,
                tokens: tokens(tile),
            })
            .collect();
        let mut found = vec![[f32::NAN; LANES]; count * rows];
        kernels::project_tiles(&matrix.iter(), &tiles, &mut found);
        for (tile, found) in found.chunks(rows).enumerate() {
            let one = Tile {
                features: &rotated[tile][..],
                scales,
                tokens: tokens(tile),
            };
            let mut sums = vec![[0; LANES]; rows];
            scalar::multiply(&matrix.iter(), &one, &mut sums);
            let mut expected: Vec<Lanes<f32>> = sums
                .iter()
                .map(|sums| sums.map(|sum| f32::from_bits(sum.cast_unsigned())))
                .collect();
            floats::scale(&matrix.iter(), &one, &mut expected);
            assert_eq!(bits(found, one.tokens), bits(&expected, one.tokens));
        }
    }
}

/// Without any layout: every weight times every feature.
fn plain_sums(cols: usize, weights: &[i8], tile: &[scalar::Feature]) -> Vec<Lanes<i32>> {
    let rows = weights.chunks_exact(cols);
    let sums = rows.map(|row| {
        core::array::from_fn(|lane| {
            let products = row.iter().zip(tile);
            let products = products.map(|(&w, x)| i32::from(w) * i32::from(x[lane]));
            products.sum()
        })
    });
    sums.collect()
}

/// Rows of densities from none to all: at 2 ‰ most gaps need a bridge, and the widest
/// rows have more entries than a count of one byte can hold.
fn matrix() -> impl Strategy<Value = (usize, Vec<i8>, Vec<[i8; LANES]>)> {
    let density = prop::sample::select(vec![0, 2, 20, 100, 300, 600, 1000_u16]);
    let cols = prop_oneof![3 => 1..40_usize, 2 => 250..1_100_usize];
    cols.prop_flat_map(move |cols| {
        let drawn = prop::collection::vec((byte(), 0..1000_u16), cols);
        let row = (density.clone(), drawn).prop_map(|(density, drawn)| {
            let kept = drawn.into_iter();
            let kept = kept.map(|(weight, draw)| if draw < density { weight } else { 0 });
            kept.collect::<Vec<_>>()
        });
        let weights = prop::collection::vec(row, 1..12).prop_map(|rows| rows.concat());
        (Just(cols), weights, prop::collection::vec(lanes(), cols))
    })
}

/// Any possible steps of the residual stream.
fn steps() -> impl Strategy<Value = [i16; LANES]> {
    let limit = 127 * 256_i16;
    prop::array::uniform8(prop_oneof![-limit..=limit, Just(limit), Just(-limit)])
}

proptest! {
    #[test]
    fn packing_takes_the_rounded_upper_byte(steps in prop::collection::vec(steps(), 1..40)) {
        let rounded = |step: &i16| i8::try_from((i32::from(*step) + 128).div_euclid(256)).unwrap();
        let expected: Vec<[i8; LANES]> = steps
            .iter()
            .map(|steps| core::array::from_fn(|lane| rounded(&steps[lane])))
            .collect();
        let mut bytes = vec![[0; LANES]; steps.len()];
        scalar::pack(&steps, &mut bytes);
        prop_assert_eq!(&bytes, &expected);
        let mut words = vec![pairs::Feature::default(); steps.len()];
        pairs::pack(&steps, &mut words);
        prop_assert_eq!(words, paired(&expected));
    }

    /// A reused buffer has steps of any size in the lanes of a grain without a token.
    #[test]
    fn packing_takes_any_step(steps in prop::collection::vec(any::<[i16; LANES]>(), 1..40)) {
        let held = |step: i16| step.clamp(-127 * 256, 127 * 256);
        let held: Vec<_> = steps.iter().map(|steps| {
            core::array::from_fn(|lane| if lane < GRAIN { held(steps[lane]) } else { steps[lane] })
        }).collect();
        let rounded = |step: i16| i8::try_from((i32::from(step) + 128).div_euclid(256)).unwrap();
        let mut bytes = vec![[0; LANES]; steps.len()];
        scalar::pack(&held, &mut bytes);
        let mut words = vec![pairs::Feature::default(); steps.len()];
        pairs::pack(&held, &mut words);
        let mut chosen = vec![kernels::Feature::default(); steps.len()];
        kernels::pack(&held, &mut chosen);
        for (at, steps) in held.iter().enumerate() {
            let mut expected = [0; LANES];
            for (byte, step) in expected.iter_mut().zip(steps).take(GRAIN) {
                *byte = rounded(*step);
            }
            let words_expected = &paired(&[expected])[0];
            prop_assert_eq!(&bytes[at][..GRAIN], &expected[..GRAIN]);
            prop_assert_eq!(&words[at][..GRAIN / 2], &words_expected[..GRAIN / 2]);
            // Features of a set cannot be read back: they are compared by their sums.
            let tile = Tile { features: &chosen[at..=at], scales: [1.0; LANES], tokens: GRAIN };
            let mut read = [[0; LANES]];
            kernels::dense(&[1], 1, &tile, &mut read);
            prop_assert_eq!(&read[0][..GRAIN], &expected.map(i32::from)[..GRAIN]);
        }
    }

    #[test]
    fn every_layout_gives_the_same_sums((cols, weights, tile) in matrix()) {
        let expected = plain_sums(cols, &weights, &tile);
        for layout in layouts() {
            with_layout(cols, &weights, layout, |matrix| {
                assert_all_sums(&matrix, &tile, &expected);
                assert_all_tiles(&matrix, &tile);
            });
        }
    }
}

/// Finite floats of every size, zeros and steps of quantisation among them.
fn number() -> impl Strategy<Value = f32> {
    prop_oneof![
        4 => -4.0..4.0_f32,
        1 => -1e6..1e6_f32,
        1 => Just(0.0),
        1 => Just(-0.0),
        1 => prop::num::f32::SUBNORMAL,
    ]
}

/// Any number of features, for any number of tokens.
fn numbers() -> impl Strategy<Value = (Vec<Lanes<f32>>, usize)> {
    let features = prop::collection::vec(prop::array::uniform8(number()), 0..40);
    (features, 1..=LANES)
}

/// The first `tokens` lanes, bit by bit.
fn bits(rows: &[Lanes<f32>], tokens: usize) -> Vec<u32> {
    let rows = rows.iter().flat_map(|row| row.iter().take(tokens));
    rows.map(|x| x.to_bits()).collect()
}

/// Factors that make all of `x` at most `limit`.
fn inverses(x: &[Lanes<f32>], limit: f32) -> Lanes<f32> {
    let largest = |lane: usize| x.iter().map(|x| x[lane].abs()).fold(0.0, f32::max);
    core::array::from_fn(|lane| {
        let inverse = limit / largest(lane);
        if inverse.is_finite() { inverse } else { 0.0 }
    })
}

fn first<T: Copy>(rows: &[Lanes<T>], tokens: usize) -> Vec<T> {
    let rows = rows.iter().flat_map(|row| row.iter().take(tokens));
    rows.copied().collect()
}

proptest! {
    #[test]
    fn rows_of_bytes_give_the_oracles_sums(
        (cols, weights, tile) in matrix(),
        tokens in 1..=LANES,
    ) {
        let expected = plain_sums(cols, &weights, &tile);
        let weights: Vec<u8> = weights.iter().map(|weight| weight.cast_unsigned()).collect();
        let packed = packed(&tile);
        let tile = Tile { features: &packed, scales: [1.0; LANES], tokens };
        let mut found = vec![[i32::MAX; LANES]; expected.len()];
        kernels::dense(&weights, cols, &tile, &mut found);
        prop_assert_eq!(first(&found, tokens), first(&expected, tokens));
    }

    #[test]
    fn mixtures_are_the_oracles(
        quads in prop::collection::vec(
            (
                prop::array::uniform8(prop::array::uniform4(0..=8191_i16)),
                prop::collection::vec(prop::array::uniform4(byte()), 19),
            ),
            0..20,
        ),
        dimensions in 0..=19_usize,
        queries in 1..=LANES,
    ) {
        let mixture: Vec<_> = quads.iter().map(|quad| quad.0).collect();
        let values = || quads.iter().flat_map(|quad| quad.1.iter().take(dimensions));
        let word = |values: &[i8; QUAD]| scalar::value_word(Some(*values));
        let words: Vec<u32> = values().map(word).collect();
        let mut expected = vec![[0; LANES]; dimensions];
        scalar::mix(&mixture, &words, queries, &mut expected);
        let word = |values: &[i8; QUAD]| kernels::value_word(Some(*values));
        let words: Vec<u32> = values().map(word).collect();
        let mut found = vec![[i32::MAX; LANES]; dimensions];
        kernels::mix(&mixture, &words, queries, &mut found);
        prop_assert_eq!(first(&found, queries), first(&expected, queries));
    }

    #[test]
    fn attention_weights_are_the_oracles(
        weights in prop::array::uniform4(prop::array::uniform8(-1.0..2.0_f32)),
        inverses in prop::array::uniform8(prop_oneof![Just(0.0), Just(8191.0), 0.0..1e6_f32]),
    ) {
        let expected = floats::mixture(&weights, &inverses);
        prop_assert_eq!(kernels::mixture(&weights, &inverses), expected);
    }

    #[test]
    fn passes_over_floats_give_the_oracles_bits(
        (x, tokens) in numbers(),
        steps in prop::collection::vec(steps(), 40),
        scales in prop::array::uniform8(0.0..0.01_f32),
    ) {
        let in_place = |pass: fn(&mut [Lanes<f32>], usize)| {
            let mut x = x.clone();
            pass(&mut x, tokens);
            bits(&x, tokens)
        };
        prop_assert_eq!(in_place(kernels::gelu), in_place(floats::gelu));
        prop_assert_eq!(in_place(kernels::rectify), in_place(floats::rectify));

        let largest = kernels::largest(&x, tokens);
        prop_assert_eq!(&largest[..tokens], &floats::largest(&x, tokens)[..tokens]);
        let sum = floats::sum(&x, tokens);
        prop_assert_eq!(bits(&[kernels::sum(&x, tokens)], tokens), bits(&[sum], tokens));
        let squares = kernels::sum_of_squares(&x, &scales, tokens);
        let expected = floats::sum_of_squares(&x, &scales, tokens);
        prop_assert_eq!(bits(&[squares], tokens), bits(&[expected], tokens));

        let (mut found, mut expected) = (x.clone(), x.clone());
        kernels::add(&mut found, &steps, &scales, tokens);
        floats::add(&mut expected, &steps, &scales, tokens);
        prop_assert_eq!(bits(&found, tokens), bits(&expected, tokens));

        let bytes = inverses(&x, 127.0);
        let mut expected = vec![[0; LANES]; x.len()];
        floats::quantize_bytes(&x, &bytes, tokens, &mut expected);
        let mut found = vec![[0; LANES]; x.len()];
        kernels::quantize_bytes(&x, &bytes, tokens, &mut found);
        prop_assert_eq!(first(&found, tokens), first(&expected, tokens));
        let mut features = vec![kernels::Feature::default(); x.len()];
        kernels::quantize(&x, &bytes, tokens, &mut features);
        // Features of a set cannot be read back: they are compared by their sums.
        let ones: Vec<u8> = (0..x.len() * x.len()).map(|at| u8::from(at % (x.len() + 1) == 0)).collect();
        let tile = Tile { features: &features, scales, tokens };
        let mut read = vec![[0; LANES]; x.len()];
        kernels::dense(&ones, x.len(), &tile, &mut read);
        let expected: Vec<i32> = first(&expected, tokens).into_iter().map(i32::from).collect();
        prop_assert_eq!(first(&read, tokens), expected);

        let halves = inverses(&x, 127.0 * 256.0);
        let (mut found, mut expected) = (vec![[0; LANES]; x.len()], vec![[0; LANES]; x.len()]);
        kernels::round(&x, &halves, tokens, &mut found);
        floats::round(&x, &halves, tokens, &mut expected);
        prop_assert_eq!(first(&found, tokens), first(&expected, tokens));
    }

    #[test]
    fn sums_are_scaled_to_the_oracles_bits(
        (cols, weights, _) in matrix(),
        sums in prop::collection::vec(prop::array::uniform8(-8_388_604..=8_388_604), 12),
        scales in prop::array::uniform8(0.0..0.01_f32),
        tokens in 1..=LANES,
    ) {
        for layout in [Pattern::Dense, Pattern::DeltaU8] {
            with_layout(cols, &weights, layout, |matrix| {
                let as_floats = sums.iter().map(|sums| sums.map(|sum: i32| f32::from_bits(sum.cast_unsigned())));
                let mut found: Vec<Lanes<f32>> = as_floats.take(matrix.rows()).collect();
                let mut expected = found.clone();
                let tile = Tile::<kernels::Feature> { features: &[], scales, tokens };
                kernels::scale(&matrix.iter(), &tile, &mut found);
                let tile = Tile::<scalar::Feature> { features: &[], scales, tokens };
                floats::scale(&matrix.iter(), &tile, &mut expected);
                assert_eq!(bits(&found, tokens), bits(&expected, tokens));
            });
        }
    }
}

/// The largest sums that a row may have, with both signs next to each other.
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
        let expected = plain_sums(521, &weights, &tile);
        for layout in layouts() {
            let mut reached = false;
            with_layout(521, &weights, layout, |matrix| {
                reached = true;
                assert_all_sums(&matrix, &tile, &expected);
            });
            assert!(reached, "{layout:?}");
        }
    }
}

/// AVX2, if this processor has it: its sums are tested above, its other kernels here.
#[cfg(target_arch = "x86_64")]
mod host {
    use std::io::Write as _;
    use std::sync::Once;

    use neuroprune_format::tensor::{Norm, Rows};
    use neuroprune_runtime::kernels::x86_64::Avx2;
    use neuroprune_runtime::kernels::{Mixture, QUAD, TILES};

    use super::*;

    /// Tokens of tiles whose passes are compared.
    const TOKENS: [usize; 3] = [1, 4, LANES];

    /// `None`, with a message on the terminal, if there is no AVX2.
    pub(super) fn avx2() -> Option<Avx2> {
        static SAID: Once = Once::new();
        let found = Avx2::detect();
        if found.is_none() {
            // Not `eprintln!`, which the test harness captures.
            let words = b"SKIPPED: kernels of AVX2, which this processor lacks\n";
            SAID.call_once(|| std::io::stderr().write_all(words).unwrap());
        }
        found
    }

    /// Floats of every kind that a file's scales can lead to.
    fn float() -> impl Strategy<Value = f32> {
        let any = prop::num::f32::NORMAL | prop::num::f32::SUBNORMAL | prop::num::f32::ZERO;
        prop_oneof![
            6 => -4.0..4.0_f32,
            2 => any,
            1 => prop::sample::select(vec![0.0, -0.0, 3.5, -3.5, f32::MAX, f32::MIN_POSITIVE]),
        ]
    }

    fn bits(rows: &[Lanes<f32>], tokens: usize) -> Vec<u32> {
        let tokens_of = |row: &Lanes<f32>| row[..tokens].to_vec();
        rows.iter().flat_map(tokens_of).map(f32::to_bits).collect()
    }

    fn first<T: Copy>(rows: &[Lanes<T>], tokens: usize) -> Vec<T> {
        rows.iter().flat_map(|row| row[..tokens].to_vec()).collect()
    }

    /// Runs the same pass of both sets on copies of `x`.
    fn same_pass(
        x: &[Lanes<f32>],
        oracle: impl Fn(&mut [Lanes<f32>], usize),
        found: impl Fn(&mut [Lanes<f32>], usize),
    ) {
        for tokens in TOKENS {
            let (mut expected, mut changed) = (x.to_vec(), x.to_vec());
            oracle(&mut expected, tokens);
            found(&mut changed, tokens);
            assert_eq!(bits(&changed, tokens), bits(&expected, tokens));
        }
    }

    /// Calls `use_them` with rows that have scales and biases, and with a norm.
    fn with_rows_and_norm(use_them: impl FnOnce(Rows<'_>, Norm<'_>)) {
        let mut shape = Shape::small();
        shape.hidden = 77;
        let file = shape.file(&mut Random::new(5));
        let model = Model::open(&file).unwrap();
        let layer = encoder_of(&model).layers().next().unwrap();
        let mlp = layer.mlp().unwrap();
        use_them(mlp.input().iter(), mlp.norm());
    }

    proptest! {
        #[test]
        fn avx2_gives_the_oracles_bytes(
            steps in prop::collection::vec(steps(), 0..40),
            keys in prop::collection::vec(byte(), 0..300),
            tile in prop::collection::vec(lanes(), 1..40),
            mixture in prop::collection::vec(prop::array::uniform4(0..=8191_i16), 0..12 * LANES),
            values in prop::collection::vec(prop::array::uniform4(byte()), 0..150),
            dimensions in 1..14_usize,
        ) {
            let Some(avx2) = avx2() else { return Ok(()) };
            let (mut expected, mut found) = (vec![[0; LANES]; steps.len()], vec![[0; LANES]; steps.len()]);
            scalar::pack(&steps, &mut expected);
            avx2.pack(&steps, &mut found);
            prop_assert_eq!(found, expected);

            let keys: Vec<u8> = keys.into_iter().map(i8::cast_unsigned).collect();
            let mixture: Vec<Mixture> = mixture
                .chunks_exact(LANES)
                .map(|queries| queries.try_into().unwrap())
                .collect();
            let values: Vec<u32> = values.into_iter().map(|quad: [i8; QUAD]| scalar::value_word(Some(quad))).collect();
            for tokens in TOKENS {
                let tile = Tile { features: &tile, scales: [1.0; LANES], tokens };
                let cols = tile.features.len();
                let mut expected = vec![[7; LANES]; keys.len() / cols + 1];
                let mut found = expected.clone();
                scalar::dense(&keys, cols, &tile, &mut expected);
                avx2.dense(&keys, cols, &tile, &mut found);
                prop_assert_eq!(first(&found, tokens), first(&expected, tokens));

                let mut expected = vec![[7; LANES]; dimensions];
                let mut found = expected.clone();
                scalar::mix(&mixture, &values, tokens, &mut expected);
                avx2.mix(&mixture, &values, tokens, &mut found);
                prop_assert_eq!(first(&found, tokens), first(&expected, tokens));
            }
        }

        #[test]
        fn avx2_gives_the_oracles_attention(
            sums in prop::collection::vec(prop::array::uniform8(-516_128..=516_128_i32), 1..40),
            query_scales in prop::array::uniform8(prop_oneof![4 => 1e-6..1e-2_f32, 1 => Just(1e34)]),
            scales in prop::collection::vec((1e-3..0.1_f32, 0.0..0.1_f32), 40),
        ) {
            let Some(avx2) = avx2() else { return Ok(()) };
            let count = sums.len();
            let (key_scales, value_scales): (Vec<_>, Vec<_>) = scales.into_iter().unzip();
            let mut scores = vec![[1.0; LANES]; count.next_multiple_of(QUAD)];
            for (scores, sums) in scores.iter_mut().zip(sums) {
                *scores = sums.map(|sum| f32::from_bits(sum.cast_unsigned()));
            }
            for tokens in TOKENS {
                let (mut expected, mut found) = (scores.clone(), scores.clone());
                let scales = scalar::softmax(
                    &mut expected[..count], &query_scales, tokens, &key_scales, &value_scales,
                );
                let of_found = avx2.softmax(
                    &mut found[..count], &query_scales, tokens, &key_scales, &value_scales,
                );
                prop_assert_eq!(bits(&found[..count], tokens), bits(&expected[..count], tokens));
                for (found, expected) in
                    [(of_found.inverses, scales.inverses), (of_found.sum_scales, scales.sum_scales)]
                {
                    prop_assert_eq!(bits(&[found], tokens), bits(&[expected], tokens));
                }
                for quad in expected.as_chunks().0 {
                    let found = avx2.mixture(quad, &scales.inverses);
                    let expected = scalar::mixture(quad, &scales.inverses);
                    prop_assert_eq!(first(&[found], tokens), first(&[expected], tokens));
                }
            }
        }

        #[test]
        fn several_tiles_at_once_give_the_same(
            (cols, weights, tile) in matrix(),
            count in 1..=TILES,
        ) {
            let Some(avx2) = avx2() else { return Ok(()) };
            let turned = |turns: usize| {
                let mut features = tile.clone();
                features.iter_mut().for_each(|lanes| lanes.rotate_left(turns));
                features
            };
            let features: Vec<_> = (0..count).map(turned).collect();
            let tiles: Vec<_> = features
                .iter()
                .zip([0.5, 0.25, 3.0, 7.0])
                .map(|(features, scale)| Tile { features, scales: [scale; LANES], tokens: LANES })
                .collect();
            let rows = weights.len() / cols;
            for layout in layouts() {
                with_layout(cols, &weights, layout, |matrix| {
                    let mut found = vec![[f32::NAN; LANES]; count * rows];
                    avx2.project_tiles(&matrix.iter(), &tiles, &mut found);
                    for (tile, found) in tiles.iter().zip(found.chunks_exact(rows)) {
                        let mut expected = vec![[0.0; LANES]; rows];
                        let sums = bytemuck::cast_slice_mut(&mut expected);
                        scalar::multiply(&matrix.iter(), tile, sums);
                        scalar::scale(&matrix.iter(), tile, &mut expected);
                        assert_eq!(bits(found, LANES), bits(&expected, LANES));
                    }
                });
            }
        }

        #[test]
        fn avx2_gives_the_oracles_floats(
            x in prop::collection::vec(prop::array::uniform8(float()), 77),
            sums in prop::collection::vec(prop::array::uniform8(-2_000_000..2_000_000_i32), 30),
            steps in prop::collection::vec(steps(), 77),
            lanes in prop::array::uniform8(1e-3..10.0_f32),
            mean in prop::array::uniform8(-1.0..1.0_f32),
        ) {
            let Some(avx2) = avx2() else { return Ok(()) };
            same_pass(&x, scalar::rectify, |x, tokens| avx2.rectify(x, tokens));
            same_pass(&x, scalar::gelu, |x, tokens| avx2.gelu(x, tokens));
            same_pass(
                &x,
                |x, tokens| scalar::add(x, &steps, &lanes, tokens),
                |x, tokens| avx2.add(x, &steps, &lanes, tokens),
            );
            with_rows_and_norm(|rows, norm| {
                same_pass(
                    &x,
                    |x, tokens| scalar::normalize(x, &mean, &lanes, norm, tokens),
                    |x, tokens| avx2.normalize(x, &mean, &lanes, norm, tokens),
                );
                let tile = |tokens| Tile { features: &[][..], scales: lanes, tokens };
                let sums: Vec<Lanes<f32>> = sums
                    .iter()
                    .map(|sums| sums.map(|sum| f32::from_bits(sum.cast_unsigned())))
                    .collect();
                same_pass(
                    &sums,
                    |sums, tokens| scalar::scale(&rows, &tile(tokens), sums),
                    |sums, tokens| avx2.scale(&rows, &tile(tokens), sums),
                );
            });
            for tokens in TOKENS {
                let (expected, found) = (scalar::largest(&x, tokens), avx2.largest(&x, tokens));
                prop_assert_eq!(first(&[found], tokens), first(&[expected], tokens));
                let (expected, found) = (scalar::sum(&x, tokens), avx2.sum(&x, tokens));
                prop_assert_eq!(bits(&[found], tokens), bits(&[expected], tokens));
                let expected = scalar::sum_of_squares(&x, &mean, tokens);
                let found = avx2.sum_of_squares(&x, &mean, tokens);
                prop_assert_eq!(bits(&[found], tokens), bits(&[expected], tokens));

                let (mut expected, mut found) = (vec![[0; LANES]; 77], vec![[0; LANES]; 77]);
                scalar::quantize(&x, &lanes, tokens, &mut expected);
                avx2.quantize(&x, &lanes, tokens, &mut found);
                prop_assert_eq!(first(&found, tokens), first(&expected, tokens));
                scalar::quantize_bytes(&x, &mean, tokens, &mut expected);
                avx2.quantize_bytes(&x, &mean, tokens, &mut found);
                prop_assert_eq!(first(&found, tokens), first(&expected, tokens));
                let (mut expected, mut found) = (vec![[0; LANES]; 77], vec![[0; LANES]; 77]);
                scalar::round(&x, &lanes, tokens, &mut expected);
                avx2.round(&x, &lanes, tokens, &mut found);
                prop_assert_eq!(first(&found, tokens), first(&expected, tokens));
            }
        }
    }
}
