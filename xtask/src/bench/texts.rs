//! Vocabularies and texts whose tokenizing is counted, over all of Unicode.

use core::fmt::Write as _;
use core::ops::RangeInclusive;
use std::collections::BTreeSet;

use anyhow::{Context, ensure};
use neuroprune_format::Model;
use neuroprune_format::characters::Outcome;
use neuroprune_format::vocabulary::PIECE_BYTES;
use neuroprune_format::writer::{CharacterMap, CharacterOutcome};
use serde_json::{Value, json};

use super::counter::Measured;
use super::models::model;
use super::numbers::thousands;
use super::vocabulary::{Text, WORDS};

/// A character, after normalisation, may cost as much as this many of the sentences.
pub(crate) const MOST: u64 = 4;
/// Syllables of Hangul, which are up to three characters after normalisation.
pub(crate) const SYLLABLES: RangeInclusive<u32> = 0xac00..=0xd7a3;
pub(crate) const LETTERS_OF_SYLLABLE: u64 = 3;

/// Letters that a vocabulary of many languages has, in the form that normalisation leaves.
const LETTERS: [(char, char); 11] = [
    ('α', 'ω'),
    ('а', 'ё'),
    ('ա', 'ֆ'),
    ('א', 'ת'),
    ('ء', 'ي'),
    ('अ', 'ह'),
    ('ก', 'ฮ'),
    ('ა', 'ჰ'),
    // What syllables of Hangul are made of.
    ('\u{1100}', '\u{11c2}'),
    ('ぁ', 'ん'),
    ('ァ', 'ヺ'),
];
/// Words of their own: Chinese, a rare plane of it, faces.
const ISOLATED: [(char, char); 2] = [('\u{4e00}', '\u{9fff}'), ('\u{20000}', '\u{200ff}')];
const FACES: (char, char) = ('\u{1f600}', '\u{1f64f}');

/// Words in other scripts, each a piece.
const MORE_WORDS: &str = "все люди рождаются свободными и равными в своем достоинстве ολοι οι \
    ανθρωποι γεννιουνται ελευθεροι כל בני האדם נולדו בני חורין يولد جميع الناس احرارا متساوين \
    सभी मनषय क गरव และ มนษย ความ すへて の 人間 ყველა адамы";

/// The pieces and characters of the `shipped` model.
fn of_model(shipped: &Model<'_>) -> anyhow::Result<Text> {
    let mut initial = Vec::new();
    let mut continuation = Vec::new();
    for id in 0..shipped.vocabulary().len() {
        let mut buffer = [0; PIECE_BYTES];
        let piece = shipped.vocabulary().piece(id, &mut buffer);
        let (piece, continues) = piece.context("a piece")?;
        let half = if continues {
            &mut continuation
        } else {
            &mut initial
        };
        half.push(piece.to_owned());
    }
    let characters = CharacterMap::new(|character| outcome(shipped, character))?;
    Ok(Text {
        initial,
        continuation,
        characters,
    })
}

/// What `model` does to `character`, as the writer takes it.
fn outcome(model: &Model<'_>, character: char) -> CharacterOutcome {
    match model.characters().outcome(character) {
        Outcome::Unknown => CharacterOutcome::Unknown,
        Outcome::Dropped => CharacterOutcome::Dropped,
        Outcome::IsolatedUnknown => CharacterOutcome::IsolatedUnknown,
        Outcome::Space => CharacterOutcome::Space,
        Outcome::Word(target) => CharacterOutcome::Word(target.to_owned()),
        Outcome::Isolated(target) => CharacterOutcome::Isolated(target.to_owned()),
    }
}

/// The pieces and characters of the `shipped` model, and those of many languages: every Chinese
/// character, every syllable of Hangul as its two or three letters.
fn of_many_languages(shipped: &Model<'_>) -> anyhow::Result<Text> {
    let range = |&(first, last): &(char, char)| first..=last;
    let letters: BTreeSet<char> = LETTERS.iter().flat_map(range).collect();
    let isolated: BTreeSet<char> = ISOLATED.iter().flat_map(range).collect();
    let known = of_model(shipped)?;
    let mut initial: BTreeSet<String> = known.initial.into_iter().collect();
    let mut continuation: BTreeSet<String> = known.continuation.into_iter().collect();
    for letter in letters.iter().copied().chain(range(&FACES)) {
        initial.insert(letter.to_string());
        continuation.insert(letter.to_string());
    }
    initial.extend(isolated.iter().map(char::to_string));
    initial.extend(
        WORDS
            .split(' ')
            .chain(MORE_WORDS.split(' '))
            .map(String::from),
    );
    let characters = CharacterMap::new(|character| {
        let lower = character.to_lowercase().next().unwrap_or(character);
        if isolated.contains(&character) {
            CharacterOutcome::Isolated(character.to_string())
        } else if let Some(letters) = hangul(character) {
            CharacterOutcome::Word(letters)
        } else if letters.contains(&lower) || range(&FACES).contains(&character) {
            CharacterOutcome::Word(lower.to_string())
        } else {
            outcome(shipped, character)
        }
    })?;
    Ok(Text {
        initial: initial.into_iter().collect(),
        continuation: continuation.into_iter().collect(),
        characters,
    })
}

/// The letters of a syllable (Unicode Standard, 3.12).
fn hangul(syllable: char) -> Option<String> {
    let number = u32::from(syllable).checked_sub(0xac00)?;
    let (leading, vowel, trailing) = (number / 588, number / 28 % 21, number % 28);
    let letter = |first: u32, number: u32| char::from_u32(first + number);
    let trailing = (trailing > 0).then(|| letter(0x11a7, trailing)).flatten();
    let letters = [letter(0x1100, leading)?, letter(0x1161, vowel)?];
    (leading < 19).then(|| letters.into_iter().chain(trailing).collect())
}

/// The models whose tokenizers are counted: the shipped one, and one of many languages.
pub(super) fn models(shipped: Vec<u8>) -> anyhow::Result<Vec<Vec<u8>>> {
    let many = of_many_languages(&Model::open(&shipped)?)?;
    let many = model("many languages", 1, 2, &["class"], 0, &many, Vec::new())?;
    Ok(vec![shipped, many])
}

/// Tokenizers alone, for texts of up to `tokens`: models of one weight without a layer, of the pieces
/// of the `shipped` one and of many languages.
pub(crate) fn tokenizers(
    shipped: &[u8],
    tokens: usize,
) -> anyhow::Result<[(&'static str, Vec<u8>); 2]> {
    let shipped = Model::open(shipped)?;
    let bare = |name, text: &Text| {
        let file = model(name, 1, tokens, &["class"], 0, text, Vec::new())?;
        anyhow::Ok((name, file))
    };
    Ok([
        bare("commands", &of_model(&shipped)?)?,
        bare("many languages", &of_many_languages(&shipped)?)?,
    ])
}

/// What a tokenizer needs for texts of the same number of characters.
pub(super) struct TextCounts {
    /// Name of the model.
    pub(super) name: String,
    /// Instructions of the sentences.
    pub(super) sentences: u64,
    /// Of the sentences with the most expensive block of 256 characters in place of their letters,
    /// Hangul apart.
    pub(super) worst: u64,
    /// First scalar value of that block.
    pub(super) block: u32,
    /// Of the sentences with syllables of Hangul.
    pub(super) syllables: u64,
    /// Of a text that is one endless word.
    pub(super) endless_word: u64,
    /// Of the sentences where few tokens have room.
    pub(super) full: u64,
    /// The same with an endless word after those.
    pub(super) full_endless: u64,
}

impl TextCounts {
    /// The counts of each model, from what `bench_text` measured.
    ///
    /// # Errors
    /// Where a character costs more than it may.
    pub(super) fn of(measured: &Measured) -> anyhow::Result<Vec<Self>> {
        let mut all = Vec::new();
        let region = |name: &str| {
            let mut regions = measured.regions.iter();
            let found = regions.find(|(region, _)| region == name);
            let (_, counts) = found.with_context(|| format!("no region {name}"))?;
            anyhow::Ok(counts.instructions)
        };
        for (name, sentences) in &measured.regions {
            let Some(name) = name.strip_suffix(": sentences") else {
                continue;
            };
            let blocks = measured.regions.iter().filter_map(|(region, counts)| {
                let block = region.strip_prefix(name)?.strip_prefix(": block ")?;
                Some((counts.instructions, block.parse().ok()?))
            });
            let (syllables, others): (Vec<_>, Vec<_>) =
                blocks.partition(|(_, block)| SYLLABLES.contains(block));
            let most = |blocks: Vec<(u64, u32)>| {
                let most = blocks.into_iter().max();
                most.context("no block of characters")
            };
            let (worst, block) = most(others)?;
            let counts = Self {
                name: name.to_owned(),
                sentences: sentences.instructions,
                worst,
                block,
                syllables: most(syllables)?.0,
                endless_word: region(&format!("{name}: endless word"))?,
                full: region(&format!("{name}: sentences, few tokens"))?,
                full_endless: region(&format!("{name}: endless word, few tokens"))?,
            };
            counts.check().with_context(|| name.to_owned())?;
            all.push(counts);
        }
        Ok(all)
    }

    fn check(&self) -> anyhow::Result<()> {
        let most = MOST * self.sentences;
        ensure!(
            self.worst <= most && self.syllables <= LETTERS_OF_SYLLABLE * most,
            "a character costs more than {MOST} times that of a sentence: {} instructions with those \
             from U+{:04X}, {} with syllables of Hangul, {} with letters of ASCII",
            self.worst,
            self.block,
            self.syllables,
            self.sentences
        );
        ensure!(
            self.full_endless == self.full,
            "a text is read on after its tokens fill their room: {} instructions, not {}",
            self.full_endless,
            self.full
        );
        Ok(())
    }

    /// Names and instructions that have a budget.
    pub(super) fn figures(&self) -> [(String, u64); 5] {
        let name = &self.name;
        [
            (format!("{name}: sentences"), self.sentences),
            (format!("{name}: most expensive characters"), self.worst),
            (format!("{name}: syllables"), self.syllables),
            (format!("{name}: endless word"), self.endless_word),
            (format!("{name}: few tokens"), self.full),
        ]
    }
}

/// A text's counts in the record for scripts.
pub(super) fn json(text: &TextCounts) -> Value {
    json!({
        "vocabulary": text.name,
        "sentences": text.sentences,
        "most_expensive": text.worst,
        "most_expensive_block": text.block,
        "syllables": text.syllables,
        "endless_word": text.endless_word,
        "few_tokens": text.full,
    })
}

/// The table of the record.
pub(super) fn table(counts: &[TextCounts]) -> String {
    let mut page = "\n## Texts of all characters\n\n\
        356 characters, 76 words: the tokenizer alone. In place of the letters of the sentences, \
        characters of every block of 256, of which the most expensive one counts. The vocabulary of \
        many languages has every Chinese character, and single letters of Hangul, three tokens a \
        syllable.\n\n\
        | vocabulary | ASCII | most expensive block | times | syllables of Hangul | times | \
        endless word of 1,424 characters |\n|---|---:|---:|---:|---:|---:|---:|\n"
        .to_owned();
    for text in counts {
        #[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
        let times = |instructions: u64| instructions as f64 / text.sentences as f64;
        let _ = writeln!(
            page,
            "| {} | {} | {} from U+{:04X} | {:.2} | {} | {:.2} | {} |",
            text.name,
            thousands(text.sentences),
            thousands(text.worst),
            text.block,
            times(text.worst),
            thousands(text.syllables),
            times(text.syllables),
            thousands(text.endless_word),
        );
    }
    page
}
