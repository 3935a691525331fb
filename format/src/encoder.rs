//! The encoder's view of the tensors: embeddings, layers, classifier.

use crate::architecture::{Head, StackSettings};
use crate::limits::Limits;
use crate::schema::{Count, Part, Role};
use crate::tensor::{Matrix, Norm, Tensors};

/// One post-LayerNorm layer. Its tensors are views made on request: stored, they would be most of
/// what is copied.
#[derive(Clone, Copy, Debug)]
pub struct Layer<'a> {
    tensors: Tensors<'a>,
    /// Record of the first head.
    first: usize,
    /// Record after the last head; the others follow in the order of [`Role`].
    after_heads: usize,
}

impl<'a> Layer<'a> {
    /// The layer whose heads begin at record `first`.
    fn at(tensors: Tensors<'a>, first: usize) -> Self {
        let mut after_heads = first;
        while tensors
            .record(after_heads)
            .is_some_and(|record| record.role == Role::Head)
        {
            after_heads += 1;
        }
        Self {
            tensors,
            first,
            after_heads,
        }
    }

    /// Record after the layer.
    fn end(&self) -> usize {
        // Heads come first, and every other tensor occurs once.
        const {
            assert!(Role::Head.index_in_part() == 0);
            assert!(Part::Layer.tensors(Count::AnyNumber) == 1);
            assert!(Part::Layer.tensors(Count::AtMostOne) == 0);
        }
        self.after_heads + const { Part::Layer.tensors(Count::One) }
    }

    /// The remaining heads, `[2·query + value, hidden]` each.
    pub fn heads(&self) -> impl Iterator<Item = Matrix<'a>> + Clone + use<'a> {
        let tensors = self.tensors;
        (self.first..self.after_heads).map(move |index| tensors.matrix_at(index))
    }

    /// `[hidden, context]`: the values of the remaining heads.
    #[must_use]
    pub fn attention_output(&self) -> Matrix<'a> {
        self.matrix(const { Role::AttentionOutput.index_in_part() })
    }

    /// LayerNorm after attention and residual.
    #[must_use]
    pub fn attention_norm(&self) -> Norm<'a> {
        self.norm(const { Role::AttentionNorm.index_in_part() })
    }

    /// `[intermediate, hidden]`.
    #[must_use]
    pub fn mlp_input(&self) -> Matrix<'a> {
        self.matrix(const { Role::MlpInput.index_in_part() })
    }

    /// `[hidden, intermediate]`.
    #[must_use]
    pub fn mlp_output(&self) -> Matrix<'a> {
        self.matrix(const { Role::MlpOutput.index_in_part() })
    }

    /// LayerNorm after MLP and residual.
    #[must_use]
    pub fn mlp_norm(&self) -> Norm<'a> {
        self.norm(const { Role::MlpNorm.index_in_part() })
    }

    /// Matrix `index` after the heads.
    fn matrix(&self, index: usize) -> Matrix<'a> {
        self.tensors.matrix_at(self.after_heads + index)
    }

    fn norm(&self, index: usize) -> Norm<'a> {
        self.tensors.norm_at(self.after_heads + index)
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

    /// `[vocabulary, hidden]`: one row per token id.
    #[must_use]
    pub fn token_embedding(&self) -> Matrix<'a> {
        let index = const { Role::TokenEmbedding.index_in_part() };
        self.tensors.matrix_at(index)
    }

    /// `[tokens, hidden]`: one row per position.
    #[must_use]
    pub fn position_embedding(&self) -> Matrix<'a> {
        let index = const { Role::PositionEmbedding.index_in_part() };
        self.tensors.matrix_at(index)
    }

    /// `[2, hidden]` for pairs, `[1, hidden]` for single texts; a model may have none.
    #[must_use]
    pub fn segment_embedding(&self) -> Option<Matrix<'a>> {
        // The only tensor that can be absent: if present, it moves those after it one record on.
        const { assert!(Part::Embeddings.tensors(Count::AtMostOne) == 1) };
        let required = const { Part::Embeddings.tensors(Count::One) };
        let index = const { Role::SegmentEmbedding.index_in_part() };
        (self.first_of_layers > required).then(|| self.tensors.matrix_at(index))
    }

    /// LayerNorm after the sum of the three embeddings.
    #[must_use]
    pub fn embedding_norm(&self) -> Norm<'a> {
        let after =
            const { Part::Embeddings.tensors(Count::One) - Role::EmbeddingNorm.index_in_part() };
        self.tensors.norm_at(self.first_of_layers - after)
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
