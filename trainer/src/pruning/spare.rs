//! How many heads may go before the network would be sparser than its recipe.

use candle_core::Result;

use crate::network::{Attention, Network};
use crate::numbers::rounded;

/// Weights that may still be removed with heads, so that the network does not become sparser than
/// the recipe's end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spare(usize);

impl Spare {
    /// Of a network of which `least` weights are to be left.
    ///
    /// # Errors
    /// When the masks cannot be read.
    pub(crate) fn new(network: &Network, least: usize) -> Result<Self> {
        Ok(Self(network.nonzero_weights()?.saturating_sub(least)))
    }

    /// Takes the weights of these heads (positions) out, the first ones first; returns those heads
    /// whose weights are spare.
    pub(super) fn take(
        &mut self,
        attention: &Attention,
        heads: &[usize],
        width: usize,
    ) -> Result<Vec<usize>> {
        let rows = attention.projection.weight.nonzeros(1)?;
        let columns = attention.output.weight.nonzeros(0)?;
        let part = attention.heads.len() * width;
        let count = |counts: &[f32], start: usize| {
            let counts = counts.get(start..start + width).unwrap_or(&[]);
            counts.iter().map(|&count| f64::from(count)).sum::<f64>()
        };
        let mut taken = Vec::new();
        for &head in heads {
            let of_rows = (0..3).map(|number| count(&rows, number * part + head * width));
            let weights = rounded(of_rows.sum::<f64>() + count(&columns, head * width));
            if let Some(left) = self.0.checked_sub(weights) {
                self.0 = left;
                taken.push(head);
            }
        }
        Ok(taken)
    }
}
