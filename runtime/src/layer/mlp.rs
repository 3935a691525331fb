//! The MLP of a layer.

use core::array;

use neuroprune_format::Limits;
use neuroprune_format::architecture::Activation;
use neuroprune_format::encoder::Mlp;

use super::residual::Residual;
use crate::kernels::{self, Feature, TILES, Tile, project_tiles};
use crate::plan::{MlpBuffers, part, part_mut};
use crate::quantizer::{LARGEST, Quantizer};

/// x ← LayerNorm(x + L_out·activation(L_in·x)), one block of tiles after another.
#[inline(never)]
pub(crate) fn mlp(
    layer: &Mlp<'_>,
    activation: Activation,
    epsilon: f32,
    residual: &mut Residual<'_>,
    limits: &Limits,
    region: &mut [u8],
) {
    let MlpBuffers {
        projected,
        features,
        neuron_features,
    } = MlpBuffers::split(region, limits, residual.tokens());
    let (input, output, norm) = (layer.input(), layer.output(), layer.norm());
    let (hidden, rows) = (limits.hidden, input.rows());
    for block in residual.blocks() {
        residual.pack(block, features);
        let tiles = residual.block(block, features);
        let mut neurons = part_mut(projected, 0, block.len() * rows);
        project_tiles(&input.iter(), part(&tiles, 0, block.len()), neurons);
        let mut features = part_mut(neuron_features, 0, neurons.len());
        let tiles: [Tile<'_, Feature>; TILES] = array::from_fn(|number| {
            let tokens = residual.tokens_of(block.first + number);
            let in_tile = neurons.split_off_mut(..rows).unwrap_or_default();
            match activation {
                Activation::Gelu => kernels::gelu(in_tile, tokens),
                Activation::Relu => kernels::rectify(in_tile, tokens),
            }
            let features = features.split_off_mut(..rows).unwrap_or_default();
            Quantizer::of(in_tile, LARGEST, tokens).tile(in_tile, tokens, features)
        });
        let tiles = part(&tiles, 0, block.len());
        let updates = part_mut(projected, 0, tiles.len() * hidden);
        project_tiles(&output.iter(), tiles, updates);
        residual.add_and_normalize(block, updates, epsilon, norm);
    }
}
