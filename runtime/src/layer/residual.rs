//! The residual stream, in 16 bits: `[tiles, features]` of eight tokens.
//!
//! x ≈ scale · step with |step| ≤ 127·256 and one scale per token. The upper byte, rounded,
//! is the int8 quantisation of the same token, with 256 times its scale: packing for a
//! product costs no float arithmetic.

use core::array;
use core::ops::Range;

use neuroprune_format::tensor::Norm;

use super::norm::layer_norm;
use crate::kernels::lanes;
use crate::kernels::{self, Feature, LANES, Lanes, TILES, Tile};
use crate::math::float;
use crate::plan::{part, part_mut};
use crate::quantizer::Quantizer;

/// Steps of the largest magnitude.
pub(super) const LARGEST: f32 = 127.0 * STEPS_A_BYTE;
/// Steps per step of the int8 quantisation.
const STEPS_A_BYTE: f32 = 256.0;

/// Tiles that are multiplied at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    /// Number of the first tile.
    pub(crate) first: usize,
    count: usize,
}

impl Block {
    /// How many tiles there are: [`TILES`], except in the last block. If that is one, the compiler
    /// knows it, and removes loops over a block.
    pub(crate) fn len(self) -> usize {
        if TILES == 1 { 1 } else { self.count }
    }

    /// The place of each tile in the block, and its number.
    pub(crate) fn tiles(self) -> impl DoubleEndedIterator<Item = (usize, usize)> {
        (0..self.len()).map(move |place| (place, self.first + place))
    }
}

/// Hidden states of all tokens.
#[derive(Debug)]
pub(crate) struct Residual<'s> {
    width: usize,
    tokens: usize,
    /// `[tiles]`.
    scales: &'s mut [Lanes<f32>],
    /// `[tiles, width]`.
    steps: &'s mut [Lanes<i16>],
}

impl<'s> Residual<'s> {
    /// `tokens` tokens of `width` features, whose values are not written yet.
    pub(crate) fn new(
        width: usize,
        tokens: usize,
        scales: &'s mut [Lanes<f32>],
        steps: &'s mut [Lanes<i16>],
    ) -> Self {
        Self {
            width,
            tokens,
            scales,
            steps,
        }
    }

    /// Tokens of the sequence.
    pub(crate) fn tokens(&self) -> usize {
        self.tokens
    }

    /// Numbers of the tiles.
    pub(crate) fn tiles(&self) -> Range<usize> {
        0..self.tokens.div_ceil(LANES)
    }

    /// The tiles, block by block.
    pub(crate) fn blocks(&self) -> impl DoubleEndedIterator<Item = Block> + use<> {
        let tiles = self.tiles().end;
        (0..tiles.div_ceil(TILES)).map(move |number| {
            let first = number * TILES;
            let count = TILES.min(tiles - first);
            Block { first, count }
        })
    }

    /// Tokens of one tile: eight, except in the last.
    // Called in many places.
    #[inline(never)]
    pub(crate) fn tokens_of(&self, tile: usize) -> usize {
        self.tokens.saturating_sub(tile * LANES).min(LANES)
    }

    /// Writes the int8 form of the tiles of a block, `[block, features]`; see
    /// [`Residual::block`].
    #[inline(never)]
    pub(crate) fn pack(&self, block: Block, features: &mut [Feature]) {
        for (place, tile) in block.tiles() {
            let features = part_mut(features, place * self.width, self.width);
            kernels::pack(self.steps_of(tile), features);
        }
    }

    /// The int8 form of the tiles of a block, with its features as [`Residual::pack`] left
    /// them; tiles after the last one of the sequence have no tokens.
    #[inline(never)]
    pub(crate) fn block<'f>(
        &self,
        block: Block,
        features: &'f [Feature],
    ) -> [Tile<'f, Feature>; TILES] {
        array::from_fn(|number| {
            let tile = block.first + number;
            Tile {
                features: part(features, number * self.width, self.width),
                scales: self.scales_of(tile).map(|scale| scale * STEPS_A_BYTE),
                tokens: self.tokens_of(tile),
            }
        })
    }

    /// x ← LayerNorm(x + update) of the tiles of a block. `updates` is `[block, width]`, and is
    /// overwritten.
    #[inline(never)]
    pub(crate) fn add_and_normalize(
        &mut self,
        block: Block,
        updates: &mut [Lanes<f32>],
        epsilon: f32,
        norm: Norm<'_>,
    ) {
        for (place, tile) in block.tiles() {
            let update = part_mut(updates, place * self.width, self.width);
            let (scales, tokens) = (self.scales_of(tile), self.tokens_of(tile));
            kernels::add(update, self.steps_of(tile), &scales, tokens);
            self.set_normalized(tile, update, epsilon, norm);
        }
    }

    /// x ← LayerNorm(values) of one tile. `values` is `[width]`, and is overwritten.
    #[inline(never)]
    pub(crate) fn set_normalized(
        &mut self,
        tile: usize,
        values: &mut [Lanes<f32>],
        epsilon: f32,
        norm: Norm<'_>,
    ) {
        let tokens = self.tokens_of(tile);
        layer_norm(values, tokens, epsilon, norm);
        let quantizer = Quantizer::of(values, LARGEST, tokens);
        let start = tile * self.width;
        let steps = part_mut(self.steps, start, self.width);
        quantizer.round(values, tokens, steps);
        if let Some(scales) = self.scales.get_mut(tile) {
            // Zero for a lane without a token, which must not be counted.
            scales.copy_from_slice(&quantizer.scales);
        }
    }

    /// values ← values + x of one tile, lane by lane; lanes without a token add zero.
    pub(crate) fn add_to(&self, tile: usize, values: &mut [Lanes<f32>]) {
        kernels::add(values, self.steps_of(tile), &self.scales_of(tile), LANES);
    }

    /// The values of one token.
    pub(crate) fn token(&self, token: usize) -> impl Iterator<Item = f32> {
        let (tile, lane) = (token / LANES, token % LANES);
        let scale = self.scales_of(tile).get(lane).copied().unwrap_or(0.0);
        lanes::lane(self.steps_of(tile), lane).map(move |&step| float(i32::from(step)) * scale)
    }

    pub(super) fn steps_of(&self, tile: usize) -> &[Lanes<i16>] {
        part(self.steps, tile * self.width, self.width)
    }

    pub(super) fn scales_of(&self, tile: usize) -> Lanes<f32> {
        self.scales.get(tile).copied().unwrap_or_default()
    }
}
