//! `tokenizer_config.json`: how texts are normalised.

use std::path::Path;

use serde_json::Value;

use super::error::{PretrainedError, Problem, key, read};
use crate::recipe::Splitting;
use crate::text::vocabulary::Normalization;

/// The file.
pub(super) const SETTINGS: &str = "tokenizer_config.json";

/// What `tokenizer_config.json` states of the normaliser.
pub(super) struct Settings {
    lowercase: Option<bool>,
    strip_accents: Option<bool>,
    split_chinese: Option<bool>,
}

impl Settings {
    /// Of a folder without the file, nothing.
    pub(super) fn read(path: &Path) -> Result<Self, PretrainedError> {
        let settings = match path.exists() {
            true => read(path).and_then(|bytes| Ok(serde_json::from_slice(&bytes)?)),
            false => Ok(Value::Null),
        };
        let settings: Value = settings.map_err(|problem| problem.at(path))?;
        let flag = |key: &str| settings.get(key).and_then(Value::as_bool);
        Ok(Self {
            lowercase: flag("do_lower_case"),
            strip_accents: flag("strip_accents"),
            split_chinese: flag("tokenize_chinese_chars"),
        })
    }

    /// The normaliser of a `vocab.txt`; what is not stated is as in BERT.
    pub(super) fn normalization(&self) -> Normalization {
        let lowercase = self.lowercase.unwrap_or(true);
        Normalization {
            lowercase,
            strip_accents: self.strip_accents.unwrap_or(lowercase),
            splitting: match self.split_chinese {
                Some(false) => Splitting::Spaces,
                Some(true) | None => Splitting::Chinese,
            },
        }
    }

    /// Fails where `tokenizer.json` states something else: libraries differ in whom they believe.
    pub(super) fn agree_with(&self, found: Normalization) -> Result<(), Problem> {
        let both = [
            (
                "lowercase",
                found.lowercase,
                "do_lower_case",
                self.lowercase,
            ),
            (
                "strip_accents",
                found.strip_accents,
                "strip_accents",
                self.strip_accents,
            ),
            (
                "handle_chinese_chars",
                found.splitting != Splitting::Spaces,
                "tokenize_chinese_chars",
                self.split_chinese,
            ),
        ];
        for (name, found, of_settings, stated) in both {
            if let Some(stated) = stated.filter(|&stated| stated != found) {
                let expected = format!("{stated}, as `{of_settings}` in {SETTINGS} states");
                return Err(key(
                    &format!("normalizer.{name}"),
                    &found.to_string(),
                    &expected,
                ));
            }
        }
        Ok(())
    }
}
