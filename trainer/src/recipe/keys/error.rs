//! What is wrong with a key of a recipe.

use super::{KEYS, Key};
use crate::recipe::methods::MethodKind;

/// What is wrong with a key of a recipe.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum KeyError {
    /// A section, where a key is expected.
    #[error("`{}` is a section, expected one of its keys: {}", .0, keys_of(.0).join(", "))]
    IsSection(String),
    /// There is no such key.
    #[error("there is no key `{}`{}", .0, near(.0))]
    Unknown(String),
    /// It is a key of other methods.
    #[error(
        "`{key}` means nothing to the method `{}`; it is a key of {}",
        .kind.name(),
        listed(&MethodKind::with_key(.key))
    )]
    OfAnotherMethod {
        /// The key, without its section.
        key: &'static str,
        /// The method that does not have it.
        kind: MethodKind,
    },
    /// Its value is of another kind, or outside its range.
    #[error("recipe key `{key}` is {value}, expected {expected}")]
    Value {
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
        /// What it must be.
        expected: String,
    },
    /// The error of reading a section.
    #[error("{0}")]
    Section(String),
}

impl KeyError {
    /// The key, with its section, if one is to blame.
    pub(in crate::recipe) fn path(&self) -> Option<String> {
        match self {
            Self::Unknown(path) | Self::IsSection(path) => Some(path.clone()),
            Self::OfAnotherMethod { key, .. } => Some(format!("pruning.{key}")),
            Self::Value { key, .. } => Some((*key).to_owned()),
            Self::Section(_) => None,
        }
    }

    pub(super) fn value(key: &Key, value: String) -> Self {
        Self::Value {
            key: key.path,
            value,
            expected: key.values.to_string(),
        }
    }
}

/// Says what exists where `path` does not.
fn near(path: &str) -> String {
    let section = path.rsplit_once('.').map(|(section, _)| section);
    let names = section.map(keys_of).unwrap_or_default();
    match (section, names.as_slice()) {
        (Some(section), [_, ..]) => format!("; `{section}` has {}", names.join(", ")),
        (Some(_), []) | (None, _) => {
            let mut all: Vec<&str> = KEYS
                .iter()
                .map(|key| key.parts().0.unwrap_or(key.path))
                .collect();
            all.dedup();
            format!("; there are {}", all.join(", "))
        }
    }
}

/// The keys of a section.
pub(super) fn keys_of(section: &str) -> Vec<&'static str> {
    let keys = KEYS.iter().map(Key::parts);
    let keys = keys.filter(|(of, _)| *of == Some(section));
    keys.map(|(_, name)| name).collect()
}

/// `paper and l1`.
fn listed(kinds: &[MethodKind]) -> String {
    let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
    match names.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => "no method".to_owned(),
    }
}
