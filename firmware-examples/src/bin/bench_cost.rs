//! Instructions of whole models, from characters to label, and of their tokenizers alone.
//!
//! `cargo xtask bench` puts random models into memory and compares what is counted with what
//! `cost` states, and the logits with the host's.
#![no_std]
#![no_main]

use board::numbers::decimal;
use board::{files, regions};
use neuroprune_runtime::tokenizer::Tokenizer;
use neuroprune_runtime::{Classifier, Model, Scratch};
use static_cell::ConstStaticCell;

const MEMORY: usize = 400_000;

static MEMORY_OF_MODEL: ConstStaticCell<Scratch<MEMORY>> = ConstStaticCell::new(Scratch::new());

/// At least as many words as a text of the longest model has.
const SENTENCES: &str = "could you please be so kind and turn on the light in the kitchen and the living room now \
     could you please be so kind and turn on the light in the kitchen and the living room now \
     could you please be so kind and turn on the light in the kitchen and the living room now \
     could you please be so kind and turn on the light in the kitchen and the living room now ";

/// Most tokens of a model.
const TOKENS: usize = 64;

#[board::entry]
fn main() -> ! {
    let memory = &mut MEMORY_OF_MODEL.take()[..];
    regions::calibrate();
    for file in files::files() {
        let Ok(model) = Model::open(file) else {
            board::fail(&["a model does not open"]);
        };
        measure(&model, memory);
    }
    board::exit(0)
}

#[inline(never)]
fn measure(model: &Model<'_>, memory: &mut [u8]) {
    let name = model.manifest().name;
    let tokens = model.limits().tokens;
    let second = model.tokenizer().pair.then_some("");
    let special = if second.is_some() { 3 } else { 2 };
    let text = text(tokens.saturating_sub(special));
    let mut ids = [0; TOKENS];
    let ids = ids.get_mut(..tokens).unwrap_or_default();
    let tokenizer = Tokenizer::new(model);
    regions::begin();
    let encoding = tokenizer.encode(text, second, ids);
    regions::end();
    regions::name(&[name, ": text"]);
    if encoding.tokens != tokens || encoding.truncated {
        board::fail(&[name, ": the text has not the tokens that it should"]);
    }
    let mut digits = [0; 10];
    let bytes = decimal(u32::try_from(text.len()).unwrap_or(u32::MAX), &mut digits);
    regions::name(&[name, ": text bytes=", bytes]);
    let Ok(mut classifier) = Classifier::new(*model, memory) else {
        board::fail(&[name, ": the scratch memory is too small"]);
    };
    regions::begin();
    let answer = classifier.classify_traced(text, second, &mut ());
    regions::end();
    if answer.is_err() {
        board::fail(&[name, ": was not classified"]);
    }
    regions::name(&[name, ": text to label"]);
    let mut digits = [0; 10];
    let digest = decimal(digest(classifier.logits()), &mut digits);
    regions::name(&[name, ": logits=", digest]);
}

/// FNV-1a of the bits, which are the host's.
fn digest(logits: &[f32]) -> u32 {
    let bytes = logits
        .iter()
        .flat_map(|logit| logit.to_bits().to_le_bytes());
    bytes.fold(0x811c_9dc5, |digest, byte| {
        (digest ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

/// A text of this many words.
fn text(mut words: usize) -> &'static str {
    let end = SENTENCES.bytes().position(|byte| {
        if words == 0 {
            return true;
        }
        words -= usize::from(byte == b' ');
        false
    });
    SENTENCES.get(..end.unwrap_or(0)).unwrap_or_default()
}
