//! Scratch memory: what lives when, how large, and where.
//!
//! ```text
//! | logits | hidden [tokens, d] | region                                    |
//!                               | embed:     ids                            |
//!                               | attention: context, projected, scales, …  |
//!                               | MLP:       projected, tiles               |
//!                               | pool:      pooled, tile                   |
//! ```
//! The four uses of the region never live at the same time. Each use is split by
//! the function whose size function stands beside it.

use core::ops::{Deref, DerefMut};

use crate::kernels::{FEATURE_BYTES, Feature, LANES, MIXED};
use neuroprune_format::Limits;

/// A buffer on this boundary loses nothing to alignment.
pub const SCRATCH_ALIGNMENT: usize = 4;

/// `[CLS]` and a `[SEP]` behind each text of a pair.
const SPECIAL_TOKENS: usize = 3;

const FLOAT: usize = size_of::<f32>();

/// Scratch memory on the right boundary, for a `static` or the stack.
#[derive(Debug)]
#[repr(align(8))]
pub struct Scratch<const BYTES: usize>([u8; BYTES]);

impl<const BYTES: usize> Scratch<BYTES> {
    /// Zeroed memory.
    #[must_use]
    pub const fn new() -> Self {
        Self([0; BYTES])
    }
}

impl<const BYTES: usize> Default for Scratch<BYTES> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const BYTES: usize> Deref for Scratch<BYTES> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl<const BYTES: usize> DerefMut for Scratch<BYTES> {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

/// Exact bytes of scratch memory for texts of up to `tokens` tokens, in a buffer
/// aligned to [`SCRATCH_ALIGNMENT`].
///
/// `tokens` is held between the special tokens of a pair and the model's own limit, as
/// [`Classifier::with_tokens`](crate::Classifier::with_tokens) holds it.
#[must_use]
pub const fn required_scratch(limits: Limits, tokens: usize) -> usize {
    required_scratch_with(limits, tokens, FEATURE_BYTES)
}

/// [`required_scratch`] of a target whose kernels take `feature_bytes` for a feature of
/// eight tokens: [`kernels::FEATURE_BYTES`](crate::kernels::FEATURE_BYTES) there, 8 for the
/// scalar kernels, 16 for those of pairs (Cortex-M4, M7, M33, M55).
#[must_use]
pub const fn required_scratch_with(limits: Limits, tokens: usize, feature_bytes: usize) -> usize {
    let tokens = held_tokens(limits, tokens);
    let fixed = FLOAT * (limits.labels + tokens * limits.hidden);
    let region = larger(
        larger(
            embed_bytes(tokens),
            attention_bytes(limits, tokens, feature_bytes),
        ),
        larger(
            mlp_bytes(limits, feature_bytes),
            pool_bytes(limits, feature_bytes),
        ),
    );
    fixed + region
}

/// `tokens` between the special tokens of a pair and the model's limit.
pub(crate) const fn held_tokens(limits: Limits, tokens: usize) -> usize {
    smaller(larger(tokens, SPECIAL_TOKENS), limits.tokens)
}

const fn larger(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}

const fn smaller(a: usize, b: usize) -> usize {
    if a < b { a } else { b }
}

const fn embed_bytes(tokens: usize) -> usize {
    size_of::<u16>() * tokens
}

/// Rows a projection of the attention may produce: one head, or W_O.
const fn attention_rows(limits: Limits) -> usize {
    larger(2 * limits.query + limits.value, limits.hidden)
}

/// Words of the values of two tokens: as many as are mixed at once, or a multiple.
pub(crate) const fn value_stride(value_rows: usize) -> usize {
    value_rows.next_multiple_of(MIXED)
}

const fn attention_bytes(limits: Limits, tokens: usize, feature_bytes: usize) -> usize {
    let tiles = tokens.div_ceil(LANES);
    let floats = tokens * limits.context + attention_rows(limits) * LANES + 5 * tokens;
    let features = tiles * limits.hidden + tiles * limits.query + limits.context;
    let pairs = tokens.div_ceil(2);
    let words = pairs * value_stride(limits.value);
    let halves = 2 * pairs;
    FLOAT * floats
        + feature_bytes * features
        + size_of::<u32>() * words
        + size_of::<i16>() * halves
        + tokens * limits.query
}

const fn mlp_bytes(limits: Limits, feature_bytes: usize) -> usize {
    let rows = larger(limits.intermediate, limits.hidden);
    FLOAT * rows * LANES + feature_bytes * (limits.hidden + limits.intermediate)
}

const fn pool_bytes(limits: Limits, feature_bytes: usize) -> usize {
    (FLOAT + feature_bytes) * limits.hidden
}

/// Hands out parts of a buffer, first to last.
pub(crate) struct Arena<'s> {
    rest: &'s mut [u8],
}

impl<'s> Arena<'s> {
    /// `bytes` must begin on [`SCRATCH_ALIGNMENT`].
    pub(crate) fn new(bytes: &'s mut [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next `count` values. Wider types come first, so each part is aligned;
    /// a part that does not fit would be empty, which the planner excludes.
    pub(crate) fn take<T: bytemuck::Pod>(&mut self, count: usize) -> &'s mut [T] {
        let bytes = core::mem::take(&mut self.rest);
        match bytes.split_at_mut_checked(count * size_of::<T>()) {
            Some((taken, rest)) => {
                self.rest = rest;
                bytemuck::try_cast_slice_mut(taken).unwrap_or(&mut [])
            }
            None => &mut [],
        }
    }

    /// Everything that is left.
    pub(crate) fn rest(self) -> &'s mut [u8] {
        self.rest
    }
}

/// Buffers of one layer's attention.
pub(crate) struct AttentionBuffers<'s> {
    /// `[tokens, context]`: what the heads read, token by token.
    pub(crate) context: &'s mut [f32],
    /// `[rows, 8]`: rows of a projection, for the tokens of one tile.
    pub(crate) projected: &'s mut [f32],
    /// Scale of each token's residual stream, query, key and value.
    pub(crate) tile_scales: &'s mut [f32],
    pub(crate) query_scales: &'s mut [f32],
    pub(crate) key_scales: &'s mut [f32],
    pub(crate) value_scales: &'s mut [f32],
    /// Attention of one token over all.
    pub(crate) scores: &'s mut [f32],
    /// `[tiles, hidden]`: the quantised residual stream.
    pub(crate) tiles: &'s mut [Feature],
    /// `[tiles, query]`.
    pub(crate) keys: &'s mut [Feature],
    /// `[context]`: the quantised context of one tile.
    pub(crate) context_tile: &'s mut [Feature],
    /// `[⌈tokens / 2⌉, value stride]`: dimensions of two tokens, as the mixing reads them.
    pub(crate) values: &'s mut [u32],
    /// One weight a token, and a zero where the number of tokens is odd.
    pub(crate) mixture: &'s mut [i16],
    /// `[tokens, query]`, the bytes of `i8`.
    pub(crate) queries: &'s mut [u8],
}

impl<'s> AttentionBuffers<'s> {
    pub(crate) fn split(region: &'s mut [u8], limits: Limits, tokens: usize) -> Self {
        let mut arena = Arena::new(region);
        Self {
            context: arena.take(tokens * limits.context),
            projected: arena.take(attention_rows(limits) * LANES),
            tile_scales: arena.take(tokens),
            query_scales: arena.take(tokens),
            key_scales: arena.take(tokens),
            value_scales: arena.take(tokens),
            scores: arena.take(tokens),
            tiles: arena.take(tokens.div_ceil(LANES) * limits.hidden),
            keys: arena.take(tokens.div_ceil(LANES) * limits.query),
            context_tile: arena.take(limits.context),
            values: arena.take(tokens.div_ceil(2) * value_stride(limits.value)),
            mixture: arena.take(2 * tokens.div_ceil(2)),
            queries: arena.take(tokens * limits.query),
        }
    }
}

/// Buffers of one layer's MLP.
pub(crate) struct MlpBuffers<'s> {
    /// `[rows, 8]`.
    pub(crate) projected: &'s mut [f32],
    /// `[hidden]`.
    pub(crate) input_tile: &'s mut [Feature],
    /// `[intermediate]`.
    pub(crate) neuron_tile: &'s mut [Feature],
}

impl<'s> MlpBuffers<'s> {
    pub(crate) fn split(region: &'s mut [u8], limits: Limits) -> Self {
        let mut arena = Arena::new(region);
        Self {
            projected: arena.take(larger(limits.intermediate, limits.hidden) * LANES),
            input_tile: arena.take(limits.hidden),
            neuron_tile: arena.take(limits.intermediate),
        }
    }
}

/// Buffers of pooling and classifier.
pub(crate) struct PoolBuffers<'s> {
    /// `[hidden]`.
    pub(crate) pooled: &'s mut [f32],
    /// `[hidden]`, one lane used.
    pub(crate) tile: &'s mut [Feature],
}

impl<'s> PoolBuffers<'s> {
    pub(crate) fn split(region: &'s mut [u8], limits: Limits) -> Self {
        let mut arena = Arena::new(region);
        Self {
            pooled: arena.take(limits.hidden),
            tile: arena.take(limits.hidden),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The worked example of `docs/memory.md`.
    #[test]
    fn the_documents_example_holds() {
        let limits = Limits {
            tokens: 64,
            hidden: 128,
            query: 32,
            value: 32,
            context: 128,
            intermediate: 512,
            labels: 17,
        };
        assert_eq!(required_scratch_with(limits, 64, 8), 88_516);
        assert_eq!(required_scratch_with(limits, 64, 16), 99_780);
        assert_eq!(required_scratch_with(limits, 8, 16), 30_788);
    }

    proptest! {
        /// Every part has its full length in exactly the planned bytes, and one
        /// byte less would leave the largest use short.
        #[test]
        fn the_plan_is_exact(
            tokens in 2..70_usize,
            hidden in 1..40_usize,
            query in 0..20_usize,
            value in 0..20_usize,
            heads in 0..4_usize,
            intermediate in 0..90_usize,
            labels in 1..20_usize,
        ) {
            let context = heads * value;
            let limits = Limits { tokens, hidden, query, value, context, intermediate, labels };
            let needed = required_scratch(limits, tokens);
            let mut words = [0_u64; 16_384];
            let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut words);
            prop_assert!(needed <= bytes.len());
            let mut arena = Arena::new(&mut bytes[..needed]);
            prop_assert_eq!(arena.take::<f32>(labels).len(), labels);
            prop_assert_eq!(arena.take::<f32>(tokens * hidden).len(), tokens * hidden);
            let region = arena.rest();
            let uses = [
                embed_bytes(tokens),
                attention_bytes(limits, tokens, FEATURE_BYTES),
                mlp_bytes(limits, FEATURE_BYTES),
                pool_bytes(limits, FEATURE_BYTES),
            ];
            prop_assert_eq!(uses.into_iter().max(), Some(region.len()));
            let attention = AttentionBuffers::split(region, limits, tokens);
            let words = tokens.div_ceil(2) * value.next_multiple_of(MIXED);
            prop_assert_eq!(attention.values.len(), words);
            prop_assert_eq!(attention.queries.len(), tokens * query);
            prop_assert_eq!(attention.context_tile.len(), context);
            let mlp = MlpBuffers::split(region, limits);
            prop_assert_eq!(mlp.neuron_tile.len(), intermediate);
            let pool = PoolBuffers::split(region, limits);
            prop_assert_eq!(pool.tile.len(), hidden);
        }
    }
}
