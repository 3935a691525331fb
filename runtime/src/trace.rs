//! Watching the network layer by layer.

/// A place in the forward pass whose output can be watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Stage {
    /// Behind the embeddings' LayerNorm.
    Embeddings,
    /// Behind the LayerNorm of layer n's attention.
    Attention(u16),
    /// Behind the LayerNorm of layer n's MLP.
    Mlp(u16),
    /// The pooled vector (one row).
    Pooled,
}

/// Sees what the forward pass computes.
///
/// `()` sees nothing and costs nothing. Any `FnMut(Stage, &[f32])` is a trace:
/// the values are the residual stream, `[tokens, hidden]`, token by token.
pub trait Trace {
    /// Called behind each stage.
    fn stage(&mut self, stage: Stage, values: &[f32]);
}

impl Trace for () {
    #[inline]
    fn stage(&mut self, _: Stage, _: &[f32]) {}
}

impl<F: FnMut(Stage, &[f32])> Trace for F {
    #[inline]
    fn stage(&mut self, stage: Stage, values: &[f32]) {
        self(stage, values);
    }
}
