//! What a tape keeps for the backward: for calibration, messages and memory.

use std::collections::BTreeMap;

use candle_core::Tensor;

use super::{Node, Noted, Place, Step, Tape};
use crate::network::parameter::Parameter;

impl Tape {
    /// What was multiplied by `weight`, all its columns.
    #[must_use]
    pub fn input_of(&self, weight: &Parameter) -> Option<&Tensor> {
        let id = weight.value.id();
        self.noted().iter().find_map(|noted| {
            if let Step::Product { x, weight, .. } = &noted.step
                && weight.value.id() == id
            {
                return Some(&x.value);
            }
            None
        })
    }

    /// Every tensor that is kept, parameters aside, with a name for messages, in the order in
    /// which they were made.
    #[must_use]
    pub fn kept(&self) -> Vec<(String, &Tensor)> {
        let named = self.kept_by_place().into_iter().map(|(place, tensor)| {
            let Noted { step, scope, .. } = &self.noted()[place];
            (format!("the {} of {scope}", step.result()), tensor)
        });
        named.collect()
    }

    /// How many numbers are in what is kept, and in those of `nodes` that are not.
    pub(in crate::network) fn count_with<'n>(
        &'n self,
        nodes: impl Iterator<Item = &'n Node>,
    ) -> u64 {
        let mut kept = self.kept_by_place();
        kept.extend(nodes.map(|node| (node.place, &node.value)));
        kept.values().map(|it| it.elem_count() as u64).sum()
    }

    /// How many numbers the gradients have that a backward makes in each part of the network, with
    /// those that arrive there from two sides.
    #[must_use]
    pub fn gradients_by_scope(&self) -> Vec<u64> {
        let scopes = self.noted().chunk_by(|a, b| a.scope == b.scope);
        let counts = scopes.map(|scope| {
            let made = scope.iter().filter(|noted| noted.step.makes_a_gradient());
            let arriving = scope.last().map_or(0, |last| 2 * last.count);
            (made.map(|noted| noted.count).sum::<usize>() + arriving) as u64
        });
        counts.collect()
    }

    fn noted(&self) -> &[Noted] {
        self.steps.as_deref().unwrap_or_default()
    }

    fn kept_by_place(&self) -> BTreeMap<Place, &Tensor> {
        let kept = self.noted().iter().flat_map(|noted| noted.step.kept());
        kept.map(|node| (node.place, &node.value)).collect()
    }
}

impl Step {
    fn kept(&self) -> &[Node] {
        use core::slice::from_ref;
        match self {
            Self::LayerNorm(norm) | Self::AddAndNormalize { sum: norm, .. } => from_ref(&norm.x),
            Self::Product { x: node, .. }
            | Self::BiasAndActivate { sum: node, .. }
            | Self::Attention {
                projected: node, ..
            } => from_ref(node),
            Self::Recurrence { gates, .. } => gates,
            Self::Parameter(_)
            | Self::Rows { .. }
            | Self::Add(_)
            | Self::FakeQuantize(_)
            | Self::AddBias { .. }
            | Self::WithNeighbours { .. }
            | Self::Mean { .. } => &[],
        }
    }

    /// Whether the gradient of its result is a tensor of its own, neither of a parameter nor
    /// the one that the next step has.
    fn makes_a_gradient(&self) -> bool {
        match self {
            Self::LayerNorm(_)
            | Self::Product { .. }
            | Self::AddAndNormalize { .. }
            | Self::BiasAndActivate { .. }
            | Self::Attention { .. }
            | Self::WithNeighbours { .. }
            | Self::Recurrence { .. }
            | Self::Mean { .. } => true,
            Self::Parameter(_)
            | Self::Rows { .. }
            | Self::Add(_)
            | Self::FakeQuantize(_)
            | Self::AddBias { .. } => false,
        }
    }

    /// Name of what it makes.
    fn result(&self) -> &'static str {
        match self {
            Self::Parameter(_) => "parameter",
            Self::Rows { .. } => "rows",
            Self::Add(_) => "sum",
            Self::FakeQuantize(_) => "rounded values",
            Self::LayerNorm(_) | Self::AddAndNormalize { .. } => "output of a LayerNorm",
            Self::Product { .. } => "product",
            Self::AddBias { .. } => "output of a matrix",
            Self::BiasAndActivate { .. } => "activated neurons",
            Self::Attention { .. } => "attention output",
            Self::WithNeighbours { .. } => "pairs of neighbours",
            Self::Recurrence { .. } => "states",
            Self::Mean { .. } => "pooled vectors",
        }
    }
}
