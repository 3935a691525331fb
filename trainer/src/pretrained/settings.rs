//! `tokenizer_config.json`: how texts are normalised.

use std::path::Path;

use super::error::{PretrainedError, Problem, key};
use super::file::{CONFIGURATION, optional, read_if_there};
use crate::json::Object;
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
        let settings = read_if_there(path, CONFIGURATION);
        let settings = settings.and_then(|settings| Self::parse(&settings));
        settings.map_err(|problem| problem.at(path))
    }

    fn parse(json: &str) -> Result<Self, Problem> {
        let settings = Object::parse(json)?;
        let flag = |key| optional(&settings, key, "true, false or null");
        Ok(Self {
            lowercase: flag("do_lower_case")?,
            strip_accents: flag("strip_accents")?,
            split_chinese: flag("tokenize_chinese_chars")?,
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
