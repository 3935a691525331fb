//! Checks that the tensors of a file are exactly those of its network, in the required order.

use crate::architecture::{Architecture, Head, Positions};
use crate::bytes::Fault;
use crate::encoder::Encoder;
use crate::limits::{Limits, TOKENS};
use crate::network::Network;
use crate::schema::{Count, Part, Role, SCHEMA, Size, Slot};
use crate::tensor::{Form, Matrix, Norm, RECORD_BYTES, Record, Table, Tensors};
use crate::{ErrorKind, Section};

/// What the tensors are checked against.
pub(crate) struct Expected {
    pub(crate) architecture: Architecture,
    /// The limits that the file states, which must be the true maxima.
    pub(crate) limits: Limits,
    /// Pieces of the vocabulary.
    pub(crate) pieces: usize,
    /// Whether the model reads pairs.
    pub(crate) pair: bool,
}

impl Expected {
    /// The network that `tensors` are.
    pub(crate) fn read<'a>(&self, tensors: Tensors<'a>, fault: &Fault) -> Option<Network<'a>> {
        let Architecture::Encoder { stack, head } = self.architecture;
        let mut cursor = Cursor::new(self, tensors, fault)?;
        cursor.check_part(Part::Embeddings)?;
        let first_of_layers = cursor.index;
        for layer in 0..stack.layers {
            cursor.layer = layer;
            cursor.set(Size::Context, 0);
            let is_recurrent =
                cfg!(feature = "recurrence") && cursor.is_next(Role::ForwardRecurrence);
            cursor.check_part(if is_recurrent {
                Part::Recurrence
            } else {
                Part::Attention
            })?;
            if cursor.is_next(Role::MlpInput) {
                cursor.check_part(Part::Mlp)?;
            }
        }
        cursor.layer = 0;
        match head {
            Head::Classes(_) => cursor.check_part(Part::Head)?,
        }
        if tensors.record(cursor.index).is_some() {
            return cursor.found(ErrorKind::Trailing);
        }
        if cursor.limits != self.limits {
            return wrong_limit(fault, 8);
        }
        Some(Network::Encoder(Encoder::new(
            tensors,
            stack,
            self.limits,
            head,
            first_of_layers,
        )))
    }

    fn texts(&self) -> usize {
        if self.pair { 2 } else { 1 }
    }
}

fn wrong_limit<T>(fault: &Fault, at: usize) -> Option<T> {
    fault.found(ErrorKind::Limit, Section::Limits, at)
}

/// Goes through the directory, record by record.
struct Cursor<'a, 'e> {
    tensors: Tensors<'a>,
    fault: &'e Fault,
    /// The index of the next record, and the last record read.
    index: usize,
    record: Option<Record>,
    layer: u16,
    positions: Positions,
    /// The value of each [`Size`] in the current layer.
    sizes: [usize; Size::COUNT],
    /// What is fixed, and the largest sizes of the layers so far.
    limits: Limits,
}

impl<'a, 'e> Cursor<'a, 'e> {
    fn new(expected: &'e Expected, tensors: Tensors<'a>, fault: &'e Fault) -> Option<Self> {
        let Architecture::Encoder { stack, .. } = expected.architecture;
        let stated = expected.limits;
        // [CLS] and one [SEP] per text must fit.
        if stated.tokens < 1 + expected.texts() || stated.tokens > TOKENS {
            return wrong_limit(fault, 0);
        }
        if stated.hidden == 0 {
            return wrong_limit(fault, 4);
        }
        Some(Self {
            tensors,
            fault,
            index: 0,
            record: None,
            layer: 0,
            positions: stack.positions,
            sizes: Size::ALL.map(|size| match size {
                Size::One => 1,
                Size::Pieces => expected.pieces,
                Size::Tokens => stated.tokens,
                Size::Texts => expected.texts(),
                Size::Hidden => stated.hidden,
                Size::TwoHidden => stated.hidden.saturating_mul(2),
                // Unless a factor reads fewer.
                Size::Embedding if stated.embedding == 0 => stated.hidden,
                Size::Embedding => stated.embedding,
                Size::Outputs => stated.outputs,
                Size::OfHead | Size::Context | Size::Intermediate => 0,
            }),
            limits: Limits {
                query: 0,
                value: 0,
                context: 0,
                intermediate: 0,
                embedding: 0,
                recurrence: 0,
                ..stated
            },
        })
    }

    /// Records what is wrong with the current record.
    fn found<T>(&self, kind: ErrorKind) -> Option<T> {
        self.fault
            .found(kind, Section::Tensors, self.index * RECORD_BYTES)
    }

    /// Checks the tensors of one part, in the order of [`SCHEMA`].
    #[inline(never)]
    fn check_part(&mut self, part: Part) -> Option<()> {
        for slot in SCHEMA.iter().filter(|slot| slot.part == part) {
            match slot.count {
                Count::One => self.check(slot)?,
                Count::AtMostOne => {
                    let has_one = match (slot.role, self.positions) {
                        (Role::PositionEmbedding, Positions::Learned) => true,
                        (Role::PositionEmbedding, Positions::None) => false,
                        _ => self.is_next(slot.role),
                    };
                    if has_one {
                        self.check(slot)?;
                    }
                }
                Count::AnyNumber => {
                    while self.is_next(slot.role) {
                        self.check(slot)?;
                    }
                }
            }
        }
        Some(())
    }

    /// Whether the next record has this role in this layer.
    fn is_next(&mut self, role: Role) -> bool {
        self.record = self.tensors.record(self.index);
        let is_it = |record: &Record| record.role == role && record.layer == self.layer;
        self.record.as_ref().is_some_and(is_it)
    }

    /// Checks the next record, which must be that of this slot in this layer.
    #[inline(never)]
    fn check(&mut self, slot: &Slot) -> Option<()> {
        if !self.is_next(slot.role) {
            return self.found(ErrorKind::Missing);
        }
        let record = self.record?;
        if !self.fits(slot, &record) {
            return self.found(ErrorKind::Shape);
        }
        self.index += 1;
        let (weights, fault) = (self.tensors.weights(), self.fault);
        match slot.form {
            Form::Matrix => Matrix::view(&record, weights, fault)?.check(&record, fault)?,
            Form::Table => Table::view(&record, weights, fault)?.check(&record, fault)?,
            Form::Norm => Norm::view(&record, weights, fault)?.check(&record, fault)?,
        }
        let limits = &mut self.limits;
        match slot.rows {
            Size::OfHead => {
                let (query, value) = (record.query_rows, record.value_rows());
                limits.query = limits.query.max(query);
                limits.value = limits.value.max(value);
                let context = self.size(Size::Context) + value;
                self.limits.context = self.limits.context.max(context);
                self.set(Size::Context, context);
            }
            Size::Intermediate => limits.intermediate = limits.intermediate.max(record.rows),
            Size::One
            | Size::Pieces
            | Size::Tokens
            | Size::Texts
            | Size::Embedding
            | Size::Hidden
            | Size::TwoHidden
            | Size::Context
            | Size::Outputs => {}
        }
        match slot.cols {
            Size::TwoHidden => self.limits.recurrence = record.rows,
            Size::Embedding if slot.form == Form::Matrix => self.limits.embedding = record.cols,
            Size::Embedding
            | Size::One
            | Size::Pieces
            | Size::Tokens
            | Size::Texts
            | Size::Hidden
            | Size::OfHead
            | Size::Context
            | Size::Intermediate
            | Size::Outputs => {}
        }
        Some(())
    }

    /// Whether `record` agrees with its slot; checks nothing else.
    fn fits(&mut self, slot: &Slot, record: &Record) -> bool {
        let is_head = slot.rows == Size::OfHead;
        // The tensor itself states these.
        if is_head || slot.rows == Size::Intermediate {
            self.set(slot.rows, record.rows);
        }
        let fits = if is_head {
            record.rows > 0 && record.query_rows <= record.rows / 2
        } else {
            record.query_rows == 0 && record.head == 0
        };
        // Each direction has half of the residual stream.
        let fits = fits && (slot.cols != Size::TwoHidden || record.rows.is_multiple_of(2));
        fits && record.layout.form() == slot.form
            && record.rows == self.size(slot.rows)
            && record.cols == self.size(slot.cols)
    }

    fn size(&self, size: Size) -> usize {
        self.sizes.get(size as usize).copied().unwrap_or(0)
    }

    fn set(&mut self, size: Size, value: usize) {
        if let Some(place) = self.sizes.get_mut(size as usize) {
            *place = value;
        }
    }
}
