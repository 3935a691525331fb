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
use crate::kernels::recurrence::{last, neighbours};
use crate::kernels::{
    self, Direction, Feature, LANES, Lanes, PairScales, TILES, Tile, project_tiles,
};
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
    /// Scale of the steps in `buffers.after`.
    after_scale: f32,
    buffers: &'b mut RecurrenceBuffers<'s>,
}

impl<'b, 's> Pass<'b, 's> {
    /// Before the first token: its neighbour and its h are zero.
    fn new(direction: Direction, hidden: usize, buffers: &'b mut RecurrenceBuffers<'s>) -> Self {
        buffers.state.fill(0.0);
        Self {
            direction,
            hidden,
            after_scale: 0.0,
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
        let (hidden, tokens) = (self.hidden, residual.tokens_of(tile));
        let own = residual.scales_of(tile);
        let of_neighbours = neighbours(&own, self.after_scale, self.direction);
        let mut largest = Lanes::default();
        for ((largest, own), other) in largest.iter_mut().zip(own).zip(of_neighbours) {
            let scale = if own > other { own } else { other };
            *largest = (scale * residual::LARGEST).to_bits();
        }
        let quantizer = Quantizer::new(&largest, LARGEST, tokens);
        let scales = PairScales {
            own,
            inverses: quantizer.inverses,
            after: self.after_scale,
        };
        kernels::quantize_pairs(
            residual.steps_of(tile),
            self.buffers.after,
            &scales,
            tokens,
            self.direction,
            part_mut(self.buffers.features, place * 2 * hidden, 2 * hidden),
        );
        self.after_scale = last(&own, self.direction);
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
        kernels::dequantize_bytes(kept, FORWARD_SCALE, restored);
    }
}
