//! The data set of the quickstart: commands to a smart home, written by a grammar.
//!
//! Sixteen intents and [`OUT_OF_SCOPE`], which holds requests that the home cannot fulfil, many of
//! them in the same words ("who invented the light bulb"). An utterance is a phrasing with its
//! slots filled: "turn on the {room} {light}". Politeness is added around it and a typing error
//! inside it, each with a probability.
//!
//! The test set asks for more than recall. Every intent has phrasings, and every slot
//! has values, that are held out of training. A test utterance is
//! - one half: a held-out phrasing with training values;
//! - three twentieths: a training phrasing with held-out values in all its slots;
//! - the rest: a held-out phrasing with held-out values.
//!
//! So in every test utterance the sentence, the words in it or both were never in
//! training. The texts are this project's own; none is taken from another data set.
//!
//! The same seed always gives the same texts.

use std::collections::HashSet;
use std::io;
use std::path::Path;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::atomic_file;

mod grammar;
mod typos;

use grammar::{GRAMMAR, Held, Intent};

/// The label of requests that the home cannot fulfil.
pub const OUT_OF_SCOPE: &str = "out_of_scope";

/// Rows of the usual training set.
pub const TRAIN_ROWS: usize = 4_000;

/// Rows of the usual test set.
pub const TEST_ROWS: usize = 800;

/// Sentences to try a trained model on. None of them is in a training or test set, and
/// the last is out of scope.
pub const SAMPLES: &[&str] = &[
    "could you switch the kitchen lights on i'm cooking",
    "the bedroom is freezing make it 22 degrees",
    "play some jazz while i clean the living room",
    "please wake me up at six thirty i have a train to catch",
    "did anybody lock the back door please lock it",
    "who came up with the idea of the light switch",
];

/// Share of out-of-scope rows, in percent; the intents share the rest evenly.
const OUT_OF_SCOPE_PERCENT: usize = 12;

/// Probabilities, in percent.
const PREFIX_PERCENT: usize = 30;
const SUFFIX_PERCENT: usize = 25;
const TRAIN_TYPO_PERCENT: usize = 8;
const TEST_TYPO_PERCENT: usize = 16;

/// Texts with their labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmartHome {
    /// `(text, label)`, in mixed order.
    pub train: Vec<(String, String)>,
    /// `(text, label)`, in mixed order; no text of `train`.
    pub test: Vec<(String, String)>,
}

/// The sixteen intents and [`OUT_OF_SCOPE`], in alphabetical order, as a reader of the
/// file numbers them.
#[must_use]
pub fn labels() -> Vec<&'static str> {
    let intents = GRAMMAR.intents.iter();
    let mut labels: Vec<_> = intents.map(|intent| intent.name.as_str()).collect();
    labels.sort_unstable();
    labels
}

/// Writes `train` and `test` utterances; no text occurs twice, neither within a set nor across
/// them.
///
/// The grammar has tens of thousands of texts for every class. If a set asks for more than exist,
/// it is shorter.
#[must_use]
pub fn generate(seed: u64, train: usize, test: usize) -> SmartHome {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    let mut taken = HashSet::new();
    let train = rows(&mut generator, Part::Train, train, &mut taken);
    let test = rows(&mut generator, Part::Test, test, &mut taken);
    SmartHome { train, test }
}

/// Writes `(text, label)` rows as a file that [`data::read`](crate::data::read) takes.
/// The file appears whole or not at all. Texts with tabs or line ends in them would
/// break it; those of [`generate`] have none.
///
/// # Errors
/// When the folder of `path` cannot be written.
pub fn write_tsv(path: &Path, rows: &[(String, String)]) -> io::Result<()> {
    atomic_file::write(path, &tsv(rows))
}

/// What [`write_tsv`] writes.
pub(crate) fn tsv(rows: &[(String, String)]) -> Vec<u8> {
    let mut file = "text\tlabel\n".to_owned();
    for (text, label) in rows {
        file += &format!("{text}\t{label}\n");
    }
    file.into_bytes()
}

/// Which set a text is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Train,
    Test,
}

/// `count` new rows. The next class is drawn in proportion to the rows it still has to
/// get, which mixes the order and fills every class exactly.
fn rows(
    generator: &mut ChaCha8Rng,
    part: Part,
    count: usize,
    taken: &mut HashSet<String>,
) -> Vec<(String, String)> {
    let other = count * OUT_OF_SCOPE_PERCENT / 100;
    let even = GRAMMAR.intents.len() - 1;
    let quotas = (0..even).map(|index| (count - other + index) / even);
    let quotas = quotas.chain([other]);
    let mut open: Vec<(&'static Intent, usize)> = GRAMMAR.intents.iter().zip(quotas).collect();
    let mut left: usize = open.iter().map(|(_, quota)| quota).sum();

    let mut rows = Vec::with_capacity(left);
    while left > 0 {
        let mut drawn = below(generator, left);
        for (intent, quota) in &mut open {
            if drawn >= *quota {
                drawn -= *quota;
                continue;
            }
            match new_text(generator, intent, part, taken) {
                Some(text) => {
                    rows.push((text, intent.name.clone()));
                    *quota -= 1;
                    left -= 1;
                }
                None => left -= core::mem::take(quota),
            }
            break;
        }
    }
    rows
}

/// A new text, or `None` when the grammar seems to have no more.
fn new_text(
    generator: &mut ChaCha8Rng,
    intent: &'static Intent,
    part: Part,
    taken: &mut HashSet<String>,
) -> Option<String> {
    const ATTEMPTS: usize = 1_000;
    for _ in 0..ATTEMPTS {
        let text = utterance(generator, intent, part);
        if !SAMPLES.contains(&text.as_str()) && taken.insert(text.clone()) {
            return Some(text);
        }
    }
    None
}

fn utterance(generator: &mut ChaCha8Rng, intent: &'static Intent, part: Part) -> String {
    let new_values_only = part == Part::Test && chance(generator, 15);
    let new_values = new_values_only || part == Part::Test && chance(generator, 41);
    let phrasings = if part == Part::Train || new_values_only {
        &intent.phrasings.train
    } else {
        &intent.phrasings.held_out
    };
    let phrasing = loop {
        let phrasing = pick(generator, phrasings);
        // New values need a slot.
        if !new_values_only || phrasing.contains('{') {
            break phrasing;
        }
    };

    let remark = phrasing.strip_prefix('~');
    let before = if remark.is_some() {
        &GRAMMAR.calls
    } else {
        &GRAMMAR.prefixes
    };
    let mut text = String::new();
    if chance(generator, PREFIX_PERCENT) {
        text += around(generator, part, before);
        text.push(' ');
    }
    fill(generator, &mut text, remark.unwrap_or(phrasing), new_values);
    if chance(generator, SUFFIX_PERCENT) {
        text.push(' ');
        text += around(generator, part, &GRAMMAR.suffixes);
    }

    let percent = if part == Part::Train {
        TRAIN_TYPO_PERCENT
    } else {
        TEST_TYPO_PERCENT
    };
    if chance(generator, percent) {
        typos::with_typo(generator, &text)
    } else {
        text
    }
}

/// Politeness: half of it new in the test set.
fn around(generator: &mut ChaCha8Rng, part: Part, held: &'static Held) -> &'static str {
    let new = part == Part::Test && chance(generator, 50);
    pick(generator, held.values(new))
}

/// Appends a phrasing, its slots filled.
fn fill(generator: &mut ChaCha8Rng, text: &mut String, phrasing: &str, new_values: bool) {
    let mut rest = phrasing;
    while let Some((before, (name, after))) = rest
        .split_once('{')
        .and_then(|(before, slot)| Some((before, slot.split_once('}')?)))
    {
        text.push_str(before);
        if let Some(slot) = GRAMMAR.slots.get(name) {
            text.push_str(pick(generator, slot.values(new_values)));
        }
        rest = after;
    }
    text.push_str(rest);
}

fn pick(generator: &mut ChaCha8Rng, choices: &'static [String]) -> &'static str {
    &choices[below(generator, choices.len())]
}

fn chance(generator: &mut ChaCha8Rng, percent: usize) -> bool {
    below(generator, 100) < percent
}

/// A number below `count`, which is not 0. Not that of `rand`, whose ways of drawing may change
/// between versions; the bias of 64 bits is below 2⁻⁵⁰.
fn below(generator: &mut ChaCha8Rng, count: usize) -> usize {
    #[expect(clippy::cast_possible_truncation, reason = "less than count")]
    let drawn = (generator.next_u64() % count as u64) as usize;
    drawn
}

#[cfg(test)]
mod tests;
