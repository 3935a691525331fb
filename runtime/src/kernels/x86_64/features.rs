//! The features of one tile as AVX2 reads them, and their products.
//!
//! The 32 bytes of four features are transposed, so that the four bytes of a token are adjacent.
//! Then
//!
//! ```text
//! |x| · (w, its sign changed where x < 0)   vpmaddubsw: sums of two in 16 bits, ≤ 2 · 127²
//! · 1                                       vpmaddwd: sums of four in 32 bits, one a token
//! ```
//!
//! is exact, as no weight is −128.

#![allow(
    unsafe_code,
    reason = "features are read without a check for each weight: `Model::open` checked the columns"
)]

use core::arch::x86_64::{
    __m128i, __m256i, _mm_cvtsi64_si128, _mm_set1_epi16, _mm_setzero_si128, _mm_unpackhi_epi64,
    _mm_unpacklo_epi8, _mm256_cvtepi8_epi16, _mm256_madd_epi16, _mm256_maddubs_epi16,
    _mm256_permutevar8x32_epi32, _mm256_set1_epi16, _mm256_setr_epi8, _mm256_setr_epi32,
    _mm256_shuffle_epi8, _mm256_sign_epi8,
};

use crate::kernels::portable::scalar::Feature;

/// Features of a tile, at least one per column.
#[derive(Clone, Copy)]
pub(super) struct Features<'f>(&'f [Feature]);

impl<'f> Features<'f> {
    pub(super) fn new(tile: &'f [Feature], cols: usize) -> Option<Self> {
        tile.get(..cols).map(Self)
    }

    /// The features of two columns in 16 bits, those of a token side by side.
    ///
    /// # Safety
    /// Both columns must be below the number of features.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn pair(self, first: usize, second: usize) -> __m256i {
        // SAFETY: the caller's promise.
        let (first, second) = unsafe { (self.read(first), self.read(second)) };
        let (first, second) = (_mm_cvtsi64_si128(first), _mm_cvtsi64_si128(second));
        _mm256_cvtepi8_epi16(_mm_unpacklo_epi8(first, second))
    }

    /// [`Features::pair`] with zeros for the second.
    ///
    /// # Safety
    /// The column must be below the number of features.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn single(self, column: usize) -> __m256i {
        // SAFETY: the caller's promise.
        let feature = _mm_cvtsi64_si128(unsafe { self.read(column) });
        _mm256_cvtepi8_epi16(_mm_unpacklo_epi8(feature, _mm_setzero_si128()))
    }

    /// As many features from `column` on as `T` has room for.
    ///
    /// # Safety
    /// All of them must exist.
    #[inline]
    pub(super) unsafe fn read<T: bytemuck::Pod>(self, column: usize) -> T {
        debug_assert!((column + size_of::<T>() / size_of::<Feature>()) <= self.0.len());
        // SAFETY: the caller's promise; any bytes are a `T`.
        unsafe { self.0.as_ptr().add(column).cast::<T>().read_unaligned() }
    }
}

/// Four features of eight tokens as eight tokens of four features.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn transposed(features: __m256i) -> __m256i {
    let halves = _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7);
    let within = _mm256_setr_epi8(
        0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15, //
        0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15,
    );
    _mm256_shuffle_epi8(_mm256_permutevar8x32_epi32(features, halves), within)
}

/// Σ w·x of each token, from transposed features, their magnitudes, and four weights repeated for
/// each token.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn products(magnitudes: __m256i, features: __m256i, weights: __m256i) -> __m256i {
    let weights = _mm256_sign_epi8(weights, features);
    let pairs = _mm256_maddubs_epi16(magnitudes, weights);
    _mm256_madd_epi16(pairs, _mm256_set1_epi16(1))
}

/// Two features of eight tokens in 16 bits, those of a token side by side.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn interleaved(features: __m128i) -> __m256i {
    let second = _mm_unpackhi_epi64(features, features);
    _mm256_cvtepi8_epi16(_mm_unpacklo_epi8(features, second))
}

/// Two weights in 16 bits, side by side for each token.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn widened(weights: [u8; 2]) -> __m256i {
    _mm256_cvtepi8_epi16(_mm_set1_epi16(i16::from_le_bytes(weights)))
}

/// Bytes with zeros after them.
#[inline]
pub(super) fn filled_up<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut filled = [0; N];
    filled
        .iter_mut()
        .zip(bytes)
        .for_each(|(to, from)| *to = *from);
    filled
}
