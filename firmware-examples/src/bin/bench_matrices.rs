//! Instructions of one matrix after the other, each over sixteen tokens: two tiles.
//!
//! `cargo xtask bench` puts models into memory whose layers hold the matrices of interest.
//! The name of the model and the role of the matrix are the name of the region.
#![no_std]
#![no_main]

use board::{files, regions};
use neuroprune_format::tensor::Matrix;
use neuroprune_runtime::Model;
use neuroprune_runtime::kernels::{self, Feature, LANES};
use static_cell::StaticCell;

/// Longest side of a matrix.
const LONGEST: usize = if cfg!(small_memory) { 128 } else { 1536 };
/// Tiles of eight tokens.
const TILES: usize = 2;

static TILE: StaticCell<[Feature; LONGEST]> = StaticCell::new();
static OUTPUT: StaticCell<[f32; LONGEST * LANES]> = StaticCell::new();

#[board::entry]
fn main() -> ! {
    let tile = TILE.init_with(|| [Feature::default(); LONGEST]);
    let output = OUTPUT.init_with(|| [0.0; LONGEST * LANES]);
    for (index, feature) in (0_u8..=u8::MAX).cycle().zip(tile.iter_mut()) {
        for pair in 0..LANES / 2 {
            // Any values do: no kernel looks at them. Halved, since −128 is not allowed.
            let value = index.cast_signed() / 2;
            kernels::set_pair(feature, pair, value, -value);
        }
    }
    regions::calibrate();
    for file in files::files() {
        let Ok(model) = Model::open(file) else {
            board::fail(&["a model does not open"]);
        };
        let name = model.manifest().name;
        for layer in model.layers() {
            let square = layer.heads().map(|matrix| ("square", matrix));
            let wide = [("in", layer.mlp_input), ("out", layer.mlp_output)];
            for (role, matrix) in square.chain(wide) {
                regions::name(&[name, " ", role]);
                let Some(tile) = tile.get(..matrix.cols()) else {
                    board::fail(&["a matrix is wider than the tile"]);
                };
                regions::begin();
                for _ in 0..TILES {
                    project(&matrix, tile, output);
                }
                regions::end();
            }
        }
    }
    board::exit(0)
}

/// As the encoder does it: integer sums, scaled back, with bias.
#[inline(never)]
fn project(matrix: &Matrix<'_>, tile: &[Feature], output: &mut [f32]) {
    let scales = [0.5_f32; LANES];
    kernels::multiply(matrix, tile, |row, weights, sums| {
        let output = output.get_mut(row * LANES..(row + 1) * LANES);
        let lanes = output.unwrap_or(&mut []).iter_mut().zip(sums).zip(scales);
        for ((y, sum), scale) in lanes {
            #[allow(clippy::cast_precision_loss, reason = "as in the encoder")]
            let sum = sum as f32;
            *y = sum * (weights.scale * scale) + weights.bias;
        }
    });
}
