//! The features of up to four tiles side by side, and their sums.
//!
//! A register holds one feature of four tiles, or, for two tiles, two features. Four such registers
//! are transposed, so that four bytes of a token are adjacent, and
//!
//! ```text
//! |w| · (x, its sign changed where w < 0)   vpmaddubsw: sums of two in 16 bits, ≤ 2 · 127²
//! · 1                                       vpmaddwd: sums of four in 32 bits, one a token
//! ```
//!
//! is exact, as no weight is −128.

#![allow(
    unsafe_code,
    reason = "features are read without a check for each weight: `Model::open` checked the columns"
)]

use core::arch::x86_64::{
    __m128i, __m256i, _mm256_abs_epi8, _mm256_add_epi32, _mm256_madd_epi16, _mm256_maddubs_epi16,
    _mm256_permute2x128_si256, _mm256_set_m128i, _mm256_set1_epi16, _mm256_set1_epi32,
    _mm256_set1_epi64x, _mm256_setr_epi32, _mm256_setzero_si256, _mm256_shuffle_epi8,
    _mm256_sign_epi8, _mm256_unpackhi_epi8, _mm256_unpackhi_epi16, _mm256_unpacklo_epi8,
    _mm256_unpacklo_epi16,
};
use core::mem::MaybeUninit;

use crate::kernels::portable::scalar::Feature;
use crate::kernels::tile::Tile;

/// Features of `N` tiles side by side: those of a column are at its number times `N`, which is
/// called its place.
#[derive(Clone, Copy)]
pub(super) struct Columns<'f, const N: usize>(&'f [[Feature; N]]);

impl<'f, const N: usize> Columns<'f, N> {
    /// `None` if a tile or `memory` has fewer than `cols` features.
    #[target_feature(enable = "avx2")]
    pub(super) fn side_by_side(
        tiles: &[Tile<'_, Feature>],
        cols: usize,
        memory: &'f mut [MaybeUninit<[Feature; N]>],
    ) -> Option<Self> {
        let memory = memory.get_mut(..cols)?;
        // The first is used for missing tiles.
        let mut features = [tiles.first()?.features.get(..cols)?; N];
        for (features, tile) in features.iter_mut().zip(tiles) {
            *features = tile.features.get(..cols)?;
        }
        for (column, wide) in memory.iter_mut().enumerate() {
            let mut column_features = [Feature::default(); N];
            for (feature, features) in column_features.iter_mut().zip(features) {
                // SAFETY: each of the slices is as long as `memory`.
                *feature = *unsafe { features.get_unchecked(column) };
            }
            wide.write(column_features);
        }
        // SAFETY: all elements were written.
        Some(Self(unsafe { memory.assume_init_ref() }))
    }

    /// The features of a group of columns, by their places; for eight columns and two tiles, the
    /// upper half of each register holds those of the last four columns.
    ///
    /// # Safety
    /// The places must be those of columns below the number of features.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn read<const GROUP: usize>(self, places: [usize; GROUP]) -> [__m256i; 4] {
        const { assert!(GROUP * N == 16) };
        let first = self.0.as_ptr().cast::<Feature>();
        let mut group = [_mm256_setzero_si256(); 4];
        let (low, high) = places.split_at(4);
        for (register, (at, &place)) in group.iter_mut().zip(low.iter().enumerate()) {
            debug_assert!(place / N < self.0.len());
            // SAFETY: the caller's promise: `N` features begin at the place of a column, and only
            // those are read.
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

/// The weights of a group, repeated for each token; of eight weights, the upper half of the
/// register has the last four.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn repeated<const GROUP: usize>(weights: [u8; GROUP]) -> __m256i {
    match (weights.first_chunk(), weights.first_chunk()) {
        (_, Some(weights)) if GROUP == 8 => _mm256_shuffle_epi8(
            _mm256_set1_epi64x(i64::from_le_bytes(*weights)),
            of_halves([0, 1, 2, 3], [4, 5, 6, 7]),
        ),
        (Some(weights), _) => _mm256_set1_epi32(i32::from_le_bytes(*weights)),
        _ => _mm256_setzero_si256(),
    }
}

/// Four bytes that fill the lower half of a register, and four that fill the upper.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn of_halves(low: [u8; 4], high: [u8; 4]) -> __m256i {
    let [low, high] = [low, high].map(i32::from_le_bytes);
    _mm256_setr_epi32(low, low, low, low, high, high, high, high)
}

/// Sums of a row, in the order of tokens that transposing leaves: 0…3 and 4…7 of the first and
/// third half register's tile, then of the second and fourth's.
pub(super) struct Sums([__m256i; 4]);

impl Sums {
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn new() -> Self {
        Self([_mm256_setzero_si256(); 4])
    }

    /// Adds Σ w·x of a group.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn add(&mut self, [a, b, c, d]: [__m256i; 4], weights: __m256i) {
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

    /// Sums of each of `N` tiles, one per token.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn of_tiles<const N: usize>(self) -> [__m256i; N] {
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
