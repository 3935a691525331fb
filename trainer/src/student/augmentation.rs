//! Texts made of others, for the teacher to answer: a text with changed words is another text with
//! an answer of its own, and few texts teach as many would (Jiao et al. 2020, "TinyBERT").

use rand::Rng as _;
use rand_chacha::ChaCha8Rng;

use super::words::WordText;
use crate::random::uniform;

/// How often something is done to a text, and to each of its words.
const REPLACED_TEXTS: f32 = 0.6;
const REPLACED_WORDS: f32 = 0.25;
const SHORTENED_TEXTS: f32 = 0.5;
const DROPPED_WORDS: f32 = 0.15;
const SPLICED_TEXTS: f32 = 0.2;
const SWAPPED_TEXTS: f32 = 0.2;

/// `text` changed: words replaced by neighbours, dropped and swapped; single texts perhaps spliced
/// with `other`.
pub(super) fn augmented(
    text: &WordText,
    other: &WordText,
    neighbours: &[Vec<u32>],
    generator: &mut ChaCha8Rng,
) -> WordText {
    let mut made = text.clone();
    if made.second.is_none() && uniform(generator) < SPLICED_TEXTS {
        let (from, to) = (cut(&text.first, generator), cut(&other.first, generator));
        made.first.truncate(from);
        made.first.extend(&other.first[to..]);
    }
    let (replaces, shortens) = (
        uniform(generator) < REPLACED_TEXTS,
        uniform(generator) < SHORTENED_TEXTS,
    );
    let swaps = uniform(generator) < SWAPPED_TEXTS;
    for words in core::iter::once(&mut made.first).chain(&mut made.second) {
        let before = words.clone();
        words.clear();
        for word in before.iter().copied() {
            if shortens && uniform(generator) < DROPPED_WORDS {
                continue;
            }
            let near = neighbours.get(word as usize).map_or(&[][..], Vec::as_slice);
            let is_replaced = replaces && uniform(generator) < REPLACED_WORDS;
            words.push(match is_replaced && !near.is_empty() {
                true => near[below(near.len(), generator)],
                false => word,
            });
        }
        if words.is_empty() {
            words.extend(before.first());
        }
        if swaps && words.len() > 1 {
            let first = below(words.len() - 1, generator);
            words.swap(first, first + 1);
        }
    }
    made
}

/// Where to cut a text: not before its first word.
fn cut(words: &[u32], generator: &mut ChaCha8Rng) -> usize {
    match words.len() {
        0 => 0,
        length => below(length, generator),
    }
}

/// A number below `end`.
pub(super) fn below(end: usize, generator: &mut ChaCha8Rng) -> usize {
    // The bias of 64 bits modulo a small count is below 2⁻⁴⁰.
    let number = generator.next_u64() % end.max(1) as u64;
    usize::try_from(number).unwrap_or(0)
}
