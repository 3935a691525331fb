//! Labelled text read from files.
//!
//! | file name ends in | format |
//! |---|---|
//! | `.tsv` | header, then one row per line, split at tabs; a quote is a plain character |
//! | `.csv` | header, then rows as RFC 4180 has them; a quoted field may hold commas and line ends |
//! | `.jsonl`, `.ndjson` | one JSON object per line; its keys are the columns |
//!
//! Each may also end in `.gz`. Files are UTF-8; a byte order mark, CRLF line ends and
//! blank lines are accepted. [`Columns`] states which columns are read.
//!
//! A row is either used as it stands or an error that names file, line and what was
//! expected; nothing is repaired silently. Two allowances: white space around column
//! names and labels is dropped, and a JSON label may be a number or a boolean.
//!
//! ```
//! use neuroprune_trainer::data::{Format, ReadOptions, parse};
//!
//! let file = b"text\tlabel\nlights please\ton\nit is too bright\toff\n";
//! let data = parse("home.tsv".as_ref(), Format::Tsv, file, &ReadOptions::default(), None)?;
//! assert_eq!(data.labels, ["off", "on"]);
//! assert_eq!(data.examples.get(0).map(|example| example.text), Some("lights please"));
//! # Ok::<(), neuroprune_trainer::data::DataError>(())
//! ```

use std::borrow::Cow;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

mod columns;
mod content;
mod delimited;
mod error;
mod json_lines;
mod labelled_texts;
mod labels;
pub mod smart_home;
mod split;
mod unlabelled;

pub use columns::{Columns, ResolvedColumns, UnusedColumn};
pub use error::{DataError, Problem};
pub use labelled_texts::{Example, LabelledTexts};
pub use unlabelled::read_unlabelled;

use error::Located;
use labels::Labels;

/// The largest file that is read, in bytes after decompression (1 GiB). A few
/// kilobytes of gzip can unpack to any size; the limit turns that into an error before memory runs
/// out.
pub const LARGEST_FILE: u64 = 1 << 30;
/// How many times its size a gzip file of texts may take unpacked; texts take three to ten times.
const MOST_UNPACKED: u64 = 50;
/// Bytes that any gzip file may take unpacked.
const LIKELY_UNPACKED: u64 = 128 << 20;

/// Bytes of the shortest row: a text, a label, and a sign between them.
const SHORTEST_ROW: usize = 3;
/// Most columns of a file, or keys of all its JSON objects together.
const MOST_COLUMNS: usize = u16::MAX as usize;

/// How many messages of skipped lines [`Dataset::first_skipped`] keeps.
const SKIPPED_MESSAGES: usize = 5;

/// The examples of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// The file, as named by the caller.
    pub path: PathBuf,
    /// At least one; in the order of the file.
    pub examples: LabelledTexts,
    /// Names of the classes: those of the file, numbers first and by value, then the
    /// rest by code point; or the known labels as they were given.
    pub labels: Vec<String>,
    /// Labels of a dev or test set that are none of the known ones, in the order of the file.
    /// Every answer to a text of theirs is wrong, and counts as such.
    pub unseen: Vec<String>,
    /// The columns that were read.
    pub columns: ResolvedColumns,
    /// Bad lines that were skipped; 0 unless [`ReadOptions::skip_bad_lines`].
    pub skipped: usize,
    /// What was wrong with the first few of them, one message each.
    pub first_skipped: Vec<String>,
    /// SHA-256 of the file after decompression.
    pub sha256: [u8; 32],
}

/// How to read a file. The default reads the usual columns and stops at the first bad line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// Columns to read, where they are not the usual ones.
    pub columns: Columns,
    /// Skip and count lines that cannot be used instead of stopping. Problems of a whole file
    /// (header, compression, a quote that never ends) still stop.
    pub skip_bad_lines: bool,
    /// The format, where the file name does not imply it.
    pub format: Option<Format>,
    /// What stands between the fields of a CSV file, where it is no comma.
    pub delimiter: Option<u8>,
}

/// How a file is laid out; compression is recognised by the name alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Tab-separated, with header, without quoting
    Tsv,
    /// Comma-separated, with header, RFC 4180 quoting
    Csv,
    /// One JSON object per line
    #[value(name = "jsonl")]
    JsonLines,
}

impl Format {
    /// The format that the name of a file implies, with or without `.gz`, ignoring case.
    #[must_use]
    pub fn of_path(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        match name.rsplit_once('.')?.1 {
            "tsv" => Some(Self::Tsv),
            "csv" => Some(Self::Csv),
            "jsonl" | "ndjson" => Some(Self::JsonLines),
            _ => None,
        }
    }
}

/// Reads a file.
///
/// Without `known_labels` the file is a training set: the classes are the labels in it,
/// and there must be two at least. With them it is a dev or test set; labels besides them are
/// kept as [`Dataset::unseen`].
///
/// # Errors
/// When the file cannot be read, a column is missing, a line cannot be used (unless
/// [`ReadOptions::skip_bad_lines`]), no row is left, a training set has one class, or a dev or
/// test set has none of the known labels.
pub fn read(
    path: &Path,
    options: &ReadOptions,
    known_labels: Option<&[String]>,
) -> Result<Dataset, DataError> {
    let located = |problem| Located::file(problem).at(path);
    // Before it is opened: what is wrong with a name is not that it cannot be read.
    if options.format.or_else(|| Format::of_path(path)).is_none() {
        return Err(located(Problem::UnknownFormat));
    }
    let file = File::open(path).map_err(|error| located(Problem::Open(error)))?;
    read_from(file, path, options, known_labels)
}

/// Reads a file that is open already; `path` is its name, which may state its format.
///
/// # Errors
/// As [`read`], less that of opening.
pub fn read_from(
    file: impl std::io::Read,
    path: &Path,
    options: &ReadOptions,
    known_labels: Option<&[String]>,
) -> Result<Dataset, DataError> {
    let located = |problem| Located::file(problem).at(path);
    let format = options.format.or_else(|| Format::of_path(path));
    let format = format.ok_or_else(|| located(Problem::UnknownFormat))?;
    parse(path, format, &bytes_of(file, path)?, options, known_labels)
}

/// All of a file, unpacked.
fn bytes_of(file: impl std::io::Read, path: &Path) -> Result<Vec<u8>, DataError> {
    let located = |problem| Located::file(problem).at(path);
    let is_named_packed = path
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("gz"));

    let mut bytes = Vec::new();
    // One byte more than the limit, to distinguish a file at the limit from one above it.
    let limit = LARGEST_FILE + 1;
    let outcome = file.take(limit).read_to_end(&mut bytes);
    outcome.map_err(|error| located(Problem::Read(error)))?;
    if is_named_packed || content::is_packed(&bytes) {
        let likely = LIKELY_UNPACKED.max(MOST_UNPACKED * bytes.len() as u64);
        let unpacked = content::unpacked(&bytes, limit.min(likely + 1));
        bytes = unpacked.map_err(|error| located(Problem::Gzip(error)))?;
        if bytes.len() as u64 > likely {
            return Err(located(Problem::Bomb));
        }
    }
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(located(Problem::TooLarge));
    }
    // It has grown by doubling.
    bytes.shrink_to_fit();
    Ok(bytes)
}

/// Reads the decompressed bytes of a file; `path` only names it in messages.
///
/// # Errors
/// As [`read`], less those of opening and decompressing.
pub fn parse(
    path: &Path,
    format: Format,
    bytes: &[u8],
    options: &ReadOptions,
    known_labels: Option<&[String]>,
) -> Result<Dataset, DataError> {
    let file_problem = |problem| Located::file(problem).at(path);
    content::check(bytes).map_err(file_problem)?;
    let content = content::without_marks(bytes);
    let mut labels = Labels::new(known_labels).map_err(file_problem)?;
    let lines = content.split(|byte| matches!(byte, b'\n' | b'\r'));
    let most_rows = lines.filter(|line| line.len() >= SHORTEST_ROW).count();
    let mut examples = LabelledTexts::with_capacity(most_rows);
    let mut skipped = 0;
    let mut first_skipped = Vec::new();
    let mut rows = |row: Result<Row<'_>, Located>| {
        match row.and_then(|row| row.add_to(&mut examples, &mut labels)) {
            Ok(()) => {}
            Err(problem) if options.skip_bad_lines && !problem.is_of_file() => {
                skipped += 1;
                if first_skipped.len() < SKIPPED_MESSAGES {
                    first_skipped.push(problem.at(path).to_string());
                }
            }
            Err(problem) => return Err(problem),
        }
        Ok(())
    };
    let (wanted, delimiter) = (&options.columns, options.delimiter.unwrap_or(b','));
    let columns = match format {
        Format::Tsv => delimited::tab_separated(content, wanted, &mut rows),
        Format::Csv => delimited::quoted(content, delimiter, wanted, &mut rows),
        Format::JsonLines => json_lines::read(content, wanted, &mut rows),
    };
    let columns = columns.map_err(|problem| problem.at(path))?;

    if examples.is_empty() {
        let first = first_skipped.into_iter().next();
        return Err(file_problem(Problem::NoRows { skipped, first }));
    }
    examples.shrink_to_fit();
    let (labels, unseen) = labels.finish(examples.labels_mut());
    if let (None, [only]) = (known_labels, labels.as_slice()) {
        return Err(file_problem(Problem::OneClass {
            label: only.clone(),
        }));
    }
    let is_known = |example: Example<'_>| (example.label as usize) < labels.len();
    if !examples.iter().any(is_known) {
        return Err(file_problem(Problem::NoKnownLabel {
            found: unseen,
            known: labels,
        }));
    }
    Ok(Dataset {
        path: path.to_owned(),
        examples,
        labels,
        unseen,
        columns,
        skipped,
        first_skipped,
        sha256: Sha256::digest(bytes).into(),
    })
}

impl Dataset {
    /// Whether the examples are pairs of texts.
    #[must_use]
    pub fn is_pair(&self) -> bool {
        self.columns.pair.is_some()
    }

    /// The name of a class, or of a label that is none.
    #[must_use]
    pub fn label_of(&self, example: Example<'_>) -> &str {
        let mut all = self.labels.iter().chain(&self.unseen);
        all.nth(example.label as usize).map_or("", String::as_str)
    }

    /// Number of examples of each class, in the order of `labels`.
    #[must_use]
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.labels.len()];
        for example in self.examples.iter() {
            if let Some(count) = counts.get_mut(example.label as usize) {
                *count += 1;
            }
        }
        counts
    }

    /// Every text, including the second ones of pairs.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let examples = self.examples.iter();
        examples.flat_map(|example| core::iter::once(example.text).chain(example.pair))
    }

    /// SHA-256 of what was read: the classes and every example, in order.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        // Lengths first, so that no two lists of strings give the same bytes.
        let mut add = |text: &str| {
            hasher.update((text.len() as u64).to_le_bytes());
            hasher.update(text);
        };
        for label in &self.labels {
            add(label);
        }
        for example in self.examples.iter() {
            add(example.text);
            add(example.pair.unwrap_or_default());
            add(&example.label.to_string());
        }
        hasher.finalize().into()
    }
}

/// Takes the rows in order; in place of a line that is not a row, its problem. An error ends the
/// reading.
type Rows<'r> = dyn FnMut(Result<Row<'_>, Located>) -> Result<(), Located> + 'r;

/// The fields of one row, before the label is looked up.
struct Row<'f> {
    line: usize,
    text: Cow<'f, str>,
    pair: Option<Cow<'f, str>>,
    label: Cow<'f, str>,
}

impl Row<'_> {
    /// Checks the fields and adds the row to the examples.
    fn add_to(self, examples: &mut LabelledTexts, labels: &mut Labels) -> Result<(), Located> {
        let filled = |role, field: &str| match field.trim().is_empty() {
            true => Err(Located::line(self.line, Problem::EmptyField { role })),
            false => Ok(()),
        };
        filled("text", &self.text)?;
        self.pair
            .iter()
            .try_for_each(|pair| filled("second text", pair))?;
        filled("label", &self.label)?;
        let label = labels.index_of(self.label.trim()).map_err(Located::file)?;
        examples.push(&self.text, self.pair.as_deref(), label);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
