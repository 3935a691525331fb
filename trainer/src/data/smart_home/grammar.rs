//! The grammar as it is written: `grammar.toml`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

/// Phrasings, what surrounds them, and what fills their slots.
#[derive(Deserialize)]
pub(super) struct Grammar {
    /// Before a command.
    pub(super) prefixes: Held,
    /// Before a remark or a question.
    pub(super) calls: Held,
    /// After either.
    pub(super) suffixes: Held,
    /// What may replace `{name}`.
    pub(super) slots: BTreeMap<String, Held>,
    /// The classes, [`super::OUT_OF_SCOPE`] last.
    pub(super) intents: Vec<Intent>,
}

/// A class and its phrasings.
#[derive(Deserialize)]
pub(super) struct Intent {
    pub(super) name: String,
    #[serde(flatten)]
    pub(super) phrasings: Held,
}

/// What training has, and what only the test set has.
#[derive(Deserialize)]
pub(super) struct Held {
    pub(super) train: Vec<String>,
    pub(super) held_out: Vec<String>,
}

/// The grammar.
pub(super) static GRAMMAR: LazyLock<Grammar> = LazyLock::new(|| {
    let grammar = toml::from_str(include_str!("grammar.toml"));
    grammar.expect("the grammar comes with the program")
});

impl Held {
    /// Those of training, or the new ones.
    pub(super) fn values(&self, new: bool) -> &[String] {
        if new { &self.held_out } else { &self.train }
    }
}
