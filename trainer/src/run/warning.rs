//! What in the data of a run may mislead, by name.

use core::fmt;
use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Serialize};
use tokenizers::NormalizedString;

use crate::data::{Dataset, Example};
use crate::numbers::{counted, percent, share};
use crate::quoted::Quoted;
use crate::text::batch::EncodedExample;

/// Words of a field above which a column looks like a text.
const WORDS_OF_A_TEXT: usize = 3;
/// Numbers above which classes look like values.
const MOST_NUMBERED_CLASSES: usize = 12;
/// Of a set, one text in this many may be in the training set without a word.
const MOST_SHARED: usize = 10;
/// Of the tokens of a set, one in this many may be unknown without a word.
const MOST_UNKNOWN: usize = 10;
/// Names that a warning lists.
pub(super) const LISTED: usize = 5;

/// Something in the data that may mislead.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum Warning {
    /// Classes whose names are nearly the same.
    NearEqualClasses {
        /// Their names.
        classes: Vec<String>,
    },
    /// A column that is not read looks like a second text.
    SecondText {
        /// Its name.
        column: String,
        /// Mean number of words in its fields.
        words: usize,
    },
    /// So many classes, all of them numbers.
    NumbersAsClasses {
        /// How many.
        classes: usize,
    },
    /// Classes that a set has no row of.
    MissingClasses {
        /// `training`, `dev` or `test`.
        set: String,
        /// Their names.
        classes: Vec<String>,
    },
    /// Labels of a set that the training set has no text of.
    UnseenLabels {
        /// `dev`, `test`, or a file.
        set: String,
        /// Their texts.
        texts: usize,
        /// Their names.
        labels: Vec<String>,
    },
    /// Texts of a set that the training set has too.
    SharedTexts {
        /// `dev` or `test`.
        set: String,
        /// How many.
        texts: usize,
        /// One of them.
        example: String,
    },
    /// Words of a set that the vocabulary has no pieces for.
    UnknownTokens {
        /// `training` or `dev`.
        set: String,
        /// Share of the tokens, in per cent.
        share: f64,
    },
    /// Texts of different classes that are the same to the network.
    SameTexts {
        /// Training texts that an earlier one of another class looks like.
        texts: usize,
        /// One of them.
        example: String,
    },
}

impl Warning {
    /// Of a set that is called `set`, if it has such labels.
    pub(crate) fn of_unseen_labels(set: &str, of: &Dataset) -> Option<Self> {
        let is_unseen = |it: &Example<'_>| it.label as usize >= of.labels.len();
        (!of.unseen.is_empty()).then(|| Self::UnseenLabels {
            set: set.to_owned(),
            texts: of.examples.iter().filter(is_unseen).count(),
            labels: of.unseen.clone(),
        })
    }

    /// The name that `--json` has too.
    fn name(&self) -> &'static str {
        match self {
            Self::NearEqualClasses { .. } => "near-equal-classes",
            Self::SecondText { .. } => "second-text",
            Self::NumbersAsClasses { .. } => "numbers-as-classes",
            Self::MissingClasses { .. } => "missing-classes",
            Self::UnseenLabels { .. } => "unseen-labels",
            Self::SharedTexts { .. } => "shared-texts",
            Self::UnknownTokens { .. } => "unknown-tokens",
            Self::SameTexts { .. } => "same-texts",
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.name())?;
        match self {
            Self::NearEqualClasses { classes } => {
                write!(
                    f,
                    "the classes {} differ only in case, marks or form",
                    listed(classes)
                )
            }
            Self::SecondText { column, words } => write!(
                f,
                "the column {} is not read, but its fields have {words} words on average; \
                 --pair-column reads it as a second text",
                Quoted(column)
            ),
            Self::NumbersAsClasses { classes } => write!(
                f,
                "all {classes} classes are numbers; each is a class of its own, not a value"
            ),
            Self::MissingClasses { set, classes } => {
                write!(f, "the {set} set has no text of {}", listed(classes))
            }
            Self::UnseenLabels { set, texts, labels } => write!(
                f,
                "{set}: {} of {}, which the model has no class for; every answer to them counts as \
                 wrong",
                counted(*texts, "text"),
                listed(labels)
            ),
            Self::SharedTexts {
                set,
                texts,
                example,
            } => write!(
                f,
                "{} of the {set} set are in the training set too, such as {}; accuracies on it are too \
                 good",
                counted(*texts, "text"),
                Quoted(example)
            ),
            Self::UnknownTokens { set, share } => write!(
                f,
                "{} of the tokens of the {set} set are [UNK]: the vocabulary has no pieces for these \
                 words, and the network does not see them",
                percent(*share)
            ),
            Self::SameTexts { texts, example } => write!(
                f,
                "{} of different classes are the same to the network, such as {}; model.strip_accents, \
                 lowercase, splitting and tokens decide what it sees",
                counted(*texts, "training text"),
                Quoted(example)
            ),
        }
    }
}

/// Names in quotes, the tail of a long list as a count.
fn listed(names: &[String]) -> String {
    let shown: Vec<String> = names
        .iter()
        .take(LISTED)
        .map(|name| Quoted(name).to_string())
        .collect();
    match names.len().saturating_sub(LISTED) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Names that are the same but for case, quotes, blanks, invisible characters, or the form of a
/// number.
pub(super) fn near_equal(labels: &[String]) -> Vec<Warning> {
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for label in labels {
        groups.entry(plain(label)).or_default().push(label.clone());
    }
    // A name of signs alone has nothing that could be compared.
    groups.remove("");
    let near = groups.into_values().filter(|classes| classes.len() > 1);
    near.map(|classes| Warning::NearEqualClasses { classes })
        .collect()
}

/// What is left of a name when its form is taken away.
fn plain(label: &str) -> String {
    let is_form = |c: &char| {
        c.is_whitespace()
            || c.is_control()
            || matches!(c, '"' | '\'' | '`' | '_' | '-' | '.' | '\u{ad}' | '\u{feff}')
            || ('\u{200b}'..='\u{200f}').contains(c)
            || ('\u{2018}'..='\u{201f}').contains(c)
            // Combining marks, which a composed letter has in it.
            || ('\u{300}'..='\u{36f}').contains(c)
    };
    if let Ok(number) = label.trim_matches(['"', '\'', ' ']).parse::<f64>() {
        return number.to_string();
    }
    let mut decomposed = NormalizedString::from(label);
    let letters = decomposed.nfd().get().chars().filter(|c| !is_form(c));
    letters.flat_map(char::to_lowercase).collect()
}

pub(super) fn second_text(set: &Dataset) -> Option<Warning> {
    let longest = set
        .columns
        .unused
        .iter()
        .max_by_key(|column| column.words)?;
    let is_text = !set.is_pair() && longest.words >= WORDS_OF_A_TEXT;
    is_text.then(|| Warning::SecondText {
        column: longest.name.clone(),
        words: longest.words,
    })
}

pub(super) fn numbers(labels: &[String]) -> Option<Warning> {
    let are_numbers = labels.iter().all(|label| label.parse::<f64>().is_ok());
    let classes = labels.len();
    (are_numbers && classes > MOST_NUMBERED_CLASSES)
        .then_some(Warning::NumbersAsClasses { classes })
}

pub(super) fn missing(name: &str, set: &Dataset) -> Option<Warning> {
    let counts = set.labels.iter().zip(set.class_counts());
    let none = counts.filter(|(_, rows)| *rows == 0);
    let classes: Vec<String> = none.map(|(label, _)| label.clone()).collect();
    (!classes.is_empty()).then_some(Warning::MissingClasses {
        set: name.to_owned(),
        classes,
    })
}

/// Official sets have a few.
pub(super) fn shared_texts(sets: &[(&str, &Dataset)]) -> Vec<Warning> {
    let Some(((_, train), others)) = sets.split_first() else {
        return Vec::new();
    };
    let known: HashSet<_> = train.examples.iter().map(|it| (it.text, it.pair)).collect();
    let shared = |&(name, set): &(&str, &Dataset)| {
        let examples = set.examples.iter();
        let mut shared = examples.filter(|it| known.contains(&(it.text, it.pair)));
        let first = shared.next()?;
        let texts = 1 + shared.count();
        let is_much = texts * MOST_SHARED > set.examples.len();
        is_much.then(|| Warning::SharedTexts {
            set: name.to_owned(),
            texts,
            example: first.text.to_owned(),
        })
    };
    others.iter().filter_map(shared).collect()
}

/// A vocabulary of other texts, such as a checkpoint's, may lack a whole script.
pub(super) fn unknown_tokens(name: &str, set: &[EncodedExample], unknown: u32) -> Option<Warning> {
    let all = set.iter().map(|it| it.ids.len()).sum();
    let ids = set.iter().flat_map(|it| &it.ids);
    let unknown = ids.filter(|&&id| id == unknown).count();
    (unknown * MOST_UNKNOWN > all).then(|| Warning::UnknownTokens {
        set: name.to_owned(),
        share: share(unknown, all),
    })
}

pub(super) fn same_texts(set: &Dataset, encoded: &[EncodedExample]) -> Option<Warning> {
    let mut classes = HashMap::new();
    let mut different = Vec::new();
    for (place, example) in encoded.iter().enumerate() {
        let seen = classes.entry((&example.ids, example.first));
        if *seen.or_insert(example.label) != example.label {
            different.push(place);
        }
    }
    let example = set.examples.get(*different.first()?)?.text.to_owned();
    Some(Warning::SameTexts {
        texts: different.len(),
        example,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(labels: &[&str]) -> Vec<String> {
        let labels: Vec<String> = labels.iter().map(|&label| label.to_owned()).collect();
        near_equal(&labels)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn names_that_differ_in_form_alone_are_named() {
        for pair in [
            ["1", "1.0"],
            ["on", "ON"],
            ["on", "\"on\""],
            ["turn on", "turn  on"],
            ["turn_on", "turn-on"],
            ["o\u{200b}n", "on"],
            ["caf\u{e9}", "cafe\u{301}"],
        ] {
            assert_eq!(near(&pair).len(), 1, "{pair:?}");
        }
        assert!(near(&["on", "off", "1", "2", "-", "+"]).is_empty());
        let found = near(&["b", "1", "a", "1.0", "A"]);
        assert_eq!(
            found,
            [
                "near-equal-classes: the classes \"1\", \"1.0\" differ only in case, marks or form",
                "near-equal-classes: the classes \"a\", \"A\" differ only in case, marks or form"
            ]
        );
    }

    #[test]
    fn a_script_that_the_vocabulary_lacks_is_named() {
        let set = |unknown: usize| {
            let example = |place| EncodedExample {
                ids: vec![1, if place < unknown { 7 } else { 3 }, 2],
                first: 3,
                label: 0,
            };
            (0..10).map(example).collect::<Vec<_>>()
        };
        assert!(unknown_tokens("dev", &set(3), 7).is_none());
        let warning = unknown_tokens("dev", &set(4), 7).unwrap().to_string();
        assert!(
            warning
                .starts_with("unknown-tokens: 13.3\u{a0}% of the tokens of the dev set are [UNK]"),
            "{warning}"
        );
    }

    #[test]
    fn a_long_list_is_cut() {
        let names: Vec<String> = (0..8).map(|number| format!("c{number}")).collect();
        assert!(listed(&names).ends_with("\"c4\" and 3 more"));
    }
}
