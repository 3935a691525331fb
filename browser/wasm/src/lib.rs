//! The runtime as a WebAssembly module: plain functions for `browser/src/module.ts`.
//!
//! ```text
//! model_buffer(length) ── JavaScript writes the file ──► open(length) ─► facts, label, …
//! text_buffer(length) ─── JavaScript writes UTF-8 ─────► classify(length) ─► answer
//! ```
//!
//! An instance holds one model, from its first byte to the last answer:
//!
//! ```text
//! | stack, statics | model file | its directory | scratch memory | text, or weights of one tensor |
//! ```
//!
//! The module needs no imports and no allocator. JavaScript drops the instance to release the
//! memory. Functions that return an address of words leave a record there, which the next call
//! overwrites.
#![no_std]

mod memory;
mod record;

use core::cell::{Cell, OnceCell};
use core::panic::PanicInfo;

use neuroprune_format::architecture::{Architecture, Head};
use neuroprune_format::tensor::Record as TensorRecord;
use neuroprune_format::{ErrorKind, FormatError, Model, Section};
use neuroprune_runtime::{Classification, Classifier, RuntimeError, required_scratch};

use memory::{Memory, Region};
use record::{Message, Record};

/// The result of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Status {
    /// The call succeeded.
    Done = 0,
    /// The host provides no more memory.
    Memory = 1,
    /// The bytes are not those of a `.neuro` file.
    NotAModel = 2,
    /// The file is of a version that this module does not know.
    TooNew = 3,
    /// The file does not have the bytes that it states.
    Truncated = 4,
    /// The file is damaged.
    Damaged = 5,
    /// The model takes pairs, and one text was given.
    PairExpected = 6,
    /// The model takes single texts, and a pair was given.
    SingleExpected = 7,
    /// The caller violates the order of calls, or the bounds of its buffers.
    Misused = 8,
}

/// Everything that an instance of the module holds.
struct Instance {
    memory: Memory,
    file: Cell<Region>,
    model: OnceCell<Model<'static>>,
    /// The records of the model's tensors: the view reaches one only by a walk from the first, and
    /// a file may have as many tensors as it has room for.
    directory: Cell<&'static [TensorRecord]>,
    classifier: Cell<Option<Classifier<'static, 'static>>>,
    text: Cell<Region>,
    record: Cell<Record>,
    message: OnceCell<Message>,
}

// SAFETY: the module is built without threads (no atomics, no shared memory), so only one thread
// can see it.
unsafe impl Sync for Instance {}

static INSTANCE: Instance = Instance {
    memory: Memory::new(),
    file: Cell::new(Region::NONE),
    model: OnceCell::new(),
    directory: Cell::new(&[]),
    classifier: Cell::new(None),
    text: Cell::new(Region::NONE),
    record: Cell::new(Record::new()),
    message: OnceCell::new(),
};

/// Reserves `length` bytes for the model file and returns their address; 0 if there is no memory.
/// Called once.
#[unsafe(no_mangle)]
pub extern "C" fn model_buffer(length: usize) -> usize {
    let region = INSTANCE.memory.reserve(length).unwrap_or(Region::NONE);
    INSTANCE.file.set(region);
    region.address()
}

/// Checks the first `length` bytes of the buffer and makes the classifier. Called once.
#[unsafe(no_mangle)]
pub extern "C" fn open(length: usize) -> Status {
    let Some(file) = INSTANCE.file.get().bytes(length) else {
        return Status::Misused;
    };
    let model = match Model::open_whole(file) {
        Ok(model) => INSTANCE.model.get_or_init(|| model),
        Err(error) => return refused(&error),
    };
    let Some(directory) = INSTANCE.memory.keep(model.tensors().records()) else {
        return Status::Memory;
    };
    INSTANCE.directory.set(directory);
    let limits = model.limits();
    let scratch = required_scratch(limits, limits.tokens);
    let scratch = INSTANCE.memory.reserve(scratch);
    let Some((scratch, text)) = scratch.zip(INSTANCE.memory.reserve(0)) else {
        return Status::Memory;
    };
    INSTANCE.text.set(text);
    // SAFETY: the region was just reserved, and only the classifier gets it.
    let scratch = unsafe { scratch.bytes_mut() };
    match Classifier::new(*model, scratch) {
        Ok(classifier) => {
            INSTANCE.classifier.set(Some(classifier));
            Status::Done
        }
        Err(error) => failed(error),
    }
}

/// Why `open` rejected the file, as text.
#[unsafe(no_mangle)]
pub extern "C" fn message() -> *const u32 {
    let message = INSTANCE.message.get();
    let text = message.map_or("", Message::as_str);
    Record::new().text(text).leave(&INSTANCE.record)
}

/// What the model is: name and producer; labels, tokens, whether it takes pairs, layers,
/// hidden, vocabulary, tensors, dense weights, bytes of scratch memory; accuracies in per
/// cent of the dense float network, the sparse one and this file (NaN: not measured). 0 if no model
/// is open.
#[unsafe(no_mangle)]
pub extern "C" fn facts() -> *const u32 {
    let Some(model) = INSTANCE.model.get() else {
        return core::ptr::null();
    };
    let (manifest, limits) = (model.manifest(), model.limits());
    let Architecture::Encoder {
        stack,
        head: Head::Classes(_),
    } = manifest.architecture;
    let score = |score: Option<f32>| score.unwrap_or(f32::NAN);
    Record::new()
        .text(manifest.name)
        .text(manifest.provenance.producer)
        .word(limits.outputs)
        .word(limits.tokens)
        .word(usize::from(manifest.tokenizer.pair))
        .word(usize::from(stack.layers))
        .word(limits.hidden)
        .word(model.vocabulary().len())
        .word(INSTANCE.directory.get().len())
        .word(stack.dense_weights as usize)
        .word(required_scratch(limits, limits.tokens))
        .float(score(manifest.scores.dense_float))
        .float(score(manifest.scores.sparse_float))
        .float(score(manifest.scores.runtime))
        .leave(&INSTANCE.record)
}

/// Name of class `class`, as text. 0 if there is no such class.
#[unsafe(no_mangle)]
pub extern "C" fn label(class: usize) -> *const u32 {
    let model = INSTANCE.model.get();
    match model.and_then(|model| model.labels().get(class)) {
        Some(label) => Record::new().text(label).leave(&INSTANCE.record),
        None => core::ptr::null(),
    }
}

/// Tensor number `index` of the file: role and layout; layer, head, rows, columns, query
/// rows, bytes, whether it is a matrix of the encoder, whether it is a matrix, nonzero
/// weights of a matrix. 0 if there is no such tensor.
#[unsafe(no_mangle)]
pub extern "C" fn tensor(index: usize) -> *const u32 {
    let Some((model, tensor)) = find(index) else {
        return core::ptr::null();
    };
    let is_prunable = tensor.role.slot().is_prunable();
    let matrix = model.tensors().matrix(tensor);
    Record::new()
        .text(tensor.role.name())
        .text(tensor.layout.name())
        .word(usize::from(tensor.layer))
        .word(usize::from(tensor.head))
        .word(tensor.rows)
        .word(tensor.cols)
        .word(tensor.query_rows)
        .word(tensor.length)
        .word(usize::from(is_prunable))
        .word(usize::from(matrix.is_some()))
        .word(matrix.map_or(0, |matrix| matrix.count_nonzeros()))
        .leave(&INSTANCE.record)
}

/// Writes the weights of matrix `index` to the buffer for texts, `[rows, cols]`, one `i8` each, and
/// returns its address; 0 if there is no such matrix, or no memory.
#[unsafe(no_mangle)]
pub extern "C" fn weights(index: usize) -> usize {
    let matrix = find(index).and_then(|(model, tensor)| model.tensors().matrix(tensor));
    let Some(matrix) = matrix else {
        return 0;
    };
    let cols = matrix.cols();
    let address = text_buffer(matrix.rows().saturating_mul(cols));
    if address == 0 {
        return 0;
    }
    // SAFETY: no slice of the region of texts outlives the call that made it.
    let bytes = unsafe { INSTANCE.text.get().bytes_mut() };
    for (places, row) in bytes.chunks_exact_mut(cols.max(1)).zip(matrix.iter()) {
        places.fill(0);
        for (column, weight) in row.weights.nonzeros() {
            if let Some(place) = places.get_mut(column) {
                *place = weight.cast_unsigned();
            }
        }
    }
    address
}

/// Makes room for texts of `length` bytes and returns the address; 0 if there is no memory, or
/// before `open`. Memory once used for texts is kept for later ones.
#[unsafe(no_mangle)]
pub extern "C" fn text_buffer(length: usize) -> usize {
    let text = INSTANCE.text.get();
    let longer = INSTANCE
        .model
        .get()
        .and_then(|_| INSTANCE.memory.extend(text, length));
    let Some(longer) = longer else {
        return 0;
    };
    INSTANCE.text.set(longer);
    longer.address()
}

/// Classifies the first `length` bytes of the buffer for texts; the answer is in `record`.
#[unsafe(no_mangle)]
pub extern "C" fn classify(length: usize) -> Status {
    answer(length, None)
}

/// Classifies a pair: the first `length` bytes of the buffer, and `second` bytes after
/// them.
#[unsafe(no_mangle)]
pub extern "C" fn classify_pair(length: usize, second: usize) -> Status {
    answer(length, Some(second))
}

/// The record of the last call. For an answer: tokens, unknown ones, whether the text was
/// cut, address of the logits, how many classes follow; then class and probability of each, most
/// probable first.
#[unsafe(no_mangle)]
pub extern "C" fn record() -> *const u32 {
    INSTANCE.record.as_ptr().cast_const().cast()
}

fn answer(length: usize, second: Option<usize>) -> Status {
    let both = length.saturating_add(second.unwrap_or(0));
    let texts = INSTANCE.text.get().bytes(both);
    let Some((first, pair)) = texts.and_then(|texts| texts.split_at_checked(length)) else {
        return Status::Misused;
    };
    let Some(mut classifier) = INSTANCE.classifier.take() else {
        return Status::Misused;
    };
    let answer = match (core::str::from_utf8(first), core::str::from_utf8(pair)) {
        (Ok(text), Ok(_)) if second.is_none() => Some(classifier.classify(text)),
        (Ok(text), Ok(pair)) => Some(classifier.classify_pair(text, pair)),
        _ => None,
    };
    let status = match answer {
        Some(Ok(answer)) => {
            describe(&answer, classifier.logits()).leave(&INSTANCE.record);
            Status::Done
        }
        Some(Err(error)) => failed(error),
        None => Status::Misused,
    };
    INSTANCE.classifier.set(Some(classifier));
    status
}

fn describe(answer: &Classification<'_>, logits: &[f32]) -> Record {
    let record = Record::new()
        .word(answer.tokens)
        .word(answer.unknown)
        .word(usize::from(answer.truncated))
        .word(logits.as_ptr() as usize)
        .word(answer.ranking.len());
    answer.ranking.iter().fold(record, |record, ranked| {
        let class = usize::from(ranked.class);
        record.word(class).float(ranked.probability)
    })
}

fn refused(error: &FormatError) -> Status {
    let _ = INSTANCE.message.set(Message::new(error));
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "every other fault is damage"
    )]
    match error.kind {
        ErrorKind::Magic => Status::NotAModel,
        ErrorKind::Version { .. } => Status::TooNew,
        ErrorKind::Length { stated, given } if given < stated => Status::Truncated,
        ErrorKind::Truncated if error.section == Section::Header => Status::Truncated,
        _ => Status::Damaged,
    }
}

fn failed(error: RuntimeError) -> Status {
    match error {
        RuntimeError::Scratch { .. } => Status::Memory,
        RuntimeError::PairExpected => Status::PairExpected,
        RuntimeError::SingleExpected => Status::SingleExpected,
        _ => Status::Misused,
    }
}

fn find(index: usize) -> Option<(&'static Model<'static>, &'static TensorRecord)> {
    let model = INSTANCE.model.get()?;
    Some((model, INSTANCE.directory.get().get(index)?))
}

/// A panic would be a fault of the runtime; the trap reaches JavaScript as an error.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}
