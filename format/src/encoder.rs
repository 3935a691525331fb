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

/// One post-LayerNorm layer.
#[derive(Clone, Copy, Debug)]
pub struct Layer<'a> {
    heads: Heads<'a>,
    /// `[hidden, context]`: the values of the heads that are left.
    pub attention_output: Matrix<'a>,
    /// LayerNorm behind attention and residual.
    pub attention_norm: Norm<'a>,
    /// `[intermediate, hidden]`.
    pub mlp_input: Matrix<'a>,
    /// `[hidden, intermediate]`.
    pub mlp_output: Matrix<'a>,
    /// LayerNorm behind MLP and residual.
    pub mlp_norm: Norm<'a>,
}

impl<'a> Layer<'a> {
    /// The heads that are left: `[2·query + value, hidden]` each.
    pub fn heads(&self) -> impl Iterator<Item = Matrix<'a>> + Clone + use<'a> {
        let Heads {
            tensors,
            first,
            behind,
        } = self.heads;
        (first..behind).map_while(move |index| {
            let record = tensors.record(index)?;
            Matrix::read(&record, tensors.weights(), false, &Fault::new())
        })
    }
}

/// Records of the directory.
#[derive(Clone, Copy, Debug)]
struct Heads<'a> {
    tensors: Tensors<'a>,
    first: usize,
    behind: usize,
}

/// An encoder whose tensors fit together.
#[derive(Clone, Copy, Debug)]
pub struct Encoder<'a> {
    tensors: Tensors<'a>,
    /// Record of the directory.
    first_of_layers: usize,
    settings: EncoderSettings,
    embeddings: Embeddings<'a>,
    classifier: Matrix<'a>,
}

/// Walks the directory in its one valid order.
struct Cursor<'a, 'f> {
    tensors: Tensors<'a>,
    /// The next record.
    index: usize,
    /// Whether weights are checked, or were before.
    checked: bool,
    fault: &'f Fault,
}

impl<'a> Cursor<'a, '_> {
    fn found<T>(&self, kind: ErrorKind, index: usize) -> Option<T> {
        self.fault
            .found(kind, Section::Tensors, index * crate::tensor::RECORD_BYTES)
    }

    /// The next record if it has this role and layer.
    #[inline(never)]
    fn optional(&mut self, role: Role, layer: u16) -> Option<Record> {
        let record = self.tensors.record(self.index)?;
        if record.role != role || record.layer != layer {
            return None;
        }
        self.index += 1;
        Some(record)
    }

    /// The next record, which must have this role, layer and number of columns, `rows`
    /// where that is given, and nothing that its role does not have.
    #[inline(never)]
    fn required(
        &mut self,
        role: Role,
        layer: u16,
        rows: Option<usize>,
        cols: usize,
    ) -> Option<Record> {
        let Some(record) = self.optional(role, layer) else {
            return self.found(ErrorKind::Missing, self.index);
        };
        self.fitting(record, rows, cols)
    }

    /// `record`, which was the last one, if its shape is right.
    fn fitting(&self, record: Record, rows: Option<usize>, cols: usize) -> Option<Record> {
        let layout_fits = match record.role {
            Role::TokenEmbedding | Role::PositionEmbedding | Role::SegmentEmbedding => {
                record.layout == LayoutKind::Embedding
            }
            Role::EmbeddingNorm | Role::AttentionNorm | Role::MlpNorm => {
                record.layout == LayoutKind::Norm
            }
            _ => record.layout.is_matrix(),
        };
        let plain = record.query_rows == 0 && record.head == 0;
        let fits = match record.role {
            Role::Head => record.query_rows <= record.rows / 2 && record.rows > 0,
            _ => plain,
        };
        let rows_fit = rows.is_none_or(|rows| rows == record.rows);
        if !(layout_fits && fits && rows_fit && record.cols == cols) {
            return self.found(ErrorKind::Shape, self.index - 1);
        }
        Some(record)
    }

    fn matrix(
        &mut self,
        role: Role,
        layer: u16,
        rows: Option<usize>,
        cols: usize,
    ) -> Option<Matrix<'a>> {
        let record = self.required(role, layer, rows, cols)?;
        Matrix::read(&record, self.tensors.weights(), self.checked, self.fault)
    }

    fn norm(&mut self, role: Role, layer: u16, cols: usize) -> Option<Norm<'a>> {
        let record = self.required(role, layer, Some(1), cols)?;
        Norm::read(&record, self.tensors.weights(), self.checked, self.fault)
    }

    fn embedding(&self, record: &Record) -> Option<Embedding<'a>> {
        Embedding::read(record, self.tensors.weights(), self.fault)
    }

    #[inline(never)]
    fn layer(&mut self, layer: u16, limits: &mut Limits) -> Option<Layer<'a>> {
        let hidden = limits.hidden;
        let mut context = 0;
        let first = self.index;
        while let Some(record) = self.optional(Role::Head, layer) {
            let record = self.fitting(record, None, hidden)?;
            if self.checked {
                Matrix::read(&record, self.tensors.weights(), true, self.fault)?;
            }
            let value = record.rows - 2 * record.query_rows;
            limits.query = limits.query.max(record.query_rows);
            limits.value = limits.value.max(value);
            context += value;
        }
        let heads = Heads {
            tensors: self.tensors,
            first,
            behind: self.index,
        };
        limits.context = limits.context.max(context);
        let attention_output = self.matrix(Role::AttentionOutput, layer, Some(hidden), context)?;
        let attention_norm = self.norm(Role::AttentionNorm, layer, hidden)?;
        let mlp_input = self.matrix(Role::MlpInput, layer, None, hidden)?;
        let intermediate = mlp_input.rows();
        limits.intermediate = limits.intermediate.max(intermediate);
        let mlp_output = self.matrix(Role::MlpOutput, layer, Some(hidden), intermediate)?;
        let mlp_norm = self.norm(Role::MlpNorm, layer, hidden)?;
        Some(Layer {
            heads,
            attention_output,
            attention_norm,
            mlp_input,
            mlp_output,
            mlp_norm,
        })
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
        let (tokens, hidden, labels) = (stated.tokens, stated.hidden, stated.labels);
        let wrong_limit = |at| fault.found(ErrorKind::Limit, Section::Limits, at);
        // [CLS] and one [SEP] a text must fit.
        if tokens < if pair { 3 } else { 2 } || tokens > TOKENS_LIMIT {
            return wrong_limit(0);
        }
        if hidden == 0 {
            return wrong_limit(4);
        }
        let mut cursor = Cursor {
            tensors,
            index: 0,
            checked: true,
            fault,
        };
        let record = cursor.required(Role::TokenEmbedding, 0, Some(vocabulary), hidden)?;
        let token = cursor.embedding(&record)?;
        let record = cursor.required(Role::PositionEmbedding, 0, Some(tokens), hidden)?;
        let position = cursor.embedding(&record)?;
        let mut segment = None;
        if let Some(record) = cursor.optional(Role::SegmentEmbedding, 0) {
            let rows = if pair { 2 } else { 1 };
            let record = cursor.fitting(record, Some(rows), hidden)?;
            segment = Some(cursor.embedding(&record)?);
        }
        let norm = cursor.norm(Role::EmbeddingNorm, 0, hidden)?;
        let first_of_layers = cursor.index;
        let mut limits = Limits {
            tokens,
            hidden,
            labels,
            ..Limits::default()
        };
        for layer in 0..settings.layers {
            cursor.layer(layer, &mut limits)?;
        }
        let classifier = cursor.matrix(Role::Classifier, 0, Some(labels), hidden)?;
        if tensors.record(cursor.index).is_some() {
            return cursor.found(ErrorKind::Trailing, cursor.index);
        }
        if limits != *stated {
            return wrong_limit(8);
        }
        Some(Self {
            tensors,
            first_of_layers,
            settings,
            embeddings: Embeddings {
                token,
                position,
                segment,
                norm,
            },
            classifier,
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
        self.embeddings
    }

    /// The layers, first to last.
    pub fn layers(&self, limits: Limits) -> impl Iterator<Item = Layer<'a>> + use<'a> {
        let Self {
            tensors,
            first_of_layers: mut index,
            settings,
            ..
        } = *self;
        let mut limits = limits;
        (0..settings.layers).map_while(move |layer| {
            let mut cursor = Cursor {
                tensors,
                index,
                checked: false,
                fault: &Fault::new(),
            };
            let layer = cursor.layer(layer, &mut limits);
            index = cursor.index;
            layer
        })
    }

    /// `[labels, hidden]`.
    #[must_use]
    pub fn classifier(&self) -> Matrix<'a> {
        self.classifier
    }

    /// The directory, for those who look rather than execute.
    #[must_use]
    pub fn tensors(&self) -> Tensors<'a> {
        self.tensors
    }
}
