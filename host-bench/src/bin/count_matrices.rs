//! Instructions of one matrix after another, each over sixteen tokens, which are two tiles
//! at once, and over one of four tokens.
//!
//! `cargo xtask bench` writes models whose layers hold the matrices of interest. The name of
//! the model and the role of the matrix are the name of the region. After each region the
//! results are compared with the oracle's.

use anyhow::{Context, ensure};
use neuroprune_format::encoder::Mixing;
use neuroprune_host_bench::{files, regions};
use neuroprune_runtime::Model;
use neuroprune_runtime::kernels::{LANES, Lanes, Tile, project_tiles, scalar};

/// Tiles of eight tokens.
const TILES: usize = 2;
/// Tokens of a short tile.
const FEW: usize = 4;

fn main() -> anyhow::Result<()> {
    regions::calibrate();
    for file in files()? {
        let model = Model::open(&file).context("a model does not open")?;
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
                let features: Vec<_> = (0..TILES)
                    .map(|tile| features(matrix.cols(), tile))
                    .collect();
                let tiles: Vec<_> = features
                    .iter()
                    .map(|features| Tile {
                        features,
                        scales: [0.5; LANES],
                        tokens: LANES,
                    })
                    .collect();
                let mut output = vec![[0.0; LANES]; TILES * matrix.rows()];
                println!("{name} {role}");
                regions::begin();
                project_tiles(&matrix.iter(), &tiles, &mut output);
                regions::end();
                let few = Tile {
                    tokens: FEW,
                    ..tiles[0]
                };
                let mut short = vec![[0.0; LANES]; matrix.rows()];
                println!("{name} {role}: few");
                regions::begin();
                project_tiles(&matrix.iter(), &[few], &mut short);
                regions::end();
                let found = tiles.iter().zip(output.chunks(matrix.rows()));
                for (tile, found) in found.chain([(&few, &short[..])]) {
                    let mut expected = vec![[0.0; LANES]; matrix.rows()];
                    scalar::multiply(
                        &matrix.iter(),
                        tile,
                        bytemuck::cast_slice_mut(&mut expected),
                    );
                    scalar::scale(&matrix.iter(), tile, &mut expected);
                    ensure!(
                        bits(found, tile.tokens).eq(bits(&expected, tile.tokens)),
                        "{name} {role}: not the oracle's"
                    );
                }
            }
        }
    }
    Ok(())
}

/// Arbitrary activations, except −128.
fn features(count: usize, tile: usize) -> Vec<scalar::Feature> {
    let mut value = 1 + u8::try_from(tile).unwrap_or(0);
    let mut next = || {
        value = value.wrapping_mul(37).wrapping_add(11);
        value.cast_signed().max(-127)
    };
    (0..count).map(|_| [(); LANES].map(|()| next())).collect()
}

/// Bits of the first `tokens` of each row.
fn bits(rows: &[Lanes<f32>], tokens: usize) -> impl Iterator<Item = u32> {
    let living = rows.iter().flat_map(move |row| row.iter().take(tokens));
    living.map(|y| y.to_bits())
}
