//! Tiles of eight tokens, and the terms of the kernels.
//!
//! | word | means |
//! |---|---|
//! | lane | the place of one token among eight; [`Lanes`] is a value for each |
//! | feature | one column of the activations, quantised, for the eight tokens of a tile; each set has its own type for it |
//! | tile | eight tokens side by side: a feature for each column, a scale for each token |
//! | grain | four consecutive lanes: what a pass over floats takes at once |
//! | quad | four tokens whose attention values share a word |
//! | mixture | attention weights as integers: of a quad, for the eight queries of a tile |
//! | block | tiles that are multiplied at once (not the blocks 1×2 and 1×4 of a matrix) |
//! | row | one output of a matrix; a cut row has a bias, but no weights |
//! | step | one unit of a quantised value, or the distance to the next stored column |
//! | set | the kernels of one instruction set |
//!
//! Activations are symmetric, −127…127 and never −128. Lanes without a token may hold any
//! bits: kernels compute on them without overflow, or not at all.

/// Tokens in a tile.
pub const LANES: usize = 8;

/// One value per token of a tile.
pub type Lanes<T> = [T; LANES];

/// Lanes that a pass over floats takes at once; divides [`LANES`].
pub const GRAIN: usize = 4;

/// Tokens whose values one word holds.
pub const QUAD: usize = 4;

/// Attention weights of four tokens, for the eight queries of a tile.
pub type Mixture = Lanes<[i16; QUAD]>;

/// Largest attention weight; `mix` states how many tokens it allows.
pub const LARGEST_WEIGHT: i16 = 8191;

/// In which order a recurrence reads tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// First to last.
    Forward,
    /// Last to first.
    Backward,
}

/// Quantised activations of up to eight tokens: x ≈ scale · feature.
#[derive(Clone, Copy, Debug)]
pub struct Tile<'f, F> {
    /// One per column.
    pub features: &'f [F],
    /// One per token.
    pub scales: Lanes<f32>,
    /// 1…8. Lanes after them need not be computed.
    pub tokens: usize,
}

/// The integer whose bits a kernel left in the memory of a float.
#[inline]
pub(crate) fn integer(bits: f32) -> i32 {
    bits.to_bits().cast_signed()
}
