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
/// examples it is 53,952 a byte, where the words of a command take about 400. It tells a file whose
/// vocabulary is made to take long from one of the usual kind.
///
/// Takes time linear in the vocabulary and the characters of the file.
#[must_use]
pub fn text_cost(model: &Model<'_>, bytes: usize) -> u64 {
    let (vocabulary, characters) = (model.vocabulary(), model.characters());
    let piece = wide(vocabulary.longest()).min(WORD_BYTES);
    let target = wide(characters.longest_target()).clamp(1, WORD_BYTES + 1);
    // Steps of a binary search.
    let blocks = vocabulary.len().div_ceil(vocabulary.block()) + 1;
    let steps = u64::from(usize::BITS - blocks.leading_zeros());
    // A search compares first pieces of blocks with the word, and reads a block. Where it does not
    // end at the answer, the next one is for a shorter word: at worst, by one byte.
    let search = |bytes| steps * (50 + 12 * bytes) + wide(vocabulary.block()) * (60 + 12 * bytes);
    let piece_begun = 300 + search(piece) + piece * (100 + search(piece.div_ceil(2)));
    // Every byte of what a character is replaced by may be a piece, and is copied before.
    let character = 400 + 30 * wide(characters.longest_search()) + target * (30 + piece_begun);
    // A pair is read up to three times: both texts are counted, then the second is written.
    let readings = if model.tokenizer().pair { 2 } else { 1 };
    2_000 + wide(bytes) * character * readings
}
