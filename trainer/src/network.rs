//! The encoder in floats, as it is trained: its parameters. Its forward pass is in `encoder.rs`,
//! layer by layer in `layer.rs`, on a [`tape`]. [`Network::parameters`] lists what it consists of.

use candle_core::{Device, Result, Tensor};
use serde::{Deserialize, Serialize};

use crate::network::parameter::Parameter;
use crate::numbers::{real, rounded, single};
use crate::random::{Purpose, initial_values, stream};
use crate::recipe::{ActivationKind, ModelRecipe, PoolingKind};

mod encoder;
mod layer;
mod norm;
pub(crate) mod parameter;
mod parameters;
mod precision;
pub(crate) mod tape;

pub(crate) use encoder::{OutputGradients, Outputs, Recording};
pub(crate) use layer::{Layer, Linear};
pub(crate) use norm::Norm;
pub(crate) use parameters::{LayerMatrix, Matrix, Named, Role};
pub(crate) use precision::Precision;

/// Standard deviation of fresh embeddings (BERT's).
const EMBEDDING_DEVIATION: f32 = 0.02;

/// Shape of a network before anything is cut.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shape {
    /// Width of the residual stream.
    pub hidden: usize,
    /// Layers.
    pub layers: usize,
    /// Heads of a layer.
    pub heads: usize,
    /// Neurons of a layer's MLP.
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
}

impl Shape {
    /// The shape a recipe asks for.
    #[must_use]
    pub fn new(recipe: &ModelRecipe, vocabulary: usize, labels: usize, pair: bool) -> Self {
        Self {
            hidden: recipe.hidden,
            layers: recipe.layers,
            heads: recipe.heads,
            intermediate: recipe.intermediate,
            vocabulary,
            tokens: recipe.tokens,
            labels,
            pair,
            activation: recipe.activation,
            pooling: recipe.pooling,
            norm_epsilon: recipe.norm_epsilon,
        }
    }

    /// Dimensions of one head.
    #[must_use]
    pub fn head_width(&self) -> usize {
        self.hidden / self.heads
    }

    /// Weights of all encoder matrices (Q, K, V, W_O, L_in, L_out): what sparsity is
    /// a share of.
    #[must_use]
    pub fn encoder_weights(&self) -> usize {
        self.layers * self.hidden * (4 * self.heads * self.head_width() + 2 * self.intermediate)
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
    /// `[vocabulary, hidden]`.
    pub token_embedding: Parameter,
    /// `[tokens, hidden]`.
    pub position_embedding: Parameter,
    /// `[2, hidden]`, for pairs.
    pub segment_embedding: Option<Parameter>,
    /// LayerNorm after the embeddings.
    pub embedding_norm: Norm,
    /// The layers.
    pub layers: Vec<Layer>,
    /// `[labels, hidden]`.
    pub classifier: Linear,
}

/// Makes fresh parameters, each from a stream of random numbers of its own.
struct Initializer {
    seed: u64,
    index: u64,
}

impl Initializer {
    fn values(&mut self, count: usize, deviation: f32) -> Vec<f32> {
        let mut generator = stream(self.seed, Purpose::Initialization, self.index);
        self.index += 1;
        initial_values(&mut generator, count, deviation)
    }

    /// Glorot & Bengio 2010: deviation √(2 / (rows + columns)).
    fn linear(&mut self, rows: usize, cols: usize, is_prunable: bool) -> Result<Linear> {
        let deviation = (2.0 / single(real(rows + cols))).sqrt();
        let values = self.values(rows * cols, deviation);
        let weight = if is_prunable {
            Parameter::prunable(values, &[rows, cols])?
        } else {
            Parameter::new(values, &[rows, cols])?
        };
        Ok(Linear {
            weight,
            bias: Parameter::new(vec![0.0; rows], &[rows])?,
            columns: None,
        })
    }

    fn embedding(&mut self, rows: usize, cols: usize) -> Result<Parameter> {
        Parameter::new(self.values(rows * cols, EMBEDDING_DEVIATION), &[rows, cols])
    }
}

impl Network {
    /// Fresh weights of this shape.
    ///
    /// # Errors
    /// When memory cannot be allocated.
    pub fn new(shape: Shape, seed: u64) -> Result<Self> {
        let mut initializer = Initializer { seed, index: 0 };
        let hidden = shape.hidden;
        let context = shape.heads * shape.head_width();
        let mut layer = || {
            // Each part is initialised as the matrix that it is.
            let mut projection = initializer.linear(context, hidden, true)?;
            let mut parts = projection.weight.to_vec()?;
            for _ in 0..2 {
                parts.extend(initializer.linear(context, hidden, true)?.weight.to_vec()?);
            }
            projection.weight = Parameter::prunable(parts, &[3 * context, hidden])?;
            projection.bias = Parameter::new(vec![0.0; 3 * context], &[3 * context])?;
            Ok(Layer {
                heads: (0..).take(shape.heads).collect(),
                projection,
                attention_output: initializer.linear(hidden, context, true)?,
                attention_norm: Norm::new(hidden)?,
                mlp_input: initializer.linear(shape.intermediate, hidden, true)?,
                mlp_output: initializer.linear(hidden, shape.intermediate, true)?,
                mlp_norm: Norm::new(hidden)?,
            })
        };
        let layers = (0..shape.layers).map(|_| layer()).collect::<Result<_>>()?;
        let segments = if shape.pair { Some(2) } else { None };
        Ok(Self {
            precision: Precision::default(),
            token_embedding: initializer.embedding(shape.vocabulary, hidden)?,
            position_embedding: initializer.embedding(shape.tokens, hidden)?,
            segment_embedding: segments
                .map(|rows| initializer.embedding(rows, hidden))
                .transpose()?,
            embedding_norm: Norm::new(hidden)?,
            layers,
            classifier: initializer.linear(shape.labels, hidden, false)?,
            shape,
        })
    }

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
        let rows = Tensor::cat(&rows.collect::<Result<Vec<_>>>()?, 0)?.to_vec1::<f32>()?;
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
        Ok(1.0 - real(self.nonzero_weights()?) / real(self.shape.encoder_weights()))
    }
}
