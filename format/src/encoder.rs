//! The encoder's view of the tensors: embeddings, layers, classifier.

use crate::architecture::{Head, StackSettings};
use crate::limits::Limits;
use crate::schema::Role;
use crate::tensor::{Matrix, Norm, Table, Tensors};

/// One post-LayerNorm layer: a mixing of tokens, and perhaps an MLP. Its tensors are views made on
/// request: stored, they would be most of what is copied.
#[derive(Clone, Copy, Debug)]
pub struct Layer<'a> {
    tensors: Tensors<'a>,
    /// Record of the first tensor.
    first: usize,
    /// Record after the mixing.
    after_mixing: usize,
}

/// How a layer lets tokens read others.
#[derive(Clone, Copy, Debug)]
pub enum Mixing<'a> {
    /// Any two tokens (Vaswani et al. 2017).
    Attention(Attention<'a>),
    /// A state that runs over the tokens, in both directions.
    Recurrence(Recurrence<'a>),
}

/// The attention of a layer.
#[derive(Clone, Copy, Debug)]
pub struct Attention<'a> {
    tensors: Tensors<'a>,
    first: usize,
    after_heads: usize,
}

/// The recurrence of a layer: a quasi-recurrent network (Bradbury et al. 2017) of width 2 in each
/// direction, each for half of the residual stream.
#[derive(Clone, Copy, Debug)]
pub struct Recurrence<'a> {
    tensors: Tensors<'a>,
    first: usize,
}

/// The MLP of a layer.
#[derive(Clone, Copy, Debug)]
pub struct Mlp<'a> {
    tensors: Tensors<'a>,
    first: usize,
}

impl<'a> Layer<'a> {
    /// The layer that begins at record `first`.
    fn at(tensors: Tensors<'a>, first: usize) -> Self {
        let mut layer = Self {
            tensors,
            first,
            after_mixing: first,
        };
        // Attention has an output and a norm after its heads, a recurrence two matrices and a norm.
        layer.after_mixing = match layer.mixing() {
            Mixing::Attention(attention) => attention.after_heads + 2,
            Mixing::Recurrence(recurrence) => recurrence.first + 3,
        };
        layer
    }

    /// Record after the layer.
    fn end(&self) -> usize {
        self.after_mixing + if self.mlp().is_some() { 3 } else { 0 }
    }

    /// How its tokens read others.
    #[must_use]
    pub fn mixing(&self) -> Mixing<'a> {
        let (tensors, first) = (self.tensors, self.first);
        if cfg!(feature = "recurrence") && tensors.role(first) == Some(Role::ForwardRecurrence) {
            return Mixing::Recurrence(Recurrence { tensors, first });
        }
        let mut after_heads = first;
        while tensors.role(after_heads) == Some(Role::Head) {
            after_heads += 1;
        }
        Mixing::Attention(Attention {
            tensors,
            first,
            after_heads,
        })
    }

    /// Its MLP, if it has one.
    #[must_use]
    pub fn mlp(&self) -> Option<Mlp<'a>> {
        let (tensors, first) = (self.tensors, self.after_mixing);
        let has_mlp = tensors.role(first) == Some(Role::MlpInput);
        has_mlp.then_some(Mlp { tensors, first })
    }
}

impl<'a> Attention<'a> {
    /// The remaining heads, `[2·query + value, hidden]` each.
    pub fn heads(&self) -> impl Iterator<Item = Matrix<'a>> + Clone + use<'a> {
        let tensors = self.tensors;
        (self.first..self.after_heads).map(move |index| tensors.matrix_at(index))
    }

    /// `[hidden, context]`: the values of the remaining heads.
    #[must_use]
    pub fn output(&self) -> Matrix<'a> {
        self.tensors.matrix_at(self.after_heads)
    }

    /// LayerNorm after attention and residual.
    #[must_use]
    pub fn norm(&self) -> Norm<'a> {
        self.tensors.norm_at(self.after_heads + 1)
    }
}

impl<'a> Recurrence<'a> {
    /// `[hidden, 2 · hidden]`: forget gates, then candidates, of the first half of the residual
    /// stream, from (previous token, token).
    #[must_use]
    pub fn forward(&self) -> Matrix<'a> {
        self.tensors.matrix_at(self.first)
    }

    /// `[hidden, 2 · hidden]`: those of the second half, from (next token, token).
    #[must_use]
    pub fn backward(&self) -> Matrix<'a> {
        self.tensors.matrix_at(self.first + 1)
    }

    /// LayerNorm after recurrence and residual.
    #[must_use]
    pub fn norm(&self) -> Norm<'a> {
        self.tensors.norm_at(self.first + 2)
    }
}

impl<'a> Mlp<'a> {
    /// `[intermediate, hidden]`.
    #[must_use]
    pub fn input(&self) -> Matrix<'a> {
        self.tensors.matrix_at(self.first)
    }

    /// `[hidden, intermediate]`.
    #[must_use]
    pub fn output(&self) -> Matrix<'a> {
        self.tensors.matrix_at(self.first + 1)
    }

    /// LayerNorm after MLP and residual.
    #[must_use]
    pub fn norm(&self) -> Norm<'a> {
        self.tensors.norm_at(self.first + 2)
    }
}

/// An encoder whose tensors fit together.
#[derive(Clone, Copy, Debug)]
pub struct Encoder<'a> {
    tensors: Tensors<'a>,
    stack: StackSettings,
    limits: Limits,
    head: Head,
    /// Record after the embeddings.
    first_of_layers: usize,
}

impl<'a> Encoder<'a> {
    /// From checked tensors, whose layers begin at record `first_of_layers`.
    pub(crate) fn new(
        tensors: Tensors<'a>,
        stack: StackSettings,
        limits: Limits,
        head: Head,
        first_of_layers: usize,
    ) -> Self {
        Self {
            tensors,
            stack,
            limits,
            head,
            first_of_layers,
        }
    }

    /// Settings of the layers.
    #[must_use]
    pub fn stack(&self) -> &StackSettings {
        &self.stack
    }

    /// The largest sizes over the layers, which were checked.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What is on top of the last layer.
    #[must_use]
    pub fn head(&self) -> Head {
        self.head
    }

    /// One row per token id, `[vocabulary, hidden]`, or of the width that the factor reads.
    #[must_use]
    pub fn token_embedding(&self) -> Table<'a> {
        self.table(Role::TokenEmbedding).unwrap_or_default()
    }

    /// `[hidden, embedding]`: from the token's row to the residual stream; absent where they are
    /// equally wide.
    #[must_use]
    pub fn embedding_factor(&self) -> Option<Matrix<'a>> {
        if !cfg!(feature = "factor") {
            return None;
        }
        let index = self.embedding(Role::EmbeddingFactor)?;
        Some(self.tensors.matrix_at(index))
    }

    /// `[tokens, hidden]`: one row per position; a model may have none.
    #[must_use]
    pub fn position_embedding(&self) -> Option<Table<'a>> {
        self.table(Role::PositionEmbedding)
    }

    /// `[2, hidden]` for pairs, `[1, hidden]` for single texts; a model may have none.
    #[must_use]
    pub fn segment_embedding(&self) -> Option<Table<'a>> {
        self.table(Role::SegmentEmbedding)
    }

    /// LayerNorm after the sum of the embeddings.
    #[must_use]
    pub fn embedding_norm(&self) -> Norm<'a> {
        // The last of its part.
        self.tensors.norm_at(self.first_of_layers - 1)
    }

    fn table(&self, role: Role) -> Option<Table<'a>> {
        Some(self.tensors.table_at(self.embedding(role)?))
    }

    /// Record of an embedding.
    fn embedding(&self, role: Role) -> Option<usize> {
        (0..self.first_of_layers).find(|&index| self.tensors.role(index) == Some(role))
    }

    /// The layers, first to last.
    pub fn layers(&self) -> impl Iterator<Item = Layer<'a>> + use<'a> {
        let tensors = self.tensors;
        let mut first = self.first_of_layers;
        (0..self.stack.layers).map(move |_| {
            let layer = Layer::at(tensors, first);
            first = layer.end();
            layer
        })
    }

    /// `[labels, hidden]`.
    #[must_use]
    pub fn classifier(&self) -> Matrix<'a> {
        match self.head {
            // The last tensor is the only one of its part.
            Head::Classes(_) => self.tensors.matrix_at(self.tensors.len() - 1),
        }
    }

    /// The directory, for tools that inspect the file rather than execute it.
    #[must_use]
    pub fn tensors(&self) -> Tensors<'a> {
        self.tensors
    }
}
