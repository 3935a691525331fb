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
    /// A layer; as many as the stack has.
    Layer,
    /// What is on top of the stack; once.
    Head,
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
    /// Width of the residual stream.
    Hidden,
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

/// Roles and their lines of the table are written together, so that neither exists without the
/// other.
macro_rules! schema {
    ($(
        $(#[$doc:meta])*
        $role:ident $name:literal $part:ident $count:ident $form:ident [$rows:ident, $cols:ident]
    )+) => {
        /// What a tensor is for. Its number in a record is its place here, from 1.
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
        }
    };
}

schema! {
    /// One row per token id.
    TokenEmbedding "token embedding" Embeddings One Table [Pieces, Hidden]
    /// One row per position.
    PositionEmbedding "position embedding" Embeddings One Table [Tokens, Hidden]
    /// One row per text of a pair.
    SegmentEmbedding "segment embedding" Embeddings AtMostOne Table [Texts, Hidden]
    /// LayerNorm after the embeddings.
    EmbeddingNorm "embedding norm" Embeddings One Norm [One, Hidden]
    /// One attention head: rows of W_Q (scaled by 1/√d_head), then W_K, then W_V.
    Head "attention head" Layer AnyNumber Matrix [OfHead, Hidden]
    /// W_O: the heads' values back to the residual stream.
    AttentionOutput "attention output" Layer One Matrix [Hidden, Context]
    /// LayerNorm after the attention.
    AttentionNorm "attention norm" Layer One Norm [One, Hidden]
    /// L_in: residual stream to neurons.
    MlpInput "MLP input" Layer One Matrix [Intermediate, Hidden]
    /// L_out: neurons to residual stream.
    MlpOutput "MLP output" Layer One Matrix [Hidden, Intermediate]
    /// LayerNorm after the MLP.
    MlpNorm "MLP norm" Layer One Norm [One, Hidden]
    /// Pooled vector to class logits.
    Classifier "classifier" Head One Matrix [Outputs, Hidden]
}

/// Every role, in the order of its number and of the directory within its part.
pub static SCHEMA: [Slot; SLOTS.len()] = SLOTS;

/// How many of the first `slots` lines of the table are in `part` and have this `count`.
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler alone")]
const fn count_slots(slots: usize, part: Part, count: Count) -> usize {
    let (mut index, mut found) = (0, 0);
    while index < slots {
        let slot = &SLOTS[index];
        if slot.part as u8 == part as u8 && slot.count as u8 == count as u8 {
            found += 1;
        }
        index += 1;
    }
    found
}

impl Part {
    /// Number of its lines that have this `count`.
    pub(crate) const fn tensors(self, count: Count) -> usize {
        count_slots(SLOTS.len(), self, count)
    }
}

impl Slot {
    /// Whether it is a matrix of a layer. These are pruned, and sparsity is a share of their
    /// weights.
    #[must_use]
    pub fn is_prunable(&self) -> bool {
        self.part == Part::Layer && self.form == Form::Matrix
    }
}

impl Role {
    /// The role with this number in a record.
    pub(crate) fn of(number: u8) -> Option<Self> {
        Some(SCHEMA.get(usize::from(number).wrapping_sub(1))?.role)
    }

    /// The role's number in a record.
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

    /// Tensors of its part before this one, counting those that occur once.
    #[expect(clippy::indexing_slicing, reason = "evaluated by the compiler alone")]
    pub(crate) const fn index_in_part(self) -> usize {
        let index = self as usize;
        count_slots(index, SLOTS[index].part, Count::One)
    }

    /// The place of a tensor in the order: embeddings, then layer by layer, then the head. A number
    /// above zero, since comparing tuples takes far more code.
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
            Self::Hidden => "hidden",
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
        assert_eq!(Role::of(0), None);
        let last = SCHEMA[SCHEMA.len() - 1].role;
        assert_eq!(Role::of(last.tag() + 1), None);
    }
}
