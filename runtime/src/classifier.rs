//! Text in, label out.

use neuroprune_format::architecture::Head;
use neuroprune_format::{Limits, Model, Network};

use crate::plan::{Arena, Buffers, EmbedBuffers, SCRATCH_ALIGNMENT, held_tokens, required_scratch};
use crate::ranking::{Ranking, rank};
use crate::tokenizer::{Encoding, Tokenizer};
use crate::trace::Trace;
use crate::{RuntimeError, encoder};

/// Classifies texts with one model in memory that the caller owns.
///
/// The model is a view of the file's bytes, and small: the classifier holds it by value, so
/// that one `struct` of an application can own a classifier whose file and scratch memory
/// are statics.
///
/// ```
/// use neuroprune_runtime::{Classifier, Model, required_scratch};
///
/// let file = include_bytes!("../../firmware-examples/models/commands.neuro");
/// let model = Model::open(file)?;
/// // Texts are cut at 16 tokens, special tokens included.
/// let mut scratch = vec![0; required_scratch(model.limits(), 16) + 3];
/// let mut classifier = Classifier::with_tokens(model, &mut scratch, 16)?;
///
/// let answer = classifier.classify("turn on the kitchen light")?;
/// assert_eq!((answer.label, answer.tokens), ("light_on", 7));
/// assert!(!answer.truncated && answer.probability > 0.9);
/// assert_eq!(classifier.logits().len(), model.labels().len());
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Classifier<'m, 's> {
    model: Model<'m>,
    tokens: usize,
    scratch: &'s mut [u8],
}

/// The answer to one text.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Classification<'m> {
    /// Name of the most probable class.
    pub label: &'m str,
    /// Number of that class.
    pub class: u16,
    /// Its probability, 0…1.
    pub probability: f32,
    /// The most probable classes, first the most probable.
    pub ranking: Ranking<'m>,
    /// Tokens the network saw, special tokens included.
    pub tokens: usize,
    /// How many of them are for words that the vocabulary cannot spell.
    pub unknown: usize,
    /// Whether the text was longer than the network can see.
    pub truncated: bool,
}

impl<'m, 's> Classifier<'m, 's> {
    /// A classifier for texts of the model's full length.
    ///
    /// # Errors
    /// [`RuntimeError::Scratch`] when `scratch` has fewer bytes than
    /// [`required_scratch`]; an unaligned buffer loses up to three.
    pub fn new(model: Model<'m>, scratch: &'s mut [u8]) -> Result<Self, RuntimeError> {
        Self::with_tokens(model, scratch, model.limits().tokens)
    }

    /// A classifier that cuts texts at `tokens` tokens, for less scratch memory.
    ///
    /// `tokens` is clamped: at least the special tokens of a pair, at most the model's limit.
    ///
    /// # Errors
    /// As [`Classifier::new`], with the bytes that `tokens` need.
    pub fn with_tokens(
        model: Model<'m>,
        scratch: &'s mut [u8],
        tokens: usize,
    ) -> Result<Self, RuntimeError> {
        let tokens = held_tokens(model.limits(), tokens);
        let given = scratch.len();
        let lost = scratch.as_ptr().align_offset(SCRATCH_ALIGNMENT);
        let required = required_scratch(model.limits(), tokens);
        let scratch = scratch
            .get_mut(lost..)
            .and_then(|aligned| aligned.get_mut(..required))
            .ok_or(RuntimeError::Scratch {
                needed: required.saturating_add(lost),
                given,
            })?;
        Arena::new(scratch)
            .take::<f32>(model.limits().outputs)
            .fill(0.0);
        Ok(Self {
            model,
            tokens,
            scratch,
        })
    }

    /// Classifies one text of any length.
    ///
    /// # Errors
    /// [`RuntimeError::PairExpected`] for a model of pairs.
    pub fn classify(&mut self, text: &str) -> Result<Classification<'m>, RuntimeError> {
        self.classify_traced(text, None, &mut ())
    }

    /// Classifies a pair of texts.
    ///
    /// # Errors
    /// [`RuntimeError::SingleExpected`] for a model of single texts.
    pub fn classify_pair(
        &mut self,
        first: &str,
        second: &str,
    ) -> Result<Classification<'m>, RuntimeError> {
        self.classify_traced(first, Some(second), &mut ())
    }

    /// Classifies a text, or a pair, and shows `trace` every stage.
    ///
    /// # Errors
    /// As [`Classifier::classify`] and [`Classifier::classify_pair`].
    #[inline(never)]
    pub fn classify_traced(
        &mut self,
        text: &str,
        second: Option<&str>,
        trace: &mut impl Trace,
    ) -> Result<Classification<'m>, RuntimeError> {
        match (self.model.tokenizer().pair, second) {
            (true, None) => return Err(RuntimeError::PairExpected),
            (false, Some(_)) => return Err(RuntimeError::SingleExpected),
            (true, Some(_)) | (false, None) => {}
        }
        // The only kind of network and head that has classes.
        let Network::Encoder(encoder) = self.model.network();
        let Head::Classes(_) = encoder.head();
        let mut buffers = Buffers::split(self.scratch, encoder.limits(), self.tokens);
        let encoding = encode(
            &self.model,
            text,
            second,
            encoder.limits(),
            buffers.region,
            self.tokens,
        );
        encoder::forward(encoder, &encoding, &mut buffers, trace);

        let ranking = rank(buffers.logits, &self.model.labels());
        let (label, class, probability) = ranking.first().map_or(("", 0, 0.0), |best| {
            (best.label, best.class, best.probability)
        });
        Ok(Classification {
            label,
            class,
            probability,
            ranking,
            tokens: encoding.tokens,
            unknown: encoding.unknown,
            truncated: encoding.truncated,
        })
    }

    /// The logits of the last text, one per class; zeros before the first.
    #[must_use]
    pub fn logits(&mut self) -> &[f32] {
        Arena::new(self.scratch).take(self.model.limits().outputs)
    }
}

/// Leaves the ids of a text in `region`, as [`EmbedBuffers`] lays them out.
// The tokenizer's stack frame is released before the network runs.
#[inline(never)]
fn encode(
    model: &Model<'_>,
    text: &str,
    second: Option<&str>,
    limits: &Limits,
    region: &mut [u8],
    tokens: usize,
) -> Encoding {
    let EmbedBuffers { ids, .. } = EmbedBuffers::split(region, limits, tokens);
    Tokenizer::new(model).encode(text, second, ids)
}
