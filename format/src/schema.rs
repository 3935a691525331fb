//! The tensors of a network: one table for reader, writer, `neuroprune inspect` and the
//! specification.
//!
//! [`SCHEMA`] has a line for each [`Role`]: where it is in the directory, how often, in which form
//! and with which shape. `docs/format.md` repeats it; a test compares the two.

use crate::tensor::layout::Form;

/// The part of a network that a tensor belongs to, in the order of the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// What turns token ids into the residual stream; once.
    Embeddings,
    /// Attention, with which a layer begins.
    Attention,
    /// A recurrence in both directions, with which a layer begins in place of attention.
    Recurrence,
    /// The MLP that a layer may end with.
    Mlp,
    /// What is on top of the stack; once.
    Head,
}

impl Part {
    /// Whether it belongs to a layer.
    #[must_use]
    pub const fn is_of_layer(self) -> bool {
        match self {
            Self::Attention | Self::Recurrence | Self::Mlp => true,
            Self::Embeddings | Self::Head => false,
        }
    }

    /// Its place in the directory, from 1: all parts of layers have one, since the layer's number
    /// and the role decide between them.
    const fn place(self) -> u16 {
        match self {
            Self::Embeddings => 1,
            Self::Attention | Self::Recurrence | Self::Mlp => 2,
            Self::Head => 3,
        }
    }
}

/// How often a tensor occurs in its part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// Once.
    One,
    /// Once, or absent.
    AtMostOne,
    /// Any number, ascending, with gaps where some were cut.
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
    /// Width of the token table: that of the residual stream, or of what a factor reads.
    Embedding,
    /// Width of the residual stream.
    Hidden,
    /// Twice that: a token's vector after that of its neighbour.
    TwoHidden,
    /// Query, key and value rows of one head, at least 1: the tensor states how many.
    OfHead,
    /// Value rows of all heads of the layer.
    Context,
    /// Neurons of the layer's MLP: the first matrix states how many.
    Intermediate,
    /// Numbers that the head gives.
    Outputs,
}

/// What a tensor of one role is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The role.
    pub role: Role,
    /// The part it belongs to.
    pub part: Part,
    /// How often it occurs there.
    pub count: Count,
    /// What its bytes begin with, and how it is used.
    pub form: Form,
    /// Outputs, or rows of a table.
    pub rows: Size,
    /// Inputs, or the width of a table.
    pub cols: Size,
}

/// Roles, their numbers and their lines of the table are written together, so that none exists
/// without the others.
macro_rules! schema {
    ($(
        $(#[$doc:meta])*
        $number:literal $role:ident $name:literal $part:ident $count:ident $form:ident
        [$rows:ident, $cols:ident]
    )+) => {
        /// What a tensor is for; in the order of the directory.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Role {
            $($(#[$doc])* $role,)+
        }

        const SLOTS: [Slot; [$(Role::$role),+].len()] = [$(Slot {
            role: Role::$role,
            part: Part::$part,
            count: Count::$count,
            form: Form::$form,
            rows: Size::$rows,
            cols: Size::$cols,
        }),+];

        impl Role {
            /// The field's name for it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$role => $name,)+
                }
            }

            /// Its number in a record.
            #[must_use]
            pub const fn tag(self) -> u8 {
                match self {
                    $(Self::$role => $number,)+
                }
            }

            /// The role with this number in a record.
            pub(crate) const fn of(number: u8) -> Option<Self> {
                match number {
                    $($number => Some(Self::$role),)+
                    _ => None,
                }
            }
        }
    };
}

schema! {
    /// One row per token id.
    1 TokenEmbedding "token embedding" Embeddings One Table [Pieces, Embedding]
    /// From the width of the token table to that of the residual stream, where they differ.
    12 EmbeddingFactor "embedding factor" Embeddings AtMostOne Matrix [Hidden, Embedding]
    /// One row per position.
    2 PositionEmbedding "position embedding" Embeddings AtMostOne Table [Tokens, Hidden]
    /// One row per text of a pair.
    3 SegmentEmbedding "segment embedding" Embeddings AtMostOne Table [Texts, Hidden]
    /// LayerNorm after the embeddings.
    4 EmbeddingNorm "embedding norm" Embeddings One Norm [One, Hidden]
    /// One attention head: rows of W_Q (scaled by 1/√d_head), then W_K, then W_V.
    5 Head "attention head" Attention AnyNumber Matrix [OfHead, Hidden]
    /// W_O: the heads' values back to the residual stream.
    6 AttentionOutput "attention output" Attention One Matrix [Hidden, Context]
    /// LayerNorm after the attention.
    7 AttentionNorm "attention norm" Attention One Norm [One, Hidden]
    /// Forget gates, then candidates, of the first half of the residual stream, from the previous
    /// token and each token.
    13 ForwardRecurrence "forward recurrence" Recurrence One Matrix [Hidden, TwoHidden]
    /// Those of its second half, from the next token and each token.
    14 BackwardRecurrence "backward recurrence" Recurrence One Matrix [Hidden, TwoHidden]
    /// LayerNorm after the recurrence.
    15 RecurrenceNorm "recurrence norm" Recurrence One Norm [One, Hidden]
    /// L_in: residual stream to neurons.
    8 MlpInput "MLP input" Mlp One Matrix [Intermediate, Hidden]
    /// L_out: neurons to residual stream.
    9 MlpOutput "MLP output" Mlp One Matrix [Hidden, Intermediate]
    /// LayerNorm after the MLP.
    10 MlpNorm "MLP norm" Mlp One Norm [One, Hidden]
    /// Pooled vector to class logits.
    11 Classifier "classifier" Head One Matrix [Outputs, Hidden]
}

/// Every role, in the order of the directory within its part.
pub static SCHEMA: [Slot; SLOTS.len()] = SLOTS;

impl Slot {
    /// Whether it is a matrix of a layer. These are pruned, and sparsity is a share of their
    /// weights.
    #[must_use]
    pub fn is_prunable(&self) -> bool {
        self.part.is_of_layer() && self.form == Form::Matrix
    }
}

impl Role {
    /// The feature of `neuroprune-runtime` that a program needs for it.
    #[must_use]
    pub const fn feature(self) -> Option<&'static str> {
        match self {
            Self::ForwardRecurrence | Self::BackwardRecurrence | Self::RecurrenceNorm => {
                Some("recurrence")
            }
            Self::EmbeddingFactor => Some("factor"),
            Self::TokenEmbedding
            | Self::PositionEmbedding
            | Self::SegmentEmbedding
            | Self::EmbeddingNorm
            | Self::Head
            | Self::AttentionOutput
            | Self::AttentionNorm
            | Self::MlpInput
            | Self::MlpOutput
            | Self::MlpNorm
            | Self::Classifier => None,
        }
    }

    /// Whether this build has it: otherwise no file has it.
    pub(crate) const fn is_built(self) -> bool {
        match self {
            Self::ForwardRecurrence | Self::BackwardRecurrence | Self::RecurrenceNorm => {
                cfg!(feature = "recurrence")
            }
            Self::EmbeddingFactor => cfg!(feature = "factor"),
            Self::TokenEmbedding
            | Self::PositionEmbedding
            | Self::SegmentEmbedding
            | Self::EmbeddingNorm
            | Self::Head
            | Self::AttentionOutput
            | Self::AttentionNorm
            | Self::MlpInput
            | Self::MlpOutput
            | Self::MlpNorm
            | Self::Classifier => true,
        }
    }

    /// Its line of [`SCHEMA`].
    #[must_use]
    pub fn slot(self) -> &'static Slot {
        let [first, ..] = &SCHEMA;
        SCHEMA.get(self as usize).unwrap_or(first)
    }

    /// The place of a tensor in the order: embeddings, then layer by layer, then the head. A number
    /// above zero, since comparing tuples takes far more code.
    pub(crate) fn place(self, layer: u16, head: u16) -> u64 {
        let part = self.slot().part.place();
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
        Self::Embedding,
        Self::Hidden,
        Self::TwoHidden,
        Self::OfHead,
        Self::Context,
        Self::Intermediate,
        Self::Outputs,
    ];
    pub(crate) const COUNT: usize = Self::Outputs as usize + 1;

    /// The specification's word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::One => "1",
            Self::Pieces => "pieces",
            Self::Tokens => "tokens",
            Self::Texts => "texts",
            Self::Embedding => "embedding",
            Self::Hidden => "hidden",
            Self::TwoHidden => "(2 · hidden)",
            Self::OfHead => "(2 · query + value)",
            Self::Context => "context",
            Self::Intermediate => "intermediate",
            Self::Outputs => "outputs",
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
        let known = (0..=u8::MAX).filter(|&number| Role::of(number).is_some());
        assert!(known.eq(1..=u8::try_from(SCHEMA.len()).unwrap()));
    }
}
