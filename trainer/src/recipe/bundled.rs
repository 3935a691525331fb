//! The recipes that come with the program.

use super::Recipe;

const SMALL: &str = include_str!("../../../recipes/small.toml");
const TINY: &str = include_str!("../../../recipes/tiny.toml");
const QUICKSTART: &str = include_str!("../../../recipes/quickstart.toml");
const PRETRAINED: &str = include_str!("../../../recipes/pretrained.toml");

impl Recipe {
    /// The recipe of this name that comes with the program.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        // A test reads all of them.
        toml::from_str(Self::text_by_name(name)?).ok()
    }

    pub(super) fn text_by_name(name: &str) -> Option<&'static str> {
        match name {
            "small" => Some(SMALL),
            "tiny" => Some(TINY),
            "quickstart" => Some(QUICKSTART),
            "pretrained" => Some(PRETRAINED),
            _ => None,
        }
    }

    /// The recipe for what begins with a pretrained checkpoint.
    #[must_use]
    pub fn pretrained() -> Self {
        Self::by_name("pretrained").unwrap_or_default()
    }

    /// The recipe of the quickstart.
    #[must_use]
    pub fn quickstart() -> Self {
        Self::by_name("quickstart").unwrap_or_default()
    }
}
