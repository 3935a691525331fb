//! Which weights are pruned together.

use super::words::words;

words! {
    /// Weights that are pruned together: neighbouring inputs of one output.
    #[derive(Default)]
    pub enum Blocks {
        /// Each weight by itself.
        #[default]
        One = "1x1",
        /// Pairs.
        Two = "1x2",
        /// Groups of four.
        Four = "1x4",
    }
}

impl Blocks {
    /// Weights of one block.
    #[must_use]
    pub fn width(self) -> usize {
        match self {
            Self::One => 1,
            Self::Two => 2,
            Self::Four => 4,
        }
    }
}
