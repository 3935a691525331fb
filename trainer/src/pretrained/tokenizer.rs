//! `tokenizer.json`: its pieces, and whether it does what model files do.
//!
//! Parts are read by themselves, and only those that decide something: some others could take any
//! memory in the library that wrote them, or panic there.

use core::fmt;
use std::path::Path;

use neuroprune_format::tensor::WORD_CHARACTERS;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use tokenizers::models::wordpiece::WordPiece;

use super::error::{Problem, key};
use super::file::{optional, read_text, shortened, wrong};
use crate::json::Object;
use crate::quoted::Quoted;
use crate::recipe::Splitting;
use crate::text::vocabulary::{Normalization, PREFIX, UNKNOWN, word_piece};

/// Most bytes of a vocabulary's file; those of the largest take a quarter of it.
pub(super) const BYTES: u64 = 64 << 20;
/// Most pieces; the largest vocabularies have a little less.
const PIECES: usize = 1 << 19;

/// Reads a file.
pub(super) fn read(path: &Path) -> Result<(WordPiece, Normalization), Problem> {
    let text = read_text(path, BYTES)?;
    let file = Object::parse(&text)?;
    let model = part(&file, "model", "WordPiece", ", which model files have")?;
    let why = " with clean_text, the one that model files have";
    let normalizer = part(&file, "normalizer", "BertNormalizer", why)?;
    let why = ", the one that model files have";
    part(&file, "pre_tokenizer", "BertPreTokenizer", why)?;
    check_added(&file)?;
    Ok((pieces(&model)?, normalization(&normalizer)?))
}

/// Fails for more pieces than a vocabulary can have.
pub(super) fn check_pieces(pieces: usize) -> Result<(), Problem> {
    match pieces > PIECES {
        true => Err(Problem::Unsupported(format!(
            "has more than {PIECES} pieces, expected fewer"
        ))),
        false => Ok(()),
    }
}

/// A part of the file, which must be of this kind.
fn part<'t>(
    file: &Object<'t>,
    name: &str,
    expected: &str,
    why: &str,
) -> Result<Object<'t>, Problem> {
    let value = file.get(name).filter(|value| value.get() != "null");
    let part = match value.and_then(|_| file.inner(name)) {
        Some(part) => part?,
        None => Object::default(),
    };
    let kind = part.get("type").map(|kind| kind.get());
    // Old files do not name the kind of the model.
    let is_old = name == "model" && value.is_some() && kind.is_none();
    match is_old || kind.is_some_and(|kind| kind == format!("\"{expected}\"")) {
        true => Ok(part),
        false => {
            let found = kind.unwrap_or("not there");
            let name = format!("{name}.type");
            Err(key(&name, &shortened(found), &format!("{expected}{why}")))
        }
    }
}

/// The model, if nothing in it differs from what model files have.
fn pieces(model: &Object<'_>) -> Result<WordPiece, Problem> {
    for (name, expected) in [
        ("continuing_subword_prefix", format!("{PREFIX:?}")),
        ("unk_token", format!("{UNKNOWN:?}")),
        ("max_input_chars_per_word", WORD_CHARACTERS.to_string()),
    ] {
        let found = model.get(name).map(|value| value.get());
        if found != Some(&expected) {
            let found = found.unwrap_or("not there");
            return Err(key(&format!("model.{name}"), found, &expected));
        }
    }
    let vocabulary = model.get("vocab").map(|value| value.get());
    let Vocabulary(mut pieces) = match vocabulary {
        Some(vocabulary) => serde_json::from_str(vocabulary).map_err(|error| {
            let message = error.to_string();
            let message = message
                .rsplit_once(" at line ")
                .map_or(&*message, |it| it.0);
            key(
                "model.vocab",
                &format!("something else ({message})"),
                "pieces and their numbers",
            )
        })?,
        None => return Err(key("model.vocab", "not there", "the pieces")),
    };
    pieces.sort_unstable();
    if let Some(twice) = pieces.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        let twice = format!("the piece {} occurs twice", Quoted(&twice[0].0));
        return Err(Problem::Unsupported(twice));
    }
    Ok(word_piece(pieces.into_iter())?)
}

/// Pieces and their numbers, no more than there can be.
struct Vocabulary(Vec<(String, u32)>);

impl<'de> Deserialize<'de> for Vocabulary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pieces;
        impl<'de> Visitor<'de> for Pieces {
            type Value = Vocabulary;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of pieces and their numbers")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pieces = Vec::new();
                while let Some(piece) = map.next_entry()? {
                    pieces.push(piece);
                    check_pieces(pieces.len()).map_err(A::Error::custom)?;
                }
                Ok(Vocabulary(pieces))
            }
        }
        deserializer.deserialize_map(Pieces)
    }
}

/// Words that are matched before splitting have no place in a model file.
fn check_added(file: &Object<'_>) -> Result<(), Problem> {
    #[derive(Deserialize)]
    struct Added {
        content: String,
        special: bool,
    }
    let expected = "a list of tokens, each with `content` and `special`";
    let added: Option<Vec<Added>> = optional(file, "added_tokens", expected)?;
    match added.into_iter().flatten().find(|token| !token.special) {
        Some(word) => Err(key(
            "added_tokens",
            &Quoted(&word.content).to_string(),
            "special tokens only; a model file has no words that are matched before splitting",
        )),
        None => Ok(()),
    }
}

/// What the normaliser does.
fn normalization(normalizer: &Object<'_>) -> Result<Normalization, Problem> {
    let flag = |name: &str| optional(normalizer, name, "true or false");
    let needed = |name: &str| {
        let stated: Option<bool> = flag(name)?;
        stated.ok_or_else(|| wrong(normalizer, name, "true or false"))
    };
    if !needed("clean_text")? {
        return Err(key(
            "normalizer.clean_text",
            "false",
            "true: model files have no control characters",
        ));
    }
    let lowercase = needed("lowercase")?;
    Ok(Normalization {
        lowercase,
        strip_accents: flag("strip_accents")?.unwrap_or(lowercase),
        splitting: match needed("handle_chinese_chars")? {
            true => Splitting::Chinese,
            false => Splitting::Spaces,
        },
    })
}
