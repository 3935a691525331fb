//! How many instructions a classification takes at most, from the file alone.
//!
//! ```text
//! rows, weights, layouts ─► products (matrix) ─┐
//! widths, heads, tokens ──► passes over floats ─┼─► Σ · 1.02
//! layers, heads, tiles ───► calls between them ─┘
//! ```
//!
//! Loops in assembly are counted instruction by instruction from their source. What is between them
//! is compiled, so its prices are measured: `cargo xtask bench --board mps2-an386` compares the sum
//! with what is counted for random models, and fails where it is below, or more than a tenth above.

mod matrix;
mod text;

use neuroprune_format::architecture::{Activation, Head, Pooling};
use neuroprune_format::encoder::{Attention, Encoder, Mixing, Mlp, Recurrence};
use neuroprune_format::tensor::{Matrix, Pattern, Table, TableValues};
use neuroprune_format::{Model, Network};

use crate::kernels::{GRAIN, LANES, QUAD};
use crate::plan::held_tokens;
use matrix::{Products, dense};
pub use text::text_cost;

/// Prices in tenths of an instruction: of what is done once, or for each of the things named.
mod price {
    /// What is counted exactly.
    pub(super) const INSTRUCTION: u64 = 10;

    /// Before the embedding, the end of the tokenizer included.
    pub(super) const BEGIN: u64 = 15_700;
    pub(super) const EMBEDDED_TILE: u64 = 2_560;
    pub(super) const EMBEDDED_TOKEN: u64 = 1_790;
    pub(super) const EMBEDDED_VALUE: u64 = 120;
    /// Where rows are added one by one.
    pub(super) const EMBEDDED_SUM: u64 = 610;
    pub(super) const SEGMENTS: u64 = 2_600;
    /// A row that is added to others.
    pub(super) const ADDED_TOKEN: u64 = 750;
    pub(super) const ADDED_VALUE: u64 = 94;
    pub(super) const ADDED_SMALL_VALUE: u64 = 125;
    /// What a factor reads, of a token and of four.
    pub(super) const LOOKED_UP_TOKEN: u64 = 650;
    pub(super) const LOOKED_UP_GRAIN: u64 = 2_850;
    pub(super) const LOOKED_UP_VALUE: u64 = 391;
    pub(super) const LOOKED_UP_SMALL_VALUE: u64 = 325;

    pub(super) const ATTENTION: u64 = 12_110;
    pub(super) const HEAD: u64 = 5_300;
    /// A row of a head that has a row map.
    pub(super) const MAPPED_ROW: u64 = 24;
    /// A query row that is skipped to find the keys.
    pub(super) const SKIPPED_ROW: u64 = 392;
    /// Eight columns of it in a bitmap.
    pub(super) const SKIPPED_BITS: u64 = 126;
    pub(super) const HEAD_TILE: u64 = 14_340;
    pub(super) const HEAD_TOKEN: u64 = 983;
    pub(super) const KEY: u64 = 72;
    /// A row of values, for a grain of tokens.
    pub(super) const VALUES: u64 = 322;
    /// Four tokens that are attended to, for a tile.
    pub(super) const QUAD: u64 = 540;
    /// A value of an earlier head that is rounded again; at most all are.
    pub(super) const ROUNDED: u64 = 92;
    pub(super) const OUTPUT_TILE: u64 = 4_050;
    pub(super) const OUTPUT_TOKEN: u64 = 712;

    pub(super) const RECURRENCE: u64 = 14_000;
    pub(super) const RECURRENCE_TILE: u64 = 16_100;
    /// h of a lane without a token.
    pub(super) const SKIPPED_H: u64 = 80;

    pub(super) const MLP: u64 = 11_260;
    pub(super) const MLP_TILE: u64 = 5_050;
    pub(super) const MLP_TOKEN: u64 = 636;

    pub(super) const POOL: u64 = 2_070;
    pub(super) const POOLED_VALUE: u64 = 232;
    pub(super) const POOLED_TILE: u64 = 484;

    pub(super) const CLASSIFY: u64 = 7_800;
    /// A class that goes to the first place of the ranking.
    pub(super) const CLASS: u64 = 1_770;

    pub(super) const CALL: u64 = 2_000;
    /// Rows that are stored one after another, sparse and dense.
    pub(super) const RUN: u64 = 940;
    pub(super) const DENSE_RUN: u64 = 1_900;
    pub(super) const CUT_ROW: u64 = 360;
    pub(super) const DENSE_CUT_ROW: u64 = 967;
    /// Whether a row is stored.
    pub(super) const TEST: u64 = 132;
    pub(super) const DENSE_TEST: u64 = 255;
    pub(super) const LISTED_ROW: u64 = 218;
    /// A part of a dense row of more columns than one sum takes.
    pub(super) const STRETCH: u64 = 1_500;
}

/// Per cent of the sum of prices that are stated: what is compiled differs a little from its price.
const STATED: u64 = 102;

/// The most instructions that classifying a text of `tokens` tokens takes on a Cortex-M4F, without
/// what the tokenizer takes to read it ([`text_cost`]).
///
/// `tokens` is clamped as in [`required_scratch`](crate::required_scratch). A text of fewer tokens
/// takes less. The bound is for the kernels of this crate with default features, compiled as the
/// firmware examples are; it is 1 to 10 per cent above what is counted for random models. Other
/// cores take other numbers of instructions, in much the same proportions. Instructions are not
/// cycles: a Cortex-M4F takes about 1.5 for each.
///
/// Takes time linear in the file.
///
/// ```
/// use neuroprune_runtime::{Model, cost};
///
/// // 10 ms at 100 MHz and 1.5 cycles an instruction.
/// const MOST_INSTRUCTIONS: u64 = 666_000;
///
/// let file = include_bytes!("../../firmware-examples/models/commands.neuro");
/// let model = Model::open(file)?;
/// let instructions = cost(&model, 16);
/// assert!(instructions < MOST_INSTRUCTIONS);
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[must_use]
pub fn cost(model: &Model<'_>, tokens: usize) -> u64 {
    let Network::Encoder(encoder) = model.network();
    let tokens = held_tokens(model.limits(), tokens);
    let layers = encoder.layers().map(|layer| {
        let mixing = match layer.mixing() {
            Mixing::Attention(layer) => attention(encoder, &layer, tokens),
            Mixing::Recurrence(layer) => recurrence(encoder, &layer, tokens),
        };
        mixing + layer.mlp().map_or(0, |layer| mlp(encoder, &layer, tokens))
    });
    let tenths =
        embed(encoder, tokens) + layers.sum::<u64>() + pool(encoder, tokens) + classify(encoder);
    tenths * STATED / (100 * price::INSTRUCTION) + 1
}

/// A count as a factor of a price.
fn wide(count: usize) -> u64 {
    count as u64
}

/// Tokens of each tile.
fn tiles(tokens: usize) -> impl ExactSizeIterator<Item = usize> {
    let first = (0..tokens).step_by(LANES);
    first.map(move |first| LANES.min(tokens - first))
}

/// The passes of a LayerNorm over a tile: sum, squares, normalisation, largest, rounding.
fn norm(hidden: u64) -> u64 {
    price::INSTRUCTION * (11 + 19 + 42 + 30 + 28) * hidden
}

/// Largest and quantisation of a tile: of `rows` rows.
fn quantize(rows: u64) -> u64 {
    price::INSTRUCTION * (30 + 32) * rows
}

fn embed(encoder: &Encoder<'_>, tokens: usize) -> u64 {
    let hidden = wide(encoder.limits().hidden);
    let mut tenths = price::BEGIN;
    tenths += wide(tiles(tokens).len()) * (norm(hidden) + price::EMBEDDED_TILE);
    let values = |table: &Table<'_>| table.row(0).values;
    let token = encoder.token_embedding();
    let (position, segment) = (encoder.position_embedding(), encoder.segment_embedding());
    let bytes = |table: &Table<'_>| values(table) == TableValues::I8;
    let added = |table: &Table<'_>| {
        let value = match values(table) {
            TableValues::I8 => price::ADDED_VALUE,
            TableValues::I4 => price::ADDED_SMALL_VALUE,
        };
        wide(tokens) * (price::ADDED_TOKEN + value * hidden)
    };
    if let Some(factor) = encoder.embedding_factor() {
        let grains = tiles(tokens).map(|in_tile| wide(in_tile.div_ceil(GRAIN)));
        let grains: u64 = grains.sum();
        tenths += wide(tokens) * price::LOOKED_UP_TOKEN;
        let value = match values(&token) {
            TableValues::I8 => price::LOOKED_UP_VALUE,
            TableValues::I4 => price::LOOKED_UP_SMALL_VALUE,
        };
        tenths += grains * (price::LOOKED_UP_GRAIN + value * wide(factor.cols()));
        tenths += Products::of(&factor).tiles(tokens);
        tenths += position.as_ref().map_or(0, added);
    } else {
        if !tokens.is_multiple_of(LANES) {
            tenths += price::INSTRUCTION * wide(LANES) * hidden;
        }
        if position.as_ref().is_some_and(bytes) && bytes(&token) {
            tenths += wide(tokens) * (price::EMBEDDED_TOKEN + price::EMBEDDED_VALUE * hidden);
        } else {
            tenths += wide(tokens) * price::EMBEDDED_SUM;
            tenths += added(&token) + position.as_ref().map_or(0, added);
        }
    }
    if let Some(segment) = &segment {
        tenths += price::SEGMENTS + added(segment);
    }
    tenths
}

fn attention(encoder: &Encoder<'_>, layer: &Attention<'_>, tokens: usize) -> u64 {
    let hidden = wide(encoder.limits().hidden);
    let tile_count = wide(tiles(tokens).len());
    let pack = price::INSTRUCTION * 16 * hidden;
    // The first head packs one tile more than the others.
    let mut tenths = price::ATTENTION + pack;
    let mut columns = 0;
    for head in layer.heads() {
        tenths += price::HEAD;
        if head.has_row_map() {
            tenths += price::MAPPED_ROW * wide(head.rows());
        }
        if head.value_rows() == 0 {
            continue;
        }
        tenths += 2 * (tile_count - 1) * pack + of_head(&head, tokens);
        tenths += price::ROUNDED * columns * wide(tokens);
        columns += wide(head.value_rows());
    }
    tenths += Products::of(&layer.output()).tiles(tokens);
    // The result, added to the residual stream.
    tenths += tile_count * (norm(hidden) + price::INSTRUCTION * 33 * hidden + price::OUTPUT_TILE);
    tenths + wide(tokens) * price::OUTPUT_TOKEN
}

/// A head with values.
fn of_head(head: &Matrix<'_>, tokens: usize) -> u64 {
    let query_rows = head.query_rows();
    let (query, value) = (wide(query_rows), wide(head.value_rows()));
    let (all, quads) = (wide(tokens), wide(tokens.div_ceil(QUAD)));
    let mut tenths = skip(head, query_rows);
    tenths += Products::of_rows(head, 0..query_rows).tiles(tokens);
    tenths += Products::of_rows(head, query_rows..head.rows()).tiles(tokens);
    for in_tile in tiles(tokens) {
        let grains = wide(in_tile.div_ceil(GRAIN));
        // Without queries all scores are zero.
        let scores = all * if query == 0 { 8 } else { dense(query, in_tile) };
        let softmax = wide(in_tile) * (32 + 46 * all);
        let mix = quads * 239 + value * grains * (9 + 17 * quads);
        // Largest and bytes of keys, values and their mixture, which is scaled before.
        let bytes = (30 + 30) * (query + 2 * value) + 20 * value;
        tenths += price::INSTRUCTION * (scores + softmax + mix + bytes) + quantize(query);
        tenths += price::HEAD_TILE + price::QUAD * quads + price::VALUES * value * grains;
        tenths += wide(in_tile) * (price::HEAD_TOKEN + price::KEY * query);
    }
    tenths
}

/// The way to the keys of a head, over its queries.
fn skip(head: &Matrix<'_>, query_rows: usize) -> u64 {
    let queries = head.iter().take(query_rows);
    let stored = wide(queries.filter(|row| row.scale > 0.0).count());
    match head.iter().bytes().pattern {
        Pattern::Dense | Pattern::Columns => 0,
        Pattern::DeltaU8 | Pattern::Blocks2 | Pattern::Blocks4 => price::SKIPPED_ROW * stored,
        Pattern::Bitmap => price::SKIPPED_BITS * stored * wide(head.cols().div_ceil(8)),
    }
}

fn recurrence(encoder: &Encoder<'_>, layer: &Recurrence<'_>, tokens: usize) -> u64 {
    let hidden = wide(encoder.limits().hidden);
    let half = hidden / 2;
    let mut tenths = price::RECURRENCE;
    for matrix in [layer.forward(), layer.backward()] {
        tenths += Products::of(&matrix).tiles(tokens);
    }
    for in_tile in tiles(tokens) {
        // In both directions: bytes of (neighbour, token), h.
        let passes = 2 * (86 * hidden + 99 * half);
        // What is kept of h and restored, and the sum with the residual stream.
        tenths += price::INSTRUCTION * (passes + (33 + 32) * half + 33 * hidden) + norm(hidden);
        tenths += price::RECURRENCE_TILE;
        tenths += price::SKIPPED_H * wide(LANES - in_tile) * half;
    }
    tenths
}

fn mlp(encoder: &Encoder<'_>, layer: &Mlp<'_>, tokens: usize) -> u64 {
    let (hidden, activation) = (wide(encoder.limits().hidden), encoder.stack().activation);
    let (input, output) = (layer.input(), layer.output());
    let rows = wide(input.rows());
    let mut tenths = price::MLP + wide(tokens) * price::MLP_TOKEN;
    tenths += Products::of(&input).tiles(tokens) + Products::of(&output).tiles(tokens);
    for in_tile in tiles(tokens) {
        let activation = match activation {
            Activation::Relu => 12,
            Activation::Gelu => 73 * wide(in_tile.div_ceil(GRAIN)),
        };
        tenths += price::INSTRUCTION * (activation * rows + (16 + 33) * hidden);
        tenths += quantize(rows) + norm(hidden) + price::MLP_TILE;
    }
    tenths
}

fn pool(encoder: &Encoder<'_>, tokens: usize) -> u64 {
    let hidden = wide(encoder.limits().hidden);
    let add = price::INSTRUCTION * 33 * hidden;
    let clear = price::INSTRUCTION * 8 * hidden;
    let Head::Classes(pooling) = encoder.head();
    let pooling = match pooling {
        Pooling::Cls => add,
        Pooling::Mean => {
            let tiles = wide(tiles(tokens).len());
            tiles * (add + price::POOLED_TILE) + price::POOLED_VALUE * hidden
        }
    };
    price::POOL + clear + pooling
}

fn classify(encoder: &Encoder<'_>) -> u64 {
    let limits = encoder.limits();
    let logits = Products::of(&encoder.classifier()).tile(1);
    price::CLASSIFY + quantize(wide(limits.hidden)) + logits + price::CLASS * wide(limits.outputs)
}
