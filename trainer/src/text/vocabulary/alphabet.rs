//! Which characters a vocabulary spells words with.

use core::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use tokenizers::NormalizedString;

/// The most frequent characters of `words` that take at most `pieces` pieces.
///
/// A character takes one piece for beginning a word and one for continuing it, if
/// it ever does.
pub(super) fn choose(words: &BTreeMap<String, usize>, pieces: usize) -> BTreeSet<char> {
    let mut counts = BTreeMap::<char, (usize, bool)>::new();
    for (word, &times) in words {
        for (index, character) in word.chars().enumerate() {
            let (count, continues) = counts.entry(character).or_default();
            *count += times;
            *continues |= index > 0;
        }
    }
    let mut by_count: Vec<_> = counts.into_iter().collect();
    by_count.sort_by_key(|&(character, (count, _))| (Reverse(count), character));

    let mut chosen = BTreeSet::new();
    let mut combining = BTreeSet::new();
    let mut free = pieces;
    for (character, (_, continues)) in by_count {
        let Some(left) = free.checked_sub(1 + usize::from(continues)) else {
            break;
        };
        if is_combining(character) {
            // The table of characters cannot express how two of them are ordered.
            combining.insert(character);
            if reordered(&combining).is_some() {
                combining.remove(&character);
                continue;
            }
        }
        free = left;
        chosen.insert(character);
    }
    chosen
}

/// Two of `characters` that normalisation puts in an order of its own, if any.
pub(super) fn reordered(characters: &BTreeSet<char>) -> Option<(char, char)> {
    let combining: Vec<char> = characters
        .iter()
        .copied()
        .filter(|&c| is_combining(c))
        .collect();
    let mut pairs = combining
        .iter()
        .flat_map(|&one| combining.iter().map(move |&other| (one, other)));
    pairs.find(|&(one, other)| swaps(one, other))
}

/// Whether the canonical order of marks moves `character`: it changes places with
/// a mark of the lowest class after it or one of the highest before it.
pub(super) fn is_combining(character: char) -> bool {
    const LOWEST: char = '\u{334}';
    const HIGHEST: char = '\u{345}';
    swaps(character, LOWEST) || swaps(HIGHEST, character)
}

/// Whether canonical decomposition changes the order of two characters that it
/// leaves alone one by one.
fn swaps(one: char, other: char) -> bool {
    let mut pair = NormalizedString::from(String::from_iter([one, other]));
    pair.nfd();
    pair.get().chars().eq([other, one]) && one != other
}
