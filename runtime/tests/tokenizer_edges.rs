//! Edge cases of the tokenizer: hardly any room, hardly any characters, a lot of text. The
//! trainer's tests check against the reference implementation that its tokens are right.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failing test may panic"
)]

use neuroprune_format::architecture::{Activation, Architecture, Head, Pooling, StackSettings};
use neuroprune_format::manifest::{Scores, TokenizerSettings};
use neuroprune_format::tensor::{Role, Scale, TableValues};
use neuroprune_format::writer::{
    CharacterMap, CharacterOutcome, LayoutChoice, MatrixSource, ModelSource, NormSource,
    TableSource, TensorSource,
};
use neuroprune_runtime::Model;
use neuroprune_runtime::tokenizer::{Encoding, Tokenizer};

const COMMA: u16 = 0;
const CLS: u16 = 1;
const SEP: u16 = 2;
const UNK: u16 = 3;
const A: u16 = 4;
const AB: u16 = 5;
const E: u16 = 6;
const CONT_A: u16 = 7;
const CONT_B: u16 = 8;
const CONT_BE: u16 = 9;

/// A model whose tokenizer has the ten pieces above.
fn file(word_characters: u16) -> Vec<u8> {
    let initial = [",", "[CLS]", "[SEP]", "[UNK]", "a", "ab", "é"].map(String::from);
    let continuation = ["a", "b", "bé"].map(String::from);
    let rows = initial.len() + continuation.len();
    let embedding = |role, rows| {
        TensorSource::Table(TableSource {
            role,
            rows,
            cols: 1,
            values: TableValues::I8,
            weights: vec![1; rows],
            scales: vec![Scale::ONE; rows],
        })
    };
    let characters = CharacterMap::new(|character| match character {
        ' ' | '\u{2003}' => CharacterOutcome::Space,
        '\0' | '\u{301}' => CharacterOutcome::Dropped,
        'a' | 'b' | 'é' => CharacterOutcome::Word(character.into()),
        'É' => CharacterOutcome::Word("é".into()),
        'Æ' => CharacterOutcome::Word("aé".into()),
        ',' => CharacterOutcome::Isolated(",".into()),
        '.' => CharacterOutcome::IsolatedUnknown,
        _ => CharacterOutcome::Unknown,
    });
    ModelSource {
        name: "edges".into(),
        producer: "test".into(),
        seed: 0,
        recipe: [0; 32],
        data: [0; 32],
        scores: Scores::default(),
        architecture: Architecture::Encoder {
            stack: StackSettings {
                layers: 0,
                activation: Activation::Relu,
                norm_epsilon: 1e-5,
                ..StackSettings::default()
            },
            head: Head::Classes(Pooling::Mean),
        },
        tokenizer: TokenizerSettings {
            unknown: UNK,
            start: CLS,
            separator: SEP,
            word_characters,
            pair: true,
        },
        tokens: 8,
        hidden: 1,
        labels: vec!["one".into()],
        initial: initial.into(),
        continuation: continuation.into(),
        characters: characters.unwrap(),
        tensors: vec![
            embedding(Role::TokenEmbedding, rows),
            embedding(Role::PositionEmbedding, 8),
            embedding(Role::SegmentEmbedding, 2),
            TensorSource::Norm(NormSource {
                role: Role::EmbeddingNorm,
                layer: 0,
                gain: vec![1_u8.into()],
                shift: vec![0_u8.into()],
            }),
            TensorSource::Matrix(MatrixSource {
                role: Role::Classifier,
                layer: 0,
                head: 0,
                rows: 1,
                cols: 1,
                query_rows: 0,
                weights: vec![1],
                scales: vec![Scale::ONE],
                bias: None,
                layout: LayoutChoice::Smallest,
            }),
        ],
    }
    .to_bytes()
    .unwrap()
}

fn encode(text: &str, pair: Option<&str>, limit: usize) -> (Vec<u16>, Encoding) {
    let file = file(100);
    let tokenizer = Tokenizer::new(&Model::open(&file).unwrap());
    let mut ids = vec![u16::MAX; limit];
    let encoding = tokenizer.encode(text, pair, &mut ids);
    let unused = ids.split_off(encoding.tokens);
    assert!(unused.iter().all(|&id| id == u16::MAX), "untouched");
    (ids, encoding)
}

/// The tokens of `text` between the special ones.
fn tokens(text: &str) -> Vec<u16> {
    let (ids, encoding) = encode(text, None, 1000);
    assert_eq!(ids.first(), Some(&CLS));
    assert_eq!(ids.last(), Some(&SEP));
    assert!(!encoding.truncated);
    ids[1..ids.len() - 1].to_vec()
}

#[test]
fn words_become_pieces() {
    assert_eq!(tokens("a ab aba abb"), [A, AB, AB, CONT_A, AB, CONT_B]);
    // Greedy: `ab` is taken although only `a` + `bé` would spell the word.
    assert_eq!(tokens("abé aabé"), [UNK, A, CONT_A, CONT_BE]);
    assert_eq!(tokens("É Æ b éa"), [E, UNK, UNK, E, CONT_A]);
    let isolated = [A, COMMA, UNK, COMMA, COMMA, UNK, A, UNK, UNK];
    assert_eq!(tokens("a,b,,.a.xa"), isolated);
    assert_eq!(tokens("a\0b\u{301} \u{301} \0\u{2003}a"), [AB, A]);
    assert_eq!(tokens("[CLS] [UNK]"), [UNK, UNK]);
}

#[test]
fn a_word_has_a_longest_length_in_characters() {
    let spelt = [vec![E], vec![CONT_A; 99]].concat();
    assert_eq!(tokens(&format!("é{}", "a".repeat(99))), spelt);
    assert_eq!(tokens(&format!("é{}", "a".repeat(100))), [UNK]);
    let with_dropped = tokens(&format!("é{}\0\0 a", "a".repeat(99)));
    assert_eq!(with_dropped[100..], [A]);

    let mut ids = [0; 8];
    let short = file(2);
    let tokenizer = Tokenizer::new(&Model::open(&short).unwrap());
    let encoding = tokenizer.encode("ab aba ,", None, &mut ids);
    assert_eq!(ids[..encoding.tokens], [CLS, AB, UNK, COMMA, SEP]);
    let none = file(0);
    let tokenizer = Tokenizer::new(&Model::open(&none).unwrap());
    let encoding = tokenizer.encode("a ,", None, &mut ids);
    assert_eq!(ids[..encoding.tokens], [CLS, UNK, UNK, SEP]);
}

/// The rest of an unknown word is passed over without looking at what it is replaced by.
#[test]
fn an_unknown_word_ends_where_it_would_have_ended() {
    for long in ["x", "\u{10ffff}", "x\0\u{301}é\u{10ffff}Æ"] {
        for end in [" ", "\u{2003}", " \u{2003} "] {
            let text = format!("{long}{}{end}ab", "aÉ".repeat(80));
            assert_eq!(tokens(&text), [UNK, AB], "{text:?}");
        }
        let text = format!("ab{long}a,{long}.a{long}");
        assert_eq!(tokens(&text), [UNK, COMMA, UNK, UNK, UNK], "{text:?}");
    }
    let long = "Æ".repeat(51);
    let text = format!("{long}.{long},{long}\u{2003}{long}");
    assert_eq!(tokens(&text), [UNK, UNK, UNK, COMMA, UNK, UNK]);
}

/// What follows the last token that has room decides only whether the text is cut.
#[test]
fn a_full_buffer_ends_the_reading() {
    let is_cut = |text| encode(text, None, 4).1.truncated;
    for (text, expected) in [
        ("a a", false),
        ("aba", false),
        ("a,", false),
        ("a.\u{2003}\0 \u{301}", false),
        ("a ab a", true),
        ("a a x", true),
        ("a a\0\u{2003} \u{301},", true),
        ("a,.", true),
        ("a ,a", true),
        ("a aba", true),
        ("a, \0\u{10ffff}", true),
    ] {
        assert_eq!(is_cut(text), expected, "{text:?}");
    }
    // The second text has no place at all, or one.
    assert_eq!(encode(", , ,", Some(", , ,"), 3).0, [CLS, SEP, SEP]);
    assert_eq!(encode("", Some("aba ,"), 4).0, [CLS, SEP, AB, SEP]);
}

#[test]
fn less_room_than_special_tokens() {
    let cut = |tokens, first| Encoding {
        tokens,
        first,
        truncated: true,
        unknown: 0,
    };
    assert_eq!(encode("a", None, 0), (vec![], cut(0, 0)));
    assert_eq!(encode("a", None, 1), (vec![CLS], cut(1, 1)));
    assert_eq!(encode("a", None, 2), (vec![CLS, SEP], cut(2, 2)));
    assert_eq!(encode("", Some(""), 0), (vec![], cut(0, 0)));
    assert_eq!(encode("a", Some("a"), 1), (vec![CLS], cut(1, 1)));
    assert_eq!(encode("a", Some("a"), 2), (vec![CLS, SEP], cut(2, 2)));
    assert_eq!(encode("a", Some(""), 3), (vec![CLS, SEP, SEP], cut(3, 2)));
    assert!(!encode("", None, 2).1.truncated);
    assert!(!encode("", Some(" \0"), 3).1.truncated);
}

#[test]
fn the_longer_text_is_cut() {
    let in_six = |text, pair| encode(text, Some(pair), 6);
    let (ids, encoding) = in_six("a", "a a a .");
    assert_eq!(ids, [CLS, A, SEP, A, A, SEP]);
    assert_eq!((encoding.first, encoding.unknown), (3, 0));
    let (ids, encoding) = in_six("a a a a", "a");
    assert_eq!(ids, [CLS, A, A, SEP, A, SEP]);
    assert_eq!(encoding.first, 4);
    // Equally long: the second text gets the odd place.
    let (ids, encoding) = in_six("a a a", ". . .");
    assert_eq!(ids, [CLS, A, SEP, UNK, UNK, SEP]);
    assert_eq!(encoding.unknown, 2);
    // Both are counted to the end of the word that reaches six: seven and six
    // tokens, however much follows.
    let (ids, encoding) = in_six(", , , , , aba", ", , , , , ab,,,,,,");
    assert_eq!(ids, [CLS, COMMA, COMMA, SEP, COMMA, SEP]);
    assert!(encoding.truncated);
}

#[test]
fn a_megabyte_of_anything() {
    let parts = ["a", "a ", ", ", "\u{301}", " ", "x", "\u{10ffff}", "ab\0"];
    for part in parts {
        let text = part.repeat(1_000_000 / part.len());
        let (ids, encoding) = encode(&text, Some(&text), 8);
        assert_eq!(ids.len(), encoding.tokens, "{part:?}");
        assert!(encoding.tokens <= 8, "{part:?}");
    }
}
