//! The layouts of matrices that are measured.

use neuroprune_format::tensor::Pattern;

/// How the matrices of a case are stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// Name in tables and keys.
    pub(crate) name: &'static str,
    pub(super) kind: Pattern,
    /// Weights side by side that are zero together, as training would form them.
    pub(super) block: usize,
}

/// The layouts that are measured, dense first: to add one, a row.
pub(crate) const LAYOUTS: [Layout; 5] = [
    layout("dense", Pattern::Dense, 1),
    layout("delta-u8", Pattern::DeltaU8, 1),
    layout("bitmap", Pattern::Bitmap, 1),
    layout("blocks 1×2", Pattern::Blocks2, 2),
    layout("blocks 1×4", Pattern::Blocks4, 4),
];

// A list of columns is a dense matrix here.
const _: () = assert!(LAYOUTS.len() + 1 == Pattern::ALL.len());

const fn layout(name: &'static str, kind: Pattern, block: usize) -> Layout {
    Layout { name, kind, block }
}

impl Layout {
    /// Whether zeros are stored like any other weight.
    pub(crate) fn is_dense(&self) -> bool {
        self.kind == Pattern::Dense
    }
}
