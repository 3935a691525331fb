//! Slips of the finger.

use rand_chacha::ChaCha8Rng;

use super::below;

/// Words shorter than this are left alone: they would turn into other words.
const SHORTEST: usize = 4;

/// The rows of a keyboard; neighbours in a row are neighbour keys.
const KEY_ROWS: [&str; 3] = ["qwertyuiop", "asdfghjkl", "zxcvbnm"];

/// The text with one slip in one of its longer words: two letters swapped, one left
/// out, one doubled, or the key next to it. Without such a word the text as it is.
pub(super) fn with_typo(generator: &mut ChaCha8Rng, text: &str) -> String {
    let mut words: Vec<Vec<char>> = text.split(' ').map(|word| word.chars().collect()).collect();
    let long =
        |word: &&mut Vec<char>| word.len() >= SHORTEST && word.iter().all(char::is_ascii_lowercase);
    let mut candidates: Vec<&mut Vec<char>> = words.iter_mut().filter(long).collect();
    if !candidates.is_empty() {
        let word = candidates.swap_remove(below(generator, candidates.len()));
        // Never the first letter, which people get right.
        let place = 1 + below(generator, word.len() - 2);
        match below(generator, 4) {
            0 => word.swap(place, place + 1),
            1 => drop(word.remove(place)),
            2 => word.insert(place, word[place]),
            _ => word[place] = neighbour_key(generator, word[place]),
        }
    }
    let words: Vec<String> = words.into_iter().map(String::from_iter).collect();
    words.join(" ")
}

/// A key left or right of this one.
fn neighbour_key(generator: &mut ChaCha8Rng, key: char) -> char {
    let row = KEY_ROWS
        .iter()
        .find(|row| row.contains(key))
        .unwrap_or(&KEY_ROWS[0]);
    let neighbours: Vec<char> = row
        .chars()
        .zip(row.chars().skip(1))
        .filter_map(|(left, right)| match key {
            _ if key == left => Some(right),
            _ if key == right => Some(left),
            _ => None,
        })
        .collect();
    neighbours
        .get(below(generator, neighbours.len().max(1)))
        .copied()
        .unwrap_or(key)
}
