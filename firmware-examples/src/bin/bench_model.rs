//! Instructions of whole models, from characters to label: a long text stage by stage, then
//! shorter ones.
//!
//! `cargo xtask bench` puts the models into memory and names the regions by what this
//! program prints; lines with `=` are figures in bytes or tokens.
#![no_std]
#![no_main]

use board::numbers::decimal;
use board::{files, regions, stack};
use neuroprune_format::encoder::Mixing;
use neuroprune_runtime::{
    Classification, Classifier, Model, RuntimeError, Scratch, Stage, Values, required_scratch,
};
use static_cell::ConstStaticCell;

/// Enough for the largest model that runs on the board.
const MEMORY: usize = if cfg!(small_memory) { 11_000 } else { 64_000 };

static MEMORY_OF_MODEL: ConstStaticCell<Scratch<MEMORY>> = ConstStaticCell::new(Scratch::new());

/// Special tokens included; the sentence has more.
const TOKENS: usize = 16;

const SENTENCE: &str =
    "could you please be so kind and turn on the light in the kitchen and the living room now";

/// Tokens of the shorter texts: one word and two, which use the kernels' form for few tokens, one
/// more, and a full tile.
const SHORTER: [usize; 4] = [3, 4, 5, 8];

#[board::entry]
fn main() -> ! {
    let memory = &mut MEMORY_OF_MODEL.take()[..];
    regions::calibrate();
    for file in files::files() {
        measure(file, memory);
    }
    board::exit(0)
}

#[inline(never)]
fn measure(file: &[u8], memory: &mut [u8]) {
    stack::paint();
    regions::begin();
    let opened = Model::open(file);
    regions::end();
    let Ok(model) = opened else {
        board::fail(&["a model does not open"]);
    };
    let name = model.manifest().name;
    let Ok(mut classifier) = Classifier::with_tokens(model, memory, TOKENS) else {
        board::fail(&[name, ": the scratch memory is too small"]);
    };
    regions::begin();
    let answer = classify(&mut classifier, SENTENCE, true);
    regions::end();
    let Ok(answer) = answer else {
        board::fail(&[name, ": the sentence was not classified"]);
    };
    let Some(stack) = stack::high_water() else {
        board::fail(&["the stack reached the statics"]);
    };

    name_regions(&model);
    for tokens in SHORTER {
        measure_short(&model, memory, tokens);
    }
    let scratch = required_scratch(model.limits(), TOKENS);
    for (what, figure) in [
        ("model", file.len()),
        ("scratch", scratch),
        ("stack", stack),
        ("tokens", answer.tokens),
        ("unused statics", MEMORY - scratch.min(MEMORY)),
    ] {
        let mut digits = [0; 10];
        let figure = decimal(u32::try_from(figure).unwrap_or(u32::MAX), &mut digits);
        regions::name(&[name, ": ", what, "=", figure]);
    }
}

/// The regions have no names of their own in the binary: they follow from the layers.
#[inline(never)]
fn name_regions(model: &Model<'_>) {
    let name = model.manifest().name;
    regions::name(&[name, ": open"]);
    regions::name(&[name, ": tokenise and embed"]);
    let neuroprune_runtime::Network::Encoder(encoder) = model.network();
    for (index, layer) in (0..).zip(encoder.layers()) {
        let mut digits = [0; 10];
        let index = decimal(index, &mut digits);
        let mixing = match layer.mixing() {
            Mixing::Attention(_) => ": attention ",
            Mixing::Recurrence(_) => ": recurrence ",
        };
        regions::name(&[name, mixing, index]);
        if layer.mlp().is_some() {
            regions::name(&[name, ": MLP ", index]);
        }
    }
    regions::name(&[name, ": pool"]);
    regions::name(&[name, ": classify"]);
}

/// One copy of the runtime for all texts, as in a real program.
#[inline(never)]
fn classify<'m>(
    classifier: &mut Classifier<'m, '_>,
    text: &str,
    stage_by_stage: bool,
) -> Result<Classification<'m>, RuntimeError> {
    classifier.classify_traced(text, None, &mut |_: Stage, _: Values<'_>| {
        if stage_by_stage {
            regions::next();
        }
    })
}

/// Another text of `tokens` tokens, special tokens included.
#[inline(never)]
fn measure_short(model: &Model<'_>, memory: &mut [u8], tokens: usize) {
    let name = model.manifest().name;
    let words = tokens.saturating_sub(2);
    // Without `str`'s search, which is a kilobyte of a program that is measured.
    let mut ends = SENTENCE
        .bytes()
        .enumerate()
        .filter(|&(_, byte)| byte == b' ');
    let end = words.checked_sub(1).and_then(|last| ends.nth(last));
    let end = end.map(|(at, _)| at);
    let text = end.and_then(|end| SENTENCE.get(..end)).unwrap_or_default();
    let Ok(mut classifier) = Classifier::with_tokens(*model, memory, tokens) else {
        board::fail(&[name, ": the scratch memory is too small"]);
    };
    regions::begin();
    let answer = classify(&mut classifier, text, false);
    regions::end();
    if !answer.is_ok_and(|answer| answer.tokens == tokens) {
        board::fail(&[name, ": a short text has not the tokens that it should"]);
    }
    let mut digits = [0; 10];
    let tokens = decimal(u32::try_from(tokens).unwrap_or(u32::MAX), &mut digits);
    regions::name(&[name, ": text of ", tokens, " tokens"]);
}
