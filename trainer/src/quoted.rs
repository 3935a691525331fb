//! Names from files in messages.

use core::fmt::{self, Display, Formatter};

/// A name in quotes, on one line and of bounded length, without what a terminal obeys.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl Quoted<'_> {
    /// Characters.
    const LONGEST: usize = 100;
}

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for character in self.0.chars().take(Self::LONGEST) {
            match character {
                '"' | '\\' => write!(f, "\\{character}")?,
                it if it.is_control() => write!(f, "{}", it.escape_debug())?,
                // What nobody sees, and what hides the order of the others.
                '\u{ad}'
                | '\u{feff}'
                | '\u{200b}'..='\u{200f}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{2069}' => write!(f, "{}", character.escape_unicode())?,
                it => write!(f, "{it}")?,
            }
        }
        let is_long = self.0.chars().nth(Self::LONGEST).is_some();
        f.write_str(if is_long { "…\"" } else { "\"" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_on_their_line_and_can_be_read() {
        let quoted = |name: &str| Quoted(name).to_string();
        assert_eq!(quoted("a\n\"b\"\u{1b}"), r#""a\n\"b\"\u{1b}""#);
        assert_eq!(quoted("\u{200b}text"), r#""\u{200b}text""#);
        // A mark that joins the letter before it is part of the name.
        assert_eq!(quoted("ba\u{300}n กำ"), "\"ba\u{300}n กำ\"");
        assert_eq!(
            quoted(&"x".repeat(101)),
            format!("\"{}…\"", "x".repeat(100))
        );
    }
}
