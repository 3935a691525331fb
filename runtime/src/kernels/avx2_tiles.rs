//! Products of sparse rows with up to four tiles at once, with AVX2: what a weight costs
//! beside its products is paid once for 32 tokens.
//!
//! The features of the tiles are laid side by side first. Four weights then meet their four
//! features, transposed so that the four bytes of a token lie together, and
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
    __m256i, _mm256_abs_epi8, _mm256_add_epi32, _mm256_add_ps, _mm256_cvtepi32_ps,
    _mm256_madd_epi16, _mm256_maddubs_epi16, _mm256_mul_ps, _mm256_permute2x128_si256,
    _mm256_set1_epi16, _mm256_set1_epi32, _mm256_set1_epi64x, _mm256_set1_ps, _mm256_setzero_si256,
    _mm256_shuffle_epi8, _mm256_sign_epi8, _mm256_unpackhi_epi8, _mm256_unpackhi_epi16,
    _mm256_unpacklo_epi8, _mm256_unpacklo_epi16,
};
use core::mem::MaybeUninit;

use neuroprune_format::tensor::{LayoutKind, RowWeights, Rows};

use super::avx2::filled_up;
use super::scalar::Feature;
use super::{Lanes, TILES, Tile, avx2, avx2_floats};

/// Weights that meet their features at once.
const GROUP: usize = 4;
/// Columns for which there is room on the stack: 64 KiB.
const LONGEST: usize = 2048;

/// One feature of every tile.
type Wide = [Feature; TILES];

/// [`project`](super::project) for at most [`TILES`] tiles; `output` is `[tiles, rows]`.
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
pub(super) fn project_tiles(
    rows: &Rows<'_>,
    tiles: &[Tile<'_, Feature>],
    output: &mut [Lanes<f32>],
) {
    let mut memory = [MaybeUninit::uninit(); LONGEST];
    let is_sparse = rows
        .bytes()
        .layout
        .is_some_and(|it| it != LayoutKind::Dense);
    let wide = if is_sparse && tiles.len() > 1 {
        Columns::side_by_side(tiles, rows.cols(), &mut memory)
    } else {
        None
    };
    match wide {
        Some(columns) => project_wide(rows, tiles, columns, output),
        None => {
            let count = (output.len() / tiles.len().max(1)).max(1);
            for (tile, output) in tiles.iter().zip(output.chunks_exact_mut(count)) {
                avx2::multiply(rows, tile, bytemuck::cast_slice_mut(output));
                avx2_floats::scale(rows, tile, output);
            }
        }
    }
}

#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn project_wide(
    rows: &Rows<'_>,
    tiles: &[Tile<'_, Feature>],
    columns: Columns<'_>,
    output: &mut [Lanes<f32>],
) {
    let count = output.len() / tiles.len().max(1);
    for (at, row) in rows.clone().take(count).enumerate() {
        let mut sums = Sums::new();
        // SAFETY: there are as many features as columns, and a matrix has passed the checks
        // of its format: no row names a column behind the last.
        unsafe {
            match row.weights {
                // Not of a sparse layout; a row of these has no weight here.
                RowWeights::Dense(_) | RowWeights::Columns(..) => {}
                RowWeights::DeltaU8(pairs) => delta_row(pairs, columns, &mut sums),
                RowWeights::Bitmap { bits, weights } => {
                    bitmap_row(bits, weights, columns, &mut sums);
                }
                RowWeights::Blocks2(blocks) => blocks2_row(blocks, columns, &mut sums),
                RowWeights::Blocks4(blocks) => blocks4_row(blocks, columns, &mut sums),
            }
        }
        let bias = _mm256_set1_ps(row.bias);
        let scale = _mm256_set1_ps(row.scale);
        for ((tile, sums), number) in tiles.iter().zip(sums.of_tiles()).zip(0..) {
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
unsafe fn delta_row(pairs: &[u8], columns: Columns<'_>, sums: &mut Sums) {
    let mut place = 0;
    let (groups, rest) = pairs.as_chunks::<{ 2 * GROUP }>();
    for group in groups {
        // SAFETY: the caller's promise.
        unsafe { delta_group(group, &mut place, columns, sums) };
    }
    if !rest.is_empty() {
        // SAFETY: the caller's promise; steps of zero stay at the last column.
        unsafe { delta_group(&filled_up(rest), &mut place, columns, sums) };
    }
}

/// Adds Σ w·x of four (column step, weight) pairs behind `place`.
///
/// # Safety
/// Every column must be one of the matrix.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn delta_group(
    pairs: &[u8; 2 * GROUP],
    place: &mut usize,
    columns: Columns<'_>,
    sums: &mut Sums,
) {
    // By reference: each step is a load of its own, and so are the weights.
    let &[a, _, b, _, c, _, d, _] = pairs;
    let first = *place + place_of(a);
    let second = first + place_of(b);
    let third = second + place_of(c);
    *place = third + place_of(d);
    let weights = _mm256_set1_epi64x(i64::from_le_bytes(*pairs));
    let odd = _mm256_set1_epi32(i32::from_le_bytes([1, 3, 5, 7]));
    // SAFETY: the caller's promise.
    let group = unsafe { columns.read([first, second, third, *place]) };
    sums.add(group, _mm256_shuffle_epi8(weights, odd));
}

/// Adds Σ w·x of a weight for each bit that is set.
///
/// # Safety
/// Every column must be one of the matrix.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
unsafe fn bitmap_row(bits: &[u8], mut weights: &[u8], columns: Columns<'_>, sums: &mut Sums) {
    for (at, bits) in bits.chunks(8).enumerate() {
        let mut word = match bits.first_chunk() {
            Some(bits) => u64::from_be_bytes(*bits),
            None => u64::from_be_bytes(filled_up(bits)),
        };
        let count = word.count_ones() as usize;
        let mut next = || {
            let column = word.leading_zeros() as usize;
            word &= !(1 << 63 >> column);
            (at * 64 + column) * TILES
        };
        let (of_word, rest) = weights.split_at_checked(count).unwrap_or_default();
        weights = rest;
        let (groups, last) = of_word.as_chunks::<GROUP>();
        for weights in groups {
            // SAFETY: the caller's promise; there are as many bits as weights.
            let group = unsafe { columns.read([next(), next(), next(), next()]) };
            sums.add(group, repeated(*weights));
        }
        if !last.is_empty() {
            let mut places = [next(); GROUP];
            for place in places.iter_mut().take(last.len()).skip(1) {
                *place = next();
            }
            // SAFETY: the caller's promise; the first column stands for those behind the last.
            let group = unsafe { columns.read(places) };
            sums.add(group, repeated(filled_up(last)));
        }
    }
}

/// Adds Σ w·x of (column step, 2 weights) blocks, two at once.
///
/// # Safety
/// Every column of every block must be one of the matrix.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn blocks2_row(blocks: &[u8], columns: Columns<'_>, sums: &mut Sums) {
    let mut place = 0;
    let (groups, rest) = blocks.as_chunks::<6>();
    for group in groups {
        // SAFETY: the caller's promise.
        unsafe { blocks2_group(group, &mut place, columns, sums) };
    }
    if !rest.is_empty() {
        // SAFETY: the caller's promise; a step of zero stays at the last block.
        unsafe { blocks2_group(&filled_up(rest), &mut place, columns, sums) };
    }
}

/// Adds Σ w·x of two (column step, 2 weights) blocks behind `place`.
///
/// # Safety
/// Every column of both blocks must be one of the matrix.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn blocks2_group(
    blocks: &[u8; 6],
    place: &mut usize,
    columns: Columns<'_>,
    sums: &mut Sums,
) {
    let &[a, w0, w1, b, w2, w3] = blocks;
    let first = *place + place_of(a);
    *place = first + place_of(b);
    // SAFETY: the caller's promise.
    let group = unsafe { columns.read([first, first + TILES, *place, *place + TILES]) };
    sums.add(group, repeated([w0, w1, w2, w3]));
}

/// Adds Σ w·x of (column step, 4 weights) blocks.
///
/// # Safety
/// Every column of every block must be one of the matrix.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn blocks4_row(blocks: &[u8], columns: Columns<'_>, sums: &mut Sums) {
    let mut place = 0;
    for &[step, ref weights @ ..] in blocks.as_chunks::<5>().0 {
        place += place_of(step);
        let places = [place, place + TILES, place + 2 * TILES, place + 3 * TILES];
        // SAFETY: the caller's promise.
        sums.add(unsafe { columns.read(places) }, repeated(*weights));
    }
}

/// Features of every tile side by side: those of a column lie at its number times [`TILES`],
/// which is called its place.
#[derive(Clone, Copy)]
struct Columns<'f>(&'f [Wide]);

/// How far a step of columns leads.
#[inline]
fn place_of(step: u8) -> usize {
    usize::from(step) * TILES
}

impl<'f> Columns<'f> {
    /// Nothing where a tile has fewer than `cols` features, or `memory` has.
    #[target_feature(enable = "avx2")]
    fn side_by_side(
        tiles: &[Tile<'_, Feature>],
        cols: usize,
        memory: &'f mut [MaybeUninit<Wide>],
    ) -> Option<Self> {
        let memory = memory.get_mut(..cols)?;
        let mut features = [tiles.first()?.features.get(..cols)?; TILES];
        for (features, tile) in features.iter_mut().zip(tiles) {
            *features = tile.features.get(..cols)?;
        }
        let [a, b, c, d] = features;
        for ((((wide, a), b), c), d) in memory.iter_mut().zip(a).zip(b).zip(c).zip(d) {
            wide.write([*a, *b, *c, *d]);
        }
        // SAFETY: each of the four has `cols` features, as has `memory`: all were written.
        Some(Self(unsafe { memory.assume_init_ref() }))
    }

    /// The features of four columns, by their places.
    ///
    /// # Safety
    /// The places must be those of columns below the number of features.
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn read(self, places: [usize; GROUP]) -> [__m256i; GROUP] {
        let mut group = [_mm256_setzero_si256(); GROUP];
        for (features, place) in group.iter_mut().zip(places) {
            debug_assert!(place / TILES < self.0.len());
            // SAFETY: the caller's promise; a `Wide` has as many features as its place is
            // behind that of the column before.
            let wide = unsafe {
                self.0
                    .as_ptr()
                    .cast::<Feature>()
                    .add(place)
                    .cast::<__m256i>()
            };
            // SAFETY: likewise.
            *features = unsafe { wide.read_unaligned() };
        }
        group
    }
}

/// Four weights, as each token has them.
#[inline]
#[target_feature(enable = "avx2")]
fn repeated(weights: [u8; GROUP]) -> __m256i {
    _mm256_set1_epi32(i32::from_le_bytes(weights))
}

/// Sums of a row for every tile: tokens 0…3 and 4…7 of the first and third, then of the
/// second and fourth.
struct Sums([__m256i; TILES]);

impl Sums {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn new() -> Self {
        Self([_mm256_setzero_si256(); TILES])
    }

    /// Adds Σ w·x of four features and their weights.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn add(&mut self, [a, b, c, d]: [__m256i; GROUP], weights: __m256i) {
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

    /// Sums of each tile, one a token.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn of_tiles(self) -> [__m256i; TILES] {
        let Self([a, b, c, d]) = self;
        [
            _mm256_permute2x128_si256::<0x20>(a, b),
            _mm256_permute2x128_si256::<0x20>(c, d),
            _mm256_permute2x128_si256::<0x31>(a, b),
            _mm256_permute2x128_si256::<0x31>(c, d),
        ]
    }
}
