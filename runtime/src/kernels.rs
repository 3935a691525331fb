//! Products and passes, eight tokens at a time.
//!
//! Activations lie feature-major in tiles, one [`Feature`] of eight tokens after the
//! other, so that one weight meets eight tokens: the index arithmetic of a sparse weight
//! is paid once for eight products. Activations are symmetric, −127…127 and never −128.
//!
//! | set | a feature is | where |
//! |---|---|---|
//! | [`scalar`] | eight bytes | the oracle; portable |
//! | [`pairs`] | four words of two tokens each | portable form of the next |
//! | `cortex_m` | – | Cortex-M4, M7, M33, M55: calls one of the next two |
//! | `smlal` | four words of two tokens each | Cortex-M4, M7, M33: one instruction for two products |
//! | `helium` | eight bytes | Cortex-M55: one instruction for four products |
//! | `cortex_m_dsp` | – | Cortex-M4, M7, M55: mixing, two products an instruction |
//! | `cortex_m_fpu` | – | Cortex-M4F, M7, M33, M55: the passes of [`floats`] |
//! | `simd128` | eight times 16 bits | WebAssembly: two columns of four tokens an instruction |
//! | `simd128_floats` | likewise | WebAssembly: the passes of [`floats`] |
//! | `x86_64` | eight bytes | chooses between the next and [`scalar`] at run time |
//! | `avx2`, `avx2_floats`, `avx2_tiles` | likewise | x86-64 with AVX2 |
//!
//! A set gets a file of its own and is held to the oracle by the parity test; this
//! module is the only place that chooses.

#[cfg(kernels = "x86_64")]
mod avx2;
#[cfg(kernels = "x86_64")]
mod avx2_floats;
#[cfg(kernels = "x86_64")]
mod avx2_tiles;
#[cfg(kernels = "cortex_m")]
mod cortex_m;
#[cfg(dsp)]
mod cortex_m_dsp;
#[cfg(fpu)]
mod cortex_m_fpu;
pub mod floats;
#[cfg(helium)]
mod helium;
pub mod pairs;
pub mod scalar;
#[cfg(kernels = "simd128")]
mod simd128;
#[cfg(kernels = "simd128")]
mod simd128_floats;
#[cfg(all(kernels = "cortex_m", not(helium)))]
mod smlal;
#[cfg(kernels = "x86_64")]
pub mod x86_64;

use neuroprune_format::tensor::Rows;

#[cfg(kernels = "cortex_m")]
use cortex_m as chosen;
#[cfg(not(any(kernels = "cortex_m", kernels = "simd128", kernels = "x86_64")))]
use scalar as chosen;
#[cfg(kernels = "simd128")]
use simd128 as chosen;
#[cfg(kernels = "x86_64")]
use x86_64 as chosen;

pub use chosen::{
    Feature, add, dense, gelu, largest, mix, mixture, multiply, normalize, pack, quantize,
    quantize_bytes, rectify, rescale, round, scale, set_grain, softmax, sum, sum_of_squares,
    value_word,
};

/// Tiles that are multiplied at once.
pub const TILES: usize = if cfg!(kernels = "x86_64") {
    4
} else if cfg!(kernels = "simd128") {
    2
} else {
    1
};

/// Tokens in a tile.
pub const LANES: usize = 8;

/// One value a token of a tile.
pub type Lanes<T> = [T; LANES];

/// Lanes that a pass over floats takes at once; divides [`LANES`].
pub const GRAIN: usize = 4;

/// Tokens whose values one word holds.
pub const QUAD: usize = 4;

/// Attention weights of four tokens, for the eight queries of a tile.
pub type Mixture = Lanes<[i16; QUAD]>;

/// Largest attention weight; `mix` states how many tokens it allows.
pub const LARGEST_WEIGHT: i16 = 8191;

/// Bytes that a feature of eight tokens takes on this target.
pub const FEATURE_BYTES: usize = size_of::<Feature>();

/// Quantised activations of up to eight tokens: x ≈ scale · feature.
#[derive(Clone, Copy, Debug)]
pub struct Tile<'f, F = Feature> {
    /// One a column.
    pub features: &'f [F],
    /// One a token.
    pub scales: Lanes<f32>,
    /// 1…8. Lanes behind them need not be computed.
    pub tokens: usize,
}

/// Multiplies rows with a tile and scales back:
/// y = (Σ w·x as f32) · (row scale · token scale) + bias.
///
/// As many rows as `output` has, or as there are. Lanes behind the tile's tokens hold
/// anything.
#[inline(never)]
pub fn project(rows: &Rows<'_>, tile: &Tile<'_>, output: &mut [Lanes<f32>]) {
    #[cfg(kernels = "cortex_m")]
    cortex_m::project(rows, tile, output);
    #[cfg(not(kernels = "cortex_m"))]
    {
        multiply(rows, tile, bytemuck::cast_slice_mut(output));
        scale(rows, tile, output);
    }
}

/// [`project`] for several tiles, at most [`TILES`]; `output` is `[tiles, rows]`.
#[inline]
pub fn project_tiles(rows: &Rows<'_>, tiles: &[Tile<'_>], output: &mut [Lanes<f32>]) {
    #[cfg(kernels = "x86_64")]
    if let Some(set) = x86_64::Avx2::detect() {
        return set.project_tiles(rows, tiles, output);
    }
    if TILES == 1 {
        // No loop, whose code microcontrollers would have in flash.
        return tiles
            .iter()
            .take(1)
            .for_each(|tile| project(rows, tile, output));
    }
    let count = output.len() / tiles.len().max(1);
    #[cfg(kernels = "simd128")]
    if let [one, other] = tiles {
        simd128::multiply_both(rows, [one, other], bytemuck::cast_slice_mut(output));
        for (tile, output) in tiles.iter().zip(output.chunks_mut(count.max(1))) {
            scale(rows, tile, output);
        }
        return;
    }
    for (tile, output) in tiles.iter().zip(output.chunks_mut(count.max(1))) {
        project(rows, tile, output);
    }
}

/// The integer whose bits a kernel left in the memory of a float.
#[inline]
pub(crate) fn integer(bits: f32) -> i32 {
    bits.to_bits().cast_signed()
}
