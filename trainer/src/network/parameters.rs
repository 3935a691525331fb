//! Every parameter with its path and its role, in the one fixed order: that of the optimiser,
//! of checkpoints and of the pruning threshold.

use super::parameter::{Parameter, Pruning};
use super::{Layer, Linear, Network, Norm, Shape};

/// A matrix of a layer: those are pruned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matrix {
    /// Queries, keys and values.
    Projection,
    /// W_O.
    AttentionOutput,
    /// L_in.
    MlpInput,
    /// L_out.
    MlpOutput,
}

/// What a parameter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A vector a piece of the vocabulary.
    TokenEmbedding,
    /// A vector a position.
    PositionEmbedding,
    /// A vector a segment.
    SegmentEmbedding,
    /// Gain or shift of a LayerNorm.
    Norm,
    /// Weights of a layer's matrix.
    Weight(Matrix),
    /// Its bias.
    Bias(Matrix),
    /// Weights of the classifier.
    ClassifierWeight,
    /// Its bias.
    ClassifierBias,
}

/// A parameter, `P` a reference to it.
#[derive(Debug)]
pub struct Named<P> {
    /// Its name in checkpoints and messages.
    pub path: String,
    /// Number of its layer, if it is in one.
    pub layer: Option<usize>,
    /// What it is.
    pub role: Role,
    /// The parameter.
    pub parameter: P,
}

/// A matrix of a layer with what decides over its weights.
#[derive(Clone, Copy, Debug)]
pub struct LayerMatrix<'n> {
    /// Which.
    pub matrix: Matrix,
    /// Its weights.
    pub parameter: &'n Parameter,
    /// Mask and sensitivity.
    pub pruning: &'n Pruning,
}

impl Matrix {
    /// Rows and columns before anything is cut.
    #[must_use]
    pub fn dims(self, shape: &Shape) -> (usize, usize) {
        let context = shape.heads * shape.head_width();
        match self {
            Self::Projection => (3 * context, shape.hidden),
            Self::AttentionOutput => (shape.hidden, context),
            Self::MlpInput => (shape.intermediate, shape.hidden),
            Self::MlpOutput => (shape.hidden, shape.intermediate),
        }
    }
}

/// Of a reference to a network, whichever of the two.
macro_rules! named {
    ($network:expr) => {{
        let Network {
            precision: _,
            shape: _,
            token_embedding,
            position_embedding,
            segment_embedding,
            embedding_norm,
            layers,
            classifier,
        } = $network;
        let mut list = Vec::new();
        let mut push = |path: &str, layer: Option<usize>, role, parameter| {
            let path = match layer {
                Some(layer) => format!("layer.{layer}.{path}"),
                None => path.to_owned(),
            };
            list.push(Named {
                path,
                layer,
                role,
                parameter,
            });
        };
        push(
            "embedding.token",
            None,
            Role::TokenEmbedding,
            token_embedding,
        );
        push(
            "embedding.position",
            None,
            Role::PositionEmbedding,
            position_embedding,
        );
        if let Some(table) = segment_embedding {
            push("embedding.segment", None, Role::SegmentEmbedding, table);
        }
        let Norm { gain, shift } = embedding_norm;
        push("embedding.norm.gain", None, Role::Norm, gain);
        push("embedding.norm.shift", None, Role::Norm, shift);
        for (number, layer) in (0..).zip(layers) {
            let number = Some(number);
            let Layer {
                heads: _,
                projection,
                attention_output,
                attention_norm,
                mlp_input,
                mlp_output,
                mlp_norm,
            } = layer;
            let attention = [
                ("projection", Matrix::Projection, projection),
                (
                    "attention_output",
                    Matrix::AttentionOutput,
                    attention_output,
                ),
            ];
            let mlp = [
                ("mlp_input", Matrix::MlpInput, mlp_input),
                ("mlp_output", Matrix::MlpOutput, mlp_output),
            ];
            let blocks = [
                (attention, "attention_norm", attention_norm),
                (mlp, "mlp_norm", mlp_norm),
            ];
            for (matrices, norm_name, norm) in blocks {
                for (name, matrix, linear) in matrices {
                    let Linear {
                        weight,
                        bias,
                        columns: _,
                    } = linear;
                    push(
                        &format!("{name}.weight"),
                        number,
                        Role::Weight(matrix),
                        weight,
                    );
                    push(&format!("{name}.bias"), number, Role::Bias(matrix), bias);
                }
                let Norm { gain, shift } = norm;
                push(&format!("{norm_name}.gain"), number, Role::Norm, gain);
                push(&format!("{norm_name}.shift"), number, Role::Norm, shift);
            }
        }
        let Linear {
            weight,
            bias,
            columns: _,
        } = classifier;
        push("classifier.weight", None, Role::ClassifierWeight, weight);
        push("classifier.bias", None, Role::ClassifierBias, bias);
        list
    }};
}

impl Network {
    /// Every parameter.
    #[must_use]
    pub fn parameters(&self) -> Vec<Named<&Parameter>> {
        named!(self)
    }

    /// Every parameter, to be changed.
    pub fn parameters_mut(&mut self) -> Vec<Named<&mut Parameter>> {
        named!(self)
    }

    /// The matrices of all layers, which are pruned.
    #[must_use]
    pub fn matrices(&self) -> Vec<LayerMatrix<'_>> {
        let parameters = self.parameters().into_iter();
        let matrices = parameters.filter_map(|it| match it.role {
            Role::Weight(matrix) => Some(LayerMatrix {
                matrix,
                parameter: it.parameter,
                pruning: it.parameter.pruning.as_ref()?,
            }),
            Role::TokenEmbedding
            | Role::PositionEmbedding
            | Role::SegmentEmbedding
            | Role::Norm
            | Role::Bias(_)
            | Role::ClassifierWeight
            | Role::ClassifierBias => None,
        });
        matrices.collect()
    }
}
