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

use core::ops::{Deref, DerefMut};

use crate::kernels::{FEATURE_BYTES, Feature, LANES, Lanes, QUAD, TILES};
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
    #[inline(never)]
    pub(crate) fn take<T: bytemuck::Pod>(&mut self, count: usize) -> &'s mut [T] {
        let bytes = self.take_bytes(count * size_of::<T>());
        bytemuck::try_cast_slice_mut(bytes).unwrap_or(&mut [])
    }

    #[inline(never)]
    fn take_bytes(&mut self, count: usize) -> &'s mut [u8] {
        self.rest.split_off_mut(..count).unwrap_or(&mut [])
    }

    /// Everything that is left.
    pub(crate) fn rest(self) -> &'s mut [u8] {
        self.rest
    }
}

/// `length` values from `start` onwards; none if there are fewer.
#[inline]
pub(crate) fn part<T>(values: &[T], start: usize, length: usize) -> &[T] {
    let after = values.get(start..).unwrap_or(&[]);
    after.get(..length).unwrap_or(&[])
}

/// Mutable [`part`].
#[inline]
pub(crate) fn part_mut<T>(values: &mut [T], start: usize, length: usize) -> &mut [T] {
    let after = values.get_mut(start..).unwrap_or(&mut []);
    after.get_mut(..length).unwrap_or(&mut [])
}

/// The parts kept through the whole pass, and the rest.
pub(crate) struct Buffers<'s> {
    /// `[outputs]`.
    pub(crate) logits: &'s mut [f32],
    /// `[tiles]`.
    pub(crate) residual_scales: &'s mut [Lanes<f32>],
    /// `[tiles, hidden]`.
    pub(crate) residual_steps: &'s mut [Lanes<i16>],
    pub(crate) region: &'s mut [u8],
}

impl<'s> Buffers<'s> {
    pub(crate) fn split(scratch: &'s mut [u8], limits: &Limits, tokens: usize) -> Self {
        let mut arena = Arena::new(scratch);
        Self {
            logits: arena.take(limits.outputs),
            residual_scales: arena.take(tiles(tokens)),
            residual_steps: arena.take(tiles(tokens) * limits.hidden),
            region: arena.rest(),
        }
    }
}

/// Buffers of the embeddings.
pub(crate) struct EmbedBuffers<'s> {
    /// `[hidden]`: sums for the tokens of one tile.
    pub(crate) sum: &'s mut [Lanes<f32>],
    /// `[embedding]`: what the factor reads.
    pub(crate) features: &'s mut [Feature],
    /// `[tokens]`.
    pub(crate) ids: &'s mut [u16],
}

impl<'s> EmbedBuffers<'s> {
    pub(crate) fn split(region: &'s mut [u8], limits: &Limits, tokens: usize) -> Self {
        let mut arena = Arena::new(region);
        Self {
            sum: arena.take(limits.hidden),
            features: arena.take(limits.embedding),
            ids: arena.take(tokens),
        }
    }
}

/// Keys and values of one head, in int8 with one scale per token each.
pub(crate) struct KeyValues<'s> {
    /// How many there are.
    pub(crate) tokens: usize,
    /// `[tokens]`.
    pub(crate) key_scales: &'s mut [f32],
    /// `[tokens]`.
    pub(crate) value_scales: &'s mut [f32],
    /// `[⌈tokens / 4⌉, value]`: a byte for each of four tokens.
    pub(crate) values: &'s mut [u32],
    /// `[tokens, query]`, the bytes of `i8`.
    pub(crate) keys: &'s mut [u8],
}

/// Buffers of one layer's attention.
pub(crate) struct AttentionBuffers<'s> {
    /// Rows of a projection, for each tile of a block.
    pub(crate) projected: &'s mut [Lanes<f32>],
    /// `[tokens]`, filled up to whole quads: attention of eight queries over all tokens.
    pub(crate) scores: &'s mut [Lanes<f32>],
    /// `[tiles]`: largest magnitude of each token's context.
    pub(crate) context_largest: &'s mut [Lanes<f32>],
    /// The keys and values that the queries read.
    pub(crate) key_values: KeyValues<'s>,
    /// `[block, hidden]` or `[block, context]`: tiles of what a matrix reads.
    pub(crate) features: &'s mut [Feature],
    /// `[query]` or `[value]`: features that one head computed from one tile.
    pub(crate) head_features: &'s mut [Feature],
    /// `[tiles, context]`: what the heads read.
    pub(crate) context: &'s mut [Lanes<i8>],
}

impl<'s> AttentionBuffers<'s> {
    #[inline(never)]
    pub(crate) fn split(region: &'s mut [u8], limits: &Limits, tokens: usize) -> Self {
        let (mut arena, attended) = (Arena::new(region), attended(*limits, tokens));
        // In this order: wider types come first.
        let projected = arena.take(block(tokens) * attention_rows(*limits));
        let scores = arena.take(attended.div_ceil(QUAD) * QUAD);
        let context_largest = arena.take(tiles(tokens));
        let key_scales = arena.take(attended);
        let value_scales = arena.take(attended);
        let features = arena.take(block(tokens) * attention_cols(*limits));
        let head_features = arena.take(larger(limits.query, limits.value));
        let values = arena.take(attended.div_ceil(QUAD) * limits.value);
        let context = arena.take(tiles(tokens) * limits.context);
        let keys = arena.take(attended * limits.query);
        Self {
            projected,
            scores,
            context_largest,
            key_values: KeyValues {
                tokens,
                key_scales,
                value_scales,
                values,
                keys,
            },
            features,
            head_features,
            context,
        }
    }
}

/// Buffers of one layer's recurrence.
pub(crate) struct RecurrenceBuffers<'s> {
    /// `[block, hidden]`: gates and candidates.
    pub(crate) projected: &'s mut [Lanes<f32>],
    /// `[hidden / 2]`: h of the last token that was read.
    pub(crate) state: &'s mut [f32],
    /// `[block, 2 · hidden]`: of each token's neighbour, and its own.
    pub(crate) features: &'s mut [Feature],
    /// `[hidden]`: steps of the token that a tile begins after.
    pub(crate) after: &'s mut [i16],
    /// `[tiles, hidden / 2]`: forward h.
    pub(crate) forward: &'s mut [Lanes<i8>],
}

impl<'s> RecurrenceBuffers<'s> {
    #[inline(never)]
    pub(crate) fn split(region: &'s mut [u8], limits: &Limits, tokens: usize) -> Self {
        let (mut arena, block) = (Arena::new(region), block(tokens));
        let rows = limits.recurrence;
        Self {
            projected: arena.take(block * rows),
            state: arena.take(rows / 2),
            features: arena.take(block * 2 * rows),
            after: arena.take(rows),
            forward: arena.take(tiles(tokens) * (rows / 2)),
        }
    }
}

/// Buffers of one layer's MLP.
pub(crate) struct MlpBuffers<'s> {
    /// Neurons, then the update of the residual stream, for each tile of a block.
    pub(crate) projected: &'s mut [Lanes<f32>],
    /// `[block, hidden]`.
    pub(crate) features: &'s mut [Feature],
    /// `[block, intermediate]`.
    pub(crate) neuron_features: &'s mut [Feature],
}

impl<'s> MlpBuffers<'s> {
    pub(crate) fn split(region: &'s mut [u8], limits: &Limits, tokens: usize) -> Self {
        let (mut arena, block) = (Arena::new(region), block(tokens));
        Self {
            projected: arena.take(block * larger(limits.intermediate, limits.hidden)),
            features: arena.take(block * limits.hidden),
            neuron_features: arena.take(block * limits.intermediate),
        }
    }
}

/// Buffers of pooling and classifier.
pub(crate) struct PoolBuffers<'s> {
    /// `[hidden]`, one lane used, as in the others.
    pub(crate) pooled: &'s mut [Lanes<f32>],
    /// `[outputs]`.
    pub(crate) scores: &'s mut [Lanes<f32>],
    /// `[hidden]`.
    pub(crate) features: &'s mut [Feature],
}

impl<'s> PoolBuffers<'s> {
    pub(crate) fn split(region: &'s mut [u8], limits: &Limits) -> Self {
        let mut arena = Arena::new(region);
        Self {
            pooled: arena.take(limits.hidden),
            scores: arena.take(limits.outputs),
            features: arena.take(limits.hidden),
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
