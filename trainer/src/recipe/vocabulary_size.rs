//! How large a vocabulary is, in recipes and on the command line.

use core::fmt;
use core::str::FromStr;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How large a vocabulary is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VocabularySize {
    /// This many pieces at most, special tokens included.
    Pieces(usize),
    /// Of a pretrained vocabulary, the pieces that the training texts use.
    Used,
    /// All of a pretrained vocabulary.
    All,
}

const EXPECTED: &str = "a number of pieces, `used` or `all`";

impl fmt::Display for VocabularySize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pieces(pieces) => pieces.fmt(f),
            Self::Used => f.write_str("used"),
            Self::All => f.write_str("all"),
        }
    }
}

impl FromStr for VocabularySize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "used" => Ok(Self::Used),
            "all" => Ok(Self::All),
            number => match number.parse() {
                Ok(pieces) => Ok(Self::Pieces(pieces)),
                Err(_) => Err(format!("expected {EXPECTED}")),
            },
        }
    }
}

impl Serialize for VocabularySize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Pieces(pieces) => pieces.serialize(serializer),
            Self::Used | Self::All => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for VocabularySize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Size;

        impl Visitor<'_> for Size {
            type Value = VocabularySize;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(EXPECTED)
            }

            fn visit_u64<E: Error>(self, pieces: u64) -> Result<VocabularySize, E> {
                usize::try_from(pieces)
                    .map(VocabularySize::Pieces)
                    .map_err(E::custom)
            }

            fn visit_i64<E: Error>(self, pieces: i64) -> Result<VocabularySize, E> {
                usize::try_from(pieces)
                    .map(VocabularySize::Pieces)
                    .map_err(|_| E::invalid_value(serde::de::Unexpected::Signed(pieces), &self))
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<VocabularySize, E> {
                name.parse().map_err(E::custom)
            }
        }

        // TOML and JSON both state the type of a value.
        deserializer.deserialize_any(Size)
    }
}
