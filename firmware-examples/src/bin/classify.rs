//! Classifies the sentences of `sentences.txt` and logs every logit, bit for bit.
//!
//! The expected output is written by the host, which runs the same sentences through the same
//! runtime: this program shows that the two agree.
#![no_std]
#![no_main]

use defmt_semihosting as _;
use neuroprune_runtime::{Classifier, Model, RuntimeError, Scratch, include_model};
use static_cell::ConstStaticCell;

include_model!("../../models/commands.neuro");

static SCRATCH: ConstStaticCell<Scratch<SCRATCH_BYTES>> = ConstStaticCell::new(Scratch::new());

/// One per line.
const SENTENCES: &str = include_str!("../../sentences.txt");

#[board::entry]
fn main() -> ! {
    let model = match Model::open(MODEL_FILE) {
        Ok(model) => model,
        Err(error) => {
            defmt::error!("the model does not open: {}", error);
            board::exit(1);
        }
    };
    if let Err(error) = classify(&model, &mut SCRATCH.take()[..]) {
        defmt::error!("not classified: {}", error);
        board::exit(1);
    }
    board::exit(0)
}

fn classify(model: &Model<'_>, scratch: &mut [u8]) -> Result<(), RuntimeError> {
    let mut classifier = Classifier::new(*model, scratch)?;
    for sentence in SENTENCES.lines() {
        let answer = classifier.classify(sentence)?;
        defmt::println!("{=str}", sentence);
        defmt::println!(
            "  {=str}, probability {=u32:08x}, {=usize} tokens, {=usize} unknown, truncated {=bool}",
            answer.label,
            answer.probability.to_bits(),
            answer.tokens,
            answer.unknown,
            answer.truncated,
        );
        for (label, logit) in model.labels().iter().zip(classifier.logits()) {
            defmt::println!("  {=u32:08x} {=str}", logit.to_bits(), label);
        }
    }
    Ok(())
}
