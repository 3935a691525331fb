//! Options that several subcommands share, and reading what they name.

use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use super::terminal::harmless;
use crate::data::{self, Columns, Dataset, Format, ReadOptions};
use crate::input_file;
use crate::run::data::Data;

/// A combination of options that makes no sense: exit status 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct WrongUse(pub(super) String);

/// The name of a file that is read from standard input.
const STANDARD_INPUT: &str = "-";

/// One byte that is no quote and no line end.
fn delimiter(text: &str) -> Result<u8, String> {
    let text = if text == "\\t" { "\t" } else { text };
    match text.as_bytes() {
        &[byte] if !matches!(byte, b'"' | b'\n' | b'\r') => Ok(byte),
        _ => Err("expected one ASCII character, or \\t; not a quote or a line end".to_owned()),
    }
}

/// How to read data files.
#[derive(Args, Debug, Clone, Default)]
#[command(next_help_heading = "Data files")]
pub(super) struct DataOptions {
    /// Column with the text, or the first of a pair [default: text, sentence, utterance]
    #[arg(long, value_name = "NAME")]
    pub(super) text_column: Option<String>,
    /// Column with the second text of a pair [default: text_b, sentence2, hypothesis]
    #[arg(long, value_name = "NAME")]
    pub(super) pair_column: Option<String>,
    /// Column with the class [default: label, intent]
    #[arg(long, value_name = "NAME")]
    pub(super) label_column: Option<String>,
    /// How the files are laid out [default: as their names say; tsv for `-`]
    #[arg(long, value_name = "FORMAT")]
    pub(super) format: Option<Format>,
    /// What stands between the fields of a CSV file, such as ';' [default: a comma]
    #[arg(long, value_name = "CHARACTER", value_parser = delimiter)]
    pub(super) delimiter: Option<u8>,
    /// Skip and count bad lines instead of stopping at the first
    #[arg(long)]
    pub(super) skip_bad_lines: bool,
}

impl DataOptions {
    /// Reads a file; says on standard error what was skipped.
    pub(super) fn read(&self, path: &Path, labels: Option<&[String]>) -> anyhow::Result<Dataset> {
        let options = ReadOptions {
            columns: Columns {
                text: self.text_column.clone(),
                pair: self.pair_column.clone(),
                label: self.label_column.clone(),
            },
            skip_bad_lines: self.skip_bad_lines,
            format: match self.format {
                None if self.delimiter.is_some() => Some(Format::Csv),
                None if path == Path::new(STANDARD_INPUT) => Some(Format::Tsv),
                format => format,
            },
            delimiter: self.delimiter,
        };
        let dataset = match path == Path::new(STANDARD_INPUT) {
            true => data::read_from(std::io::stdin().lock(), path, &options, labels)?,
            false => data::read(path, &options, labels)?,
        };
        if dataset.skipped > 0 {
            say!(
                "{}: {} bad lines skipped, among them",
                path.display(),
                dataset.skipped
            );
            for message in &dataset.first_skipped {
                say!("  {message}");
            }
        }
        Ok(dataset)
    }
}

impl DataOptions {
    /// Reads all that a run needs; without `dev` a tenth of the training texts of
    /// each class is set aside.
    pub(super) fn read_all(
        &self,
        train: &Path,
        dev: Option<&Path>,
        test: Option<&Path>,
        dev_seed: u64,
    ) -> anyhow::Result<Data> {
        let files = core::iter::once(train).chain(dev).chain(test);
        if files
            .filter(|&path| path == Path::new(STANDARD_INPUT))
            .count()
            > 1
        {
            let problem = "only one of the files can be read from standard input, `-`";
            return Err(WrongUse(problem.to_owned()).into());
        }
        let train = self.read(train, None)?;
        let labels = train.labels.clone();
        let read = |path: Option<&Path>| path.map(|path| self.read(path, Some(&labels)));
        let (dev, test) = (read(dev).transpose()?, read(test).transpose()?);
        let (train, dev) = match dev {
            Some(dev) => (train, dev),
            None => train.split_dev(dev_seed)?,
        };
        for other in core::iter::once(&dev).chain(&test) {
            if other.is_pair() != train.is_pair() {
                let kind = |is_pair| {
                    if is_pair {
                        "pairs of texts"
                    } else {
                        "single texts"
                    }
                };
                anyhow::bail!(
                    "{}: has {}, but {} has {}",
                    other.path.display(),
                    kind(other.is_pair()),
                    train.path.display(),
                    kind(train.is_pair())
                );
            }
        }
        Ok(Data {
            train,
            dev,
            test,
            unlabelled: None,
        })
    }
}

/// The bytes of a model file.
pub(super) fn read_model(path: &Path) -> anyhow::Result<Vec<u8>> {
    input_file::read_model(path).with_context(|| path.display().to_string())
}

/// One JSON object on standard output.
pub(super) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    print_as_it_is(&serde_json::to_string_pretty(value)?)
}

/// One JSON object as a line on standard output.
pub(super) fn print_json_line(value: &impl Serialize) -> anyhow::Result<()> {
    print_as_it_is(&serde_json::to_string(value)?)
}

/// A text for people and a line end on standard output.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    print_as_it_is(&harmless(text))
}

fn print_as_it_is(text: &str) -> anyhow::Result<()> {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{text}").context("standard output")
}
