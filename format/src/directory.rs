//! Checks that the tensors of a file are exactly those of its network, in their one order.

use crate::architecture::Architecture;
use crate::bytes::Fault;
use crate::encoder::Encoder;
use crate::limits::{Limits, TOKENS};
use crate::network::Network;
use crate::schema::{Count, Part, Role, SCHEMA, Size, Slot};
use crate::tensor::{Form, Matrix, Norm, RECORD_BYTES, Record, Tensors};
use crate::{ErrorKind, Section};

/// What the tensors are held against.
pub(crate) struct Expected {
    pub(crate) architecture: Architecture,
    /// What the file states, which must be the true maxima.
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
            cursor.context = 0;
            cursor.check_part(Part::Layer)?;
            let widest = &mut cursor.limits.context;
            *widest = cursor.context.max(*widest);
        }
        cursor.layer = 0;
        cursor.check_part(Part::Head)?;
        if tensors.record(cursor.index).is_some() {
            return cursor.found(ErrorKind::Trailing);
        }
        if cursor.limits != self.limits {
            return wrong_limit(fault, 8);
        }
        Some(Network::Encoder(Encoder::new(
            tensors,
            stack,
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
    expected: &'e Expected,
    tensors: Tensors<'a>,
    fault: &'e Fault,
    /// The next record, and the last one that was read.
    index: usize,
    record: Option<Record>,
    layer: u16,
    /// What the layer at hand has.
    context: usize,
    intermediate: usize,
    /// What is fixed, and the largest sizes of the layers so far.
    limits: Limits,
}

impl<'a, 'e> Cursor<'a, 'e> {
    fn new(expected: &'e Expected, tensors: Tensors<'a>, fault: &'e Fault) -> Option<Self> {
        let stated = expected.limits;
        // [CLS] and one [SEP] a text must fit.
        if stated.tokens < 1 + expected.texts() || stated.tokens > TOKENS {
            return wrong_limit(fault, 0);
        }
        if stated.hidden == 0 {
            return wrong_limit(fault, 4);
        }
        Some(Self {
            expected,
            tensors,
            fault,
            index: 0,
            record: None,
            layer: 0,
            context: 0,
            intermediate: 0,
            limits: Limits {
                query: 0,
                value: 0,
                context: 0,
                intermediate: 0,
                ..stated
            },
        })
    }

    /// Writes down what is wrong with the record at hand.
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
                    if self.is_next(slot.role) {
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

    /// Checks the next record, which must be the one of this slot in this layer.
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
            Form::Matrix | Form::Table => {
                Matrix::view(&record, weights, fault)?.check(&record, fault)?;
            }
            Form::Norm => Norm::view(&record, weights, fault)?.check(&record, fault)?,
        }
        if slot.role == Role::Head {
            let (query, value) = (record.query_rows, record.value_rows());
            self.limits.query = self.limits.query.max(query);
            self.limits.value = self.limits.value.max(value);
            self.context += value;
        }
        Some(())
    }

    /// Whether `record` is as its slot says, and nothing more.
    fn fits(&mut self, slot: &Slot, record: &Record) -> bool {
        let is_head = slot.role == Role::Head;
        let fits = if is_head {
            record.query_rows <= record.rows / 2
        } else {
            record.query_rows == 0 && record.head == 0
        };
        fits && record.layout.form == slot.form
            && self.is_size(slot.rows, record.rows, slot.role == Role::MlpInput)
            && self.is_size(slot.cols, record.cols, false)
    }

    /// Whether `found` is what `size` stands for; `decides` where it is this that says it.
    fn is_size(&mut self, size: Size, found: usize, decides: bool) -> bool {
        let expected = match size {
            Size::One => 1,
            Size::Pieces => self.expected.pieces,
            Size::Tokens => self.limits.tokens,
            Size::Texts => self.expected.texts(),
            Size::Hidden => self.limits.hidden,
            Size::OfHead => return found > 0,
            Size::Context => self.context,
            Size::Intermediate if decides => {
                self.intermediate = found;
                self.limits.intermediate = self.limits.intermediate.max(found);
                found
            }
            Size::Intermediate => self.intermediate,
            Size::Labels => self.limits.labels,
        };
        found == expected
    }
}
