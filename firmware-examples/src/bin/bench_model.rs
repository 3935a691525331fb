//! Instructions of whole models, from characters to label, stage by stage.
//!
//! `cargo xtask bench` puts the models into memory and names the regions by what this
//! program prints; lines with `=` are figures in bytes or tokens.
#![no_std]
#![no_main]

use board::numbers::decimal;
use board::{files, regions, stack};
use neuroprune_runtime::{Classifier, Model, Scratch, Stage, Values, required_scratch};
use static_cell::ConstStaticCell;

/// Enough for the largest model that the board gets.
const MEMORY: usize = if cfg!(small_memory) { 11_000 } else { 64_000 };

static MEMORY_OF_MODEL: ConstStaticCell<Scratch<MEMORY>> = ConstStaticCell::new(Scratch::new());

/// Special tokens included; the sentence has more.
const TOKENS: usize = 16;

const SENTENCE: &str =
    "could you please be so kind and turn on the light in the kitchen and the living room now";

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
    let Ok(mut classifier) = Classifier::with_tokens(&model, memory, TOKENS) else {
        board::fail(&[name, ": the scratch memory is too small"]);
    };
    regions::begin();
    let answer = classifier.classify_traced(SENTENCE, None, &mut |_: Stage, _: Values<'_>| {
        regions::next();
    });
    regions::end();
    let Ok(answer) = answer else {
        board::fail(&[name, ": the sentence was not classified"]);
    };
    let Some(stack) = stack::high_water() else {
        board::fail(&["the stack reached the statics"]);
    };

    // The regions have no names of their own in the binary: they follow from the layers.
    regions::name(&[name, ": open"]);
    regions::name(&[name, ": tokenise and embed"]);
    for layer in 0..model.encoder().settings().layers {
        let mut digits = [0; 10];
        let layer = decimal(u32::from(layer), &mut digits);
        regions::name(&[name, ": attention ", layer]);
        regions::name(&[name, ": MLP ", layer]);
    }
    regions::name(&[name, ": pool"]);
    regions::name(&[name, ": classify"]);
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
