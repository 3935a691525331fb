//! The answers of a `.neuro` file, by the runtime that devices run.

use core::cmp::Reverse;
use std::collections::BTreeMap;

use neuroprune_format::{FormatError, Model};
use neuroprune_runtime::{Classifier, RuntimeError, SCRATCH_ALIGNMENT, required_scratch};
use rayon::iter::{IndexedParallelIterator as _, IntoParallelIterator as _, ParallelIterator as _};
use serde::{Deserialize, Serialize};

use crate::data::{Dataset, Example};
use crate::numbers::{real, share};

/// Examples that one classifier runs before the next begins.
const PART: usize = 32;

/// Wrong answers that a [`Scored`] lists.
const MISTAKES: usize = 20;

/// How a model did on a data set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// Each class of the model, then each label of the set that is none.
    pub classes: Vec<ClassScore>,
    /// Wrong answers by label and answer, the most frequent first.
    pub confusions: Vec<Confusion>,
    /// The wrong answers of the highest probability, at most twenty.
    pub mistakes: Vec<Mistake>,
}

/// Wrong answers of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    /// The label of the texts.
    pub label: String,
    /// The answer to them.
    pub answer: String,
    /// How many there are.
    pub texts: usize,
}

/// A wrong answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mistake {
    /// The text, or the first of a pair.
    pub text: String,
    /// The second of a pair.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pair: Option<String>,
    /// Its label.
    pub label: String,
    /// The answer.
    pub answer: String,
    /// Its probability.
    pub probability: f32,
}

/// The answer to one example.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Answered {
    /// The most probable class.
    pub class: u16,
    /// Its probability.
    pub probability: f32,
    /// Whether the text was longer than the model can see.
    pub truncated: bool,
}

/// How a model did on one class. Shares in per cent, 0 where there is nothing to share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    Ok(Scored::new(dataset, &answers(model, dataset)?))
}

/// The answer to every example of `dataset`.
///
/// # Errors
/// As [`score`].
pub(crate) fn answers(model: &Model<'_>, dataset: &Dataset) -> Result<Vec<Answered>, ScoringError> {
    let (limits, examples) = (model.limits(), &dataset.examples);
    let classify_part = |start: usize| -> Result<Vec<Answered>, RuntimeError> {
        let mut scratch = vec![0; required_scratch(limits, limits.tokens) + SCRATCH_ALIGNMENT];
        let mut classifier = Classifier::new(*model, &mut scratch)?;
        let mut classify = |example: Example<'_>| {
            let answer = match example.pair {
                None => classifier.classify(example.text)?,
                Some(pair) => classifier.classify_pair(example.text, pair)?,
            };
            Ok(Answered {
                class: answer.class,
                probability: answer.probability,
                truncated: answer.truncated,
            })
        };
        let part = start..examples.len().min(start + PART);
        examples.range(part).map(&mut classify).collect()
    };
    let starts = (0..examples.len()).into_par_iter().step_by(PART);
    let parts = starts.map(classify_part);
    Ok(parts.collect::<Result<Vec<_>, _>>()?.concat())
}

impl Scored {
    /// What `answers` to the examples of `dataset` are worth.
    pub(crate) fn new(dataset: &Dataset, answers: &[Answered]) -> Self {
        let names: Vec<&String> = dataset.labels.iter().chain(&dataset.unseen).collect();
        let name = |class: usize| {
            names
                .get(class)
                .map_or_else(String::new, |it| (*it).clone())
        };
        let mut counts = vec![[0_usize; 3]; names.len()];
        let mut confusions = BTreeMap::new();
        let mut wrong = Vec::new();
        for (example, answered) in dataset.examples.iter().zip(answers) {
            let (truth, answer) = (example.label as usize, usize::from(answered.class));
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
            if truth != answer {
                *confusions.entry((truth, answer)).or_insert(0) += 1;
                wrong.push((example, answered));
            }
        }
        let classes = counts
            .into_iter()
            .enumerate()
            .map(|(class, [examples, answered, right])| ClassScore {
                label: name(class),
                examples,
                answered,
                right,
                precision: share(right, answered),
                recall: share(right, examples),
                f1: share(2 * right, answered + examples),
            });
        let classes: Vec<ClassScore> = classes.collect();
        let right = classes.iter().map(|class| class.right).sum();
        let met = classes
            .iter()
            .filter(|class| class.examples + class.answered > 0);
        let macro_f1 = met.clone().map(|class| class.f1).sum::<f64>() / real(met.count().max(1));
        // Stable: equals stay in the order of classes, and of the set.
        let mut confusions: Vec<_> = confusions.into_iter().collect();
        confusions.sort_by_key(|&(_, texts)| Reverse(texts));
        wrong.sort_by(|(_, a), (_, b)| b.probability.total_cmp(&a.probability));
        let mistakes = wrong.into_iter().take(MISTAKES);
        Self {
            examples: answers.len(),
            right,
            accuracy: share(right, answers.len()),
            macro_f1,
            truncated: answers.iter().filter(|it| it.truncated).count(),
            classes,
            confusions: confusions
                .into_iter()
                .map(|((truth, answer), texts)| Confusion {
                    label: name(truth),
                    answer: name(answer),
                    texts,
                })
                .collect(),
            mistakes: mistakes
                .map(|(example, answered)| Mistake {
                    text: example.text.to_owned(),
                    pair: example.pair.map(str::to_owned),
                    label: name(example.label as usize),
                    answer: name(usize::from(answered.class)),
                    probability: answered.probability,
                })
                .collect(),
        }
    }
}
