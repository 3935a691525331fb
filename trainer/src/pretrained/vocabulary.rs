//! The checkpoint's tokenizer, and which of its pieces a model keeps.
//!
//! A row of the embedding is one byte per dimension: all 30,522 pieces of BERT's vocabulary take
//! 11.7 MB at width 384. WordPiece takes the longest piece that fits, so leaving out pieces that no
//! training text uses changes no training text.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use tokenizers::Model as _;
use tokenizers::models::wordpiece::WordPiece;

use super::error::{PretrainedError, Problem};
use super::file::{is_there, read_text};
use super::settings::{SETTINGS, Settings};
use super::tokenizer;
use crate::quoted::Quoted;
use crate::recipe::VocabularySize;
use crate::text::vocabulary::{
    Normalization, SPECIAL, Vocabulary, VocabularyError, count_words, only_character, reachable,
    spell, word_piece,
};

const TOKENIZER: &str = "tokenizer.json";
const PIECES: &str = "vocab.txt";

/// A WordPiece vocabulary as its checkpoint has it.
pub(super) struct PretrainedVocabulary {
    path: PathBuf,
    model: WordPiece,
    normalization: Normalization,
    /// By id, which is the row of the embedding.
    tokens: BTreeMap<u32, String>,
}

/// The pieces that a model keeps.
pub(super) struct Chosen {
    pub(super) vocabulary: Vocabulary,
    /// For each id of the vocabulary, the row of the checkpoint's embedding.
    pub(super) rows: Vec<usize>,
}

/// What a smaller vocabulary changes in some texts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Respelled {
    /// Words of the texts.
    pub words: usize,
    /// Those of them that are now spelled with other pieces.
    pub changed: usize,
}

impl PretrainedVocabulary {
    /// Reads `tokenizer.json`, or `vocab.txt` with `tokenizer_config.json`.
    pub(super) fn read(folder: &Path) -> Result<Self, PretrainedError> {
        let has = |file: &str| is_there(&folder.join(file));
        let files = files(has).map_err(|problem| problem.at(folder))?;
        if files.contains(&TOKENIZER) {
            let path = folder.join(TOKENIZER);
            let stated = Settings::read(&folder.join(SETTINGS))?;
            tokenizer::read(&path)
                .and_then(|(model, normalization)| {
                    stated.agree_with(normalization)?;
                    Self::new(&path, model, normalization)
                })
                .map_err(|problem| problem.at(&path))
        } else {
            let path = folder.join(PIECES);
            let normalization = Settings::read(&folder.join(SETTINGS))?.normalization();
            read_pieces(&path)
                .and_then(|model| Self::new(&path, model, normalization))
                .map_err(|problem| problem.at(&path))
        }
    }

    fn new(path: &Path, model: WordPiece, normalization: Normalization) -> Result<Self, Problem> {
        let ids = model.get_vocab();
        if let Some(missing) = SPECIAL.iter().find(|token| !ids.contains_key(**token)) {
            let problem = format!("has no piece `{missing}`, which every sequence needs");
            return Err(Problem::Unsupported(problem));
        }
        let mut tokens = BTreeMap::new();
        // In their order: what a message names must not depend on that of a hash map.
        let mut sorted: Vec<(String, u32)> = ids.into_iter().collect();
        sorted.sort_unstable();
        for (token, id) in sorted {
            if let Some(other) = tokens.insert(id, token.clone()) {
                return Err(Problem::Unsupported(format!(
                    "the pieces {} and {} have the same number, {id}",
                    Quoted(&other),
                    Quoted(&token)
                )));
            }
        }
        Ok(Self {
            path: path.to_owned(),
            model,
            normalization,
            tokens,
        })
    }

    /// What is done to texts first.
    pub(super) fn normalization(&self) -> Normalization {
        self.normalization
    }

    /// Number of pieces.
    pub(super) fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Fails where a piece has no row in an embedding of `rows` rows.
    pub(super) fn check_rows(&self, rows: usize) -> Result<(), PretrainedError> {
        match self.tokens.last_key_value() {
            Some((&id, token)) if id as usize >= rows => {
                let problem =
                    format!("piece `{token}` has number {id}, but the embedding has {rows} rows");
                Err(Problem::Unsupported(problem).at(&self.path))
            }
            _ => Ok(()),
        }
    }

    /// The pieces that a model for `texts` keeps.
    ///
    /// Pieces that no text can have are never kept, special tokens always. With
    /// [`VocabularySize::Used`] every piece of the texts is kept, and so are the single
    /// characters of the texts and of ASCII, by which words that are not in the texts are
    /// spelled. A number keeps these characters, then the pieces that are most frequent
    /// in the texts, then those with the lowest numbers, other single characters last:
    /// they have the lowest in BERT's own vocabularies, and are rare.
    pub(super) fn choose<'t>(
        &self,
        texts: impl Iterator<Item = &'t str>,
        size: VocabularySize,
    ) -> Result<Chosen, PretrainedError> {
        let choose = || -> Result<Chosen, Problem> {
            let mut tokens =
                reachable(self.tokens.values().map(String::as_str), self.normalization)?;
            if size != VocabularySize::All {
                let use_of = Use::new(self, texts)?;
                let is_needed = |token: &&str| use_of.needs(token);
                let needed = tokens.iter().filter(|token| is_needed(token)).count();
                // Stable: pieces of equal frequency keep the order of their numbers.
                tokens.sort_by_key(|token| {
                    let count = use_of.counts.get(*token).copied().unwrap_or(0);
                    let is_character = only_character(token).is_some();
                    (!is_needed(token), core::cmp::Reverse(count), is_character)
                });
                match size {
                    VocabularySize::Pieces(pieces) if pieces < needed => {
                        return Err(Problem::Unsupported(format!(
                            "a vocabulary of {pieces} pieces is asked for; the special tokens \
                             and single characters alone are {needed}"
                        )));
                    }
                    VocabularySize::Pieces(pieces) => tokens.truncate(pieces),
                    VocabularySize::Used | VocabularySize::All => tokens
                        .retain(|token| use_of.needs(token) || use_of.counts.contains_key(*token)),
                }
            }
            let tokens = tokens.into_iter().map(str::to_owned);
            let vocabulary = Vocabulary::from_pieces(tokens, self.normalization)?;
            let row = |token: String| self.model.token_to_id(&token).map(|id| id as usize);
            let rows = vocabulary.tokens().filter_map(row).collect();
            Ok(Chosen { vocabulary, rows })
        };
        choose().map_err(|problem| problem.at(&self.path))
    }

    /// Compares how `vocabulary`, made of some of these pieces, spells the texts.
    pub(super) fn respelled<'t>(
        &self,
        vocabulary: &Vocabulary,
        texts: impl Iterator<Item = &'t str>,
    ) -> Result<Respelled, VocabularyError> {
        let smaller = vocabulary.word_piece()?;
        let mut respelled = Respelled::default();
        for (word, count) in count_words(texts, self.normalization)? {
            let differs = spell(&self.model, &word)? != spell(&smaller, &word)?;
            respelled.words += count;
            respelled.changed += if differs { count } else { 0 };
        }
        Ok(respelled)
    }
}

/// Of a checkpoint that has some files, those that a tokenizer is read from.
pub(super) fn files(has: impl Fn(&str) -> bool) -> Result<Vec<&'static str>, Problem> {
    let vocabulary = [TOKENIZER, PIECES].into_iter().find(|file| has(file));
    let vocabulary = vocabulary.ok_or_else(|| {
        let problem = format!("has neither {TOKENIZER} nor {PIECES}");
        Problem::Unsupported(problem)
    })?;
    let mut files = vec![vocabulary];
    files.extend(has(SETTINGS).then_some(SETTINGS));
    Ok(files)
}

/// What texts use of a vocabulary.
struct Use {
    /// How often each piece occurs.
    counts: HashMap<String, usize>,
    characters: BTreeSet<char>,
}

impl Use {
    fn new<'t>(
        vocabulary: &PretrainedVocabulary,
        texts: impl Iterator<Item = &'t str>,
    ) -> Result<Self, VocabularyError> {
        let mut counts = HashMap::new();
        let mut characters = BTreeSet::new();
        for (word, count) in count_words(texts, vocabulary.normalization)? {
            characters.extend(word.chars());
            for token in spell(&vocabulary.model, &word)? {
                *counts.entry(token).or_default() += count;
            }
        }
        Ok(Self { counts, characters })
    }

    /// Whether the token is kept whatever the texts are: such tokens spell words that the texts do
    /// not have.
    fn needs(&self, token: &str) -> bool {
        let is_used = |one: char| one.is_ascii() || self.characters.contains(&one);
        only_character(token).is_some_and(is_used) || SPECIAL.contains(&token)
    }
}

/// `vocab.txt`: one piece per line, its number that of the line from 0.
fn read_pieces(path: &Path) -> Result<WordPiece, Problem> {
    let text = read_text(path, tokenizer::BYTES)?;
    // A blank line at the end is no piece.
    let lines = text.trim_end().lines();
    tokenizer::check_pieces(lines.clone().count())?;
    let tokens = lines.map(|line| line.trim_end().to_owned());
    Ok(word_piece(tokens.zip(0..))?)
}
