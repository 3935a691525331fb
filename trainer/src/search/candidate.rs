//! What may become the network of a size.

use crate::numbers::{hex, thousands};
use crate::recipe::{Recipe, Size};
use crate::sweep::Cell;

/// What may become the network of a size.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    /// Bytes that it may have.
    pub size: Size,
    /// Its shape, in words.
    pub shape: String,
    /// Everything else; its passes are those of a training to the end.
    pub recipe: Recipe,
}

impl Candidate {
    /// Passes of a training to the end.
    pub(crate) fn passes(&self) -> usize {
        self.recipe.pruning.epochs
    }

    /// Its training with so many passes.
    pub(super) fn cell(&self, passes: usize) -> Cell {
        let Self {
            size,
            shape,
            recipe,
        } = self;
        let mut recipe = recipe.clone();
        // What is not trained to the end must not be made longer either.
        recipe.pruning.least_steps = recipe.pruning.least_steps * passes / self.passes().max(1);
        recipe.pruning.epochs = passes;
        Cell {
            variant: format!("{size}, {shape}, {}", plural(passes)),
            recipe,
        }
    }
}

/// Which search it is: its candidates, size by size.
pub(crate) fn marks(candidates: &[Candidate]) -> String {
    let line = |it: &Candidate| format!("{} {} {}\n", it.size, hex(&it.recipe.sha256()), it.shape);
    candidates.iter().map(line).collect()
}

/// `1 pass`, `2 passes`.
pub(super) fn plural(passes: usize) -> String {
    let ending = if passes == 1 { "" } else { "es" };
    format!("{} pass{ending}", thousands(passes))
}
