//! The texts that students learn from: those of the data, and others made of them.

use super::augmentation::{augmented, below};
use super::neighbours::neighbours;
use super::words::{Lexicon, WordText};
use crate::data::Dataset;
use crate::network::Network;
use crate::random::{Purpose, permutation, stream, uniform};
use crate::recipe::Recipe;
use crate::text::batch::{EncodedExample, encode_some};
use crate::text::vocabulary::{Vocabulary, VocabularyError};
use crate::training::{Examples, TrainingError};

/// Share of the texts that are made which are taken from those without classes, where there are some.
const UNLABELLED_TEXTS: f32 = 0.15;
/// One of so many is read for that: chance may ask for more than its share.
const UNLABELLED_READ: usize = 5;
/// The stream that draws these: that of no text that is made.
const DRAWN: u64 = (1 << 56) - 1;
/// The label of a text that has none.
pub(super) const UNLABELLED: u32 = u32::MAX;

/// Texts as words, which any vocabulary can spell.
pub(crate) struct Texts {
    pub(super) lexicon: Lexicon,
    /// With the class of those that are of the data.
    pub(super) all: Vec<(WordText, u32)>,
}

impl Texts {
    /// The texts of `train`, others made of them, and some of `unlabelled`, none of them twice; the same
    /// seed gives the same ones.
    ///
    /// # Errors
    /// When the teacher's table cannot be read, or a text without a class.
    pub(crate) fn new(
        recipe: &Recipe,
        teachers: &Vocabulary,
        teacher: &Network,
        train: &[EncodedExample],
        unlabelled: Option<&Dataset>,
    ) -> Result<Self, TrainingError> {
        let mut lexicon = Lexicon::new(teachers);
        let given: Vec<_> = train
            .iter()
            .map(|example| (lexicon.read(example), example.label))
            .collect();
        let neighbours = neighbours(&mut lexicon, teachers, teacher)?;
        let mut all = given.clone();
        let made = recipe.student.texts.saturating_sub(given.len());
        let tokens = teacher.shape.tokens;
        let mut drawn = match unlabelled {
            None => Vec::new(),
            Some(unlabelled) => {
                let all = &unlabelled.examples;
                let mut generator = stream(recipe.seed, Purpose::Augmentation, DRAWN);
                let places = permutation(&mut generator, all.len())
                    .into_iter()
                    .take(made.div_ceil(UNLABELLED_READ));
                encode_some(places.filter_map(|place| all.get(place)), teachers, tokens)?
            }
        };
        let mut order = Vec::new();
        for index in 0..made {
            let mut generator = stream(recipe.seed, Purpose::Augmentation, index as u64);
            if !drawn.is_empty()
                && uniform(&mut generator) < UNLABELLED_TEXTS
                && let Some(text) = drawn.pop()
            {
                all.push((lexicon.read(&text), UNLABELLED));
                continue;
            }
            if order.is_empty() {
                order = permutation(&mut generator, given.len());
            }
            let Some((text, _)) = order.pop().and_then(|at| given.get(at)) else {
                break;
            };
            let (other, _) = &given[below(given.len(), &mut generator)];
            let text = augmented(text, other, &neighbours, &mut generator);
            all.push((text, UNLABELLED));
        }
        Ok(Self { lexicon, all })
    }

    /// The `pieces` of `teachers` that these texts use most.
    ///
    /// # Errors
    /// Where their characters alone are more.
    pub(crate) fn most_used(
        &self,
        teachers: &Vocabulary,
        pieces: usize,
    ) -> Result<Vocabulary, VocabularyError> {
        let texts = self.all.iter().map(|(text, _)| text);
        let words = self.lexicon.counts(teachers, texts);
        teachers.most_used(&words, pieces)
    }

    /// As a network reads them that has the pieces of `own` and sequences of at most `tokens`, and the
    /// dev set of `given` likewise; nobody has answered them.
    ///
    /// # Errors
    /// When a text cannot be spelled.
    pub(crate) fn examples(
        &self,
        [teachers, own]: [&Vocabulary; 2],
        tokens: usize,
        given: &Examples,
    ) -> Result<Examples, VocabularyError> {
        let spelling = self.lexicon.spelled(teachers, own, tokens)?;
        let train = self.all.iter();
        let train = train.map(|(text, label)| spelling.encode(text, *label));
        let mut lexicon = Lexicon::new(teachers);
        let dev = given.dev.iter().map(|it| (lexicon.read(it), it.label));
        let dev: Vec<_> = dev.collect();
        let of_dev = lexicon.spelled(teachers, own, tokens)?;
        let dev = dev.iter().map(|(text, label)| of_dev.encode(text, *label));
        Ok(Examples {
            train: train.collect(),
            dev: dev.collect(),
            class_counts: given.class_counts.clone(),
            answers: None,
        })
    }
}
