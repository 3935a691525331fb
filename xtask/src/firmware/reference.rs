//! What `classify` must print, from this machine.

use core::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use neuroprune_runtime::{Classifier, Model, SCRATCH_ALIGNMENT, required_scratch};

/// The model that is in the programs.
pub(crate) fn model_path(folder: &Path) -> PathBuf {
    folder.join("models/commands.neuro")
}

/// The lines of `firmware-examples/src/bin/classify.rs`.
pub(crate) fn classify(folder: &Path) -> anyhow::Result<String> {
    let path = model_path(folder);
    let file = fs::read(&path).with_context(|| path.display().to_string())?;
    let path = folder.join("sentences.txt");
    let sentences = fs::read_to_string(&path).with_context(|| path.display().to_string())?;

    let model = Model::open(&file)?;
    let limits = model.limits();
    let mut scratch = vec![0; required_scratch(limits, limits.tokens) + SCRATCH_ALIGNMENT];
    let mut classifier = Classifier::new(model, &mut scratch)?;
    let mut text = String::new();
    for sentence in sentences.lines() {
        let answer = classifier.classify(sentence)?;
        writeln!(text, "{sentence}")?;
        writeln!(
            text,
            "  {}, probability {:08x}, {} tokens, {} unknown, truncated {}",
            answer.label,
            answer.probability.to_bits(),
            answer.tokens,
            answer.unknown,
            answer.truncated,
        )?;
        for (label, logit) in model.labels().iter().zip(classifier.logits()) {
            writeln!(text, "  {:08x} {label}", logit.to_bits())?;
        }
    }
    Ok(text)
}
