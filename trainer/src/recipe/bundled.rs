//! The recipes that come with the program.

use super::Recipe;

/// Their names and texts.
pub(super) const BUNDLED: [(&str, &str); 5] = [
    ("small", include_str!("../../../recipes/small.toml")),
    ("tiny", include_str!("../../../recipes/tiny.toml")),
    (QUICKSTART, include_str!("../../../recipes/quickstart.toml")),
    (PRETRAINED, include_str!("../../../recipes/pretrained.toml")),
    (FIT, include_str!("../../../recipes/fit.toml")),
];
const QUICKSTART: &str = "quickstart";
const PRETRAINED: &str = "pretrained";
const FIT: &str = "fit";

impl Recipe {
    /// The recipe of this name that comes with the program.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        // A test reads all of them.
        toml::from_str(Self::text_by_name(name)?).ok()
    }

    pub(super) fn text_by_name(name: &str) -> Option<&'static str> {
        let found = BUNDLED.iter().find(|(known, _)| *known == name)?;
        Some(found.1)
    }

    /// The recipe for runs that start from a pretrained checkpoint.
    #[must_use]
    pub fn pretrained() -> Self {
        Self::by_name(PRETRAINED).unwrap_or_default()
    }

    /// The recipe for small networks that fit a number of bytes.
    #[must_use]
    pub fn fit() -> Self {
        Self::by_name(FIT).unwrap_or_default()
    }

    /// The recipe of the quickstart.
    #[must_use]
    pub fn quickstart() -> Self {
        Self::by_name(QUICKSTART).unwrap_or_default()
    }
}
