//! The recurrence of a layer.
//!
//! A state for each direction runs over the tokens, and the gates of a token read it and its
//! neighbour in that direction (Bradbury et al. 2017). One byte for each value of the forward
//! direction is all memory that grows with the tokens: the backward direction is added to the
//! residual stream tile by tile.

use neuroprune_format::Limits;
use neuroprune_format::encoder::Recurrence;
use neuroprune_format::tensor::Matrix;

use super::residual::{self, Block, Residual};
use crate::kernels::{self, Direction, Feature, LANES, Lanes, TILES, Tile, project_tiles};
use crate::plan::{RecurrenceBuffers, part, part_mut};
use crate::quantizer::{LARGEST, Quantizer};

/// Value of one step of forward h.
const FORWARD_SCALE: f32 = 1.0 / LARGEST;

/// x ← LayerNorm(x + (forward h, backward h)).
#[inline(never)]
pub(crate) fn recurrence(
    recurrence: &Recurrence<'_>,
    epsilon: f32,
    residual: &mut Residual<'_>,
    limits: &Limits,
    region: &mut [u8],
) {
    let hidden = limits.hidden;
    let (forward, backward, norm) = (
        recurrence.forward(),
        recurrence.backward(),
        recurrence.norm(),
    );
    let mut buffers = RecurrenceBuffers::split(region, limits, residual.tokens());

    let mut pass = Pass::new(Direction::Forward, hidden, &mut buffers);
    for block in residual.blocks() {
        pass.project(&forward, residual, block);
        for (place, tile) in block.tiles() {
            pass.run(place, residual.tokens_of(tile));
            pass.keep(place, tile, residual.tokens_of(tile));
        }
    }
    let mut pass = Pass::new(Direction::Backward, hidden, &mut buffers);
    for block in residual.blocks().rev() {
        pass.project(&backward, residual, block);
        for (place, tile) in block.tiles().rev() {
            pass.run(place, residual.tokens_of(tile));
            pass.restore(place, tile);
        }
        let updates = part_mut(pass.buffers.projected, 0, block.len() * hidden);
        residual.add_and_normalize(block, updates, epsilon, norm);
    }
}

/// One direction of the recurrence.
struct Pass<'b, 's> {
    direction: Direction,
    hidden: usize,
    /// Scale of the steps in `buffers.neighbour`.
    neighbour_scale: f32,
    buffers: &'b mut RecurrenceBuffers<'s>,
}

impl<'b, 's> Pass<'b, 's> {
    /// Before the first token: its neighbour and its h are zero.
    fn new(direction: Direction, hidden: usize, buffers: &'b mut RecurrenceBuffers<'s>) -> Self {
        buffers.state.fill(0.0);
        Self {
            direction,
            hidden,
            neighbour_scale: 0.0,
            buffers,
        }
    }

    /// y = W·(neighbour, token) + bias of a block, `[block, hidden]`, into `projected`.
    fn project(&mut self, matrix: &Matrix<'_>, residual: &Residual<'_>, block: Block) {
        let mut scales = [Lanes::default(); TILES];
        for turn in 0..block.len() {
            let place = match self.direction {
                Direction::Forward => turn,
                Direction::Backward => block.len() - 1 - turn,
            };
            if let Some(scales) = scales.get_mut(place) {
                *scales = self.quantize_pairs(residual, place, block.first + place);
            }
        }
        let (width, features) = (2 * self.hidden, &*self.buffers.features);
        let mut place = 0;
        let tiles: [Tile<'_, Feature>; TILES] = scales.map(|scales| {
            let features = part(features, place * width, width);
            let tokens = residual.tokens_of(block.first + place);
            place += 1;
            Tile {
                features,
                scales,
                tokens,
            }
        });
        let tiles = part(&tiles, 0, block.len());
        let projected = part_mut(self.buffers.projected, 0, tiles.len() * self.hidden);
        project_tiles(&matrix.iter(), tiles, projected);
    }

    /// Writes the features of (neighbour, token) of one tile, `[2 · hidden]`, and returns their
    /// scales.
    ///
    /// The largest magnitude of a token is that of its largest step, so no pass looks for it.
    #[inline(never)]
    fn quantize_pairs(&mut self, residual: &Residual<'_>, place: usize, tile: usize) -> Lanes<f32> {
        let RecurrenceBuffers {
            projected,
            features,
            neighbour,
            ..
        } = &mut *self.buffers;
        let (hidden, tokens) = (self.hidden, residual.tokens_of(tile));
        let (steps, scales) = (residual.steps_of(tile), residual.scales_of(tile));
        let shifted = part_mut(bytemuck::cast_slice_mut(projected), 0, hidden);
        for ((shifted, steps), after) in shifted.iter_mut().zip(steps).zip(&mut **neighbour) {
            *shifted = shift(self.direction, steps, after);
        }
        let shifted_scales = shift(self.direction, &scales, &mut self.neighbour_scale);

        let mut largest = Lanes::default();
        for ((largest, scale), shifted) in largest.iter_mut().zip(scales).zip(shifted_scales) {
            let scale = if scale > shifted { scale } else { shifted };
            *largest = (scale * residual::LARGEST).to_bits();
        }
        let quantizer = Quantizer::new(&largest, LARGEST, tokens);
        let features = part_mut(features, place * 2 * hidden, 2 * hidden);
        let (of_neighbours, own) = features.split_at_mut_checked(hidden).unwrap_or_default();
        quantizer.steps(shifted, &shifted_scales, tokens, of_neighbours);
        quantizer.steps(steps, &scales, tokens, own);
        quantizer.scales
    }

    /// Turns the candidates of one tile into h.
    fn run(&mut self, place: usize, tokens: usize) {
        let y = part_mut(self.buffers.projected, place * self.hidden, self.hidden);
        let state = &mut *self.buffers.state;
        let (gates, candidates) = y.split_at_mut_checked(state.len()).unwrap_or_default();
        kernels::recur(gates, candidates, state, tokens, self.direction);
    }

    /// Keeps h of one tile, which the other direction must wait for, in 8 bits.
    fn keep(&mut self, place: usize, tile: usize, tokens: usize) {
        let half = self.buffers.state.len();
        let h = part(self.buffers.projected, place * self.hidden + half, half);
        let kept = part_mut(self.buffers.forward, tile * half, half);
        kernels::quantize_bytes(h, &[LARGEST; LANES], tokens, kept);
    }

    /// Puts what was kept of one tile before h of this direction.
    fn restore(&mut self, place: usize, tile: usize) {
        let half = self.buffers.state.len();
        let kept = part(self.buffers.forward, tile * half, half);
        let restored = part_mut(self.buffers.projected, place * self.hidden, half);
        for (x, byte) in restored
            .as_flattened_mut()
            .iter_mut()
            .zip(kept.as_flattened())
        {
            *x = f32::from(*byte) * FORWARD_SCALE;
        }
    }
}

/// The lanes of a tile's neighbours. `after` is what the tile begins after, then what the next one
/// does.
#[inline]
fn shift<T: Copy>(direction: Direction, lanes: &Lanes<T>, after: &mut T) -> Lanes<T> {
    let mut shifted = *lanes;
    match direction {
        Direction::Forward => shifted.rotate_right(1),
        Direction::Backward => shifted.rotate_left(1),
    }
    let place = match direction {
        Direction::Forward => shifted.first_mut(),
        Direction::Backward => shifted.last_mut(),
    };
    if let Some(place) = place {
        core::mem::swap(place, after);
    }
    shifted
}
