//! What is left of a layer of a network that was cut.

use serde::{Deserialize, Serialize};

use crate::network::parameter::Parameter;
use crate::network::{Layer, Matrix, Role, Shape};

/// What is left of a layer.
#[derive(Serialize, Deserialize)]
pub(super) struct LayerState {
    heads: Vec<u16>,
    neurons: usize,
    projection_columns: Option<Vec<u32>>,
    mlp_columns: Option<Vec<u32>>,
}

impl LayerState {
    pub(super) fn new(layer: &Layer) -> Self {
        Self {
            heads: layer.heads.clone(),
            neurons: layer.neurons(),
            projection_columns: layer.projection.columns.clone(),
            mlp_columns: layer.mlp_input.columns.clone(),
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
        are_below(&self.heads, shape.heads)
            && self.neurons <= shape.intermediate
            && columns.all(|columns| are_below(columns, shape.hidden))
    }

    /// Shape of one of the layer's parameters, `uncut` before anything was cut.
    pub(super) fn dims(&self, role: Role, uncut: &Parameter, shape: &Shape) -> Vec<usize> {
        let context = self.heads.len() * shape.head_width();
        let columns = |columns: &Option<Vec<u32>>| columns.as_ref().map_or(shape.hidden, Vec::len);
        match role {
            Role::Weight(Matrix::Projection) => {
                vec![3 * context, columns(&self.projection_columns)]
            }
            Role::Bias(Matrix::Projection) => vec![3 * context],
            Role::Weight(Matrix::AttentionOutput) => vec![shape.hidden, context],
            Role::Weight(Matrix::MlpInput) => vec![self.neurons, columns(&self.mlp_columns)],
            Role::Bias(Matrix::MlpInput) => vec![self.neurons],
            Role::Weight(Matrix::MlpOutput) => vec![shape.hidden, self.neurons],
            Role::Bias(Matrix::AttentionOutput | Matrix::MlpOutput)
            | Role::Norm
            | Role::TokenEmbedding
            | Role::PositionEmbedding
            | Role::SegmentEmbedding
            | Role::ClassifierWeight
            | Role::ClassifierBias => uncut.value.dims().to_vec(),
        }
    }

    /// Gives a layer, uncut until now, the heads and columns that are left.
    pub(super) fn apply(&self, layer: &mut Layer) {
        layer.heads.clone_from(&self.heads);
        layer
            .projection
            .columns
            .clone_from(&self.projection_columns);
        layer.mlp_input.columns.clone_from(&self.mlp_columns);
    }
}
