//! The encoder in floats, as it is trained: its parameters. Its forward pass is in `encoder.rs`,
//! layer by layer in `layer.rs`, on a [`tape`]. [`Network::parameters`] lists what it consists of.

use candle_core::{Device, Result, Tensor};
use serde::{Deserialize, Serialize};

use crate::network::parameter::Parameter;
use crate::numbers::{real, rounded};
use crate::recipe::{
    ActivationKind, MixingKind, Mixings, ModelRecipe, PoolingKind, PositionsKind, TokenValues,
};

mod encoder;
mod initial;
mod layer;
mod norm;
pub(crate) mod parameter;
mod parameters;
mod precision;
pub(crate) mod tape;

pub(crate) use encoder::{OutputGradients, Outputs, Recording};
pub(crate) use layer::{Attention, Layer, Linear, Mixing, Mlp, Recurrence};
pub(crate) use norm::Norm;
pub(crate) use parameters::{LayerMatrix, Matrix, Named, Role};
pub(crate) use precision::Precision;

/// Shape of a network before anything is cut.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shape {
    /// Width of the residual stream.
    pub hidden: usize,
    /// Width of the token table, where a factor reads it; else 0.
    #[serde(default)]
    pub embedding: usize,
    /// How the file writes the token table's rows.
    #[serde(default)]
    pub token_values: TokenValues,
    /// How positions are encoded.
    #[serde(default)]
    pub positions: PositionsKind,
    /// Layers.
    pub layers: usize,
    /// How the tokens of each layer read others.
    #[serde(default)]
    pub mixing: Mixings,
    /// Heads of a layer.
    pub heads: usize,
    /// Neurons of a layer's MLP; 0 without one.
    pub intermediate: usize,
    /// Pieces of the vocabulary.
    pub vocabulary: usize,
    /// Longest token sequence.
    pub tokens: usize,
    /// Classes.
    pub labels: usize,
    /// Whether the texts come in pairs.
    pub pair: bool,
    /// Function between the MLP's matrices.
    pub activation: ActivationKind,
    /// How the sequence becomes one vector.
    pub pooling: PoolingKind,
    /// Added to the variance in every LayerNorm.
    pub norm_epsilon: f32,
    /// Width of the pooled vectors of the teacher that a student is compared with; else 0.
    #[serde(default)]
    pub bridge: usize,
}

impl Shape {
    /// The shape a recipe asks for.
    #[must_use]
    pub fn new(recipe: &ModelRecipe, vocabulary: usize, labels: usize, pair: bool) -> Self {
        Self {
            hidden: recipe.hidden,
            embedding: recipe.embedding,
            token_values: recipe.token_values,
            positions: recipe.positions,
            layers: recipe.layers,
            mixing: recipe.mixing.clone(),
            heads: recipe.heads,
            intermediate: recipe.intermediate,
            vocabulary,
            tokens: recipe.tokens,
            labels,
            pair,
            activation: recipe.activation,
            pooling: recipe.pooling,
            norm_epsilon: recipe.norm_epsilon,
            bridge: 0,
        }
    }

    /// Dimensions of one head.
    #[must_use]
    pub fn head_width(&self) -> usize {
        self.hidden / self.heads
    }

    /// Width of the token table's rows.
    #[must_use]
    pub fn row_width(&self) -> usize {
        match self.embedding {
            0 => self.hidden,
            width => width,
        }
    }

    /// Layers with attention.
    #[must_use]
    pub fn attention_layers(&self) -> usize {
        self.mixing.count(MixingKind::Attention, self.layers)
    }

    /// Weights of the matrices of all layers: what sparsity is a share of.
    #[must_use]
    pub fn encoder_weights(&self) -> usize {
        let attention = 4 * self.heads * self.head_width();
        let recurrence = 4 * self.hidden;
        let attention_layers = self.attention_layers();
        let mixing = attention_layers * attention + (self.layers - attention_layers) * recurrence;
        self.hidden * (mixing + self.layers * 2 * self.intermediate)
    }
}

/// The whole network.
#[derive(Clone, Debug)]
pub struct Network {
    /// Of the forward pass, and so of the values at which gradients are taken; not part of a
    /// checkpoint.
    pub precision: Precision,
    /// Shape before anything was cut.
    pub shape: Shape,
    /// `[vocabulary, hidden]`, or of the width that the factor reads.
    pub token_embedding: Parameter,
    /// `[hidden, embedding]`: from a token's row to the residual stream, where they differ.
    pub embedding_factor: Option<Linear>,
    /// `[tokens, hidden]`.
    pub position_embedding: Option<Parameter>,
    /// `[2, hidden]`, for pairs.
    pub segment_embedding: Option<Parameter>,
    /// LayerNorm after the embeddings.
    pub embedding_norm: Norm,
    /// The layers.
    pub layers: Vec<Layer>,
    /// `[labels, hidden]`.
    pub classifier: Linear,
    /// `[teacher's width, hidden]`: from a student's pooled vector to its teacher's; not part of a
    /// file.
    pub bridge: Option<Parameter>,
}

impl Network {
    /// The same weights with a fresh optimiser.
    ///
    /// # Errors
    /// When memory cannot be allocated.
    pub fn restarted(&self) -> Result<Self> {
        let mut network = self.clone();
        for it in network.parameters_mut() {
            *it.parameter = it.parameter.restarted()?;
        }
        Ok(network)
    }

    /// The same network on another device.
    ///
    /// # Errors
    /// When memory cannot be allocated there.
    pub fn to_device(&self, device: &Device) -> Result<Self> {
        let mut network = self.clone();
        for it in network.parameters_mut() {
            *it.parameter = it.parameter.to_device(device)?;
        }
        Ok(network)
    }

    /// The device that the network is on.
    #[must_use]
    pub fn device(&self) -> &Device {
        self.token_embedding.value.device()
    }

    /// Encoder weights that are not zero.
    ///
    /// # Errors
    /// When a mask cannot be read.
    pub fn nonzero_weights(&self) -> Result<usize> {
        // Row by row: f32 counts exactly up to 2²⁴. One answer for all matrices: each waits for a
        // GPU.
        let rows = self.matrices().into_iter();
        let rows = rows.map(|it| it.pruning.mask.sum(1));
        let rows = rows.collect::<Result<Vec<_>>>()?;
        if rows.is_empty() {
            return Ok(0);
        }
        let rows = Tensor::cat(&rows, 0)?.to_vec1::<f32>()?;
        Ok(rounded(rows.into_iter().map(f64::from).sum()))
    }

    /// Neurons that are left, all layers together.
    #[must_use]
    pub fn neurons(&self) -> usize {
        self.layers.iter().map(Layer::neurons).sum()
    }

    /// Share of the encoder weights that are zero, including those that were cut.
    ///
    /// # Errors
    /// When a mask cannot be read.
    pub fn sparsity(&self) -> Result<f64> {
        match self.shape.encoder_weights() {
            0 => Ok(0.0),
            all => Ok(1.0 - real(self.nonzero_weights()?) / real(all)),
        }
    }
}
