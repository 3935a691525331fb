//! Instructions of one matrix after the other, each over sixteen tokens: two tiles at once.
//!
//! `cargo xtask bench` writes models whose layers hold the matrices of interest. The name of
//! the model and the role of the matrix are the name of the region. Behind each region the
//! results are compared with the oracle's.

use anyhow::{Context, ensure};
use neuroprune_host_bench::{files, regions};
use neuroprune_runtime::Model;
use neuroprune_runtime::kernels::{LANES, Lanes, Tile, project_tiles, scalar};

/// Tiles of eight tokens.
const TILES: usize = 2;

fn main() -> anyhow::Result<()> {
    regions::calibrate();
    for file in files()? {
        let model = Model::open(&file).context("a model does not open")?;
        let name = model.manifest().name;
        for layer in model.layers() {
            let square = layer.heads().map(|matrix| ("square", matrix));
            let wide = [("in", layer.mlp_input()), ("out", layer.mlp_output())];
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
                for (tile, found) in tiles.iter().zip(output.chunks(matrix.rows())) {
                    let mut expected = vec![[0.0; LANES]; matrix.rows()];
                    scalar::multiply(
                        &matrix.iter(),
                        tile,
                        bytemuck::cast_slice_mut(&mut expected),
                    );
                    scalar::scale(&matrix.iter(), tile, &mut expected);
                    ensure!(
                        bits(found).eq(bits(&expected)),
                        "{name} {role}: not the oracle's"
                    );
                }
            }
        }
    }
    Ok(())
}

/// Any activations, but for −128.
fn features(count: usize, tile: usize) -> Vec<scalar::Feature> {
    let mut value = 1 + u8::try_from(tile).unwrap_or(0);
    let mut next = || {
        value = value.wrapping_mul(37).wrapping_add(11);
        value.cast_signed().max(-127)
    };
    (0..count).map(|_| [(); LANES].map(|()| next())).collect()
}

fn bits(rows: &[Lanes<f32>]) -> impl Iterator<Item = u32> {
    rows.as_flattened().iter().map(|y| y.to_bits())
}
