//! Products with AVX2: eight tokens in one register, four weights of a row at once.
//!
//! The 32 bytes of four features are transposed, so that the four bytes of a token lie
//! together. Then
//!
//! ```text
//! |x| · (w, its sign changed where x < 0)   vpmaddubsw: sums of two in 16 bits, ≤ 2 · 127²
//! · 1                                       vpmaddwd: sums of four in 32 bits, one a token
//! ```
//!
//! is exact, as no weight is −128. Weights that are left over form a group with zeros.

#![allow(
    unsafe_code,
    reason = "features are read without a check for each weight: `Model::open` checked the columns"
)]

use core::arch::x86_64::{
    __m128i, __m256i, _mm256_abs_epi8, _mm256_add_epi32, _mm256_hadd_epi32,
    _mm256_madd_epi16, _mm256_maddubs_epi16, _mm256_permute4x64_epi64,
    _mm256_permutevar8x32_epi32, _mm256_set_epi64x, _mm256_set_m128i, _mm256_set1_epi16,
    _mm256_set1_epi32, _mm256_set1_epi64x, _mm256_setr_epi8, _mm256_setr_epi32,
    _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_sign_epi8,
};

use neuroprune_format::tensor::{LayoutKind, RowWeights, Rows};

use super::scalar::Feature;
use super::{Lanes, Mixture, QUAD, Tile, scalar};

/// Weights that meet their features at once.
const GROUP: usize = 4;
/// Rows of bytes that share the transposed features.
const ROWS: usize = 4;

/// See [`scalar::multiply`].
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
pub(super) fn multiply(rows: &Rows<'_>, tile: &Tile<'_, Feature>, sums: &mut [Lanes<i32>]) {
    let Some(features) = Features::new(tile.features, rows.cols()) else {
        return scalar::multiply(rows, tile, sums);
    };
    if rows.bytes().layout == Some(LayoutKind::Dense) {
        return stored_rows(rows, tile, sums);
    }
    for (sums, row) in sums.iter_mut().zip(rows.clone()) {
        // SAFETY: there are as many features as columns, and a matrix has passed the checks
        // of its format: no row names a column behind the last.
        let row = unsafe {
            match row.weights {
                RowWeights::Dense(weights) => {
                    let [sums] = dense_rows([weights], tile.features);
                    sums
                }
                RowWeights::Columns(columns, weights) => listed_row(columns, weights, features),
                RowWeights::DeltaU8(pairs) => delta_row(pairs, features),
                RowWeights::Bitmap { bits, weights } => bitmap_row(bits, weights, features),
                RowWeights::Blocks2(blocks) => blocks2_row(blocks, features),
                RowWeights::Blocks4(blocks) => blocks4_row(blocks, features),
            }
        };
        *sums = bytemuck::must_cast(row);
    }
}

/// Rows of a matrix in the dense layout, those that follow each other together.
#[target_feature(enable = "avx2")]
fn stored_rows(rows: &Rows<'_>, tile: &Tile<'_, Feature>, mut sums: &mut [Lanes<i32>]) {
    let mut weights = rows.bytes().weights;
    let mut row = 0;
    while !sums.is_empty() {
        let stored = rows.stored_from(row).min(sums.len());
        let (of_stored, rest) = sums.split_at_mut(stored);
        let (bytes, rest_of_weights) = weights
            .split_at_checked(stored * rows.cols())
            .unwrap_or((weights, &[]));
        dense(bytes, rows.cols(), tile, of_stored);
        let Some((cut, rest)) = rest.split_first_mut() else {
            return;
        };
        *cut = [0; _];
        row += stored + 1;
        (weights, sums) = (rest_of_weights, rest);
    }
}

/// See [`scalar::dense`].
#[target_feature(enable = "avx2")]
pub(super) fn dense(
    weights: &[u8],
    cols: usize,
    tile: &Tile<'_, Feature>,
    sums: &mut [Lanes<i32>],
) {
    sums.fill([0; _]);
    let cols = cols.max(1);
    let rows = sums.len().min(weights.len() / cols);
    let (groups, rest) = sums.get_mut(..rows).unwrap_or_default().as_chunks_mut::<ROWS>();
    let (of_groups, of_rest) = weights
        .split_at_checked(groups.len() * ROWS * cols)
        .unwrap_or_default();
    for (sums, weights) in groups.iter_mut().zip(of_groups.chunks_exact(ROWS * cols)) {
        let mut rows = weights.chunks_exact(cols);
        let rows = [(); ROWS].map(|()| rows.next().unwrap_or(&[]));
        *sums = bytemuck::must_cast(dense_rows(rows, tile.features));
    }
    for (sums, weights) in rest.iter_mut().zip(of_rest.chunks_exact(cols)) {
        *sums = bytemuck::must_cast(dense_rows([weights], tile.features));
    }
}

/// See [`scalar::dense_row`].
#[inline]
#[target_feature(enable = "avx2")]
fn dense_rows<const N: usize>(rows: [&[u8]; N], tile: &[Feature]) -> [__m256i; N] {
    let mut sums = [_mm256_setzero_si256(); N];
    let (groups, last) = tile.as_chunks::<GROUP>();
    let rows = rows.map(|row| row.as_chunks::<GROUP>());
    for (at, group) in groups.iter().enumerate() {
        let features = transposed(bytemuck::must_cast(*group));
        let magnitudes = _mm256_abs_epi8(features);
        for (sums, (row, _)) in sums.iter_mut().zip(rows) {
            let weights = row.get(at).copied().unwrap_or_default();
            let weights = _mm256_set1_epi32(i32::from_le_bytes(weights));
            *sums = _mm256_add_epi32(*sums, products(magnitudes, features, weights));
        }
    }
    let mut group = [Feature::default(); GROUP];
    group.iter_mut().zip(last).for_each(|(to, from)| *to = *from);
    let features = transposed(bytemuck::must_cast(group));
    let magnitudes = _mm256_abs_epi8(features);
    for (sums, (_, row)) in sums.iter_mut().zip(rows) {
        let weights = _mm256_set1_epi32(i32::from_le_bytes(filled_up(row)));
        *sums = _mm256_add_epi32(*sums, products(magnitudes, features, weights));
    }
    sums
}

/// See [`scalar::listed_row`].
///
/// # Safety
/// Every column must be one of the features.
#[target_feature(enable = "avx2")]
unsafe fn listed_row(columns: &[u8], weights: &[u8], features: Features<'_>) -> __m256i {
    let mut sums = _mm256_setzero_si256();
    let (columns, _) = columns.as_chunks::<2>();
    for (columns, weights) in columns.chunks(GROUP).zip(weights.chunks(GROUP)) {
        let mut group = [0; GROUP];
        for (column, bytes) in group.iter_mut().zip(columns) {
            *column = usize::from(u16::from_le_bytes(*bytes));
        }
        let weights = _mm256_set1_epi32(i32::from_le_bytes(filled_up(weights)));
        // SAFETY: the caller's promise; where there is a column, there is the first.
        let group = unsafe { features.gather(group) };
        sums = _mm256_add_epi32(sums, products(_mm256_abs_epi8(group), group, weights));
    }
    sums
}

/// See [`scalar::delta_row`].
///
/// # Safety
/// Every column must be one of the features.
#[target_feature(enable = "avx2")]
unsafe fn delta_row(pairs: &[u8], features: Features<'_>) -> __m256i {
    let mut sums = _mm256_setzero_si256();
    let mut column = 0;
    let (groups, rest) = pairs.as_chunks::<{ 2 * GROUP }>();
    for group in groups {
        // SAFETY: the caller's promise.
        sums = _mm256_add_epi32(sums, unsafe { delta_group(*group, &mut column, features) });
    }
    if !rest.is_empty() {
        // SAFETY: the caller's promise; steps of zero stay at the last column.
        let group = unsafe { delta_group(filled_up(rest), &mut column, features) };
        sums = _mm256_add_epi32(sums, group);
    }
    sums
}

/// Σ w·x of four (column step, weight) pairs behind `column`.
///
/// # Safety
/// Every column must be one of the features.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn delta_group(
    pairs: [u8; 2 * GROUP],
    column: &mut usize,
    features: Features<'_>,
) -> __m256i {
    let [a, _, b, _, c, _, d, _] = pairs.map(usize::from);
    let first = *column + a;
    let columns = [first, first + b, first + b + c, first + b + c + d];
    [.., *column] = columns;
    let weights = _mm256_set1_epi64x(i64::from_le_bytes(pairs));
    let weights = _mm256_shuffle_epi8(weights, repeated([1, 3, 5, 7]));
    // SAFETY: the caller's promise.
    let group = unsafe { features.gather(columns) };
    products(_mm256_abs_epi8(group), group, weights)
}

/// See [`scalar::bitmap_row`].
///
/// # Safety
/// Every column must be one of the features.
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
unsafe fn bitmap_row(bits: &[u8], weights: &[u8], features: Features<'_>) -> __m256i {
    let mut sums = _mm256_setzero_si256();
    let mut weights = weights.chunks(GROUP);
    let mut columns = [0; GROUP];
    let mut found = 0;
    for (at, bits) in bits.chunks(8).enumerate() {
        let mut word = u64::from_be_bytes(filled_up(bits));
        while word != 0 {
            let bit = word.leading_zeros();
            word &= !(1 << 63 >> bit);
            if let Some(column) = columns.get_mut(found) {
                *column = at * 64 + bit as usize;
            }
            found += 1;
            if found == GROUP {
                found = 0;
                let weights = filled_up(weights.next().unwrap_or(&[]));
                let weights = _mm256_set1_epi32(i32::from_le_bytes(weights));
                // SAFETY: the caller's promise.
                let group = unsafe { features.gather(columns) };
                sums = _mm256_add_epi32(sums, products(_mm256_abs_epi8(group), group, weights));
            }
        }
    }
    if let Some(weights) = weights.next() {
        let weights = _mm256_set1_epi32(i32::from_le_bytes(filled_up(weights)));
        // SAFETY: the caller's promise; columns of an earlier group meet zeros.
        let group = unsafe { features.gather(columns) };
        sums = _mm256_add_epi32(sums, products(_mm256_abs_epi8(group), group, weights));
    }
    sums
}

/// See [`scalar::block_row`]; two blocks at once.
///
/// # Safety
/// Every column of every block must be one of the features.
#[target_feature(enable = "avx2")]
unsafe fn blocks2_row(blocks: &[u8], features: Features<'_>) -> __m256i {
    let mut sums = _mm256_setzero_si256();
    let mut column = 0;
    let (groups, rest) = blocks.as_chunks::<6>();
    for group in groups {
        // SAFETY: the caller's promise.
        sums = _mm256_add_epi32(sums, unsafe { blocks2_group(*group, &mut column, features) });
    }
    if !rest.is_empty() {
        // SAFETY: the caller's promise; a step of zero stays at the last block.
        let group = unsafe { blocks2_group(filled_up(rest), &mut column, features) };
        sums = _mm256_add_epi32(sums, group);
    }
    sums
}

/// Σ w·x of two (column step, 2 weights) blocks behind `column`.
///
/// # Safety
/// Every column of both blocks must be one of the features.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn blocks2_group(blocks: [u8; 6], column: &mut usize, features: Features<'_>) -> __m256i {
    let [a, w0, w1, b, w2, w3] = blocks;
    let first = *column + usize::from(a);
    let second = first + usize::from(b);
    *column = second;
    let weights = _mm256_set1_epi32(i32::from_le_bytes([w0, w1, w2, w3]));
    // SAFETY: the caller's promise.
    let (low, high): (__m128i, __m128i) = unsafe { (features.read(first), features.read(second)) };
    let group = transposed(_mm256_set_m128i(high, low));
    products(_mm256_abs_epi8(group), group, weights)
}

/// See [`scalar::block_row`].
///
/// # Safety
/// Every column of every block must be one of the features.
#[target_feature(enable = "avx2")]
unsafe fn blocks4_row(blocks: &[u8], features: Features<'_>) -> __m256i {
    let mut sums = _mm256_setzero_si256();
    let mut column = 0;
    for &[step, w0, w1, w2, w3] in blocks.as_chunks::<5>().0 {
        column += usize::from(step);
        let weights = _mm256_set1_epi32(i32::from_le_bytes([w0, w1, w2, w3]));
        // SAFETY: the caller's promise.
        let group = transposed(unsafe { features.read(column) });
        sums = _mm256_add_epi32(sums, products(_mm256_abs_epi8(group), group, weights));
    }
    sums
}

/// See [`scalar::mix`]; four value dimensions at once.
#[target_feature(enable = "avx2")]
pub(super) fn mix(
    mixture: &[Mixture],
    values: &[u32],
    _queries: usize,
    sums: &mut [Lanes<i32>],
) {
    const DIMENSIONS: usize = 4;
    let width = sums.len().max(1);
    let (groups, rest) = sums.as_chunks_mut::<DIMENSIONS>();
    let at_rest = groups.len() * DIMENSIONS;
    for (at, sums) in groups.iter_mut().enumerate() {
        *sums = mix_dimensions(mixture, values, width, at * DIMENSIONS);
    }
    for (at, sums) in rest.iter_mut().enumerate() {
        [*sums] = mix_dimensions(mixture, values, width, at_rest + at);
    }
}

/// [`mix`] for `N` value dimensions of `width`, from `first` on.
#[inline]
#[target_feature(enable = "avx2")]
fn mix_dimensions<const N: usize>(
    mixture: &[Mixture],
    values: &[u32],
    width: usize,
    first: usize,
) -> [Lanes<i32>; N] {
    // Of queries 0…3 and 4…7, two sums each.
    let mut sums = [[_mm256_setzero_si256(); 2]; N];
    for (mixture, values) in mixture.iter().zip(values.chunks_exact(width)) {
        let mixture: [__m256i; 2] = bytemuck::must_cast(*mixture);
        let values = values.get(first..first + N).unwrap_or(&[]);
        for (sums, &value) in sums.iter_mut().zip(values) {
            let value: [i8; QUAD] = bytemuck::must_cast(value);
            let value = value.map(i16::from);
            let value = _mm256_set1_epi64x(bytemuck::must_cast(value));
            for (sums, mixture) in sums.iter_mut().zip(mixture) {
                *sums = _mm256_add_epi32(*sums, _mm256_madd_epi16(mixture, value));
            }
        }
    }
    sums.map(|[low, high]| {
        // Adding neighbours leaves queries 0, 1, 4, 5 and 2, 3, 6, 7.
        let sums = _mm256_hadd_epi32(low, high);
        bytemuck::must_cast(_mm256_permute4x64_epi64::<0b11_01_10_00>(sums))
    })
}

/// Features of a tile, at least one a column.
#[derive(Clone, Copy)]
struct Features<'f>(&'f [Feature]);

impl<'f> Features<'f> {
    fn new(tile: &'f [Feature], cols: usize) -> Option<Self> {
        tile.get(..cols).map(Self)
    }

    /// The features of four columns, transposed.
    ///
    /// # Safety
    /// Every column must be below the number of features.
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn gather(self, columns: [usize; GROUP]) -> __m256i {
        // SAFETY: the caller's promise.
        let [a, b, c, d] = columns.map(|column| unsafe { self.read::<i64>(column) });
        transposed(_mm256_set_epi64x(d, c, b, a))
    }

    /// As many features from `column` on as `T` has room for.
    ///
    /// # Safety
    /// All of them must be there.
    #[inline]
    unsafe fn read<T: bytemuck::Pod>(self, column: usize) -> T {
        debug_assert!((column + size_of::<T>() / size_of::<Feature>()) <= self.0.len());
        // SAFETY: the caller's promise; any bytes are a `T`.
        unsafe { self.0.as_ptr().add(column).cast::<T>().read_unaligned() }
    }
}

/// Four features of eight tokens as eight tokens of four features.
#[inline]
#[target_feature(enable = "avx2")]
fn transposed(features: __m256i) -> __m256i {
    let halves = _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7);
    let within = _mm256_setr_epi8(
        0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15, //
        0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15,
    );
    _mm256_shuffle_epi8(_mm256_permutevar8x32_epi32(features, halves), within)
}

/// Σ w·x of each token, of transposed features, their magnitudes, and four weights that
/// each token has.
#[inline]
#[target_feature(enable = "avx2")]
fn products(magnitudes: __m256i, features: __m256i, weights: __m256i) -> __m256i {
    let weights = _mm256_sign_epi8(weights, features);
    let pairs = _mm256_maddubs_epi16(magnitudes, weights);
    _mm256_madd_epi16(pairs, _mm256_set1_epi16(1))
}

/// Indices for a shuffle: these four bytes for each token.
#[inline]
#[target_feature(enable = "avx2")]
fn repeated(bytes: [u8; GROUP]) -> __m256i {
    _mm256_set1_epi32(i32::from_le_bytes(bytes))
}

/// Bytes with zeros behind them.
#[inline]
fn filled_up<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut filled = [0; N];
    filled.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    filled
}
