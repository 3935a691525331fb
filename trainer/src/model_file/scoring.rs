//! The answers of a `.neuro` file, by the runtime that devices run.

use neuroprune_format::{FormatError, Model};
use neuroprune_runtime::{Classifier, RuntimeError, SCRATCH_ALIGNMENT, required_scratch};
use rayon::iter::ParallelIterator as _;
use rayon::slice::ParallelSlice as _;
use serde::Serialize;

use crate::data::{Dataset, Example};
use crate::numbers::{real, share};

/// Examples that one classifier runs before the next begins.
const PART: usize = 32;

/// How a model did on a data set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Scored {
    /// Examples.
    pub examples: usize,
    /// Those that were right.
    pub right: usize,
    /// Share that was right, in per cent.
    pub accuracy: f64,
    /// Mean of the classes' F1, in per cent; classes that are neither in the set nor answered do
    /// not count.
    pub macro_f1: f64,
    /// Texts that were longer than the model can see.
    pub truncated: usize,
    /// Each class.
    pub classes: Vec<ClassScore>,
}

/// How a model did on one class. Shares in per cent, 0 where there is nothing to share.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassScore {
    /// Name of the class.
    pub label: String,
    /// Examples of it.
    pub examples: usize,
    /// Times it was the answer.
    pub answered: usize,
    /// Times it was the right answer.
    pub right: usize,
    /// right / answered.
    pub precision: f64,
    /// right / examples.
    pub recall: f64,
    /// Harmonic mean of both.
    pub f1: f64,
}

/// Why a file was not scored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScoringError {
    /// The file does not open.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// A text was not classified.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
}

/// Classifies every example of `dataset`, whose labels are those of the model.
///
/// # Errors
/// [`ScoringError`]; also for pairs with a model of single texts, and the other way around.
pub fn score(model: &Model<'_>, dataset: &Dataset) -> Result<Scored, ScoringError> {
    let limits = model.limits();
    let classify_part = |part: &[Example]| -> Result<Vec<(u16, bool)>, RuntimeError> {
        let mut scratch = vec![0; required_scratch(limits, limits.tokens) + SCRATCH_ALIGNMENT];
        let mut classifier = Classifier::new(*model, &mut scratch)?;
        let mut classify = |example: &Example| {
            let answer = match &example.pair {
                None => classifier.classify(&example.text)?,
                Some(pair) => classifier.classify_pair(&example.text, pair)?,
            };
            Ok((answer.class, answer.truncated))
        };
        part.iter().map(&mut classify).collect()
    };
    let parts = dataset.examples.par_chunks(PART).map(classify_part);
    let answers = parts.collect::<Result<Vec<_>, _>>()?.concat();

    let mut counts = vec![[0_usize; 3]; model.labels().len()];
    for (example, &(class, _)) in dataset.examples.iter().zip(&answers) {
        let (truth, answer) = (example.label as usize, usize::from(class));
        let events = [
            (truth, 0, true),
            (answer, 1, true),
            (truth, 2, truth == answer),
        ];
        for (class, count, happened) in events {
            if let Some(counts) = counts.get_mut(class) {
                counts[count] += usize::from(happened);
            }
        }
    }
    let names = model.labels();
    let classes = names
        .iter()
        .zip(counts)
        .map(|(label, [examples, answered, right])| {
            let (precision, recall) = (share(right, answered), share(right, examples));
            ClassScore {
                label: label.to_owned(),
                examples,
                answered,
                right,
                precision,
                recall,
                f1: share(2 * right, answered + examples),
            }
        });
    let classes: Vec<ClassScore> = classes.collect();
    let right = classes.iter().map(|class| class.right).sum();
    let met = classes
        .iter()
        .filter(|class| class.examples + class.answered > 0);
    let macro_f1 = met.clone().map(|class| class.f1).sum::<f64>() / real(met.count().max(1));
    Ok(Scored {
        examples: answers.len(),
        right,
        accuracy: share(right, answers.len()),
        macro_f1,
        truncated: answers.iter().filter(|(_, truncated)| *truncated).count(),
        classes,
    })
}
