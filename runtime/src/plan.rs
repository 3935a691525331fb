//! Scratch memory: what it holds at which stage, how large, and where.
//!
//! ```text
//! | logits | residual stream | region                                      |
//!                            | embed:     sum, features, ids               |
//!                            | attention: context, keys, values, scores, … |
//!                            | recurrence: projected, features, state, …   |
//!                            | MLP:       projected, features              |
//!                            | pool:      pooled, scores, features         |
//! ```
//! The uses of the region are never needed at the same time. Each use is split by a function
//! that matches its size function.

pub(crate) mod buffers;

use core::ops::{Deref, DerefMut};

use crate::kernels::{FEATURE_BYTES, LANES, Lanes, QUAD, TILES};
pub(crate) use buffers::{
    Arena, AttentionBuffers, Buffers, EmbedBuffers, MlpBuffers, PoolBuffers, RecurrenceBuffers,
    part, part_mut,
};
use neuroprune_format::Limits;

/// A buffer on this boundary loses nothing to alignment.
pub const SCRATCH_ALIGNMENT: usize = 4;

/// `[CLS]` and a `[SEP]` after each text of a pair.
const SPECIAL_TOKENS: usize = 3;

const FLOAT: usize = size_of::<f32>();

/// Scratch memory on the right boundary, for a `static` or the stack.
///
/// ```
/// use neuroprune_runtime::{Limits, Scratch, required_scratch};
///
/// // For texts of up to 24 tokens, known while compiling.
/// const FILE: &[u8] = include_bytes!("../../firmware-examples/models/commands.neuro");
/// const BYTES: usize = required_scratch(Limits::of_file(FILE), 24);
///
/// let scratch = Scratch::<BYTES>::new();
/// assert_eq!(scratch.len(), BYTES);
/// ```
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
/// `tokens` is clamped as in [`Classifier::with_tokens`](crate::Classifier::with_tokens): at least
/// the special tokens of a pair, at most the model's own limit.
#[must_use]
pub const fn required_scratch(limits: Limits, tokens: usize) -> usize {
    scratch_bytes(limits, tokens, FEATURE_BYTES, TILES)
}

/// [`required_scratch`] for a target whose kernels take one tile at a time, and `feature_bytes` per
/// feature of eight tokens: [`kernels::FEATURE_BYTES`](crate::kernels::FEATURE_BYTES) there, 8 for
/// the scalar kernels, 16 for those of pairs (Cortex-M4, M7, M33, M55) and of `simd128`.
#[must_use]
pub const fn required_scratch_with(limits: Limits, tokens: usize, feature_bytes: usize) -> usize {
    scratch_bytes(limits, tokens, feature_bytes, 1)
}

const fn scratch_bytes(
    limits: Limits,
    tokens: usize,
    feature_bytes: usize,
    tiles_at_once: usize,
) -> usize {
    let tokens = held_tokens(limits, tokens);
    let block = smaller(tiles_at_once, tiles(tokens));
    let fixed = FLOAT * limits.outputs + residual_bytes(limits, tokens);
    let region = larger(
        larger(
            larger(
                embed_bytes(limits, tokens, feature_bytes),
                recurrence_bytes(limits, tokens, feature_bytes, block),
            ),
            attention_bytes(limits, tokens, feature_bytes, block),
        ),
        larger(
            mlp_bytes(limits, feature_bytes, block),
            pool_bytes(limits, feature_bytes),
        ),
    );
    fixed + region
}

/// `tokens`, clamped: at least the special tokens of a pair, at most the model's limit.
pub(crate) const fn held_tokens(limits: Limits, tokens: usize) -> usize {
    smaller(larger(tokens, SPECIAL_TOKENS), limits.tokens)
}

const fn larger(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}

const fn smaller(a: usize, b: usize) -> usize {
    if a < b { a } else { b }
}

/// Bytes of one float per token of a tile.
const FLOATS: usize = size_of::<Lanes<f32>>();

const fn tiles(tokens: usize) -> usize {
    tokens.div_ceil(LANES)
}

const fn residual_bytes(limits: Limits, tokens: usize) -> usize {
    tiles(tokens) * (FLOATS + size_of::<Lanes<i16>>() * limits.hidden)
}

const fn embed_bytes(limits: Limits, tokens: usize, feature_bytes: usize) -> usize {
    FLOATS * limits.hidden + feature_bytes * limits.embedding + size_of::<u16>() * tokens
}

/// Rows a projection of the attention may produce: keys and values of one head, or W_O.
const fn attention_rows(limits: Limits) -> usize {
    larger(limits.query + limits.value, limits.hidden)
}

/// Columns of what the attention's matrices read: the residual stream, or the context.
const fn attention_cols(limits: Limits) -> usize {
    if limits.context == 0 {
        return 0;
    }
    larger(limits.hidden, limits.context)
}

/// Tokens that are attended to: none if no head has values.
const fn attended(limits: Limits, tokens: usize) -> usize {
    if limits.context == 0 { 0 } else { tokens }
}

/// Bytes if `block` tiles are multiplied at once.
const fn attention_bytes(
    limits: Limits,
    tokens: usize,
    feature_bytes: usize,
    block: usize,
) -> usize {
    let attended = attended(limits, tokens);
    let quads = attended.div_ceil(QUAD);
    let rows = block * attention_rows(limits) + quads * QUAD + tiles(tokens);
    FLOATS * rows
        + FLOAT * 2 * attended
        + feature_bytes * (block * attention_cols(limits) + larger(limits.query, limits.value))
        + size_of::<u32>() * quads * limits.value
        + size_of::<Lanes<i8>>() * tiles(tokens) * limits.context
        + attended * limits.query
}

/// Bytes if `block` tiles are multiplied at once.
const fn recurrence_bytes(
    limits: Limits,
    tokens: usize,
    feature_bytes: usize,
    block: usize,
) -> usize {
    let (rows, half) = (limits.recurrence, limits.recurrence / 2);
    block * (FLOATS + feature_bytes * 2) * rows
        + FLOAT * half
        + size_of::<i16>() * rows
        + size_of::<Lanes<i8>>() * tiles(tokens) * half
}

/// Bytes if `block` tiles are multiplied at once.
const fn mlp_bytes(limits: Limits, feature_bytes: usize, block: usize) -> usize {
    let rows = larger(limits.intermediate, limits.hidden);
    block * (FLOATS * rows + feature_bytes * (limits.hidden + limits.intermediate))
}

/// Tiles of a block: those that are multiplied at once, as far as there are tokens.
const fn block(tokens: usize) -> usize {
    smaller(TILES, tiles(tokens))
}

const fn pool_bytes(limits: Limits, feature_bytes: usize) -> usize {
    FLOATS * (limits.hidden + limits.outputs) + feature_bytes * limits.hidden
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
            outputs: 17,
            embedding: 0,
            recurrence: 0,
        };
        assert_eq!(required_scratch_with(limits, 64, 8), 38_212);
        assert_eq!(required_scratch_with(limits, 64, 16), 43_332);
        assert_eq!(required_scratch_with(limits, 8, 16), 28_772);
        let recurrent = Limits {
            query: 0,
            value: 0,
            context: 0,
            intermediate: 0,
            embedding: 32,
            recurrence: 128,
            ..limits
        };
        assert_eq!(required_scratch_with(recurrent, 64, 16), 29_508);
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
            embedding in 0..40_usize,
            is_recurrent: bool,
        ) {
            let context = heads * value;
            // A recurrence has an even number of rows.
            let hidden = if is_recurrent { 2 * hidden } else { hidden };
            let recurrence = if is_recurrent { hidden } else { 0 };
            let limits = Limits {
                tokens, hidden, query, value, context, intermediate, outputs: labels, embedding, recurrence,
            };
            let needed = required_scratch(limits, tokens);
            let mut words = [0_u64; 32_768];
            let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut words);
            prop_assert!(needed <= bytes.len());
            let buffers = Buffers::split(&mut bytes[..needed], &limits, tokens);
            prop_assert_eq!(buffers.logits.len(), labels);
            prop_assert_eq!(buffers.residual_steps.len(), tokens.div_ceil(8) * hidden);
            let region = buffers.region;
            let uses = [
                embed_bytes(limits, tokens, FEATURE_BYTES),
                attention_bytes(limits, tokens, FEATURE_BYTES, block(tokens)),
                recurrence_bytes(limits, tokens, FEATURE_BYTES, block(tokens)),
                mlp_bytes(limits, FEATURE_BYTES, block(tokens)),
                pool_bytes(limits, FEATURE_BYTES),
            ];
            prop_assert_eq!(uses.into_iter().max(), Some(region.len()));
            let embed = EmbedBuffers::split(region, &limits, tokens);
            prop_assert_eq!(embed.ids.len(), tokens);
            prop_assert_eq!(embed.features.len(), embedding);
            let recurrent = RecurrenceBuffers::split(region, &limits, tokens);
            prop_assert_eq!(recurrent.forward.len(), tokens.div_ceil(8) * recurrence / 2);
            let attention = AttentionBuffers::split(region, &limits, tokens);
            let attended = if context == 0 { 0 } else { tokens };
            prop_assert_eq!(attention.projected.len(), block(tokens) * hidden.max(query + value));
            prop_assert_eq!(attention.key_values.values.len(), attended.div_ceil(4) * value);
            prop_assert_eq!(attention.context.len(), tokens.div_ceil(8) * context);
            prop_assert_eq!(attention.key_values.keys.len(), attended * query);
            let mlp = MlpBuffers::split(region, &limits, tokens);
            prop_assert_eq!(mlp.neuron_features.len(), block(tokens) * intermediate);
            let pool = PoolBuffers::split(region, &limits);
            prop_assert_eq!(pool.features.len(), hidden);
        }
    }
}
