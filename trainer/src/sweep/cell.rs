//! One run of a sweep.

use crate::recipe::Recipe;

/// One run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cell {
    /// Its variant.
    pub variant: String,
    /// Everything that shapes it, sparsity and seed included.
    pub recipe: Recipe,
}

impl Cell {
    /// Name of its folder: `without-heads-0.9-0`.
    pub(crate) fn folder(&self) -> String {
        let Recipe { seed, pruning, .. } = &self.recipe;
        format!("{}-{}-{seed}", slug(&self.variant), pruning.sparsity)
    }
}

/// Letters, digits and dots as they are, a dash for others.
fn slug(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '.';
    let parts = name.split(|c| !is_plain(c));
    let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
    parts.join("-")
}
