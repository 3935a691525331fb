//! How the scratch memory is split, in each of its uses.

use super::{attended, attention_cols, attention_rows, block, larger, tiles};
use crate::kernels::{Feature, Lanes, QUAD};
use neuroprune_format::Limits;

/// Hands out parts of a buffer, first to last.
pub(crate) struct Arena<'s> {
    rest: &'s mut [u8],
}

impl<'s> Arena<'s> {
    /// `bytes` must begin on [`SCRATCH_ALIGNMENT`](super::SCRATCH_ALIGNMENT).
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
