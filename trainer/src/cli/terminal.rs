//! Text on terminals. Names of classes, texts and files are other people's: a control character
//! in them must not colour, move or rewrite what is on the screen.

/// `text` with everything that a terminal may obey, or that hides the order of characters, as
/// an escape: `\u{1b}`. Line ends and tabs are kept.
pub(super) fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => shown.push(c),
            // Marks that reorder text: embeddings, overrides, isolates.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => shown.extend(c.escape_unicode()),
            c if c.is_control() => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    shown
}

/// Characters of a message, at most.
const LONGEST: usize = 2_000;

/// A message on one line of bounded length: names in it, which are other people's, may have line ends
/// and any length.
pub(super) fn one_line(message: &str) -> String {
    let mut line = String::new();
    for (count, c) in message.chars().enumerate() {
        match c {
            _ if count == LONGEST => {
                line.push('…');
                break;
            }
            '\n' | '\r' => line.extend(c.escape_default()),
            c => line.push(c),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line() {
        assert_eq!(one_line("a\nb\r"), "a\\nb\\r");
        assert_eq!(one_line(&"x".repeat(3_000)).chars().count(), LONGEST + 1);
    }

    #[test]
    fn what_a_terminal_obeys_is_escaped_and_the_rest_is_kept() {
        let text = "\u{1b}[31mred\u{1b}[0m\r\u{9b}2J\u{202e}abc\u{7}";
        let shown = r"\u{1b}[31mred\u{1b}[0m\u{d}\u{9b}2J\u{202e}abc\u{7}";
        assert_eq!(harmless(text), shown);
        let plain = "naïve 日本 שלום 👩‍👩‍👧\ttab\nline";
        assert_eq!(harmless(plain), plain);
    }
}
