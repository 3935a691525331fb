//! Counts a Rust file without parsing it: comments and literals are separated from code, then
//! braces are matched.

/// Figures of a file, without what is compiled only for tests.
pub(super) struct Source {
    /// With comments and blank lines.
    pub(super) lines: usize,
    /// With something other than comments on them.
    pub(super) code: usize,
    /// Lines of each function that has a body, from its `fn` to its closing brace.
    pub(super) functions: Vec<usize>,
    /// Names of modules that have a file of their own and that only tests have.
    pub(super) test_modules: Vec<String>,
}

impl Source {
    pub(super) fn read(text: &str) -> Self {
        let tokens = tokens(text);
        let tests = tests(&tokens);
        let is_test = |line: usize| {
            tests
                .iter()
                .any(|(first, last)| (*first..=*last).contains(&line))
        };
        let mut code: Vec<usize> = tokens.iter().map(|token| token.line).collect();
        code.dedup();
        let functions = functions(&tokens).into_iter();
        Self {
            lines: (1..=text.lines().count())
                .filter(|line| !is_test(*line))
                .count(),
            code: code.into_iter().filter(|line| !is_test(*line)).count(),
            functions: functions
                .filter(|(first, _)| !is_test(*first))
                .map(|(first, last)| last - first + 1)
                .collect(),
            test_modules: test_modules(&tokens),
        }
    }
}

/// A word, a literal's part on one line, or a single other character of code.
#[derive(Debug, PartialEq, Eq)]
struct Token<'a> {
    text: &'a str,
    /// From 1.
    line: usize,
}

/// The text of a literal is none of these: this is in its place.
const LITERAL: &str = "\"";

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let (mut rest, mut line) = (text, 1);
    while let Some(first) = rest.chars().next() {
        let (length, kind) = piece(rest, first);
        let (piece, after) = rest.split_at(length);
        let ends = piece.matches('\n').count();
        match kind {
            Kind::Nothing => {}
            Kind::Code => tokens.push(Token { text: piece, line }),
            // Every line of a literal is one of code.
            Kind::Literal => tokens.extend((line..=line + ends).map(|line| Token {
                text: LITERAL,
                line,
            })),
        }
        line += ends;
        rest = after;
    }
    tokens
}

enum Kind {
    /// White space or a comment.
    Nothing,
    Literal,
    Code,
}

/// Length in bytes and kind of what `rest` begins with; `first` is its first character.
fn piece(rest: &str, first: char) -> (usize, Kind) {
    if first.is_whitespace() {
        return (first.len_utf8(), Kind::Nothing);
    }
    if rest.starts_with("//") {
        return (rest.find('\n').unwrap_or(rest.len()), Kind::Nothing);
    }
    if rest.starts_with("/*") {
        return (block_comment(rest), Kind::Nothing);
    }
    if let Some(length) = literal(rest) {
        return (length, Kind::Literal);
    }
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let word = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
    (word.max(first.len_utf8()), Kind::Code)
}

/// Length of a comment that may have others inside.
fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while let Some(part) = rest.get(at..).filter(|part| !part.is_empty()) {
        let step = match part {
            _ if part.starts_with("/*") => {
                depth += 1;
                2
            }
            _ if part.starts_with("*/") => {
                depth -= 1;
                2
            }
            _ => part.chars().next().map_or(1, char::len_utf8),
        };
        at += step;
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// Length of the string or character that `rest` begins with, if it does.
fn literal(rest: &str) -> Option<usize> {
    let prefix = ["br", "cr", "b", "c", "r", ""];
    let prefix = prefix.iter().find(|prefix| {
        let after = rest.strip_prefix(**prefix).unwrap_or("");
        after.starts_with(['"', '\'']) || (prefix.ends_with('r') && raw_quote(after).is_some())
    })?;
    let body = &rest[prefix.len()..];
    let length = match raw_quote(body) {
        Some(hashes) if prefix.ends_with('r') => {
            let end = format!("\"{}", "#".repeat(hashes));
            let opened = hashes + 1;
            let found = body[opened..].find(&end);
            found.map_or(body.len(), |at| opened + at + end.len())
        }
        _ if body.starts_with('"') => closed(body, '"'),
        // A lifetime has no second quote, a character has it after one or an escape.
        _ if body.starts_with("'\\") => closed(body, '\''),
        _ => {
            let mut characters = body.char_indices().skip(2);
            let (at, _) = characters.next().filter(|(_, quote)| *quote == '\'')?;
            at + 1
        }
    };
    Some(prefix.len() + length)
}

/// Number of `#` before the quote of a raw string.
fn raw_quote(rest: &str) -> Option<usize> {
    let after = rest.trim_start_matches('#');
    after.starts_with('"').then(|| rest.len() - after.len())
}

/// Length of a literal that begins with `quote`, up to the next that is not escaped.
fn closed(body: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, character) in body.char_indices().skip(1) {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            _ if character == quote => return at + 1,
            _ => {}
        }
    }
    body.len()
}

/// What precedes an item that only tests have.
const TEST: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];

/// Where [`TEST`] begins and where it has ended.
fn test_attributes(tokens: &[Token<'_>]) -> impl Iterator<Item = (usize, usize)> {
    let windows = tokens.windows(TEST.len()).enumerate();
    let is_test = |window: &[Token<'_>]| window.iter().map(|token| token.text).eq(TEST);
    windows.filter_map(move |(at, window)| is_test(window).then_some((at, at + TEST.len())))
}

/// First and last line of every item that only tests have.
fn tests(tokens: &[Token<'_>]) -> Vec<(usize, usize)> {
    let last = |after| item_end(tokens, after).map_or(usize::MAX, |end| tokens[end].line);
    test_attributes(tokens)
        .map(|(at, after)| (tokens[at].line, last(after)))
        .collect()
}

/// Names of modules that only tests have and whose text is elsewhere.
fn test_modules(tokens: &[Token<'_>]) -> Vec<String> {
    let module = |(_, after)| match tokens.get(after..after + 3)? {
        [word, name, end] if word.text == "mod" && end.text == ";" => Some(name.text.to_owned()),
        _ => None,
    };
    test_attributes(tokens).filter_map(module).collect()
}

/// First and last line of every function with a body.
fn functions(tokens: &[Token<'_>]) -> Vec<(usize, usize)> {
    let is_name = |token: &Token<'_>| {
        token
            .text
            .starts_with(|c: char| c.is_alphabetic() || c == '_')
    };
    let begins = |at: &usize| tokens[*at].text == "fn" && tokens.get(at + 1).is_some_and(is_name);
    let starts = (0..tokens.len()).filter(begins);
    let bodies = starts.filter_map(|at| Some((tokens[at].line, body_end(tokens, at)?)));
    bodies.collect()
}

/// Line in which the function at `at` ends; nothing where it has no body.
fn body_end(tokens: &[Token<'_>], at: usize) -> Option<usize> {
    let end = &tokens[item_end(tokens, at)?];
    (end.text == "}").then_some(end.line)
}

/// Index of the `;` or `}` with which the item at `at` ends. Brackets inside others do not count:
/// `[u8; 4]` ends nothing.
fn item_end(tokens: &[Token<'_>], at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate().skip(at) {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" => depth = depth.checked_sub(1)?,
            "}" => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(index);
                }
            }
            ";" if depth == 0 => return Some(index),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(text: &str) -> (usize, usize, Vec<usize>) {
        let Source {
            lines,
            code,
            functions,
            ..
        } = Source::read(text);
        (lines, code, functions)
    }

    #[test]
    fn comments_and_blank_lines_are_no_code() {
        let text = "//! What it is.\n\nfn one() -> u8 {\n    // A } in a comment.\n    1\n}\n";
        assert_eq!(counted(text), (6, 3, vec![4]));
        let text = "/* a /* b */ } */ struct A;\n/*\nfn none() {}\n*/\n";
        assert_eq!(counted(text), (4, 1, vec![]));
    }

    #[test]
    fn braces_in_literals_are_none() {
        let text = "fn one() {\n    ['{', '\\'', b'{', '\u{e9}'];\n    \"} \\\" }\";\n    \
                    r#\"}\"}\"#;\n}\nfn two<'a>(x: &'a str) {}\n";
        assert_eq!(counted(text), (6, 6, vec![5, 1]));
        // Every line of a string is one of code, a blank one too.
        assert_eq!(counted("const A: &str = \"\n\n}\n\";\n"), (4, 4, vec![]));
    }

    #[test]
    fn tests_are_left_out() {
        let text =
            "fn one() {}\n\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn two() {\n    }\n}\n";
        assert_eq!(counted(text), (2, 1, vec![1]));
        let text = "#[cfg(test)]\nuse a::{b, c};\nfn one() {}\n#[cfg(test)]\nmod tests;\n";
        assert_eq!(counted(text), (1, 1, vec![1]));
        assert_eq!(Source::read(text).test_modules, ["tests"]);
    }

    #[test]
    fn functions_without_a_body_are_none() {
        let text = "trait A {\n    fn one(&self, x: [u8; 2]) -> fn(u8) -> u8;\n    fn two() -> [u8; 2] {\n        [0; 2]\n    }\n}\n";
        assert_eq!(counted(text), (6, 6, vec![3]));
    }
}
