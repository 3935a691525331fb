//! The cost of a model on this board: flash, memory, stack, instructions.
#![no_std]
#![no_main]

use board::instructions::Counter;
use board::stack;
use defmt_semihosting as _;
use neuroprune_runtime::{Classifier, Model, Scratch, include_model};
use static_cell::ConstStaticCell;

// Any model: `cargo xtask firmware --model FILE`.
include_model!(env!("NEUROPRUNE_MODEL"));

static SCRATCH: ConstStaticCell<Scratch<SCRATCH_BYTES>> = ConstStaticCell::new(Scratch::new());

/// Special tokens included; the sentence has more.
const TOKENS: usize = 16;

const SENTENCE: &str =
    "could you please be so kind and turn on the light in the kitchen and the living room now";

#[board::entry]
fn main() -> ! {
    let mut counter = Counter::new();
    let mut count = |work: &mut dyn FnMut()| match &mut counter {
        Some(counter) => counter.count(work).1,
        None => {
            work();
            None
        }
    };

    stack::paint();
    let mut opened = None;
    let open = count(&mut || opened = Model::open(MODEL_FILE).ok());
    let Some(model) = opened else {
        board::fail(&["the model does not open"]);
    };
    let Ok(mut classifier) = Classifier::with_tokens(model, &mut SCRATCH.take()[..], TOKENS) else {
        board::fail(&["the scratch memory is too small"]);
    };
    let mut answer = None;
    let classify = count(&mut || answer = classifier.classify(SENTENCE).ok());
    let Some(answer) = answer else {
        board::fail(&["the sentence was not classified"]);
    };
    let Some(stack) = stack::high_water() else {
        board::fail(&["the stack reached the statics"]);
    };

    defmt::println!("model: {=usize} bytes of flash", MODEL_FILE.len());
    defmt::println!("scratch: {=usize} bytes of RAM", SCRATCH_BYTES);
    defmt::println!("stack: {=usize} bytes of RAM", stack);
    print_count("open", open);
    defmt::println!("tokens: {=usize}", answer.tokens);
    print_count("classify", classify);
    board::exit(0)
}

fn print_count(what: &str, instructions: Option<u32>) {
    match instructions {
        Some(count) => defmt::println!("{=str}: {=u32} instructions", what, count),
        None => defmt::println!("{=str}: n/a instructions", what),
    }
}
