//! What the tokenizer takes at most.

use neuroprune_format::Model;
use neuroprune_format::tensor::WORD_CHARACTERS;

use super::wide;

/// Bytes of the longest word that is split into pieces.
const WORD_BYTES: u64 = WORD_CHARACTERS as u64 * 4;

/// The most instructions that the tokenizer takes on a Cortex-M4F for a text of `bytes` bytes, or
/// for both texts of a pair together.
///
/// The bound holds for every text, so it is for the worst: a word that begins like the longest piece
/// everywhere and never is one. **It is far above what words take**: for the model of the firmware
/// examples it is 15,646 a byte, where the words of a command take about 300. It tells a file whose
/// vocabulary is made to take long from one of the usual kind.
///
/// Takes time linear in the vocabulary and the characters of the file.
#[must_use]
pub fn text_cost(model: &Model<'_>, bytes: usize) -> u64 {
    let (vocabulary, characters) = (model.vocabulary(), model.characters());
    let lengths = (0..vocabulary.len()).filter_map(|id| vocabulary.piece(id));
    let longest = lengths.map(|(piece, _)| wide(piece.len())).max();
    let piece = longest.unwrap_or(0).min(WORD_BYTES);
    let target = wide(characters.longest_target()).clamp(1, WORD_BYTES + 1);
    // Steps of a binary search.
    let steps = u64::from(usize::BITS - vocabulary.len().leading_zeros());
    // One search compares whole pieces; where it does not end at the answer, two more for each byte
    // of it compare one byte each.
    let piece_begun = 300 + steps * (50 + 12 * piece) + piece * (100 + 2 * 32 * steps);
    // Every byte of what a character is replaced by may be a piece, and is copied before.
    let character = 400 + 30 * wide(characters.longest_search()) + target * (30 + piece_begun);
    // A pair is read up to three times: both texts are counted, then the second is written.
    let readings = if model.tokenizer().pair { 2 } else { 1 };
    2_000 + wide(bytes) * character * readings
}
