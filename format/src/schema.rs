//! What a network's tensors are: one table for reader, writer, `neuroprune inspect` and the
//! specification.
//!
//! [`SCHEMA`] has a line for each [`Role`]: where it stands in the directory, how often, in which
//! form and with which shape. `docs/format.md` repeats it; a test compares the two.

use crate::tensor::layout::Form;

/// What a tensor is for. Its number in a record is its place here, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// One row a token id.
    TokenEmbedding,
    /// One row a position.
    PositionEmbedding,
    /// One row a text of a pair.
    SegmentEmbedding,
    /// LayerNorm after the embeddings.
    EmbeddingNorm,
    /// One attention head: rows of W_Q (scaled by 1/√d_head), then W_K, then W_V.
    Head,
    /// W_O: the heads' values back to the residual stream.
    AttentionOutput,
    /// LayerNorm after the attention.
    AttentionNorm,
    /// L_in: residual stream to neurons.
    MlpInput,
    /// L_out: neurons to residual stream.
    MlpOutput,
    /// LayerNorm after the MLP.
    MlpNorm,
    /// Pooled vector to class logits.
    Classifier,
}

/// The part of a network that a tensor belongs to, in the order of the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// What turns token ids into the residual stream; once.
    Embeddings,
    /// A layer; as many as the stack has.
    Layer,
    /// What stands on the stack; once.
    Head,
}

/// How often a tensor stands in its part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// Once.
    One,
    /// Once, or it is absent.
    AtMostOne,
    /// By ascending number, with gaps where some were cut.
    AnyNumber,
}

/// What a dimension of a tensor must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// 1.
    One,
    /// Pieces of the vocabulary.
    Pieces,
    /// Longest token sequence.
    Tokens,
    /// Texts that a model reads at once: 2 for pairs, otherwise 1.
    Texts,
    /// Width of the residual stream.
    Hidden,
    /// Query, key and value rows of one head, at least 1: the tensor says how many.
    OfHead,
    /// Value rows of all heads of the layer.
    Context,
    /// Neurons of the layer's MLP: the first matrix says how many.
    Intermediate,
    /// Classes.
    Labels,
}

/// What a tensor of one role is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The role.
    pub role: Role,
    /// Where it stands.
    pub part: Part,
    /// How often it stands there.
    pub count: Count,
    /// What its bytes begin with, and how it is used.
    pub form: Form,
    /// Outputs, or rows of a table.
    pub rows: Size,
    /// Inputs, or the width of a table.
    pub cols: Size,
}

const fn slot(role: Role, part: Part, form: Form, rows: Size, cols: Size) -> Slot {
    Slot {
        role,
        part,
        count: match role {
            Role::SegmentEmbedding => Count::AtMostOne,
            Role::Head => Count::AnyNumber,
            Role::TokenEmbedding
            | Role::PositionEmbedding
            | Role::EmbeddingNorm
            | Role::AttentionOutput
            | Role::AttentionNorm
            | Role::MlpInput
            | Role::MlpOutput
            | Role::MlpNorm
            | Role::Classifier => Count::One,
        },
        form,
        rows,
        cols,
    }
}

/// Every role, in the order of its number and of the directory within its part.
pub static SCHEMA: [Slot; 11] = {
    use {Form::*, Part::*, Role as R, Size as S};
    [
        slot(R::TokenEmbedding, Embeddings, Table, S::Pieces, S::Hidden),
        slot(
            R::PositionEmbedding,
            Embeddings,
            Table,
            S::Tokens,
            S::Hidden,
        ),
        slot(R::SegmentEmbedding, Embeddings, Table, S::Texts, S::Hidden),
        slot(R::EmbeddingNorm, Embeddings, Norm, S::One, S::Hidden),
        slot(R::Head, Layer, Matrix, S::OfHead, S::Hidden),
        slot(R::AttentionOutput, Layer, Matrix, S::Hidden, S::Context),
        slot(R::AttentionNorm, Layer, Norm, S::One, S::Hidden),
        slot(R::MlpInput, Layer, Matrix, S::Intermediate, S::Hidden),
        slot(R::MlpOutput, Layer, Matrix, S::Hidden, S::Intermediate),
        slot(R::MlpNorm, Layer, Norm, S::One, S::Hidden),
        slot(R::Classifier, Part::Head, Matrix, S::Labels, S::Hidden),
    ]
};

impl Slot {
    /// Whether it is a matrix of a layer: what is pruned, and what sparsity is a share of.
    #[must_use]
    pub fn is_prunable(&self) -> bool {
        self.part == Part::Layer && self.form == Form::Matrix
    }
}

impl Role {
    /// The role that a number of a record stands for.
    pub(crate) fn of(number: u8) -> Option<Self> {
        Some(SCHEMA.get(usize::from(number).wrapping_sub(1))?.role)
    }

    /// The number that stands for this role in a record.
    #[must_use]
    pub fn tag(self) -> u8 {
        self as u8 + 1
    }

    /// Its line of [`SCHEMA`].
    #[must_use]
    pub fn slot(self) -> &'static Slot {
        let [first, ..] = &SCHEMA;
        SCHEMA.get(self as usize).unwrap_or(first)
    }

    /// The field's name for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TokenEmbedding => "token embedding",
            Self::PositionEmbedding => "position embedding",
            Self::SegmentEmbedding => "segment embedding",
            Self::EmbeddingNorm => "embedding norm",
            Self::Head => "attention head",
            Self::AttentionOutput => "attention output",
            Self::AttentionNorm => "attention norm",
            Self::MlpInput => "MLP input",
            Self::MlpOutput => "MLP output",
            Self::MlpNorm => "MLP norm",
            Self::Classifier => "classifier",
        }
    }

    /// Records of the same layer from `first` to this one, where both stand there once.
    pub(crate) fn records_after(self, first: Self) -> usize {
        self as usize - first as usize
    }

    /// Where a tensor must stand: embeddings, then layer by layer, then the head. A number above
    /// zero, since comparing tuples is far more code.
    pub(crate) fn place(self, layer: u16, head: u16) -> u64 {
        let part = self.slot().part as u16 + 1;
        [part, layer, self as u16, head]
            .iter()
            .fold(0, |place, &next| place << 16 | u64::from(next))
    }
}

impl Size {
    /// Every size, in its order.
    pub(crate) const ALL: [Self; Self::COUNT] = [
        Self::One,
        Self::Pieces,
        Self::Tokens,
        Self::Texts,
        Self::Hidden,
        Self::OfHead,
        Self::Context,
        Self::Intermediate,
        Self::Labels,
    ];
    pub(crate) const COUNT: usize = Self::Labels as usize + 1;

    /// The specification's word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::One => "1",
            Self::Pieces => "pieces",
            Self::Tokens => "tokens",
            Self::Texts => "texts",
            Self::Hidden => "hidden",
            Self::OfHead => "(2 · query + value)",
            Self::Context => "context",
            Self::Intermediate => "intermediate",
            Self::Labels => "labels",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_found_at_its_number() {
        for (index, slot) in SCHEMA.iter().enumerate() {
            assert_eq!(slot.role as usize, index);
            assert_eq!(slot.role.slot(), slot);
            assert_eq!(Role::of(slot.role.tag()), Some(slot.role));
        }
        assert_eq!(Role::of(0), None);
        assert_eq!(Role::of(12), None);
    }

    /// `records_after` counts on it.
    #[test]
    fn a_layer_has_its_heads_first_and_everything_else_once() {
        let layer = SCHEMA.iter().filter(|slot| slot.part == Part::Layer);
        let mut counts = layer.map(|slot| slot.count);
        assert_eq!(counts.next(), Some(Count::AnyNumber));
        assert!(counts.all(|count| count == Count::One));
    }
}
