//! Integer products, eight tokens at a time.
//!
//! Activations lie feature-major in tiles, one [`Feature`] of eight tokens after the
//! other, so that one weight meets eight tokens: the index arithmetic of a sparse weight
//! is paid once for eight products. Activations are symmetric, −127…127 and never −128.
//!
//! | set | a feature is | where |
//! |---|---|---|
//! | [`scalar`] | eight bytes | the oracle; portable |
//! | [`pairs`] | four words of two tokens each | portable form of the next |
//! | `cortex_m` | likewise | Cortex-M4, M7, M33, M55: one instruction for two products |
//! | `cortex_m_dsp` | – | Cortex-M4, M7: mixing, two products an instruction |
//!
//! A set gets a file of its own and is held to the oracle by the parity test; this
//! module is the only place that chooses.

#[cfg(kernels = "cortex_m")]
mod cortex_m;
#[cfg(dsp)]
mod cortex_m_dsp;
pub mod pairs;
pub mod scalar;

#[cfg(kernels = "cortex_m")]
use cortex_m as chosen;
#[cfg(not(kernels = "cortex_m"))]
use scalar as chosen;

pub use chosen::{Feature, dense_row, mix, multiply, set_pair};

/// Tokens in a tile.
pub const LANES: usize = 8;

/// One value a token of a tile.
pub type Lanes<T> = [T; LANES];

/// Value dimensions that are mixed at once.
pub const MIXED: usize = 4;

/// Sets one dimension of `token` in a word that holds it for two tokens, the even one in
/// the low half.
#[inline]
pub fn set_value(word: &mut u32, token: usize, value: i8) {
    let half = u32::from(i16::from(value).cast_unsigned());
    let shift = if token.is_multiple_of(2) { 0 } else { 16 };
    *word = *word & !(0xffff << shift) | half << shift;
}

/// One dimension of two tokens.
#[inline]
fn values(word: u32) -> [i16; 2] {
    let [a, b, c, d] = word.to_le_bytes();
    [i16::from_le_bytes([a, b]), i16::from_le_bytes([c, d])]
}

/// Bytes that a feature of eight tokens takes on this target.
pub const FEATURE_BYTES: usize = size_of::<Feature>();
