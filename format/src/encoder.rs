//! The encoder's view of the tensors: embeddings, layers, classifier.

use crate::limits::Limits;
use crate::manifest::EncoderSettings;
use crate::tensor::{Embedding, LayoutKind, Matrix, Norm, Record, Role, Tensors};
use crate::{ErrorKind, FormatError, Section};

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
        let Heads { tensors, layer } = self.heads;
        tensors
            .records()
            .filter(move |record| record.role == Role::Head && record.layer == layer)
            .filter_map(move |record| Matrix::view(&record, tensors.weights()).ok())
    }
}

#[derive(Clone, Copy, Debug)]
struct Heads<'a> {
    tensors: Tensors<'a>,
    layer: u16,
}

/// An encoder whose tensors fit together.
#[derive(Clone, Copy, Debug)]
pub struct Encoder<'a> {
    tensors: Tensors<'a>,
    settings: EncoderSettings,
    embeddings: Embeddings<'a>,
    classifier: Matrix<'a>,
}

/// How tensor bytes become views: with every check, or trusting an earlier one.
trait Access {
    fn matrix<'a>(record: &Record, weights: &'a [u8]) -> Result<Matrix<'a>, FormatError>;
    fn embedding<'a>(record: &Record, weights: &'a [u8]) -> Result<Embedding<'a>, FormatError>;
    fn norm<'a>(record: &Record, weights: &'a [u8]) -> Result<Norm<'a>, FormatError>;
}

struct Checked;

impl Access for Checked {
    fn matrix<'a>(record: &Record, weights: &'a [u8]) -> Result<Matrix<'a>, FormatError> {
        Matrix::read(record, weights)
    }
    fn embedding<'a>(record: &Record, weights: &'a [u8]) -> Result<Embedding<'a>, FormatError> {
        Embedding::read(record, weights)
    }
    fn norm<'a>(record: &Record, weights: &'a [u8]) -> Result<Norm<'a>, FormatError> {
        Norm::read(record, weights)
    }
}

struct Trusted;

impl Access for Trusted {
    fn matrix<'a>(record: &Record, weights: &'a [u8]) -> Result<Matrix<'a>, FormatError> {
        Matrix::view(record, weights)
    }
    fn embedding<'a>(record: &Record, weights: &'a [u8]) -> Result<Embedding<'a>, FormatError> {
        Embedding::view(record, weights)
    }
    fn norm<'a>(record: &Record, weights: &'a [u8]) -> Result<Norm<'a>, FormatError> {
        Norm::view(record, weights)
    }
}

/// Walks the directory in its one valid order.
struct Cursor<'a, I: Iterator<Item = Record>> {
    records: core::iter::Peekable<I>,
    weights: &'a [u8],
    index: usize,
}

impl<'a, I: Iterator<Item = Record>> Cursor<'a, I> {
    fn error(&self, kind: ErrorKind) -> FormatError {
        let at = self.index * crate::tensor::RECORD_BYTES;
        FormatError::new(kind, Section::Tensors, at)
    }

    /// The next record if it has this role and layer.
    fn optional(&mut self, role: Role, layer: u16) -> Option<Record> {
        let record = self
            .records
            .next_if(|record| record.role == role && record.layer == layer)?;
        self.index += 1;
        Some(record)
    }

    fn required(&mut self, role: Role, layer: u16) -> Result<Record, FormatError> {
        match self.optional(role, layer) {
            Some(record) => Ok(record),
            None => Err(self.error(ErrorKind::Missing)),
        }
    }

    fn shape_error(&self) -> FormatError {
        let at = self.index.saturating_sub(1) * crate::tensor::RECORD_BYTES;
        FormatError::new(ErrorKind::Shape, Section::Tensors, at)
    }

    fn matrix<A: Access>(
        &mut self,
        role: Role,
        layer: u16,
        rows: Option<usize>,
        cols: usize,
    ) -> Result<Matrix<'a>, FormatError> {
        let record = self.required(role, layer)?;
        self.head_or_matrix::<A>(&record, rows, cols)
    }

    fn head_or_matrix<A: Access>(
        &self,
        record: &Record,
        rows: Option<usize>,
        cols: usize,
    ) -> Result<Matrix<'a>, FormatError> {
        let is_head = record.role == Role::Head;
        let query_fits = if is_head {
            record.query_rows <= record.rows / 2 && record.rows > 0
        } else {
            record.query_rows == 0 && record.head == 0
        };
        let fits = record.cols == cols && rows.is_none_or(|rows| rows == record.rows);
        if !(record.layout.is_matrix() && query_fits && fits) {
            return Err(self.shape_error());
        }
        A::matrix(record, self.weights)
    }

    fn embedding<A: Access>(
        &self,
        record: &Record,
        rows: usize,
        cols: usize,
    ) -> Result<Embedding<'a>, FormatError> {
        let fits = record.rows == rows && record.cols == cols;
        let plain = record.query_rows == 0 && record.head == 0;
        if record.layout != LayoutKind::Embedding || !fits || !plain || record.layer != 0 {
            return Err(self.shape_error());
        }
        A::embedding(record, self.weights)
    }

    fn norm<A: Access>(
        &mut self,
        role: Role,
        layer: u16,
        cols: usize,
    ) -> Result<Norm<'a>, FormatError> {
        let record = self.required(role, layer)?;
        let plain = record.query_rows == 0 && record.head == 0 && record.rows == 1;
        if record.layout != LayoutKind::Norm || record.cols != cols || !plain {
            return Err(self.shape_error());
        }
        A::norm(&record, self.weights)
    }

    fn layer<A: Access>(
        &mut self,
        layer: u16,
        tensors: Tensors<'a>,
        limits: &mut Limits,
    ) -> Result<Layer<'a>, FormatError> {
        let hidden = limits.hidden;
        let mut context = 0;
        while let Some(record) = self.optional(Role::Head, layer) {
            let head = self.head_or_matrix::<A>(&record, None, hidden)?;
            limits.query = limits.query.max(head.query_rows());
            limits.value = limits.value.max(head.value_rows());
            context += head.value_rows();
        }
        limits.context = limits.context.max(context);
        let attention_output =
            self.matrix::<A>(Role::AttentionOutput, layer, Some(hidden), context)?;
        let attention_norm = self.norm::<A>(Role::AttentionNorm, layer, hidden)?;
        let mlp_input = self.matrix::<A>(Role::MlpInput, layer, None, hidden)?;
        let intermediate = mlp_input.rows();
        limits.intermediate = limits.intermediate.max(intermediate);
        let mlp_output = self.matrix::<A>(Role::MlpOutput, layer, Some(hidden), intermediate)?;
        let mlp_norm = self.norm::<A>(Role::MlpNorm, layer, hidden)?;
        Ok(Layer {
            heads: Heads { tensors, layer },
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
    ) -> Result<Self, FormatError> {
        let (tokens, hidden, labels) = (stated.tokens, stated.hidden, stated.labels);
        let limit_error = |at| FormatError::new(ErrorKind::Limit, Section::Limits, at);
        // [CLS] and one [SEP] a text must fit.
        if tokens < if pair { 3 } else { 2 } || tokens > TOKENS_LIMIT {
            return Err(limit_error(0));
        }
        if hidden == 0 {
            return Err(limit_error(4));
        }
        let mut cursor = Cursor {
            records: tensors.records().peekable(),
            weights: tensors.weights(),
            index: 0,
        };
        let record = cursor.required(Role::TokenEmbedding, 0)?;
        let token = cursor.embedding::<Checked>(&record, vocabulary, hidden)?;
        let record = cursor.required(Role::PositionEmbedding, 0)?;
        let position = cursor.embedding::<Checked>(&record, tokens, hidden)?;
        let segment = match cursor.optional(Role::SegmentEmbedding, 0) {
            Some(record) => {
                let rows = if pair { 2 } else { 1 };
                Some(cursor.embedding::<Checked>(&record, rows, hidden)?)
            }
            None => None,
        };
        let norm = cursor.norm::<Checked>(Role::EmbeddingNorm, 0, hidden)?;
        let mut limits = Limits {
            tokens,
            hidden,
            labels,
            ..Limits::default()
        };
        for layer in 0..settings.layers {
            cursor.layer::<Checked>(layer, tensors, &mut limits)?;
        }
        let classifier = cursor.matrix::<Checked>(Role::Classifier, 0, Some(labels), hidden)?;
        if cursor.records.peek().is_some() {
            return Err(cursor.error(ErrorKind::Trailing));
        }
        if limits != *stated {
            return Err(limit_error(8));
        }
        Ok(Self {
            tensors,
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
        let tensors = self.tensors;
        let records = tensors
            .records()
            .skip_while(|record| record.role <= Role::EmbeddingNorm);
        let mut cursor = Cursor {
            records: records.peekable(),
            weights: tensors.weights(),
            index: 0,
        };
        let mut limits = limits;
        (0..self.settings.layers)
            .map_while(move |layer| cursor.layer::<Trusted>(layer, tensors, &mut limits).ok())
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
