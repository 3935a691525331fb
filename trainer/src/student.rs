//! A small network that the dense one teaches, in place of a sparse form of the dense one.
//!
//! ```text
//! training texts ─► words ─► augmentation ─► texts ─┬─► dense network ─► answers: logits, pooled
//!                            (neighbours in the      │                              │
//!                             teacher's table)       └─► student ◄──────────────────┘
//! ```
//!
//! Its pieces are those of the teacher that the texts use most, its rows their
//! principal components. It is pruned while it learns, like any sparse network.

use candle_core::{Device, Result, Tensor};

use crate::data::Dataset;
use crate::network::{Network, Shape};
use crate::random::{Purpose, permutation, stream, uniform};
use crate::recipe::Recipe;
use crate::text::batch::{Batch, EncodedExample, encode_some};
use crate::text::vocabulary::{Vocabulary, VocabularyError};
use crate::training::{Answers, Examples, TrainingError};
use augmentation::{augmented, below};
use words::{Lexicon, WordText};

mod augmentation;
mod neighbours;
mod rows;
mod words;

/// Texts that the teacher answers at once.
const AT_ONCE: usize = 64;
/// Share of the texts that are made which are taken from those without classes, where there are some.
const UNLABELLED_TEXTS: f32 = 0.15;
/// One of so many is read for that: chance may ask for more than its share.
const UNLABELLED_READ: usize = 5;
/// The stream that draws these: that of no text that is made.
const DRAWN: u64 = (1 << 56) - 1;
/// The label of a text that has none.
const UNLABELLED: u32 = u32::MAX;

/// What a student learns from, before anybody has answered it.
pub(crate) struct Course<'r> {
    recipe: &'r Recipe,
    vocabulary: &'r Vocabulary,
    teacher: &'r Network,
    lexicon: Lexicon,
    /// With the class of those that are of the data.
    texts: Vec<(WordText, u32)>,
}

impl<'r> Course<'r> {
    /// The texts of `train`, others made of them, and some of `unlabelled`, none of them twice; the same
    /// seed gives the same ones.
    ///
    /// # Errors
    /// When the teacher's table cannot be read, or a text without a class.
    pub(crate) fn new(
        recipe: &'r Recipe,
        vocabulary: &'r Vocabulary,
        teacher: &'r Network,
        train: &[EncodedExample],
        unlabelled: Option<&Dataset>,
    ) -> core::result::Result<Self, TrainingError> {
        let mut lexicon = Lexicon::new(vocabulary);
        let given: Vec<_> = train
            .iter()
            .map(|example| (lexicon.read(example), example.label))
            .collect();
        let neighbours = neighbours::neighbours(&mut lexicon, vocabulary, teacher)?;
        let mut texts = given.clone();
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
                encode_some(
                    places.filter_map(|place| all.get(place)),
                    vocabulary,
                    tokens,
                )?
            }
        };
        let mut order = Vec::new();
        for index in 0..made {
            let mut generator = stream(recipe.seed, Purpose::Augmentation, index as u64);
            if !drawn.is_empty()
                && uniform(&mut generator) < UNLABELLED_TEXTS
                && let Some(text) = drawn.pop()
            {
                texts.push((lexicon.read(&text), UNLABELLED));
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
            texts.push((text, UNLABELLED));
        }
        Ok(Self {
            recipe,
            vocabulary,
            teacher,
            lexicon,
            texts,
        })
    }

    /// The `pieces` that these texts use most.
    pub(crate) fn vocabulary(
        &self,
        pieces: usize,
    ) -> core::result::Result<Vocabulary, VocabularyError> {
        let texts = self.texts.iter().map(|(text, _)| text);
        let words = self.lexicon.counts(self.vocabulary, texts);
        self.vocabulary.most_used(&words, pieces)
    }

    /// A student that has learned nothing but what its teacher's table says of its pieces.
    pub(crate) fn student(&self, vocabulary: &Vocabulary) -> Result<Network> {
        let shape = shape(self.recipe, vocabulary, self.teacher);
        let mut student = Network::new(shape, self.recipe.seed)?;
        rows::set(&mut student, vocabulary, self.teacher, self.vocabulary)?;
        student.to_device(self.teacher.device())
    }

    /// The texts as a student with the vocabulary `own` reads them, with the teacher's answers.
    /// `goes_on` is told how many of how many texts are answered; nothing is returned once it says no.
    ///
    /// # Errors
    /// When a text cannot be spelled, or memory cannot be allocated.
    pub(crate) fn examples(
        &self,
        own: &Vocabulary,
        given: &Examples,
        mut goes_on: impl FnMut(usize, usize) -> bool,
    ) -> core::result::Result<Option<Examples>, TrainingError> {
        let tokens = self.teacher.shape.tokens;
        let teachers = self.lexicon.teachers(tokens);
        let classes = self.teacher.shape.labels;
        let width = self.teacher.shape.hidden;
        let mut answers = Answers::new(self.texts.len(), classes, width);
        // Of like lengths: batches are then of like work.
        let encoded: Vec<EncodedExample> = self
            .texts
            .iter()
            .map(|(text, label)| teachers.encode(text, *label))
            .collect();
        let mut order: Vec<usize> = (0..encoded.len()).collect();
        order.sort_by_key(|&at| encoded[at].ids.len());
        for (done, part) in order.chunks(AT_ONCE).enumerate() {
            if !goes_on(done * AT_ONCE, order.len()) {
                return Ok(None);
            }
            let batch = Batch::new(part.iter().map(|&at| &encoded[at]));
            let outputs = self.teacher.outputs(&batch)?;
            let numbers = |tensor: &Tensor| tensor.to_device(&Device::Cpu)?.to_vec2::<f32>();
            let logits = numbers(&outputs.logits.value)?;
            let pooled = numbers(&outputs.pooled.value)?;
            for ((&at, logits), pooled) in part.iter().zip(&logits).zip(&pooled) {
                answers.set(at, logits, pooled);
            }
        }
        goes_on(order.len(), order.len());
        answers.normalize();
        let mut examples = self.unanswered(own, given)?;
        examples.answers = Some(answers);
        Ok(Some(examples))
    }

    /// The same texts without answers: nothing is learned from them any more.
    ///
    /// # Errors
    /// When a text cannot be spelled.
    pub(crate) fn unanswered(
        &self,
        own: &Vocabulary,
        given: &Examples,
    ) -> core::result::Result<Examples, VocabularyError> {
        let tokens = self.teacher.shape.tokens;
        let spelling = self.lexicon.spelled(self.vocabulary, own, tokens)?;
        let spelled = |(text, label): &(WordText, u32)| spelling.encode(text, *label);
        let mut lexicon = Lexicon::new(self.vocabulary);
        let dev = given.dev.iter().map(|it| (lexicon.read(it), it.label));
        let dev: Vec<_> = dev.collect();
        let of_dev = lexicon.spelled(self.vocabulary, own, tokens)?;
        let dev = dev.iter().map(|(text, label)| of_dev.encode(text, *label));
        Ok(Examples {
            train: self.texts.iter().map(spelled).collect(),
            dev: dev.collect(),
            class_counts: given.class_counts.clone(),
            answers: None,
        })
    }
}

/// The shape of a student with the pieces of `vocabulary`.
pub(crate) fn shape(recipe: &Recipe, vocabulary: &Vocabulary, teacher: &Network) -> Shape {
    let model = recipe.student.model(&recipe.model);
    let of_teacher = &teacher.shape;
    let mut shape = Shape::new(&model, vocabulary.len(), of_teacher.labels, of_teacher.pair);
    shape.bridge = of_teacher.hidden;
    shape
}

#[cfg(test)]
mod tests;
