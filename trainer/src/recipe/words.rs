//! Words that a key of a recipe may be.

/// An enum whose variants are words of recipes and of the command line. The words are written once:
/// serde, clap, `name` and the table of keys take them from here.
macro_rules! words {
    (
        $(#[$of_enum:meta])*
        pub enum $name:ident { $($(#[$of_variant:meta])* $variant:ident = $word:literal,)* }
    ) => {
        $(#[$of_enum])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize,
            clap::ValueEnum,
        )]
        pub enum $name {
            $($(#[$of_variant])* #[serde(rename = $word)] #[value(name = $word)] $variant,)*
        }

        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
            /// Their names.
            pub const WORDS: &'static [&'static str] = &[$($word,)*];

            /// The name in recipes.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }

            /// The value of this name.
            #[must_use]
            pub fn by_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|it| it.name() == name)
            }
        }
    };
}

pub(super) use words;
