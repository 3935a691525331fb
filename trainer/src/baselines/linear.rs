//! Multinomial logistic regression on a bag of words, or of words and pairs of neighbouring words:
//! whichever is better on a tenth of the training texts that is set aside for that.
//!
//! A text is the set of its features, each worth its inverse document frequency over the square root
//! of their number. Trained with AdaGrad (Duchi et al. 2011); the weights that it answers with are
//! int8, one scale a class.

use core::cmp::Reverse;
use std::collections::HashMap;

use crate::data::{Dataset, Example};
use crate::numbers::{ratio, real, share, single};
use crate::random::{Purpose, permutation, stream};
use crate::text::vocabulary::{Normalization, VocabularyError, for_each_word};

/// Which texts the features are chosen on.
const SPLIT_SEED: u64 = 0;
/// Begins the words of a second text; no word has it.
const SECOND: &str = "\t";
/// A word that fewer texts have is left out.
const LEAST_TEXTS: usize = 2;
/// Most weights, words times classes: 64 MiB.
const MOST_WEIGHTS: usize = 1 << 24;
/// Most passes over the texts.
const MOST_PASSES: usize = 20;
/// Products after which there is no further pass: a second or so.
const MOST_PRODUCTS: usize = 1_000_000_000;
const LEARNING_RATE: f32 = 0.5;
/// Share of a weight that an update takes away.
const DECAY: f32 = 1e-4;
/// In the denominator of AdaGrad.
const EPSILON: f32 = 1e-6;
/// Bytes of a class besides its weights: its scale and its bias.
const CLASS_BYTES: usize = 8;

/// What of a text is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Features {
    Words,
    /// Words, and pairs of neighbouring ones.
    Pairs,
}

/// A trained model.
pub(super) struct Linear {
    features: Features,
    /// Numbers of the words and pairs.
    words: HashMap<String, usize>,
    classes: usize,
    /// `[words, classes]`: the int8 weights, scaled.
    weights: Vec<f32>,
    biases: Vec<f32>,
}

/// The features of a text; those of a second text are others.
fn words_of(
    example: Example<'_>,
    normalization: Normalization,
    features: Features,
    mut visit: impl FnMut(&str),
) -> Result<(), VocabularyError> {
    let texts = [("", Some(example.text)), (SECOND, example.pair)];
    for (mark, text) in texts {
        let Some(text) = text else { continue };
        let mut before = String::new();
        for_each_word(text, normalization, |word| {
            let word = format!("{mark}{word}");
            visit(&word);
            if features == Features::Pairs && !before.is_empty() {
                visit(&format!("{before} {word}"));
            }
            before = word;
        })?;
    }
    Ok(())
}

impl Linear {
    /// Trains one on all of `train`, with the features that suit it.
    pub(super) fn best(
        train: &Dataset,
        normalization: Normalization,
    ) -> Result<Self, VocabularyError> {
        let mut features = Features::Words;
        if let Ok((most, rest)) = train.clone().split_dev(SPLIT_SEED) {
            let accuracy = |features| {
                let model = Self::train(&most, normalization, features)?;
                model.accuracy(&rest, normalization)
            };
            // Words alone are smaller.
            if accuracy(Features::Pairs)? > accuracy(Features::Words)? {
                features = Features::Pairs;
            }
        }
        Self::train(train, normalization, features)
    }

    /// Trains one on all of `train`.
    fn train(
        train: &Dataset,
        normalization: Normalization,
        features: Features,
    ) -> Result<Self, VocabularyError> {
        let classes = train.labels.len();
        // Numbers in the order of the texts: the same in every process.
        let mut numbers = HashMap::<String, usize>::new();
        let mut texts_with: Vec<usize> = Vec::new();
        let mut texts: Vec<Vec<usize>> = Vec::with_capacity(train.examples.len());
        for example in train.examples.iter() {
            let mut words = Vec::new();
            words_of(example, normalization, features, |word| {
                let number = numbers.get(word).copied().unwrap_or_else(|| {
                    texts_with.push(0);
                    numbers.insert(word.to_owned(), numbers.len());
                    numbers.len() - 1
                });
                words.push(number);
            })?;
            words.sort_unstable();
            words.dedup();
            words.iter().for_each(|&word| texts_with[word] += 1);
            texts.push(words);
        }
        // What is frequent enough keeps a number.
        let words = 0..texts_with.len();
        let mut frequent: Vec<usize> = words.filter(|&it| texts_with[it] >= LEAST_TEXTS).collect();
        frequent.sort_by_key(|&word| Reverse(texts_with[word]));
        frequent.truncate(MOST_WEIGHTS / classes.max(1));
        frequent.sort_unstable();
        let mut renumbered = vec![None; texts_with.len()];
        for (number, &word) in frequent.iter().enumerate() {
            renumbered[word] = Some(number);
        }
        let rarity = frequent.iter().map(|&word| {
            let frequency = ratio(texts_with[word], train.examples.len());
            single(1.0 - frequency.ln())
        });
        let rarity: Vec<f32> = rarity.collect();
        for words in &mut texts {
            *words = words.iter().filter_map(|&word| renumbered[word]).collect();
        }
        numbers.retain(|_, number| match renumbered[*number] {
            Some(kept) => {
                *number = kept;
                true
            }
            None => false,
        });
        let mut fit = Fit::new(rarity, classes);
        let products = classes * texts.iter().map(Vec::len).sum::<usize>();
        let passes = (MOST_PRODUCTS / products.max(1)).clamp(1, MOST_PASSES);
        for pass in 0..passes {
            let mut generator = stream(0, Purpose::Shuffling, pass as u64);
            for text in permutation(&mut generator, texts.len()) {
                let label = train.examples.get(text).map(|it| it.label as usize);
                // Of a label that is no class there is nothing to learn.
                if let Some(label) = label.filter(|&label| label < classes) {
                    fit.learn(&texts[text], label);
                }
            }
        }
        let mut model = Self {
            features,
            words: numbers,
            classes,
            weights: fit.weights,
            biases: fit.biases,
        };
        model.fold(&fit.rarity);
        model.round();
        Ok(model)
    }

    /// Puts the inverse document frequencies into the weights.
    fn fold(&mut self, rarity: &[f32]) {
        for (row, rarity) in self.weights.chunks_exact_mut(self.classes).zip(rarity) {
            row.iter_mut().for_each(|weight| *weight *= rarity);
        }
    }

    /// To int8, a scale a class.
    fn round(&mut self) {
        for class in 0..self.classes {
            let column = self.weights.iter().skip(class).step_by(self.classes);
            let largest = column.fold(0.0_f32, |largest, weight| largest.max(weight.abs()));
            let scale = largest.max(f32::MIN_POSITIVE) / 127.0;
            let column = self.weights.iter_mut().skip(class).step_by(self.classes);
            column.for_each(|weight| *weight = (*weight / scale).round() * scale);
        }
    }

    /// Whether it looks at pairs of words too.
    pub(super) fn has_pairs(&self) -> bool {
        self.features == Features::Pairs
    }

    /// Words and pairs that it knows.
    pub(super) fn words(&self) -> usize {
        self.words.len()
    }

    /// Bytes of its words with their lengths, of its weights in int8, and of its scales and
    /// biases.
    pub(super) fn bytes(&self) -> usize {
        let words: usize = self.words.keys().map(|word| word.len() + 1).sum();
        words + self.weights.len() + self.classes * CLASS_BYTES
    }

    /// In per cent.
    pub(super) fn accuracy(
        &self,
        measured: &Dataset,
        normalization: Normalization,
    ) -> Result<f64, VocabularyError> {
        let mut right = 0;
        for example in measured.examples.iter() {
            let class = self.answer(example, normalization)?;
            right += usize::from(class == example.label as usize);
        }
        Ok(share(right, measured.examples.len()))
    }

    fn answer(
        &self,
        example: Example<'_>,
        normalization: Normalization,
    ) -> Result<usize, VocabularyError> {
        let mut known = Vec::new();
        words_of(example, normalization, self.features, |word| {
            known.extend(self.words.get(word));
        })?;
        known.sort_unstable();
        known.dedup();
        let mut logits = vec![0.0; self.classes];
        for &word in &known {
            add(&mut logits, row(&self.weights, self.classes, word), 1.0);
        }
        let norm = norm(known.len());
        let scored = logits.iter().zip(&self.biases);
        let scored = scored.map(|(logit, bias)| logit * norm + bias).enumerate();
        // The first of several.
        let best = scored.rev().max_by(|(_, a), (_, b)| a.total_cmp(b));
        Ok(best.map_or(0, |(class, _)| class))
    }
}

/// A model that is being trained.
struct Fit {
    rarity: Vec<f32>,
    classes: usize,
    weights: Vec<f32>,
    biases: Vec<f32>,
    /// Sums of squared gradients.
    squares: Vec<f32>,
    bias_squares: Vec<f32>,
    /// Of the text at hand.
    logits: Vec<f32>,
}

impl Fit {
    fn new(rarity: Vec<f32>, classes: usize) -> Self {
        let weights = vec![0.0; rarity.len() * classes];
        Self {
            rarity,
            classes,
            squares: weights.clone(),
            weights,
            biases: vec![0.0; classes],
            bias_squares: vec![0.0; classes],
            logits: vec![0.0; classes],
        }
    }

    /// A step down the gradient of one text.
    fn learn(&mut self, words: &[usize], label: usize) {
        let norm = norm(words.len());
        self.logits.copy_from_slice(&self.biases);
        for &word in words {
            let value = norm * self.rarity[word];
            add(
                &mut self.logits,
                row(&self.weights, self.classes, word),
                value,
            );
        }
        softmax(&mut self.logits);
        self.logits[label] -= 1.0;
        for &word in words {
            let value = norm * self.rarity[word];
            let at = word * self.classes..(word + 1) * self.classes;
            let (weights, squares) = (&mut self.weights[at.clone()], &mut self.squares[at]);
            descend(weights, squares, &self.logits, value);
        }
        descend(&mut self.biases, &mut self.bias_squares, &self.logits, 1.0);
    }
}

/// 1 / √n, so that long texts have no larger logits.
fn norm(words: usize) -> f32 {
    single(real(words.max(1)).sqrt().recip())
}

fn row(weights: &[f32], classes: usize, word: usize) -> &[f32] {
    &weights[word * classes..(word + 1) * classes]
}

fn add(sums: &mut [f32], row: &[f32], value: f32) {
    for (sum, weight) in sums.iter_mut().zip(row) {
        *sum += value * weight;
    }
}

fn softmax(logits: &mut [f32]) {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for logit in logits.iter_mut() {
        *logit = (*logit - largest).exp();
        sum += *logit;
    }
    logits.iter_mut().for_each(|logit| *logit /= sum);
}

fn descend(weights: &mut [f32], squares: &mut [f32], errors: &[f32], value: f32) {
    for ((weight, square), error) in weights.iter_mut().zip(squares).zip(errors) {
        let gradient = error * value + DECAY * *weight;
        *square += gradient * gradient;
        *weight -= LEARNING_RATE * gradient / (square.sqrt() + EPSILON);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Format, ReadOptions, parse};

    fn set(rows: &[(&str, &str)], known: Option<&[String]>) -> Dataset {
        let mut file = "text\tlabel\n".to_owned();
        for (text, label) in rows {
            file += &format!("{text}\t{label}\n");
        }
        let options = ReadOptions::default();
        parse(
            "set.tsv".as_ref(),
            Format::Tsv,
            file.as_bytes(),
            &options,
            known,
        )
        .unwrap()
    }

    #[test]
    fn it_learns_words_and_counts_its_bytes() {
        let train = set(
            &[
                ("lamp on", "on"),
                ("radio on", "on"),
                ("lamp off", "off"),
                ("radio off please", "off"),
            ],
            None,
        );
        let test = set(
            &[
                ("the fan off", "off"),
                ("ON", "on"),
                ("off on off lamp", "dim"),
            ],
            Some(&train.labels),
        );
        let usual = Normalization::default();
        let model = Linear::train(&train, usual, Features::Pairs).unwrap();
        // Without `please` and pairs, which one text has.
        assert_eq!(model.words(), 4);
        let words = "lamp on radio off".len() + 1;
        assert_eq!(model.bytes(), words + 4 * 2 + 2 * CLASS_BYTES);
        // A label that is no class is never answered.
        let accuracy = model.accuracy(&test, usual).unwrap();
        assert!((accuracy - 200.0 / 3.0).abs() < 1e-9, "{accuracy}");
    }

    #[test]
    fn pairs_are_looked_at_where_they_tell_more() {
        let words = ["a", "b", "c", "d"];
        let rows = |label: fn(usize, usize) -> &'static str| -> Vec<(String, &'static str)> {
            let pairs = (0..120).map(|row| (row % 4, row / 4 % 4, row));
            pairs
                .filter(|(one, other, _)| one != other)
                .map(|(one, other, row)| {
                    let text = format!("{} {} x{}", words[one], words[other], row / 8);
                    (text, label(one, other))
                })
                .collect()
        };
        let best = |rows: &[(String, &str)]| {
            let rows: Vec<(&str, &str)> = rows.iter().map(|(text, it)| (&**text, *it)).collect();
            Linear::best(&set(&rows, None), Normalization::default()).unwrap()
        };
        let order = best(&rows(|one, other| if one < other { "up" } else { "down" }));
        assert!(order.has_pairs());
        let presence = best(&rows(|one, other| match (one, other) {
            (0, _) | (_, 0) => "with",
            _ => "without",
        }));
        assert!(!presence.has_pairs());
    }

    #[test]
    fn texts_of_labels_that_are_no_classes_are_not_learned() {
        let known = ["off".to_owned(), "on".to_owned()];
        let rows = [("lamp on", "on"), ("lamp off", "off"), ("lamp on", "dim")];
        let train = set(&rows.repeat(10), Some(&known));
        assert_eq!(train.unseen, ["dim"]);
        let model = Linear::best(&train, Normalization::default()).unwrap();
        let accuracy = model.accuracy(&train, Normalization::default()).unwrap();
        assert!((accuracy - 200.0 / 3.0).abs() < 1e-9, "{accuracy}");
    }

    #[test]
    fn words_of_a_second_text_are_others() {
        let example = Example {
            text: "a b",
            pair: Some("a"),
            label: 0,
        };
        let mut words = Vec::new();
        words_of(example, Normalization::default(), Features::Pairs, |word| {
            words.push(word.to_owned());
        })
        .unwrap();
        assert_eq!(words, ["a", "b", "a b", "\ta"]);
    }
}
