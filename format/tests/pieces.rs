//! Pieces in blocks: the same pieces, and the same longest match, as a search of all of them.
#![cfg(feature = "alloc")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

mod sources;

use std::collections::BTreeSet;

use neuroprune_format::container::Container;
use neuroprune_format::tensor::Role;
use neuroprune_format::vocabulary::PIECE_BYTES;
use neuroprune_format::writer::{ModelSource, TensorSource};
use neuroprune_format::{Model, Section};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

/// A model with these pieces, special ones included.
fn model_of(initial: &BTreeSet<String>, continuing: &BTreeSet<String>) -> Vec<u8> {
    let mut source = sources::pair();
    source.initial = initial.iter().cloned().collect();
    source.continuation = continuing.iter().cloned().collect();
    source.tokenizer.start = 0;
    source.tokenizer.separator = 0;
    source.tokenizer.unknown = 0;
    with_rows(&mut source, initial.len() + continuing.len());
    source.to_bytes().unwrap()
}

fn with_rows(source: &mut ModelSource, pieces: usize) {
    for tensor in &mut source.tensors {
        if let TensorSource::Table(table) = tensor
            && table.role == Role::TokenEmbedding
        {
            table.rows = pieces;
            table.weights = vec![1; pieces * table.cols];
            table.scales = vec![table.scales[0]; pieces];
        }
    }
}

fn longest<'p>(pieces: &'p BTreeSet<String>, word: &str) -> Option<(usize, &'p str)> {
    let fitting = pieces.iter().enumerate();
    let fitting = fitting.filter(|(_, piece)| word.starts_with(piece.as_str()));
    fitting
        .map(|(id, piece)| (id, piece.as_str()))
        .max_by_key(|(_, piece)| piece.len())
}

#[track_caller]
fn check(initial: &BTreeSet<String>, continuing: &BTreeSet<String>, words: &[String]) {
    let bytes = model_of(initial, continuing);
    let vocabulary = Model::open(&bytes).unwrap().vocabulary();
    let mut buffer = [0; PIECE_BYTES];
    for (id, piece) in initial.iter().chain(continuing).enumerate() {
        let expected = Some((piece.as_str(), id >= initial.len()));
        assert_eq!(vocabulary.piece(id, &mut buffer), expected);
    }
    let all = initial.iter().chain(continuing);
    for word in words.iter().chain(all) {
        for (continues, half, before) in [(false, initial, 0), (true, continuing, initial.len())] {
            let expected = longest(half, word).map(|(id, piece)| (before + id, piece.len()));
            let found = vocabulary.longest_match(word, continues);
            assert_eq!(found, expected, "{word:?} in {half:?}");
        }
    }
}

/// Few letters, so that pieces begin alike; two of them begin with the same byte.
fn word() -> impl Strategy<Value = String> {
    let letter = prop::sample::select(vec!['a', 'b', 'c', 'é', 'è', '日']);
    vec(letter, 1..7).prop_map(|letters| letters.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..Default::default() })]
    #[test]
    fn the_longest_piece_is_found(
        initial in btree_set(word(), 1..60),
        continuing in btree_set(word(), 0..40),
        words in vec(word(), 1..60),
    ) {
        check(&initial, &continuing, &words);
    }
}

/// Half a byte says up to 14.
#[test]
fn long_pieces_and_long_beginnings() {
    let lengths = [
        1, 14, 15, 16, 17, 30, 31, 32, 142, 143, 144, 240, 253, 254, 255,
    ];
    let of = |end: &str| lengths.map(|length| format!("{}{end}", "a".repeat(length - 1)));
    let pieces: BTreeSet<String> = of("a").into_iter().chain(of("b")).collect();
    let words = [200, 254, 255].map(|length| format!("{}c", "a".repeat(length)));
    check(&pieces, &BTreeSet::new(), &words);
    check(&["x".to_owned()].into(), &pieces, &words);
}

/// The figure of the format's text.
#[test]
fn a_piece_takes_about_half_of_what_it_took() {
    let syllables = [
        "ka", "to", "mi", "ren", "sol", "ta", "ve", "lu", "no", "chi", "ber", "gan",
    ];
    let mut pieces = BTreeSet::new();
    for a in syllables {
        for b in syllables {
            for c in syllables {
                pieces.insert(format!("{a}{b}{c}"));
            }
        }
    }
    let bytes = model_of(&pieces, &BTreeSet::new());
    let container = Container::open(&bytes).unwrap();
    let length = container.section(Section::PieceBlocks).unwrap().len();
    let text: usize = pieces.iter().map(String::len).sum();
    let table = 16 + 2 * (pieces.len() + 1) + text;
    assert!(length * 2 < table, "{length} of {table}");
}
