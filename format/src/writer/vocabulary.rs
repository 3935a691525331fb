//! Writes pieces in blocks.

use alloc::borrow::ToOwned as _;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::cmp::Reverse;

use super::{WriteError, assemble, push_u32};
use crate::container::Container;
use crate::vocabulary::blocks::{ESCAPE, PIECES, SYLLABLE_BYTES, SYLLABLES};
use crate::vocabulary::common;
use crate::{Model, Section};

/// The file of this model with its pieces in blocks: one that has them as a table becomes shorter, and
/// does the same.
///
/// # Errors
/// When a piece has more than 255 bytes.
pub fn repack(model: &Model<'_>) -> Result<Vec<u8>, WriteError> {
    let vocabulary = model.vocabulary();
    let mut buffer = vec![0; vocabulary.longest()];
    let piece = |id| Some(vocabulary.piece(id, &mut buffer)?.0.to_owned());
    let mut initial: Vec<String> = (0..vocabulary.len()).filter_map(piece).collect();
    let continuing = initial.split_off(vocabulary.initial());
    let container = Container::open(model.bytes())?;
    let mut sections = Vec::new();
    for entry in container.entries() {
        match entry.section {
            Section::Vocabulary | Section::PieceBlocks => {}
            other => sections.push((other, container.section(other)?.to_vec())),
        }
    }
    sections.push((Section::PieceBlocks, blocks(&initial, &continuing)?));
    let bytes = assemble(&sections)?;
    Model::open(&bytes)?;
    Ok(bytes)
}

/// The section of these two halves, each of which ascends by bytes.
pub(super) fn blocks(initial: &[String], continuing: &[String]) -> Result<Vec<u8>, WriteError> {
    let section = Section::PieceBlocks;
    let all = || initial.chunks(PIECES).chain(continuing.chunks(PIECES));
    let syllables = Syllables::of(all());
    let mut offsets = Vec::new();
    let mut pieces = Vec::new();
    for block in all() {
        offsets.push(pieces.len());
        for (kept, more) in entries(block) {
            let length = u8::try_from(kept + more.len());
            let length = length.map_err(|_| WriteError::TooLarge(section))?;
            if offsets.last() == Some(&pieces.len()) {
                pieces.push(length);
                pieces.extend(more);
            } else {
                push_piece(&mut pieces, kept, &syllables.codes(more));
            }
        }
    }
    offsets.push(pieces.len());
    let is_wide = u16::try_from(pieces.len()).is_err();
    let mut bytes = Vec::new();
    push_u32(&mut bytes, initial.len(), section)?;
    push_u32(&mut bytes, continuing.len(), section)?;
    bytes.extend(if is_wide { 4_u16 } else { 2 }.to_le_bytes());
    bytes.extend([u8::try_from(syllables.0.len()).unwrap_or(0), 0]);
    for syllable in &syllables.0 {
        bytes.extend(syllable);
        bytes.resize(bytes.len() + SYLLABLE_BYTES - syllable.len(), 0);
    }
    for offset in offsets {
        match u16::try_from(offset) {
            Ok(offset) if !is_wide => bytes.extend(offset.to_le_bytes()),
            _ => push_u32(&mut bytes, offset, section)?,
        }
    }
    bytes.extend(pieces);
    Ok(bytes)
}

/// Of each piece of a block, the number of bytes that it keeps of the one before it, and the others.
fn entries(block: &[String]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut before: &[u8] = &[];
    block.iter().map(move |piece| {
        let piece = piece.as_bytes();
        let kept = common(before, piece);
        before = piece;
        (kept, piece.get(kept..).unwrap_or(&[]))
    })
}

/// What one byte may stand for.
struct Syllables(Vec<Vec<u8>>);

impl Syllables {
    /// Those that save most, one after another.
    fn of<'p>(blocks: impl Iterator<Item = &'p [String]> + Clone) -> Self {
        let bytes = blocks.clone().flatten().flat_map(|piece| piece.bytes());
        // A byte of text keeps its meaning.
        let most = bytes.min().map_or(0, |least| SYLLABLES.min(least.into()));
        // What follows first pieces; cut where syllables are taken out.
        let mut rest: Vec<&[u8]> = blocks
            .flat_map(|block| entries(block).skip(1))
            .map(|(_, more)| more)
            .collect();
        let mut syllables: Vec<Vec<u8>> = Vec::new();
        while syllables.len() < most {
            let mut saved = BTreeMap::<&[u8], usize>::new();
            for text in &rest {
                for length in 2..=SYLLABLE_BYTES {
                    for window in text.windows(length) {
                        *saved.entry(window).or_default() += length - 1;
                    }
                }
            }
            // Of equal ones, the first.
            let best = saved
                .into_iter()
                .max_by_key(|&(text, saved)| (saved, Reverse(text)));
            let Some((best, _)) = best.filter(|&(_, saved)| saved > SYLLABLE_BYTES) else {
                break;
            };
            let cut = |text: &'p [u8]| without(text, best);
            rest = rest.into_iter().flat_map(cut).collect();
            syllables.push(best.to_vec());
        }
        syllables.sort_unstable();
        Self(syllables)
    }

    /// The fewest codes of a text.
    fn codes(&self, text: &[u8]) -> Vec<u8> {
        // From the end: of each rest, the number of its codes, and the first of them with its bytes.
        let mut best = vec![(0, 0, 0); text.len() + 1];
        for at in (0..text.len()).rev() {
            let rest = text.get(at..).unwrap_or(&[]);
            let byte = rest.first().copied().unwrap_or(0);
            let syllables = (0..).zip(&self.0);
            let fitting = syllables.filter(|(_, syllable)| rest.starts_with(syllable));
            let choices = fitting.map(|(code, syllable)| (code, syllable.len()));
            let count = |length: usize| best.get(at + length).map_or(0, |&(count, ..)| count) + 1;
            let choices = core::iter::once((byte, 1)).chain(choices);
            let choice = choices.map(|(code, length)| (count(length), code, length));
            let choice = choice.min_by_key(|&(count, ..)| count);
            if let (Some(place), Some(choice)) = (best.get_mut(at), choice) {
                *place = choice;
            }
        }
        let mut codes = Vec::new();
        let mut at = 0;
        while let Some(&(_, code, length)) = best.get(at).filter(|(.., length)| *length > 0) {
            codes.push(code);
            at += length;
        }
        codes
    }
}

/// What is between the places where `part` is in `text`.
fn without<'t>(mut text: &'t [u8], part: &[u8]) -> Vec<&'t [u8]> {
    let mut left = Vec::new();
    while let Some(at) = text.windows(part.len()).position(|window| window == part) {
        left.extend(text.get(..at));
        text = text.get(at + part.len()..).unwrap_or(&[]);
    }
    left.push(text);
    left.retain(|text| text.len() > 1);
    left
}

fn push_piece(bytes: &mut Vec<u8>, kept: usize, codes: &[u8]) {
    let half = |number: usize| u8::try_from(number.min(ESCAPE)).unwrap_or(0);
    bytes.push(half(kept) << 4 | half(codes.len()));
    for number in [kept, codes.len()] {
        if number >= ESCAPE {
            // A piece has fewer bytes.
            bytes.push(u8::try_from(number).unwrap_or(u8::MAX));
        }
    }
    bytes.extend(codes);
}
