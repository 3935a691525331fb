//! What is left of a layer of a network that was cut.

use serde::{Deserialize, Serialize};

use crate::network::parameter::Parameter;
use crate::network::{Attention, Layer, Matrix, Mixing, Recurrence, Role, Shape};

/// What is left of a layer.
#[derive(Serialize, Deserialize)]
pub(super) struct LayerState {
    heads: Vec<u16>,
    neurons: usize,
    projection_columns: Option<Vec<u32>>,
    mlp_columns: Option<Vec<u32>>,
    /// Of the forward and the backward recurrence.
    #[serde(default)]
    recurrence_columns: [Option<Vec<u32>>; 2],
}

impl LayerState {
    pub(super) fn new(layer: &Layer) -> Self {
        let (mut heads, mut projection_columns) = (Vec::new(), None);
        let mut recurrence_columns = [None, None];
        match &layer.mixing {
            Mixing::Attention(attention) => {
                heads.clone_from(&attention.heads);
                projection_columns.clone_from(&attention.projection.columns);
            }
            Mixing::Recurrence(Recurrence {
                forward, backward, ..
            }) => recurrence_columns = [forward, backward].map(|it| it.columns.clone()),
        }
        Self {
            heads,
            neurons: layer.neurons(),
            projection_columns,
            mlp_columns: layer.mlp.as_ref().and_then(|mlp| mlp.input.columns.clone()),
            recurrence_columns,
        }
    }

    /// Whether this can be left of a layer of `shape`: heads and columns ascend, and there are such.
    pub(super) fn fits(&self, shape: &Shape) -> bool {
        fn are_below<T: Copy + Ord + Into<u32>>(places: &[T], end: usize) -> bool {
            let last: Option<u32> = places.last().map(|&last| last.into());
            places.is_sorted_by(|a, b| a < b) && last.is_none_or(|last| (last as usize) < end)
        }
        let columns = [&self.projection_columns, &self.mlp_columns];
        let mut columns = columns.into_iter().flatten();
        let mut pairs = self.recurrence_columns.iter().flatten();
        are_below(&self.heads, shape.heads)
            && self.neurons <= shape.intermediate
            && columns.all(|columns| are_below(columns, shape.hidden))
            && pairs.all(|columns| are_below(columns, 2 * shape.hidden))
    }

    /// Shape of one of the layer's parameters, `uncut` before anything was cut.
    pub(super) fn dims(&self, role: Role, uncut: &Parameter, shape: &Shape) -> Vec<usize> {
        let context = self.heads.len() * shape.head_width();
        let columns = |columns: &Option<Vec<u32>>| columns.as_ref().map_or(shape.hidden, Vec::len);
        let [forward, backward] = &self.recurrence_columns;
        let pairs = |columns: &Option<Vec<u32>>| {
            let left = columns.as_ref().map_or(2 * shape.hidden, Vec::len);
            vec![shape.hidden, left]
        };
        match role {
            Role::Weight(Matrix::Projection) => {
                vec![3 * context, columns(&self.projection_columns)]
            }
            Role::Bias(Matrix::Projection) => vec![3 * context],
            Role::Weight(Matrix::AttentionOutput) => vec![shape.hidden, context],
            Role::Weight(Matrix::MlpInput) => vec![self.neurons, columns(&self.mlp_columns)],
            Role::Bias(Matrix::MlpInput) => vec![self.neurons],
            Role::Weight(Matrix::MlpOutput) => vec![shape.hidden, self.neurons],
            Role::Weight(Matrix::ForwardRecurrence) => pairs(forward),
            Role::Weight(Matrix::BackwardRecurrence) => pairs(backward),
            Role::Bias(
                Matrix::AttentionOutput
                | Matrix::MlpOutput
                | Matrix::ForwardRecurrence
                | Matrix::BackwardRecurrence,
            )
            | Role::Norm
            | Role::TokenEmbedding
            | Role::FactorWeight
            | Role::FactorBias
            | Role::PositionEmbedding
            | Role::SegmentEmbedding
            | Role::ClassifierWeight
            | Role::ClassifierBias
            | Role::Bridge => uncut.value.dims().to_vec(),
        }
    }

    /// Gives a layer, uncut until now, the heads and columns that are left.
    pub(super) fn apply(&self, layer: &mut Layer) {
        match &mut layer.mixing {
            Mixing::Attention(Attention {
                heads, projection, ..
            }) => {
                heads.clone_from(&self.heads);
                projection.columns.clone_from(&self.projection_columns);
            }
            Mixing::Recurrence(Recurrence {
                forward, backward, ..
            }) => {
                let matrices = [forward, backward].into_iter();
                for (linear, columns) in matrices.zip(&self.recurrence_columns) {
                    linear.columns.clone_from(columns);
                }
            }
        }
        if let Some(mlp) = &mut layer.mlp {
            mlp.input.columns.clone_from(&self.mlp_columns);
        }
    }
}
