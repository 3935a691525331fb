//! Token ids to the residual stream.

use core::array;

use neuroprune_format::Limits;
use neuroprune_format::encoder::Encoder;
use neuroprune_format::tensor::{Table, TableRow, TableValues};

use super::residual::Residual;
use crate::kernels::{self, Feature, GRAIN, LANES, Lanes, Tile, lanes, project};
use crate::plan::EmbedBuffers;

/// How far the halves of a byte are shifted up, before 4 bits down extend their signs.
const HALVES: [u32; 2] = [4, 0];

/// x ← LayerNorm(token + position + segment embedding), for the ids that are in `region` as
/// [`EmbedBuffers`] lays them out. The first `first_segment` tokens belong to segment 0.
#[inline(never)]
pub(crate) fn embed(
    encoder: &Encoder<'_>,
    first_segment: usize,
    residual: &mut Residual<'_>,
    limits: &Limits,
    region: &mut [u8],
) {
    let (token, position) = (encoder.token_embedding(), encoder.position_embedding());
    let (factor, segment) = (encoder.embedding_factor(), encoder.segment_embedding());
    let (norm, epsilon) = (encoder.embedding_norm(), encoder.stack().norm_epsilon);
    let bytes = |table: &Table<'_>| table.row(0).values.built() == TableValues::I8;
    let is_plain = factor.is_none() && position.as_ref().is_some_and(bytes) && bytes(&token);
    let EmbedBuffers { sum, features, ids } =
        EmbedBuffers::split(region, limits, residual.tokens());
    for (tile, ids) in ids.chunks(LANES).enumerate() {
        match &factor {
            // [embedding] → [hidden]
            Some(factor) => project(&factor.iter(), &look_up(&token, ids, features), sum),
            None if ids.len() < LANES || !is_plain => sum.as_flattened_mut().fill(0.0),
            None => {}
        }
        for (lane, &id) in ids.iter().enumerate() {
            let place = tile * LANES + lane;
            let row = || token.row(usize::from(id));
            match &position {
                Some(position) if is_plain => set_sum(sum, lane, row(), position.row(place)),
                position => {
                    if factor.is_none() {
                        add_row(sum, lane, row());
                    }
                    if let Some(position) = position {
                        add_row(sum, lane, position.row(place));
                    }
                }
            }
            if let Some(segment) = &segment {
                add_row(sum, lane, segment.row(usize::from(place >= first_segment)));
            }
        }
        residual.set_normalized(tile, sum, epsilon, norm);
    }
}

/// The rows of up to eight tokens, as a matrix reads them: weights are features as they are.
#[inline(never)]
fn look_up<'f>(table: &Table<'_>, ids: &[u16], features: &'f mut [Feature]) -> Tile<'f, Feature> {
    let mut scales = Lanes::default();
    for grain in lanes::grains(ids.len()) {
        // Empty, with a scale of zero, for a lane without a token.
        let rows: [TableRow<'_>; GRAIN] = array::from_fn(|place| {
            let id = ids.get(grain * GRAIN + place);
            table.row(id.map_or(usize::MAX, |&id| id.into()))
        });
        lanes::set_grain(&mut scales, grain, rows.map(|row| row.scale));
        let column = |at: usize| {
            let bytes = rows.each_ref().map(|row| row.bytes.get(at));
            bytes.map(|byte| byte.map_or(0, |byte| byte.cast_signed()))
        };
        match table.row(0).values.built() {
            TableValues::I8 => {
                for (at, feature) in features.iter_mut().enumerate() {
                    kernels::set_grain(feature, grain, column(at));
                }
            }
            TableValues::I4 => {
                for (at, features) in features.chunks_mut(2).enumerate() {
                    let bytes = column(at);
                    for (feature, up) in features.iter_mut().zip(HALVES) {
                        kernels::set_grain(feature, grain, bytes.map(|byte| byte << up >> 4));
                    }
                }
            }
        }
    }
    Tile {
        features,
        scales,
        tokens: ids.len(),
    }
}

/// The sum of two rows of bytes.
#[inline(never)]
fn set_sum(sum: &mut [Lanes<f32>], lane: usize, one: TableRow<'_>, other: TableRow<'_>) {
    let value = |scale: f32, weight: u8| f32::from(weight.cast_signed()) * scale;
    for ((x, &a), &b) in sum.iter_mut().zip(one.bytes).zip(other.bytes) {
        if let Some(x) = x.get_mut(lane) {
            *x = value(one.scale, a) + value(other.scale, b);
        }
    }
}

#[inline(never)]
fn add_row(sum: &mut [Lanes<f32>], lane: usize, row: TableRow<'_>) {
    let add = |x: &mut Lanes<f32>, weight: i8| {
        if let Some(x) = x.get_mut(lane) {
            *x += f32::from(weight) * row.scale;
        }
    };
    match row.values.built() {
        TableValues::I8 => {
            for (x, byte) in sum.iter_mut().zip(row.bytes) {
                add(x, byte.cast_signed());
            }
        }
        TableValues::I4 => {
            for (pair, byte) in sum.chunks_mut(2).zip(row.bytes) {
                for (x, up) in pair.iter_mut().zip(HALVES) {
                    add(x, byte.cast_signed() << up >> 4);
                }
            }
        }
    }
}
