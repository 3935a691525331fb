//! What students of one teacher learn from, made once for all of them.

use std::sync::Arc;

use super::texts::Texts;
use crate::network::Network;
use crate::ops::device::{sequences_at_once, values_on_host};
use crate::text::batch::{Batch, EncodedExample};
use crate::text::vocabulary::{Vocabulary, VocabularyError};
use crate::training::{Answers, Examples, TrainingError};

/// Texts, and what the teacher said of each.
pub(crate) struct Pool {
    pub(crate) texts: Texts,
    answers: Arc<Answers>,
}

impl Pool {
    /// Has `teacher` answer `texts`: logits and pooled vector of each. `goes_on` is told how many of how
    /// many are answered; nothing is returned once it says no.
    ///
    /// # Errors
    /// When memory cannot be allocated.
    pub(crate) fn new(
        texts: Texts,
        teacher: &Network,
        mut goes_on: impl FnMut(usize, usize) -> bool,
    ) -> Result<Option<Self>, TrainingError> {
        let shape = &teacher.shape;
        let (classes, width) = (shape.labels, shape.hidden);
        let mut answers = Answers::new(texts.all.len(), classes, width);
        let spelling = texts.lexicon.teachers(shape.tokens);
        let all = texts.all.iter();
        let encoded = all.map(|(text, label)| spelling.encode(text, *label));
        let encoded: Vec<EncodedExample> = encoded.collect();
        // Of like lengths: batches are then of like work.
        let mut order: Vec<usize> = (0..encoded.len()).collect();
        order.sort_by_key(|&at| encoded[at].ids.len());
        let at_once = sequences_at_once(teacher.device(), shape.tokens);
        for (number, part) in order.chunks(at_once).enumerate() {
            if !goes_on(number * at_once, order.len()) {
                return Ok(None);
            }
            let batch = Batch::new(part.iter().map(|&at| &encoded[at]));
            let outputs = teacher.outputs(&batch)?;
            let logits = values_on_host(&outputs.logits.value)?;
            let pooled = values_on_host(&outputs.pooled.value)?;
            let (logits, pooled) = (logits.chunks_exact(classes), pooled.chunks_exact(width));
            for ((&at, logits), pooled) in part.iter().zip(logits).zip(pooled) {
                answers.set(at, logits, pooled);
            }
        }
        goes_on(order.len(), order.len());
        answers.normalize();
        Ok(Some(Self::answered(texts, answers)))
    }

    /// `texts` that `teacher` has answered before, if `bytes` are these answers; see
    /// [`Pool::to_bytes`].
    pub(crate) fn read(
        texts: Texts,
        teacher: &Network,
        bytes: &[u8],
        digest: [u8; 32],
    ) -> Result<Self, Texts> {
        let shape = &teacher.shape;
        let sizes = [shape.labels, shape.hidden];
        match Answers::read(bytes, digest, texts.all.len(), sizes) {
            Some(answers) => Ok(Self::answered(texts, answers)),
            None => Err(texts),
        }
    }

    /// The answers, as a file that is known again by `digest`.
    pub(crate) fn to_bytes(&self, digest: [u8; 32]) -> Vec<u8> {
        self.answers.to_bytes(digest)
    }

    fn answered(texts: Texts, answers: Answers) -> Self {
        let answers = Arc::new(answers);
        Self { texts, answers }
    }

    /// See [`Texts::examples`]; these have answers.
    ///
    /// # Errors
    /// When a text cannot be spelled.
    pub(crate) fn examples(
        &self,
        vocabularies: [&Vocabulary; 2],
        tokens: usize,
        given: &Examples,
    ) -> Result<Examples, VocabularyError> {
        Ok(Examples {
            answers: Some(self.answers.clone()),
            ..self.texts.examples(vocabularies, tokens, given)?
        })
    }
}
