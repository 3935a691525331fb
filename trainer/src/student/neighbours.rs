//! Words that mean much the same to the teacher: those nearest in its table of tokens.

use candle_core::{Result, Tensor};

use super::words::Lexicon;
use crate::network::Network;
use crate::text::vocabulary::{SPECIAL, Vocabulary};

/// Neighbours of a word.
const NEAREST: usize = 12;
/// Words that are compared with all others at once.
const AT_ONCE: usize = 256;

/// For each word of `lexicon` the numbers of its neighbours, which are added to it; none for words
/// of several pieces.
pub(super) fn neighbours(
    lexicon: &mut Lexicon,
    vocabulary: &Vocabulary,
    teacher: &Network,
) -> Result<Vec<Vec<u32>>> {
    // Pieces that are whole words of letters.
    let is_word = |piece: &String| {
        !SPECIAL.contains(&piece.as_str())
            && piece.chars().count() > 1
            && piece.chars().all(char::is_alphabetic)
    };
    let numbered = (0..).zip(vocabulary.initial());
    let candidates: Vec<u32> = numbered
        .filter_map(|(id, piece)| is_word(piece).then_some(id))
        .collect();
    let count = lexicon.len();
    let words = (0..count).filter_map(|word| {
        let word = u32::try_from(word).ok()?;
        let piece = lexicon.single_piece(word)?;
        candidates
            .binary_search(&piece)
            .is_ok()
            .then_some((word, piece))
    });
    let words: Vec<(u32, u32)> = words.collect();
    let mut all = vec![Vec::new(); count];
    if candidates.len() <= NEAREST {
        return Ok(all);
    }
    let table = &teacher.token_embedding.value;
    let device = table.device();
    let unit = |ids: &[u32]| -> Result<Tensor> {
        let rows = table.index_select(&Tensor::new(ids, device)?, 0)?;
        let length = (rows.sqr()?.sum_keepdim(1)? + 1e-12)?.sqrt()?;
        rows.broadcast_div(&length)
    };
    let others = unit(&candidates)?.t()?.contiguous()?;
    for part in words.chunks(AT_ONCE) {
        let pieces: Vec<u32> = part.iter().map(|&(_, piece)| piece).collect();
        let similar = unit(&pieces)?.matmul(&others)?.to_vec2::<f32>()?;
        for (&(word, piece), similar) in part.iter().zip(similar) {
            let mut places: Vec<usize> = (0..candidates.len()).collect();
            let by_similarity =
                |a: &usize, b: &usize| similar[*b].total_cmp(&similar[*a]).then(a.cmp(b));
            places.select_nth_unstable_by(NEAREST, by_similarity);
            places.truncate(NEAREST + 1);
            places.sort_unstable_by(by_similarity);
            let near = places.into_iter().map(|place| candidates[place]);
            let near: Vec<u32> = near.filter(|&near| near != piece).take(NEAREST).collect();
            all[word as usize] = near
                .into_iter()
                .map(|near| lexicon.number(&[near]))
                .collect();
        }
    }
    all.resize(lexicon.len(), Vec::new());
    Ok(all)
}
