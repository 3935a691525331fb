//! Observes the network layer by layer.

use crate::kernels::Lanes;
use crate::layer::residual::Residual;

/// A stage of the forward pass whose output can be observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Stage {
    /// After the embeddings' LayerNorm.
    Embeddings,
    /// After the LayerNorm of layer n's attention.
    Attention(u16),
    /// After the LayerNorm of layer n's recurrence.
    Recurrence(u16),
    /// After the LayerNorm of layer n's MLP.
    Mlp(u16),
    /// The pooled vector (one row).
    Pooled,
}

/// The values that a stage computed.
#[derive(Clone, Copy, Debug)]
pub struct Values<'v>(Source<'v>);

#[derive(Clone, Copy, Debug)]
enum Source<'v> {
    Residual(&'v Residual<'v>),
    Pooled(&'v [Lanes<f32>]),
}

impl<'v> Values<'v> {
    pub(crate) fn of(residual: &'v Residual<'v>) -> Self {
        Self(Source::Residual(residual))
    }

    pub(crate) fn pooled(pooled: &'v [Lanes<f32>]) -> Self {
        Self(Source::Pooled(pooled))
    }

    /// `[tokens, hidden]`, token by token; one row after the pooling.
    pub fn iter(&self) -> impl Iterator<Item = f32> + use<'v> {
        let (residual, pooled) = match self.0 {
            Source::Residual(residual) => (Some(residual), [].as_slice()),
            Source::Pooled(pooled) => (None, pooled),
        };
        let token = |residual: &'v Residual<'v>| {
            (0..residual.tokens()).flat_map(|token| residual.token(token))
        };
        let tokens = residual.into_iter().flat_map(token);
        tokens.chain(pooled.iter().map(|[first, ..]| *first))
    }
}

/// Receives what the forward pass computes.
///
/// `()` receives nothing and costs nothing. Any `FnMut(Stage, Values)` is a trace.
pub trait Trace {
    /// Called after each stage.
    fn stage(&mut self, stage: Stage, values: Values<'_>);
}

impl Trace for () {
    #[inline]
    fn stage(&mut self, _: Stage, _: Values<'_>) {}
}

impl<F: FnMut(Stage, Values<'_>)> Trace for F {
    #[inline]
    fn stage(&mut self, stage: Stage, values: Values<'_>) {
        self(stage, values);
    }
}
