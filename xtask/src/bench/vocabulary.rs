//! What the tokenizers of measured models know.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use neuroprune_format::writer::{CharacterMap, CharacterOutcome};

/// Words of the sentence in `bench_model`, so that each is one token.
pub(crate) const WORDS: &str =
    "could you please be so kind and turn on the light in the kitchen and the living room now";

/// What a model's tokenizer knows.
#[derive(Clone, Debug)]
pub(super) struct Text {
    /// Pieces that begin a word.
    pub(super) initial: Vec<String>,
    /// Pieces that continue one.
    pub(super) continuation: Vec<String>,
    pub(super) characters: CharacterMap,
}

impl Text {
    /// Small letters and the words of the sentence; asked once for all characters there are.
    pub(super) fn of_sentence() -> anyhow::Result<Self> {
        static CHARACTERS: OnceLock<CharacterMap> = OnceLock::new();
        let characters = match CHARACTERS.get() {
            Some(characters) => characters.clone(),
            None => CharacterMap::new(|character| match character {
                ' ' => CharacterOutcome::Space,
                'a'..='z' => CharacterOutcome::Word(character.to_string()),
                _ => CharacterOutcome::Unknown,
            })?,
        };
        let characters = CHARACTERS.get_or_init(|| characters).clone();
        let letters = || ('a'..='z').map(String::from);
        let special = ["[CLS]", "[SEP]", "[UNK]"].map(String::from);
        let initial: BTreeSet<String> = letters()
            .chain(special)
            .chain(WORDS.split(' ').map(String::from))
            .collect();
        Ok(Self {
            initial: initial.into_iter().collect(),
            continuation: letters().collect(),
            characters,
        })
    }
}
