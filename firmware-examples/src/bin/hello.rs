//! The smallest complete program: a model in flash, memory in a static, one answer.
#![no_std]
#![no_main]

use neuroprune_runtime::{Classifier, Model, Scratch, include_model};
use static_cell::ConstStaticCell;

include_model!("../../models/commands.neuro");

static SCRATCH: ConstStaticCell<Scratch<SCRATCH_BYTES>> = ConstStaticCell::new(Scratch::new());

#[board::entry]
fn main() -> ! {
    let Ok(model) = Model::open(MODEL_FILE) else {
        board::fail(&["the model does not open"]);
    };
    let Some(scratch) = SCRATCH.try_take() else {
        board::fail(&["the scratch memory is in use"]);
    };
    let Ok(mut classifier) = Classifier::new(model, &mut scratch[..]) else {
        board::fail(&["the scratch memory is too small"]);
    };
    let Ok(answer) = classifier.classify("turn on the kitchen light") else {
        board::fail(&["the sentence was not classified"]);
    };
    board::print(answer.label);
    board::print("\n");
    board::exit(0)
}
