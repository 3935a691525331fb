//! Instructions of one matrix after another, each over sixteen tokens, which are two tiles, and
//! over a tile of four, as for short texts and the end of longer ones.
//!
//! `cargo xtask bench` puts models into memory whose layers hold the matrices of interest.
//! The name of the model and the role of the matrix are the name of the region. After each
//! region the results are compared with the oracle's, for tiles of eight, four and one token.
#![no_std]
#![no_main]

use board::{files, regions};
use neuroprune_format::encoder::Mixing;
use neuroprune_format::tensor::Matrix;
use neuroprune_runtime::Model;
use neuroprune_runtime::kernels::{
    self, Feature, GRAIN, LANES, Lanes, Tile, floats, project, scalar,
};
use static_cell::StaticCell;

/// Longest side of a matrix.
const LONGEST: usize = if cfg!(small_memory) { 128 } else { 1536 };
/// Tiles of eight tokens.
const TILES: usize = 2;
/// Tokens of a short tile.
const FEW: usize = 4;

static TILE: StaticCell<[Feature; LONGEST]> = StaticCell::new();
static ORACLE: StaticCell<[scalar::Feature; LONGEST]> = StaticCell::new();
static OUTPUT: StaticCell<[Lanes<f32>; LONGEST]> = StaticCell::new();

#[board::entry]
fn main() -> ! {
    let tile = TILE.init_with(|| [Feature::default(); LONGEST]);
    let output = OUTPUT.init_with(|| [[0.0; LANES]; LONGEST]);
    let oracle = ORACLE.init_with(|| [scalar::Feature::default(); LONGEST]);
    let mut value = 1_u8;
    for (feature, oracle) in tile.iter_mut().zip(oracle.iter_mut()) {
        for grain in 0..LANES / GRAIN {
            let lanes = [(); GRAIN].map(|()| {
                value = value.wrapping_mul(37).wrapping_add(11);
                // −128 is not allowed.
                value.cast_signed().max(-127)
            });
            kernels::set_grain(feature, grain, lanes);
            scalar::set_grain(oracle, grain, lanes);
        }
    }
    regions::calibrate();
    for file in files::files() {
        let Ok(model) = Model::open(file) else {
            board::fail(&["a model does not open"]);
        };
        let name = model.manifest().name;
        let neuroprune_runtime::Network::Encoder(encoder) = model.network();
        for layer in encoder.layers() {
            let heads = match layer.mixing() {
                Mixing::Attention(attention) => Some(attention.heads()),
                Mixing::Recurrence(_) => None,
            };
            let square = heads.into_iter().flatten().map(|matrix| ("square", matrix));
            let mlp = layer.mlp().into_iter();
            let wide = mlp.flat_map(|mlp| [("in", mlp.input()), ("out", mlp.output())]);
            for (role, matrix) in square.chain(wide) {
                regions::name(&[name, " ", role]);
                let (Some(features), Some(output)) =
                    (tile.get(..matrix.cols()), output.get_mut(..matrix.rows()))
                else {
                    board::fail(&["a matrix is wider than the tile"]);
                };
                let tile = Tile {
                    features,
                    scales: [0.5; LANES],
                    tokens: LANES,
                };
                regions::begin();
                for _ in 0..TILES {
                    project(&matrix.iter(), &tile, output);
                }
                regions::end();
                regions::name(&[name, " ", role, ": few"]);
                let few = Tile {
                    tokens: FEW,
                    ..tile
                };
                regions::begin();
                project(&matrix.iter(), &few, output);
                regions::end();
                for tokens in [LANES, FEW, 1] {
                    if !is_right(&matrix, Tile { tokens, ..tile }, oracle, output) {
                        board::fail(&[name, " ", role, ": not the oracle's"]);
                    }
                }
            }
        }
    }
    board::exit(0)
}

/// Whether the result of each row is the oracle's, bit for bit.
fn is_right(
    matrix: &Matrix<'_>,
    tile: Tile<'_, Feature>,
    oracle: &[scalar::Feature],
    output: &mut [Lanes<f32>],
) -> bool {
    project(&matrix.iter(), &tile, output);
    let Some(features) = oracle.get(..matrix.cols()) else {
        return false;
    };
    let Tile { scales, tokens, .. } = tile;
    let oracle = Tile {
        features,
        scales,
        tokens,
    };
    let mut rows = matrix.iter();
    output.iter().all(|found| {
        let mut expected = [Lanes::default()];
        scalar::multiply(&rows, &oracle, bytemuck::cast_slice_mut(&mut expected));
        floats::scale(&rows, &oracle, &mut expected);
        let expected = expected.as_flattened().iter().take(tokens);
        let bits = |y: &f32| y.to_bits();
        rows.next().is_some() && expected.map(bits).eq(found.iter().take(tokens).map(bits))
    })
}
