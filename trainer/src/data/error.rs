//! What can be wrong with a data file, and where.

use core::fmt::{self, Display, Formatter};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::quoted::Quoted;

/// A data file that cannot be used: which file, which line, what is wrong.
///
/// `Display` is one line, ready for a user: `train.tsv, line 3: expected …`.
#[derive(Debug, thiserror::Error)]
#[error("{}{}: {problem}", path.display(), OfLine(*line))]
pub struct DataError {
    /// The file, as the caller named it.
    pub path: PathBuf,
    /// The line from 1, the header being 1 where there is one; `None` for a problem of
    /// the whole file. A row of several lines has the number of its first.
    pub line: Option<usize>,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a file or a line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The file cannot be opened.
    #[error("cannot be opened: {0}")]
    Open(io::Error),
    /// The file cannot be read to its end.
    #[error("cannot be read: {0}")]
    Read(io::Error),
    /// A gzip file that is a small part of what it unpacks to.
    #[error(
        "unpacks to more than 50 times its size, which texts do not; unpack it yourself if it is no gzip bomb"
    )]
    Bomb,
    /// The file is not a whole gzip stream.
    #[error("expected a complete gzip file, as its name or its beginning says: {0}")]
    Gzip(io::Error),
    /// The file's first bytes show that it is not text in UTF-8.
    #[error("{found}; expected {expected}")]
    OtherContent {
        /// What it is.
        found: &'static str,
        /// What would do.
        expected: &'static str,
    },
    /// The file is above [`LARGEST_FILE`](super::LARGEST_FILE).
    #[error("larger than 1 GiB (after decompression); split it or use a part")]
    TooLarge,
    /// The name does not imply a format.
    #[error(
        "the name does not tell the format; expected .tsv, .csv, .jsonl or .ndjson, each also with .gz"
    )]
    UnknownFormat,
    /// There is no header, or no line at all.
    #[error("the file is empty; expected {expected}")]
    Empty {
        /// What should be there.
        expected: &'static str,
    },
    /// No row can be used.
    #[error("no rows to use{}", OfSkipped(*skipped, first.as_deref()))]
    NoRows {
        /// Lines that were skipped as bad.
        skipped: usize,
        /// What was wrong with the first of them.
        first: Option<String>,
    },
    /// A training set with a single label.
    #[error(
        "every row has the label {}; a classifier needs at least 2 classes",
        Quoted(label)
    )]
    OneClass {
        /// The only label.
        label: String,
    },
    /// No tenth can be set aside.
    #[error(
        "of {rows} rows no tenth can be set aside as dev set; expected at least 10 rows, and a class \
         with two texts that differ; or give a dev file"
    )]
    TooFewToSplit {
        /// Rows in the file.
        rows: usize,
    },
    /// More labels than a model can have classes.
    #[error("more than {most} different labels; is the label in another column?")]
    TooManyLabels {
        /// How many there may be.
        most: usize,
    },
    /// More columns than a table of labelled texts has.
    #[error("more than {most} columns; expected a text and its label")]
    TooManyColumns {
        /// How many there may be.
        most: usize,
    },
    /// A column that was asked for, or one that is always needed, is missing.
    #[error(
        "no column {wanted}; the columns are {}{}",
        Listed(present),
        OfDelimiter(present)
    )]
    MissingColumn {
        /// What was looked for, as text for the message.
        wanted: String,
        /// The columns of the file.
        present: Vec<String>,
    },
    /// A column that is to be read is in the header twice.
    #[error(
        "the column {} occurs twice in the header; expected every name once",
        Quoted(name)
    )]
    DuplicateColumn {
        /// Its name.
        name: String,
    },
    /// One column is to be read as two things.
    #[error(
        "the column {} is asked for twice; text, second text and label are different columns",
        Quoted(name)
    )]
    SameColumn {
        /// Its name.
        name: String,
    },
    /// A row with more or fewer fields than the header.
    #[error("expected {} columns ({}), found {found}", header.len(), Listed(header))]
    ColumnCount {
        /// The columns of the header; shared by every bad row of the file.
        header: Arc<[String]>,
        /// Number of fields in the row.
        found: usize,
    },
    /// A field without content.
    #[error("the {role} is empty; expected at least one character that is not white space")]
    EmptyField {
        /// `text`, `second text` or `label`.
        role: &'static str,
    },
    /// A dev or test set with other labels than the training set's.
    #[error(
        "none of the labels ({}) is one of the training set's {}; is the label in another column?",
        Listed(found),
        Listed(known)
    )]
    NoKnownLabel {
        /// The labels of the file.
        found: Vec<String>,
        /// Those that would have been right.
        known: Vec<String>,
    },
    /// A table where texts alone are expected.
    #[error("is a table by its name; expected a plain text file, one text on each line")]
    NotPlainText,
    /// A line without a second text.
    #[error("no tab in the line; expected one between the two texts of a pair")]
    NoTab,
    /// Bytes that are not UTF-8.
    #[error("byte {column} of the line is not valid UTF-8; expected a file in UTF-8")]
    NotUtf8 {
        /// Position of the first wrong byte in its line, from 1.
        column: usize,
    },
    /// A CSV field that does not begin with a quote contains one.
    #[error(
        "byte {column} of the row is a quote inside a field that does not begin with one; \
         expected the whole field in quotes, and each quote in it doubled"
    )]
    StrayQuote {
        /// Its position in the row, from 1.
        column: usize,
    },
    /// A CSV field continues after its closing quote.
    #[error(
        "byte {column} of the row follows a closing quote; expected the sign between columns or the end of \
         the line (inside a quoted field, a quote is doubled)"
    )]
    AfterQuote {
        /// Its position in the row, from 1.
        column: usize,
    },
    /// A row of a TSV file that was written with quotes and line ends in its text.
    #[error(
        "a quote opens here and closes in line {last}; the file seems to be written with quotes, but \
         in TSV a quote is a plain character and a row is one line: save it as CSV"
    )]
    TornRow {
        /// The last of its lines.
        last: usize,
    },
    /// A quoted CSV field runs to the end of the file.
    #[error(
        "a quote opens a field in this row and never closes; expected a second \" after the field"
    )]
    UnterminatedQuote,
    /// A line that is not JSON.
    #[error("expected a JSON object, but at byte {column}: {message}")]
    Json {
        /// Position in the line, from 1.
        column: usize,
        /// The JSON parser's message.
        message: String,
    },
    /// A line of JSON that is not an object.
    #[error("expected a JSON object, found {found}")]
    NotAnObject {
        /// What was found.
        found: &'static str,
    },
    /// An object without one of its keys.
    #[error("no key {}; the keys are {}", Quoted(key), Listed(present))]
    MissingKey {
        /// The key.
        key: String,
        /// The keys of the object.
        present: Vec<String>,
    },
    /// A value of the wrong type.
    #[error("expected {expected} for {}, found {found}", Quoted(key))]
    WrongType {
        /// The key.
        key: String,
        /// The types that would have been right.
        expected: &'static str,
        /// The type that was found.
        found: &'static str,
    },
}

/// A problem and its line, before the name of the file is known.
#[derive(Debug)]
pub(super) struct Located {
    line: Option<usize>,
    problem: Problem,
}

impl Located {
    /// A problem of the whole file.
    pub(super) fn file(problem: Problem) -> Self {
        Self {
            line: None,
            problem,
        }
    }

    /// A problem of one line, counted from 1.
    pub(super) fn line(line: usize, problem: Problem) -> Self {
        Self {
            line: Some(line),
            problem,
        }
    }

    /// Whether no row of the file can be relied on: the problem has swallowed what follows.
    pub(super) fn is_of_file(&self) -> bool {
        self.line.is_none() || matches!(self.problem, Problem::UnterminatedQuote)
    }

    /// Adds the file.
    pub(super) fn at(self, path: &Path) -> DataError {
        DataError {
            path: path.to_owned(),
            line: self.line,
            problem: self.problem,
        }
    }
}

/// `, line 3`, or nothing.
struct OfLine(Option<usize>);

impl Display for OfLine {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |line| write!(f, ", line {line}"))
    }
}

/// A hint where the header looks like one of a file with another delimiter.
struct OfDelimiter<'a>(&'a [String]);

impl Display for OfDelimiter<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let [only] = self.0 else {
            return Ok(());
        };
        if only.starts_with('{') {
            return f.write_str("; with an object on each line, it is --format jsonl");
        }
        match [';', '|', '\t', ',']
            .into_iter()
            .find(|&sign| only.contains(sign))
        {
            Some('\t') => f.write_str("; with tabs between the columns, it is --format tsv"),
            Some(',') => f.write_str("; with commas between the columns, it is --format csv"),
            Some(sign) => write!(f, "; --delimiter '{sign}' splits them"),
            None => Ok(()),
        }
    }
}

/// How many lines were skipped, or what was expected.
struct OfSkipped<'a>(usize, Option<&'a str>);

impl Display for OfSkipped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("; expected at least one after the header")?,
            1 => f.write_str("; the only line was skipped as bad")?,
            count => write!(
                f,
                "; all {count} lines were skipped as bad, the first of them"
            )?,
        }
        self.1.map_or(Ok(()), |message| write!(f, ": {message}"))
    }
}

/// Names in quotes, the tail of a long list as a count.
struct Listed<'a>(&'a [String]);

impl Listed<'_> {
    const LONGEST: usize = 30;
}

impl Display for Listed<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        for (index, name) in self.0.iter().take(Self::LONGEST).enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{}", Quoted(name))?;
        }
        match self.0.len().saturating_sub(Self::LONGEST) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}
