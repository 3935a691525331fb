//! Texts made a little wrong, so that a network does not lean on single words.
//!
//! A network that only ever sees whole, known words takes the pieces of an unknown word for
//! evidence. In training, therefore, words are lost, replaced by pieces at random, and change
//! places with their neighbour. Whole words, not tokens: the pieces of a word come and go together.

use rand::Rng as _;
use rand_chacha::ChaCha8Rng;

use crate::random::uniform;
use crate::text::batch::EncodedExample;
use crate::text::vocabulary::Vocabulary;

/// Pieces of a made-up word at most.
const LONGEST_WORD: u32 = 4;

/// Changes words of examples.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WordNoise {
    /// Probability that a word is changed.
    pub probability: f32,
    special: [u32; 2],
    unknown: u32,
    /// Ids below are pieces that begin a word.
    initial: u32,
    /// Number of ids.
    pieces: u32,
}

impl WordNoise {
    /// Noise in the pieces of `vocabulary`.
    pub(crate) fn new(vocabulary: &Vocabulary, probability: f32) -> Self {
        let settings = vocabulary.settings(false);
        let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        Self {
            probability,
            special: [settings.start.into(), settings.separator.into()],
            unknown: settings.unknown.into(),
            initial: count(vocabulary.initial().len()),
            pieces: count(vocabulary.len()),
        }
    }

    /// A noisy copy, of at most `tokens` tokens.
    ///
    /// Of the changed words a quarter each is lost, becomes `[UNK]`, becomes a word made
    /// of random pieces, or changes places with the word before it.
    pub(crate) fn apply(
        &self,
        example: &EncodedExample,
        tokens: usize,
        generator: &mut ChaCha8Rng,
    ) -> EncodedExample {
        let mut ids: Vec<u32> = Vec::with_capacity(example.ids.len() + 4);
        let mut first = example.first;
        let mut room = tokens.saturating_sub(example.ids.len());
        // Where the word before begins, unless a special token is in between.
        let mut before = None;
        let mut position = 0;
        while let Some(&id) = example.ids.get(position) {
            let rest = example.ids.get(position + 1..).unwrap_or(&[]);
            let pieces = 1 + rest.iter().take_while(|&&id| id >= self.initial).count();
            let word = &example.ids[position..position + pieces];
            let begin = ids.len();
            // Where the word that comes last will begin.
            let mut last = begin;
            let in_first = position < example.first;
            position += pieces;
            if self.special.contains(&id) {
                ids.extend(word);
                before = None;
                continue;
            }
            let change = uniform(generator) < self.probability;
            match if change { generator.next_u32() % 4 } else { 4 } {
                0 => {}
                1 => ids.push(self.unknown),
                2 => self.invent(&mut ids, pieces + room, generator),
                3 => {
                    ids.extend(word);
                    if let Some(before) = before {
                        let swapped: &mut [u32] = &mut ids[before..];
                        swapped.rotate_left(begin - before);
                        last = before + pieces;
                    }
                }
                _ => ids.extend(word),
            }
            let (now, was) = (ids.len() - begin, pieces);
            room = (room + was).saturating_sub(now);
            if in_first {
                first = first + now - was;
            }
            before = (now > 0).then_some(last);
        }
        EncodedExample {
            ids,
            first,
            label: example.label,
        }
    }

    /// A word of random pieces, as an unknown word looks.
    fn invent(&self, ids: &mut Vec<u32>, room: usize, generator: &mut ChaCha8Rng) {
        let length = 1 + generator.next_u32() % LONGEST_WORD;
        let length = usize::try_from(length).unwrap_or(1).min(room.max(1));
        ids.push(self.ordinary(generator.next_u32() % self.initial.max(1)));
        let continuing = self.pieces.saturating_sub(self.initial);
        if continuing > 0 {
            let piece = |_| self.initial + generator.next_u32() % continuing;
            ids.extend((1..length).map(piece));
        }
    }

    /// The piece, unless it is a special token.
    fn ordinary(&self, id: u32) -> u32 {
        if self.special.contains(&id) {
            self.unknown
        } else {
            id
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, stream};
    use crate::text::vocabulary::Normalization;

    fn vocabulary() -> Vocabulary {
        let text = "turn the kitchen lamp off and the bedroom lamp on";
        Vocabulary::train([text; 8].into_iter(), 60, Normalization::default()).unwrap()
    }

    #[test]
    fn special_tokens_stay_and_lengths_hold() {
        let vocabulary = vocabulary();
        let settings = vocabulary.settings(true);
        let [start, separator] = [settings.start, settings.separator].map(u32::from);
        let word = |index: u32| 10 + index;
        let ids = [
            &[start][..],
            &[word(0), word(1)],
            &[separator],
            &[word(2)],
            &[separator],
        ];
        let example = EncodedExample {
            ids: ids.concat(),
            first: 4,
            label: 3,
        };
        let noise = WordNoise::new(&vocabulary, 0.8);
        let mut lengths = Vec::new();
        for index in 0..500 {
            let mut generator = stream(1, Purpose::Noise, index);
            let noisy = noise.apply(&example, 8, &mut generator);
            assert!(noisy.ids.len() <= 8, "{noisy:?}");
            assert_eq!(noisy.ids[0], start);
            assert_eq!(noisy.ids[noisy.first - 1], separator, "{noisy:?}");
            assert_eq!(noisy.ids.last(), Some(&separator));
            assert_eq!(noisy.ids.iter().filter(|&&id| id == separator).count(), 2);
            assert!(noisy.ids.iter().all(|&id| (id as usize) < vocabulary.len()));
            lengths.push(noisy.ids.len());
        }
        assert!(lengths.iter().any(|&length| length < 6));
        assert!(lengths.iter().any(|&length| length > 6));
    }

    #[test]
    fn without_noise_nothing_changes() {
        let example = EncodedExample {
            ids: vec![0, 5, 6, 7, 1],
            first: 5,
            label: 0,
        };
        let noise = WordNoise::new(&vocabulary(), 0.0);
        let mut generator = stream(1, Purpose::Noise, 0);
        assert_eq!(noise.apply(&example, 16, &mut generator), example);
    }
}
