//! Which columns hold the text and the label.

use super::error::Problem;
use crate::quoted::Quoted;

/// Names for the text of a single-text file, the first match wins.
const TEXT: [&str; 3] = ["text", "sentence", "utterance"];
/// Names for the two texts of a pair.
const PAIRS: [(&str, &str); 3] = [
    ("text_a", "text_b"),
    ("sentence1", "sentence2"),
    ("premise", "hypothesis"),
];
/// Names for the label.
const LABEL: [&str; 2] = ["label", "intent"];

/// The columns to read, by name; `None` means the usual ones.
///
/// The usual ones are, in this order and ignoring case:
/// - one text: `text`, `sentence`, `utterance`;
/// - two texts: `text_a` and `text_b`, `sentence1` and `sentence2`, `premise` and
///   `hypothesis`;
/// - the label: `label`, `intent`.
///
/// A name given here must match exactly. With `text` given and `pair` not, the file is
/// read as single texts; other columns are ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    /// The text, or the first text of a pair.
    pub text: Option<String>,
    /// The second text of a pair.
    pub pair: Option<String>,
    /// The name of the class.
    pub label: Option<String>,
}

/// The columns that were found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedColumns {
    /// The text, or the first text of a pair.
    pub text: String,
    /// The second text of a pair.
    pub pair: Option<String>,
    /// The name of the class.
    pub label: String,
    /// The others, which are not read.
    pub unused: Vec<UnusedColumn>,
}

/// A column that is not read.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct UnusedColumn {
    /// Its name.
    pub name: String,
    /// Mean number of words in its fields, rounded down.
    pub words: usize,
    /// Fields that are text.
    #[serde(skip)]
    fields: usize,
}

impl ResolvedColumns {
    /// Names of the columns that are read.
    pub fn used(&self) -> impl Iterator<Item = &str> {
        let texts = core::iter::once(&self.text).chain(&self.pair);
        texts.chain([&self.label]).map(String::as_str)
    }

    /// These columns are not read.
    pub(super) fn begin_unused(&mut self, names: impl IntoIterator<Item = String>) {
        let unused = names.into_iter().map(|name| UnusedColumn {
            name,
            words: 0,
            fields: 0,
        });
        self.unused = unused.collect();
    }

    /// A field of the column at this place among them.
    pub(super) fn note_unused(&mut self, place: usize, field: &str) {
        if let Some(column) = self.unused.get_mut(place) {
            column.words += field.split_whitespace().count();
            column.fields += 1;
        }
    }

    /// From sums to means.
    pub(super) fn end_unused(&mut self) {
        for column in &mut self.unused {
            column.words /= column.fields.max(1);
        }
    }
}

impl Columns {
    /// Finds the columns among those present.
    pub(super) fn resolve(&self, present: &[String]) -> Result<ResolvedColumns, Problem> {
        let (text, pair) = self.resolve_texts(present)?;
        let label = match &self.label {
            Some(name) => named(name, present)?,
            None => LABEL
                .iter()
                .find_map(|name| usual(name, present))
                .ok_or_else(|| missing("\"label\" (or \"intent\")", present))?,
        };
        let others = [Some(&label), pair.as_ref()];
        let twice = others.into_iter().flatten().find(|&name| *name == text);
        let twice = twice.or(pair.as_ref().filter(|&pair| *pair == label));
        if let Some(name) = twice {
            return Err(Problem::SameColumn { name: name.clone() });
        }
        Ok(ResolvedColumns {
            text,
            pair,
            label,
            unused: Vec::new(),
        })
    }

    fn resolve_texts(&self, present: &[String]) -> Result<(String, Option<String>), Problem> {
        let single = || TEXT.iter().find_map(|name| usual(name, present));
        let pair_of = |(first, second): &(&str, &str)| {
            Some((usual(first, present)?, usual(second, present)?))
        };
        let pair = self
            .pair
            .as_ref()
            .map(|name| named(name, present))
            .transpose()?;
        if let Some(name) = &self.text {
            return Ok((named(name, present)?, pair));
        }
        if pair.is_some() {
            let first = || PAIRS.iter().find_map(|(first, _)| usual(first, present));
            let text = single().or_else(first);
            let wanted = "\"text\" or \"text_a\" for the first text of the pair";
            return Ok((text.ok_or_else(|| missing(wanted, present))?, pair));
        }
        if let Some(text) = single() {
            return Ok((text, None));
        }
        let found = PAIRS
            .iter()
            .find_map(pair_of)
            .map(|(text, pair)| (text, Some(pair)));
        found.ok_or_else(|| missing("\"text\" and no pair \"text_a\", \"text_b\"", present))
    }
}

fn named(name: &str, present: &[String]) -> Result<String, Problem> {
    if present.iter().any(|column| column == name) {
        return Ok(name.to_owned());
    }
    Err(missing(&Quoted(name).to_string(), present))
}

fn usual(name: &str, present: &[String]) -> Option<String> {
    present
        .iter()
        .find(|column| column.eq_ignore_ascii_case(name))
        .cloned()
}

fn missing(wanted: &str, present: &[String]) -> Problem {
    Problem::MissingColumn {
        wanted: wanted.to_owned(),
        present: present.to_vec(),
    }
}
