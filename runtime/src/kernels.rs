//! The chooser: the kernels of this target, products and passes, eight tokens at a time.
//!
//! Activations are stored feature-major in tiles, one [`Feature`] of eight tokens after another, so
//! that one weight multiplies eight tokens: the index arithmetic of a sparse weight is paid once
//! for eight products.
//!
//! | set | a feature is | where |
//! |---|---|---|
//! | [`scalar`], [`floats`] | eight bytes | the oracle; portable |
//! | [`pairs`] | four words of two tokens each | portable form of `smlal` |
//! | `cortex_m` | – | Cortex-M4, M7, M33, M55: calls `smlal` or `helium` |
//! | `cortex_m::smlal` | four words of two tokens each | Cortex-M4, M7, M33: one instruction for two products |
//! | `cortex_m::helium` | eight bytes | Cortex-M55: one instruction for four products |
//! | `cortex_m::dsp` | – | Cortex-M4, M7, M55: mixing, two products per instruction |
//! | `cortex_m::fpu` | – | Cortex-M4F, M7, M33, M55: the passes of [`floats`] |
//! | `wasm32` | eight times 16 bits | WebAssembly with `simd128`: two columns of four tokens per instruction |
//! | `x86_64` | eight bytes | x86-64: AVX2 or [`scalar`], chosen at run time |
//!
//! A set has a folder of its own and is checked against the oracle by the parity test; this module
//! is the only place that chooses, and no set uses it. The terms are defined in `kernels/tile.rs`.

#[cfg(kernels = "cortex_m")]
mod cortex_m;
pub(crate) mod lanes;
mod portable;
pub(crate) mod tile;
#[cfg(kernels = "simd128")]
mod wasm32;
#[cfg(kernels = "x86_64")]
pub mod x86_64;

use neuroprune_format::tensor::Rows;

#[cfg(kernels = "cortex_m")]
use cortex_m as chosen;
#[cfg(not(any(kernels = "cortex_m", kernels = "simd128", kernels = "x86_64")))]
use portable::scalar as chosen;
#[cfg(kernels = "simd128")]
use wasm32 as chosen;
#[cfg(kernels = "x86_64")]
use x86_64 as chosen;

pub use chosen::{
    Feature, add, dense, gelu, largest, mix, mixture, multiply, normalize, pack, quantize,
    quantize_bytes, rectify, rescale, round, scale, set_grain, softmax, sum, sum_of_squares,
    value_word,
};
#[cfg(kernels = "cortex_m")]
pub use cortex_m::{dequantize_bytes, recur};
pub use portable::recurrence::PairScales;
#[cfg(not(kernels = "cortex_m"))]
pub use portable::recurrence::{dequantize_bytes, recur};
pub use portable::{floats, pairs, recurrence, scalar};
pub use tile::{Direction, GRAIN, LANES, LARGEST_WEIGHT, Lanes, Mixture, QUAD, Tile};

/// Tiles that are multiplied at once.
pub const TILES: usize = if cfg!(kernels = "x86_64") {
    4
} else if cfg!(kernels = "simd128") {
    2
} else {
    1
};

/// Bytes that a feature of eight tokens takes on this target.
pub const FEATURE_BYTES: usize = size_of::<Feature>();

/// See [`recurrence::quantize_pairs`].
#[inline(never)]
pub fn quantize_pairs(
    steps: &[Lanes<i16>],
    after: &mut [i16],
    scales: &PairScales,
    tokens: usize,
    direction: Direction,
    features: &mut [Feature],
) {
    #[cfg(kernels = "cortex_m")]
    cortex_m::quantize_pairs(steps, after, scales, tokens, direction, features);
    #[cfg(not(kernels = "cortex_m"))]
    recurrence::quantize_pairs(steps, after, scales, tokens, direction, features, set_grain);
}

/// Multiplies rows with a tile and scales back:
/// y = (Σ w·x as f32) · (row scale · token scale) + bias.
///
/// As many rows as `output` has, or as there are. Lanes after the tile's tokens may hold anything.
#[inline(never)]
pub fn project(rows: &Rows<'_>, tile: &Tile<'_, Feature>, output: &mut [Lanes<f32>]) {
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
pub fn project_tiles(rows: &Rows<'_>, tiles: &[Tile<'_, Feature>], output: &mut [Lanes<f32>]) {
    #[cfg(kernels = "x86_64")]
    if let Some(set) = x86_64::Avx2::detect() {
        return set.project_tiles(rows, tiles, output);
    }
    if TILES == 1 {
        // No loop, since its code would take up flash on microcontrollers.
        return tiles
            .iter()
            .take(1)
            .for_each(|tile| project(rows, tile, output));
    }
    let count = output.len() / tiles.len().max(1);
    #[cfg(kernels = "simd128")]
    if let [one, other] = tiles {
        wasm32::multiply_both(rows, [one, other], bytemuck::cast_slice_mut(output));
        for (tile, output) in tiles.iter().zip(output.chunks_mut(count.max(1))) {
            scale(rows, tile, output);
        }
        return;
    }
    for (tile, output) in tiles.iter().zip(output.chunks_mut(count.max(1))) {
        project(rows, tile, output);
    }
}
