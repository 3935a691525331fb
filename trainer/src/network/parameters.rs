//! Every parameter with its path and its role, in the one fixed order: that of the optimiser,
//! of checkpoints and of the pruning threshold.

use super::parameter::{Parameter, Pruning};
use super::{Attention, Layer, Linear, Mixing, Mlp, Network, Norm, Recurrence, Shape};

/// A matrix of a layer; these are pruned.
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
    /// Gates of a recurrence from the first token to the last.
    ForwardRecurrence,
    /// Gates of a recurrence from the last token to the first.
    BackwardRecurrence,
}

/// What a parameter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// One vector per piece of the vocabulary.
    TokenEmbedding,
    /// Weights of the factor of the token table.
    FactorWeight,
    /// Its bias.
    FactorBias,
    /// One vector per position.
    PositionEmbedding,
    /// One vector per segment.
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
    /// From a student's pooled vector to its teacher's.
    Bridge,
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

/// A matrix of a layer with what decides which of its weights are kept.
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
            Self::ForwardRecurrence | Self::BackwardRecurrence => (shape.hidden, 2 * shape.hidden),
        }
    }
}

/// Parameters with names, in the order in which they were added.
struct List<P> {
    layer: Option<usize>,
    named: Vec<Named<P>>,
}

impl<P> List<P> {
    fn push(&mut self, path: &str, role: Role, parameter: P) {
        let layer = self.layer;
        let path = match layer {
            Some(layer) => format!("layer.{layer}.{path}"),
            None => path.to_owned(),
        };
        self.named.push(Named {
            path,
            layer,
            role,
            parameter,
        });
    }

    fn matrix(&mut self, name: &str, matrix: Matrix, weight: P, bias: P) {
        self.push(&format!("{name}.weight"), Role::Weight(matrix), weight);
        self.push(&format!("{name}.bias"), Role::Bias(matrix), bias);
    }

    fn norm(&mut self, name: &str, gain: P, shift: P) {
        self.push(&format!("{name}.gain"), Role::Norm, gain);
        self.push(&format!("{name}.shift"), Role::Norm, shift);
    }
}

/// From a reference to a network, shared or mutable.
macro_rules! named {
    ($network:expr) => {{
        let Network {
            precision: _,
            shape: _,
            token_embedding,
            embedding_factor,
            position_embedding,
            segment_embedding,
            embedding_norm: Norm { gain, shift },
            layers,
            classifier,
            bridge,
        } = $network;
        let mut list = List {
            layer: None,
            named: Vec::new(),
        };
        list.push("embedding.token", Role::TokenEmbedding, token_embedding);
        if let Some(Linear { weight, bias, .. }) = embedding_factor {
            list.push("embedding.factor.weight", Role::FactorWeight, weight);
            list.push("embedding.factor.bias", Role::FactorBias, bias);
        }
        if let Some(table) = position_embedding {
            list.push("embedding.position", Role::PositionEmbedding, table);
        }
        if let Some(table) = segment_embedding {
            list.push("embedding.segment", Role::SegmentEmbedding, table);
        }
        list.norm("embedding.norm", gain, shift);
        for (number, Layer { mixing, mlp }) in (0..).zip(layers) {
            list.layer = Some(number);
            let mixing = match mixing {
                Mixing::Attention(Attention {
                    heads: _,
                    projection,
                    output,
                    norm,
                }) => {
                    let matrices = [
                        ("projection", Matrix::Projection, projection),
                        ("attention_output", Matrix::AttentionOutput, output),
                    ];
                    (matrices, "attention_norm", norm)
                }
                Mixing::Recurrence(Recurrence {
                    forward,
                    backward,
                    norm,
                }) => {
                    let matrices = [
                        ("forward_recurrence", Matrix::ForwardRecurrence, forward),
                        ("backward_recurrence", Matrix::BackwardRecurrence, backward),
                    ];
                    (matrices, "recurrence_norm", norm)
                }
            };
            let mlp = mlp.into_iter().map(
                |Mlp {
                     input,
                     output,
                     norm,
                 }| {
                    let matrices = [
                        ("mlp_input", Matrix::MlpInput, input),
                        ("mlp_output", Matrix::MlpOutput, output),
                    ];
                    (matrices, "mlp_norm", norm)
                },
            );
            for (matrices, name, Norm { gain, shift }) in core::iter::once(mixing).chain(mlp) {
                for (name, matrix, Linear { weight, bias, .. }) in matrices {
                    list.matrix(name, matrix, weight, bias);
                }
                list.norm(name, gain, shift);
            }
        }
        list.layer = None;
        let Linear { weight, bias, .. } = classifier;
        list.push("classifier.weight", Role::ClassifierWeight, weight);
        list.push("classifier.bias", Role::ClassifierBias, bias);
        if let Some(bridge) = bridge {
            list.push("bridge", Role::Bridge, bridge);
        }
        list.named
    }};
}

impl Network {
    /// Every parameter.
    #[must_use]
    pub fn parameters(&self) -> Vec<Named<&Parameter>> {
        named!(self)
    }

    /// Every parameter, mutable.
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
            | Role::FactorWeight
            | Role::FactorBias
            | Role::PositionEmbedding
            | Role::SegmentEmbedding
            | Role::Norm
            | Role::Bias(_)
            | Role::ClassifierWeight
            | Role::ClassifierBias
            | Role::Bridge => None,
        });
        matrices.collect()
    }
}
