//! The encoder's view of the tensors: embeddings, layers, classifier.

use crate::bytes::Fault;
use crate::limits::Limits;
use crate::manifest::EncoderSettings;
use crate::tensor::{Embedding, LayoutKind, Matrix, Norm, Record, Role, Tensors};
use crate::{ErrorKind, Section};

/// Longest token sequence a file may state: 13-bit attention weights times int8
/// values then sum within 32 bits (2,048 · 8,191 · 127 < 2³¹).
pub const TOKENS_LIMIT: usize = 2048;

/// Tables that turn token ids into the residual stream.
#[derive(Clone, Copy, Debug)]
pub struct Embeddings<'a> {
    /// `[vocabulary, hidden]`.
    pub token: Embedding<'a>,
    /// `[tokens, hidden]`.
    pub position: Embedding<'a>,
    /// `[2, hidden]` for pairs, `[1, hidden]` or nothing for single texts.
    pub segment: Option<Embedding<'a>>,
    /// LayerNorm behind the sum.
    pub norm: Norm<'a>,
}

/// One post-LayerNorm layer. Its tensors are views made when they are asked for: kept, they
/// would be most of what is copied.
#[derive(Clone, Copy, Debug)]
pub struct Layer<'a> {
    tensors: Tensors<'a>,
    /// Record of the first head.
    first: usize,
    /// Record behind the last head; the others follow in the order of [`Role`].
    behind: usize,
}

impl<'a> Layer<'a> {
    /// The layer whose heads begin at record `first`.
    fn at(tensors: Tensors<'a>, first: usize) -> Self {
        let mut behind = first;
        while tensors
            .record(behind)
            .is_some_and(|record| record.role == Role::Head)
        {
            behind += 1;
        }
        Self {
            tensors,
            first,
            behind,
        }
    }

    /// Record behind the layer.
    fn end(&self) -> usize {
        self.behind + (Role::MlpNorm as usize - Role::Head as usize)
    }

    /// The heads that are left: `[2·query + value, hidden]` each.
    pub fn heads(&self) -> impl Iterator<Item = Matrix<'a>> + Clone + use<'a> {
        let tensors = self.tensors;
        (self.first..self.behind).map(move |index| tensors.matrix_at(index))
    }

    /// `[hidden, context]`: the values of the heads that are left.
    #[must_use]
    pub fn attention_output(&self) -> Matrix<'a> {
        self.tensors.matrix_at(self.behind)
    }

    /// LayerNorm behind attention and residual.
    #[must_use]
    pub fn attention_norm(&self) -> Norm<'a> {
        self.tensors.norm_at(self.behind + 1)
    }

    /// `[intermediate, hidden]`.
    #[must_use]
    pub fn mlp_input(&self) -> Matrix<'a> {
        self.tensors.matrix_at(self.behind + 2)
    }

    /// `[hidden, intermediate]`.
    #[must_use]
    pub fn mlp_output(&self) -> Matrix<'a> {
        self.tensors.matrix_at(self.behind + 3)
    }

    /// LayerNorm behind MLP and residual.
    #[must_use]
    pub fn mlp_norm(&self) -> Norm<'a> {
        self.tensors.norm_at(self.behind + 4)
    }
}

/// An encoder whose tensors fit together.
#[derive(Clone, Copy, Debug)]
pub struct Encoder<'a> {
    tensors: Tensors<'a>,
    settings: EncoderSettings,
    /// Record behind the embeddings.
    first_of_layers: usize,
}

/// Checks the directory in its one valid order.
struct Cursor<'a, 'f> {
    tensors: Tensors<'a>,
    /// The next record, and the last one.
    index: usize,
    record: Option<Record>,
    layer: u16,
    /// Number of token ids.
    vocabulary: usize,
    /// Texts that a model reads at once.
    texts: usize,
    /// What the layer at hand has.
    context: usize,
    intermediate: usize,
    /// What is fixed, and the largest sizes of the layers so far.
    limits: Limits,
    fault: &'f Fault,
}

impl Cursor<'_, '_> {
    fn found<T>(&self, kind: ErrorKind, index: usize) -> Option<T> {
        self.fault
            .found(kind, Section::Tensors, index * crate::tensor::RECORD_BYTES)
    }

    /// Whether the next record has this role in this layer.
    fn is_next(&mut self, role: Role) -> bool {
        self.record = self.tensors.record(self.index);
        let is_it = |record: &Record| record.role == role && record.layer == self.layer;
        self.record.as_ref().is_some_and(is_it)
    }

    /// Checks the next record, which must have this role in this layer; its rows.
    #[inline(never)]
    fn check(&mut self, role: Role) -> Option<usize> {
        if !self.is_next(role) {
            return self.found(ErrorKind::Missing, self.index);
        }
        let record = self.record.as_ref()?;
        self.check_shape(record)?;
        self.index += 1;
        let (weights, fault) = (self.tensors.weights(), self.fault);
        match record.layout {
            LayoutKind::Embedding => {
                Embedding::view(record, weights, fault)?.check(record, fault)?
            }
            LayoutKind::Norm => Norm::view(record, weights, fault)?.check(record, fault)?,
            _ => Matrix::view(record, weights, fault)?.check(record, fault)?,
        }
        Some(record.rows)
    }

    /// Whether `record` has the shape that its role has here, and nothing more.
    fn check_shape(&self, record: &Record) -> Option<()> {
        let Limits {
            tokens,
            hidden,
            labels,
            ..
        } = self.limits;
        let (context, intermediate) = (self.context, self.intermediate);
        let (embedding, norm) = (LayoutKind::Embedding, LayoutKind::Norm);
        // Where two things do not matter, what is there.
        let (any_rows, any_matrix) = (record.rows, record.layout);
        let (rows, cols, layout) = match record.role {
            Role::TokenEmbedding => (self.vocabulary, hidden, embedding),
            Role::PositionEmbedding => (tokens, hidden, embedding),
            Role::SegmentEmbedding => (self.texts, hidden, embedding),
            Role::EmbeddingNorm | Role::AttentionNorm | Role::MlpNorm => (1, hidden, norm),
            Role::Head | Role::MlpInput => (any_rows, hidden, any_matrix),
            Role::AttentionOutput => (hidden, context, any_matrix),
            Role::MlpOutput => (hidden, intermediate, any_matrix),
            Role::Classifier => (labels, hidden, any_matrix),
        };
        let is_matrix = record.role >= Role::Head
            && !matches!(record.role, Role::AttentionNorm | Role::MlpNorm);
        let is_plain = record.query_rows == 0 && record.head == 0;
        let is_head = record.query_rows <= record.rows / 2 && record.rows > 0;
        let fits = if record.role == Role::Head {
            is_head
        } else {
            is_plain
        };
        let shape_fits = record.rows == rows && record.cols == cols && record.layout == layout;
        if !(fits && shape_fits && record.layout.is_matrix() == is_matrix) {
            return self.found(ErrorKind::Shape, self.index);
        }
        Some(())
    }

    /// Checks the next layer.
    fn check_layer(&mut self) -> Option<()> {
        self.context = 0;
        while self.is_next(Role::Head) {
            let rows = self.check(Role::Head)?;
            let query = self.record.map_or(0, |record| record.query_rows);
            let value = rows - 2 * query;
            self.limits.query = self.limits.query.max(query);
            self.limits.value = self.limits.value.max(value);
            self.context += value;
        }
        self.check(Role::AttentionOutput)?;
        self.check(Role::AttentionNorm)?;
        self.intermediate = self.check(Role::MlpInput)?;
        self.check(Role::MlpOutput)?;
        self.check(Role::MlpNorm)?;
        self.limits.context = self.limits.context.max(self.context);
        self.limits.intermediate = self.limits.intermediate.max(self.intermediate);
        Some(())
    }
}

impl<'a> Encoder<'a> {
    /// Checks that the tensors are exactly those of an encoder with these
    /// settings, and returns it with its true limits.
    pub(crate) fn read(
        tensors: Tensors<'a>,
        settings: EncoderSettings,
        pair: bool,
        stated: &Limits,
        vocabulary: usize,
        fault: &Fault,
    ) -> Option<Self> {
        let wrong_limit = |at| fault.found(ErrorKind::Limit, Section::Limits, at);
        let texts = if pair { 2 } else { 1 };
        // [CLS] and one [SEP] a text must fit.
        if stated.tokens < 1 + texts || stated.tokens > TOKENS_LIMIT {
            return wrong_limit(0);
        }
        if stated.hidden == 0 {
            return wrong_limit(4);
        }
        let mut cursor = Cursor {
            tensors,
            index: 0,
            record: None,
            layer: 0,
            vocabulary,
            texts,
            context: 0,
            intermediate: 0,
            limits: Limits {
                query: 0,
                value: 0,
                context: 0,
                intermediate: 0,
                ..*stated
            },
            fault,
        };
        cursor.check(Role::TokenEmbedding)?;
        cursor.check(Role::PositionEmbedding)?;
        if cursor.is_next(Role::SegmentEmbedding) {
            cursor.check(Role::SegmentEmbedding)?;
        }
        cursor.check(Role::EmbeddingNorm)?;
        let first_of_layers = cursor.index;
        for layer in 0..settings.layers {
            cursor.layer = layer;
            cursor.check_layer()?;
        }
        cursor.layer = 0;
        cursor.check(Role::Classifier)?;
        if tensors.record(cursor.index).is_some() {
            return cursor.found(ErrorKind::Trailing, cursor.index);
        }
        if cursor.limits != *stated {
            return wrong_limit(8);
        }
        Some(Self {
            tensors,
            settings,
            first_of_layers,
        })
    }

    /// Settings of the manifest.
    #[must_use]
    pub fn settings(&self) -> EncoderSettings {
        self.settings
    }

    /// The embedding tables.
    #[must_use]
    pub fn embeddings(&self) -> Embeddings<'a> {
        let norm = self.first_of_layers - 1;
        Embeddings {
            token: self.tensors.embedding_at(0),
            position: self.tensors.embedding_at(1),
            segment: (norm > 2).then(|| self.tensors.embedding_at(2)),
            norm: self.tensors.norm_at(norm),
        }
    }

    /// The layers, first to last.
    pub fn layers(&self) -> impl Iterator<Item = Layer<'a>> + use<'a> {
        let tensors = self.tensors;
        let mut first = self.first_of_layers;
        (0..self.settings.layers).map(move |_| {
            let layer = Layer::at(tensors, first);
            first = layer.end();
            layer
        })
    }

    /// `[labels, hidden]`.
    #[must_use]
    pub fn classifier(&self) -> Matrix<'a> {
        self.tensors.matrix_at(self.tensors.len() - 1)
    }

    /// The directory, for those who look rather than execute.
    #[must_use]
    pub fn tensors(&self) -> Tensors<'a> {
        self.tensors
    }
}
