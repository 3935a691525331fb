//! What the browser must answer, from this machine: `browser/out/reference.json`.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use neuroprune_runtime::{Classifier, Model, SCRATCH_ALIGNMENT, required_scratch};
use serde::Serialize;

use crate::command::repository;

/// The model that the boards run too.
const MODEL: &str = "firmware-examples/models/commands.neuro";

/// Texts that are not sentences; the sentences of the boards come before them.
const TEXTS: [&str; 8] = [
    "",
    " \t\n",
    "🏠💡🔥 turn on 👩‍👩‍👧 the light",
    "打开厨房的灯",
    "キッチンの電気をつけて",
    "Ｔｕｒｎ　ｏｎ ﬁne Ünïcödé ß İ",
    "\u{0} \u{feff} \u{200d} \u{fffd}",
    "[CLS] [SEP] [UNK] </s>",
];

/// An answer. Floats are their bits, so that nothing rounds them.
#[derive(Serialize)]
struct Answer {
    text: String,
    label: String,
    probabilities: Vec<u32>,
    logits: Vec<u32>,
    tokens: usize,
    unknown: usize,
    truncated: bool,
}

/// Writes the answers of this machine.
pub(super) fn write(path: &Path) -> anyhow::Result<()> {
    let file = fs::read(repository().join(MODEL)).context(MODEL)?;
    let sentences = "firmware-examples/sentences.txt";
    let sentences = fs::read_to_string(repository().join(sentences)).context(sentences)?;
    let megabyte = 1 << 20;
    let long = [
        "turn off the lamp and ".repeat(megabyte / 22),
        " ".repeat(megabyte) + "stop the music",
        "a".repeat(megabyte),
    ];
    let texts = sentences
        .lines()
        .chain(TEXTS)
        .map(str::to_owned)
        .chain(long);

    let model = Model::open(&file)?;
    let limits = model.limits();
    let mut scratch = vec![0; required_scratch(limits, limits.tokens) + SCRATCH_ALIGNMENT];
    let mut classifier = Classifier::new(model, &mut scratch)?;
    let mut answers = Vec::new();
    for text in texts {
        let answer = classifier.classify(&text)?;
        let ranking = answer.ranking.iter();
        answers.push(Answer {
            label: answer.label.to_owned(),
            probabilities: ranking.map(|ranked| ranked.probability.to_bits()).collect(),
            tokens: answer.tokens,
            unknown: answer.unknown,
            truncated: answer.truncated,
            logits: classifier
                .logits()
                .iter()
                .map(|logit| logit.to_bits())
                .collect(),
            text,
        });
    }
    fs::write(path, serde_json::to_string(&answers)?).with_context(|| path.display().to_string())
}
