//! Products of sparse rows with up to four tiles at once, with AVX2: what a weight costs
//! beside its products is paid once for 32 tokens.
//!
//! The features of the tiles are laid side by side first. A register then holds one feature
//! of four tiles, or, for two tiles, two features. Four such registers are transposed, so
//! that four bytes of a token lie together, and
//!
//! ```text
//! |w| · (x, its sign changed where w < 0)   vpmaddubsw: sums of two in 16 bits, ≤ 2 · 127²
//! · 1                                       vpmaddwd: sums of four in 32 bits, one a token
//! ```
//!
//! is exact, as no weight is −128. Weights that are left over form a group with zeros.

#![allow(
    unsafe_code,
    reason = "features are read without a check for each weight: `Model::open` checked the columns"
)]

use core::arch::x86_64::{
    __m128i, __m256i, _mm256_abs_epi8, _mm256_add_epi32, _mm256_add_ps,
    _mm256_broadcastsi128_si256, _mm256_cvtepi32_ps, _mm256_madd_epi16, _mm256_maddubs_epi16,
    _mm256_mul_ps, _mm256_permute2x128_si256, _mm256_set_m128i, _mm256_set1_epi16,
    _mm256_set1_epi32, _mm256_set1_epi64x, _mm256_set1_ps, _mm256_setr_epi32, _mm256_setzero_si256,
    _mm256_shuffle_epi8, _mm256_sign_epi8, _mm256_unpackhi_epi8, _mm256_unpackhi_epi16,
    _mm256_unpacklo_epi8, _mm256_unpacklo_epi16,
};
use core::mem::MaybeUninit;

use neuroprune_format::tensor::{LayoutKind, RowWeights, Rows};

use super::avx2::filled_up;
use super::scalar::Feature;
use super::{Lanes, Tile, avx2, avx2_floats};

/// Columns for which there is room on the stack: 64 KiB for four tiles.
const LONGEST: usize = 2048;

/// [`project`](super::project) for at most [`TILES`](super::TILES) tiles; `output` is `[tiles, rows]`.
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
pub(super) fn project_tiles(
    rows: &Rows<'_>,
    tiles: &[Tile<'_, Feature>],
    output: &mut [Lanes<f32>],
) {
    let is_sparse = rows
        .bytes()
        .layout
        .is_some_and(|it| it != LayoutKind::Dense);
    let is_done = is_sparse
        && match tiles.len() {
            2 => project_wide::<2, 8>(rows, tiles, output),
            3 | 4 => project_wide::<4, 4>(rows, tiles, output),
            _ => false,
        };
    if !is_done {
        let count = (output.len() / tiles.len().max(1)).max(1);
        for (tile, output) in tiles.iter().zip(output.chunks_exact_mut(count)) {
            avx2::multiply(rows, tile, bytemuck::cast_slice_mut(output));
            avx2_floats::scale(rows, tile, output);
        }
    }
}

/// Of `N` tiles, a `GROUP` of weights at once; false where columns are too many.
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn project_wide<const N: usize, const GROUP: usize>(
    rows: &Rows<'_>,
    tiles: &[Tile<'_, Feature>],
    output: &mut [Lanes<f32>],
) -> bool {
    let mut memory = [MaybeUninit::uninit(); LONGEST];
    let Some(columns) = Columns::<N>::side_by_side(tiles, rows.cols(), &mut memory) else {
        return false;
    };
    project_rows::<N, GROUP>(rows, tiles, columns, output);
    true
}

/// A function of its own, so that features are found from a register and not from the stack.
#[inline(never)]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn project_rows<const N: usize, const GROUP: usize>(
    rows: &Rows<'_>,
    tiles: &[Tile<'_, Feature>],
    columns: Columns<'_, N>,
    output: &mut [Lanes<f32>],
) {
    let count = output.len() / tiles.len().max(1);
    for (at, row) in rows.clone().take(count).enumerate() {
        let mut sums = Sums::new();
        // SAFETY: there are as many features as columns, and a matrix has passed the checks
        // of its format: no row names a column behind the last.
        unsafe {
            match row.weights {
                // Not of a sparse layout.
                RowWeights::Dense(_) | RowWeights::Columns(..) => {}
                RowWeights::DeltaU8(pairs) => delta_row::<N, GROUP>(pairs, columns, &mut sums),
                RowWeights::Bitmap { bits, weights } => {
                    bitmap_row::<N, GROUP>(bits, weights, columns, &mut sums);
                }
                RowWeights::Blocks2(blocks) => {
                    blocks_row::<N, GROUP, 2>(blocks, columns, &mut sums);
                }
                RowWeights::Blocks4(blocks) => {
                    blocks_row::<N, GROUP, 4>(blocks, columns, &mut sums);
                }
            }
        }
        let bias = _mm256_set1_ps(row.bias);
        let scale = _mm256_set1_ps(row.scale);
        for ((tile, sums), number) in tiles.iter().zip(sums.of_tiles::<N>()).zip(0..) {
            // As `floats::scale`.
            let scales = _mm256_mul_ps(scale, bytemuck::must_cast(tile.scales));
            let y = _mm256_mul_ps(_mm256_cvtepi32_ps(sums), scales);
            if let Some(output) = output.get_mut(number * count + at) {
                *output = bytemuck::must_cast(_mm256_add_ps(y, bias));
            }
        }
    }
}

/// Adds Σ w·x of (column step, weight) pairs.
///
/// # Safety
/// Every column must be one of the matrix.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn delta_row<const N: usize, const GROUP: usize>(
    pairs: &[u8],
    columns: Columns<'_, N>,
    sums: &mut Sums,
) {
    let mut place = 0;
    let groups = pairs.chunks_exact(2 * GROUP);
    let rest = groups.remainder();
    for group in groups {
        // SAFETY: the caller's promise.
        unsafe { delta_group::<N, GROUP>(group, &mut place, columns, sums) };
    }
    if !rest.is_empty() {
        let group = last_of(pairs, rest.len());
        let group = group.get(..2 * GROUP).unwrap_or_default();
        // SAFETY: the caller's promise; steps of zero stay at the last column.
        unsafe { delta_group::<N, GROUP>(group, &mut place, columns, sums) };
    }
}

/// Adds Σ w·x of a group of (column step, weight) pairs behind `place`.
///
/// # Safety
/// Every column must be one of the matrix.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn delta_group<const N: usize, const GROUP: usize>(
    pairs: &[u8],
    place: &mut usize,
    columns: Columns<'_, N>,
    sums: &mut Sums,
) {
    let mut places = [0; GROUP];
    for (at, [step, _]) in places.iter_mut().zip(pairs.as_chunks().0) {
        *place += usize::from(*step) * N;
        *at = *place;
    }
    // Step and weight are a word whose upper byte is the weight.
    let (both, upper) = match (pairs.first_chunk(), pairs.first_chunk()) {
        (_, Some(pairs)) if GROUP == 8 => (
            _mm256_broadcastsi128_si256(bytemuck::must_cast::<[u8; 16], _>(*pairs)),
            of_halves([1, 3, 5, 7], [9, 11, 13, 15]),
        ),
        (Some(pairs), _) => (
            _mm256_set1_epi64x(i64::from_le_bytes(*pairs)),
            of_halves([1, 3, 5, 7], [1, 3, 5, 7]),
        ),
        _ => return,
    };
    // SAFETY: the caller's promise.
    let group = unsafe { columns.read(places) };
    sums.add(group, _mm256_shuffle_epi8(both, upper));
}

/// Adds Σ w·x of a weight for each bit that is set.
///
/// # Safety
/// Every column must be one of the matrix.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
unsafe fn bitmap_row<const N: usize, const GROUP: usize>(
    bits: &[u8],
    mut weights: &[u8],
    columns: Columns<'_, N>,
    sums: &mut Sums,
) {
    for (at, bits) in bits.chunks(8).enumerate() {
        let mut word = match bits.first_chunk() {
            Some(bits) => u64::from_be_bytes(*bits),
            None => u64::from_be_bytes(filled_up(bits)),
        };
        let count = word.count_ones() as usize;
        let mut next = || {
            let column = word.leading_zeros() as usize;
            word &= !(1 << 63 >> column);
            (at * 64 + column) * N
        };
        let (of_word, rest) = weights.split_at_checked(count).unwrap_or_default();
        weights = rest;
        let (groups, last) = of_word.as_chunks::<GROUP>();
        for weights in groups {
            let mut places = [0; GROUP];
            for place in &mut places {
                *place = next();
            }
            // SAFETY: the caller's promise; there are as many bits as weights.
            sums.add(unsafe { columns.read(places) }, repeated(*weights));
        }
        if !last.is_empty() {
            let mut places = [next(); GROUP];
            for place in places.iter_mut().take(last.len()).skip(1) {
                *place = next();
            }
            // SAFETY: likewise; the first column stands for those that are missing.
            let group = unsafe { columns.read(places) };
            sums.add(group, repeated::<GROUP>(filled_up(last)));
        }
    }
}

/// Adds Σ w·x of (column step, `WIDTH` weights) blocks.
///
/// # Safety
/// Every column of every block must be one of the matrix.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn blocks_row<const N: usize, const GROUP: usize, const WIDTH: usize>(
    blocks: &[u8],
    columns: Columns<'_, N>,
    sums: &mut Sums,
) {
    let bytes = (1 + WIDTH) * (GROUP / WIDTH);
    let mut place = 0;
    let groups = blocks.chunks_exact(bytes);
    let rest = groups.remainder();
    for group in groups {
        // SAFETY: the caller's promise.
        unsafe { blocks_group::<N, GROUP, WIDTH>(group, &mut place, columns, sums) };
    }
    if !rest.is_empty() {
        let group = last_of(blocks, rest.len());
        let group = group.get(..bytes).unwrap_or_default();
        // SAFETY: the caller's promise; steps of zero stay at the last block.
        unsafe { blocks_group::<N, GROUP, WIDTH>(group, &mut place, columns, sums) };
    }
}

/// Adds Σ w·x of a group of (column step, `WIDTH` weights) blocks behind `place`.
///
/// # Safety
/// Every column of every block must be one of the matrix.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn blocks_group<const N: usize, const GROUP: usize, const WIDTH: usize>(
    blocks: &[u8],
    place: &mut usize,
    columns: Columns<'_, N>,
    sums: &mut Sums,
) {
    let (mut places, mut weights) = ([0; GROUP], [0; GROUP]);
    let of_blocks = weights.as_chunks_mut::<WIDTH>().0.iter_mut();
    let of_blocks = of_blocks.zip(places.as_chunks_mut::<WIDTH>().0);
    for ((weights, places), block) in of_blocks.zip(blocks.chunks_exact(1 + WIDTH)) {
        let (Some((step, _)), Some(of_block)) = (block.split_first(), block.last_chunk()) else {
            return;
        };
        *place += usize::from(*step) * N;
        *weights = *of_block;
        for (at, column) in places.iter_mut().zip(0..) {
            *at = *place + column * N;
        }
    }
    // SAFETY: the caller's promise.
    let group = unsafe { columns.read(places) };
    sums.add(group, repeated(weights));
}

/// The last bytes of a row that do not fill a group, with zeros behind them; at least one,
/// at most 15.
#[inline]
fn last_of(row: &[u8], count: usize) -> [u8; 16] {
    match row.last_chunk() {
        Some(last) => (u128::from_le_bytes(*last) >> (128 - 8 * count)).to_le_bytes(),
        None => filled_up(row.get(row.len() - count..).unwrap_or_default()),
    }
}

/// Features of `N` tiles side by side: those of a column lie at its number times `N`, which
/// is called its place.
#[derive(Clone, Copy)]
struct Columns<'f, const N: usize>(&'f [[Feature; N]]);

impl<'f, const N: usize> Columns<'f, N> {
    /// Nothing where a tile has fewer than `cols` features, or `memory` has.
    #[target_feature(enable = "avx2")]
    fn side_by_side(
        tiles: &[Tile<'_, Feature>],
        cols: usize,
        memory: &'f mut [MaybeUninit<[Feature; N]>],
    ) -> Option<Self> {
        let memory = memory.get_mut(..cols)?;
        // The first stands for those that are missing.
        let mut features = [tiles.first()?.features.get(..cols)?; N];
        for (features, tile) in features.iter_mut().zip(tiles) {
            *features = tile.features.get(..cols)?;
        }
        for (column, wide) in memory.iter_mut().enumerate() {
            let mut of_column = [Feature::default(); N];
            for (feature, features) in of_column.iter_mut().zip(features) {
                // SAFETY: each of the slices is as long as `memory`.
                *feature = *unsafe { features.get_unchecked(column) };
            }
            wide.write(of_column);
        }
        // SAFETY: all were written.
        Some(Self(unsafe { memory.assume_init_ref() }))
    }

    /// The features of a group of columns, by their places; of eight columns and two tiles the
    /// upper half of each register holds those of the last four columns.
    ///
    /// # Safety
    /// The places must be those of columns below the number of features.
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn read<const GROUP: usize>(self, places: [usize; GROUP]) -> [__m256i; 4] {
        const { assert!(GROUP * N == 16) };
        let first = self.0.as_ptr().cast::<Feature>();
        let mut group = [_mm256_setzero_si256(); 4];
        let (low, high) = places.split_at(4);
        for (register, (at, &place)) in group.iter_mut().zip(low.iter().enumerate()) {
            debug_assert!(place / N < self.0.len());
            // SAFETY: the caller's promise: `N` features lie from the place of a column on,
            // and those are what is read.
            *register = unsafe {
                match high.get(at) {
                    None => first.add(place).cast::<__m256i>().read_unaligned(),
                    Some(&second) => _mm256_set_m128i(
                        first.add(second).cast::<__m128i>().read_unaligned(),
                        first.add(place).cast::<__m128i>().read_unaligned(),
                    ),
                }
            };
        }
        group
    }
}

/// The weights of a group as the tokens have them: of eight, the upper half of the register
/// has the last four.
#[inline]
#[target_feature(enable = "avx2")]
fn repeated<const GROUP: usize>(weights: [u8; GROUP]) -> __m256i {
    match (weights.first_chunk(), weights.first_chunk()) {
        (_, Some(weights)) if GROUP == 8 => _mm256_shuffle_epi8(
            _mm256_set1_epi64x(i64::from_le_bytes(*weights)),
            of_halves([0, 1, 2, 3], [4, 5, 6, 7]),
        ),
        (Some(weights), _) => _mm256_set1_epi32(i32::from_le_bytes(*weights)),
        _ => _mm256_setzero_si256(),
    }
}

/// Four bytes that fill the lower half of a register, and four for the upper.
#[inline]
#[target_feature(enable = "avx2")]
fn of_halves(low: [u8; 4], high: [u8; 4]) -> __m256i {
    let [low, high] = [low, high].map(i32::from_le_bytes);
    _mm256_setr_epi32(low, low, low, low, high, high, high, high)
}

/// Sums of a row, as transposing leaves the tokens: 0…3 and 4…7 of the first and third half
/// register's tile, then of the second and fourth's.
struct Sums([__m256i; 4]);

impl Sums {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn new() -> Self {
        Self([_mm256_setzero_si256(); 4])
    }

    /// Adds Σ w·x of a group.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn add(&mut self, [a, b, c, d]: [__m256i; 4], weights: __m256i) {
        let magnitudes = _mm256_abs_epi8(weights);
        let (low_ab, low_cd) = (_mm256_unpacklo_epi8(a, b), _mm256_unpacklo_epi8(c, d));
        let (high_ab, high_cd) = (_mm256_unpackhi_epi8(a, b), _mm256_unpackhi_epi8(c, d));
        let transposed = [
            _mm256_unpacklo_epi16(low_ab, low_cd),
            _mm256_unpackhi_epi16(low_ab, low_cd),
            _mm256_unpacklo_epi16(high_ab, high_cd),
            _mm256_unpackhi_epi16(high_ab, high_cd),
        ];
        for (sums, features) in self.0.iter_mut().zip(transposed) {
            let features = _mm256_sign_epi8(features, weights);
            let pairs = _mm256_maddubs_epi16(magnitudes, features);
            let products = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
            *sums = _mm256_add_epi32(*sums, products);
        }
    }

    /// Sums of each of `N` tiles, one a token.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn of_tiles<const N: usize>(self) -> [__m256i; N] {
        let Self([a, b, c, d]) = self;
        let low = [
            _mm256_permute2x128_si256::<0x20>(a, b),
            _mm256_permute2x128_si256::<0x20>(c, d),
        ];
        let high = [
            _mm256_permute2x128_si256::<0x31>(a, b),
            _mm256_permute2x128_si256::<0x31>(c, d),
        ];
        let mut sums = [_mm256_setzero_si256(); N];
        for (sums, part) in sums.iter_mut().zip(low.into_iter().chain(high)) {
            *sums = part;
        }
        if N == 2 {
            for (sums, high) in sums.iter_mut().zip(high) {
                *sums = _mm256_add_epi32(*sums, high);
            }
        }
        sums
    }
}
