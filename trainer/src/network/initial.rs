//! Fresh weights of a network.

use candle_core::Result;

use super::{Attention, Layer, Linear, Mixing, Mlp, Network, Norm, Precision, Recurrence, Shape};
use crate::network::parameter::Parameter;
use crate::numbers::{real, single};
use crate::random::{Purpose, initial_values, stream};
use crate::recipe::{MixingKind, PositionsKind};

/// Standard deviation of fresh embeddings (BERT's).
const EMBEDDING_DEVIATION: f32 = 0.02;

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

    /// Rows of length 1, for a factor.
    fn rows(&mut self, rows: usize, cols: usize) -> Result<Parameter> {
        let deviation = single(real(cols)).sqrt().recip();
        Parameter::new(self.values(rows * cols, deviation), &[rows, cols])
    }

    fn layer(&mut self, shape: &Shape, number: usize) -> Result<Layer> {
        let mixing = match shape.mixing.of(number) {
            MixingKind::Attention => Mixing::Attention(self.attention(shape)?),
            MixingKind::Recurrence => Mixing::Recurrence(self.recurrence(shape.hidden)?),
        };
        let mlp = (shape.intermediate > 0).then(|| self.mlp(shape));
        Ok(Layer {
            mixing,
            mlp: mlp.transpose()?,
        })
    }

    fn attention(&mut self, shape: &Shape) -> Result<Attention> {
        let (hidden, context) = (shape.hidden, shape.heads * shape.head_width());
        // Each part is initialised as the matrix that it is.
        let mut projection = self.linear(context, hidden, true)?;
        let mut parts = projection.weight.to_vec()?;
        for _ in 0..2 {
            parts.extend(self.linear(context, hidden, true)?.weight.to_vec()?);
        }
        projection.weight = Parameter::prunable(parts, &[3 * context, hidden])?;
        projection.bias = Parameter::new(vec![0.0; 3 * context], &[3 * context])?;
        Ok(Attention {
            heads: (0..).take(shape.heads).collect(),
            projection,
            output: self.linear(hidden, context, true)?,
            norm: Norm::new(hidden)?,
        })
    }

    fn recurrence(&mut self, hidden: usize) -> Result<Recurrence> {
        Ok(Recurrence {
            forward: self.linear(hidden, 2 * hidden, true)?,
            backward: self.linear(hidden, 2 * hidden, true)?,
            norm: Norm::new(hidden)?,
        })
    }

    fn mlp(&mut self, shape: &Shape) -> Result<Mlp> {
        let (hidden, neurons) = (shape.hidden, shape.intermediate);
        Ok(Mlp {
            input: self.linear(neurons, hidden, true)?,
            output: self.linear(hidden, neurons, true)?,
            norm: Norm::new(hidden)?,
        })
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
        let layers = (0..shape.layers).map(|number| initializer.layer(&shape, number));
        let layers = layers.collect::<Result<_>>()?;
        let (width, factor) = match shape.embedding {
            0 => (hidden, None),
            width => (width, Some(initializer.linear(hidden, width, false)?)),
        };
        let token_embedding = match factor {
            None => initializer.embedding(shape.vocabulary, width)?,
            // The factor brings its own deviation.
            Some(_) => initializer.rows(shape.vocabulary, width)?,
        };
        let has_positions = shape.positions == PositionsKind::Learned;
        let positions = has_positions.then_some(shape.tokens);
        let segments = shape.pair.then_some(2);
        let mut table = |rows: Option<usize>| {
            let table = rows.map(|rows| initializer.embedding(rows, hidden));
            table.transpose()
        };
        Ok(Self {
            precision: Precision::default(),
            token_embedding,
            embedding_factor: factor,
            position_embedding: table(positions)?,
            segment_embedding: table(segments)?,
            embedding_norm: Norm::new(hidden)?,
            layers,
            classifier: initializer.linear(shape.labels, hidden, false)?,
            bridge: match shape.bridge {
                0 => None,
                rows => Some(initializer.linear(rows, hidden, false)?.weight),
            },
            shape,
        })
    }
}
