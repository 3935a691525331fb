//! Texts without classes, one a line: only a teacher's answers make something of them.

use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::error::{Located, Problem};
use super::{DataError, Dataset, Format, LabelledTexts, ResolvedColumns, content};

/// Reads a plain text file, a text a line; for pairs with a tab between both. Perhaps packed with
/// gzip; blank lines are passed over. The set has no classes, and the label of its texts means
/// nothing.
///
/// # Errors
/// When the file cannot be read, is a table by its name, a line is not UTF-8, or no pair where there
/// must be one, or no text is left.
pub fn read_unlabelled(path: &Path, is_pair: bool) -> Result<Dataset, DataError> {
    let located = |problem| Located::file(problem).at(path);
    if Format::of_path(path).is_some() {
        return Err(located(Problem::NotPlainText));
    }
    let file = std::fs::File::open(path).map_err(|error| located(Problem::Open(error)))?;
    parse(path, &super::bytes_of(file, path)?, is_pair)
}

fn parse(path: &Path, bytes: &[u8], is_pair: bool) -> Result<Dataset, DataError> {
    let located = |problem| Located::file(problem).at(path);
    content::check(bytes).map_err(located)?;
    let lines = (1..).zip(content::without_marks(bytes).split(|byte| *byte == b'\n'));
    let filled = lines.filter(|(_, line)| !line.trim_ascii().is_empty());
    let mut examples = LabelledTexts::with_capacity(filled.clone().count());
    for (number, line) in filled {
        let located = |problem| Located::line(number, problem).at(path);
        let line = core::str::from_utf8(line).map_err(|error| {
            let column = error.valid_up_to() + 1;
            located(Problem::NotUtf8 { column })
        })?;
        let line = line.strip_suffix('\r').unwrap_or(line);
        match (is_pair, line.split_once('\t')) {
            (false, _) => examples.push(line, None, 0),
            (true, Some((text, pair))) => examples.push(text, Some(pair), 0),
            (true, None) => return Err(located(Problem::NoTab)),
        }
    }
    if examples.is_empty() {
        let expected = "one text on each line";
        return Err(located(Problem::Empty { expected }));
    }
    Ok(Dataset {
        path: path.to_owned(),
        examples,
        labels: Vec::new(),
        unseen: Vec::new(),
        columns: ResolvedColumns {
            text: String::new(),
            pair: is_pair.then(String::new),
            label: String::new(),
            unused: Vec::new(),
        },
        skipped: 0,
        first_skipped: Vec::new(),
        sha256: Sha256::digest(bytes).into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], is_pair: bool) -> Result<Vec<String>, String> {
        let set = parse("more.txt".as_ref(), bytes, is_pair).map_err(|it| it.to_string())?;
        assert_eq!(set.is_pair(), is_pair);
        Ok(set.texts().map(str::to_owned).collect())
    }

    #[test]
    fn each_line_is_a_text_or_a_pair() {
        let file = "\u{feff}it is dark\r\n\n  \na\tb \"c\"\n".as_bytes();
        assert_eq!(read(file, false).unwrap(), ["it is dark", "a\tb \"c\""]);
        assert_eq!(
            read(b"a\tb c\nd\te\tf", true).unwrap(),
            ["a", "b c", "d", "e\tf"]
        );
    }

    #[test]
    fn errors_name_file_and_line() {
        for (bytes, is_pair, expected) in [
            (
                &b"one\n\nt\xffwo"[..],
                false,
                "more.txt, line 3: byte 2 of the line is not valid",
            ),
            (b"a\tb\nc d", true, "more.txt, line 2: no tab in the line"),
            (b"\n \n", false, "more.txt: "),
            (b"\x1f\x8b", false, "more.txt"),
        ] {
            let error = read(bytes, is_pair).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
        let error = read_unlabelled("x.csv".as_ref(), false).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("x.csv: is a table by its name"),
            "{error}"
        );
        let error = read_unlabelled("missing.txt".as_ref(), false).unwrap_err();
        assert!(error.to_string().starts_with("missing.txt: "), "{error}");
    }
}
