//! `evaluate --predictions`: the answer to every text, as a file.

use std::io;
use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

use super::inputs::WrongUse;
use crate::atomic_file;
use crate::data::{Dataset, Format};
use crate::model_file::scoring::Answered;

/// A row of the file.
#[derive(Serialize)]
struct Prediction<'a> {
    text: &'a str,
    text_b: Option<&'a str>,
    label: &'a str,
    answer: &'a str,
    probability: f32,
    right: bool,
    truncated: bool,
}

/// Fails before anything is computed where the name does not tell the format, or is that of a file
/// that is `read`.
pub(super) fn check(path: &Path, read: &[&Path]) -> anyhow::Result<()> {
    if is_compressed(path) || Format::of_path(path).is_none() {
        let message = format!(
            "--predictions {}: expected a name that ends in .tsv, .csv or .jsonl",
            path.display()
        );
        return Err(WrongUse(message).into());
    }
    anyhow::ensure!(
        !path.is_dir(),
        "{}: is a folder, expected a file",
        path.display()
    );
    let same = |other: &&Path| path.canonicalize().ok() == other.canonicalize().ok();
    anyhow::ensure!(
        !path.exists() || !read.iter().any(same),
        "{}: is read by this command, so nothing is written there",
        path.display()
    );
    Ok(())
}

fn is_compressed(path: &Path) -> bool {
    let extension = path.extension();
    extension.is_some_and(|extension| extension.eq_ignore_ascii_case("gz"))
}

/// Writes the answers to the texts of `dataset`.
pub(super) fn write(path: &Path, dataset: &Dataset, answers: &[Answered]) -> anyhow::Result<()> {
    let format = Format::of_path(path).unwrap_or(Format::Tsv);
    let rows = dataset
        .examples
        .iter()
        .zip(answers)
        .map(|(example, answered)| {
            let class = dataset.labels.get(usize::from(answered.class));
            Prediction {
                text: example.text,
                text_b: example.pair,
                label: dataset.label_of(example),
                answer: class.map_or("", String::as_str),
                probability: answered.probability,
                right: u32::from(answered.class) == example.label,
                truncated: answered.truncated,
            }
        });
    let bytes = match format {
        Format::JsonLines => json_lines(rows),
        Format::Csv => separated(rows, dataset.is_pair(), Csv::new()),
        Format::Tsv => separated(rows, dataset.is_pair(), Tsv(Vec::new())),
    };
    let bytes = bytes.with_context(|| path.display().to_string())?;
    atomic_file::write(path, &bytes).with_context(|| path.display().to_string())
}

fn json_lines<'a>(rows: impl Iterator<Item = Prediction<'a>>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for row in rows {
        serde_json::to_writer(&mut bytes, &row)?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}

/// Rows of fields.
trait Rows {
    fn row(&mut self, fields: &[&str]) -> io::Result<()>;
    fn into_bytes(self) -> io::Result<Vec<u8>>;
}

struct Csv(csv::Writer<Vec<u8>>);

impl Csv {
    fn new() -> Self {
        Self(csv::Writer::from_writer(Vec::new()))
    }
}

impl Rows for Csv {
    fn row(&mut self, fields: &[&str]) -> io::Result<()> {
        Ok(self.0.write_record(fields)?)
    }

    fn into_bytes(self) -> io::Result<Vec<u8>> {
        self.0
            .into_inner()
            .map_err(|error| io::Error::other(error.to_string()))
    }
}

/// As TSV is read here: a row is a line, a quote a plain character. Tabs and line ends of a text,
/// which a file of another format may have, become spaces.
struct Tsv(Vec<u8>);

impl Rows for Tsv {
    fn row(&mut self, fields: &[&str]) -> io::Result<()> {
        let plain = |field: &&str| field.replace(['\t', '\n', '\r'], " ");
        let fields: Vec<String> = fields.iter().map(plain).collect();
        self.0.extend(fields.join("\t").into_bytes());
        self.0.push(b'\n');
        Ok(())
    }

    fn into_bytes(self) -> io::Result<Vec<u8>> {
        Ok(self.0)
    }
}

fn separated<'a>(
    rows: impl Iterator<Item = Prediction<'a>>,
    has_pairs: bool,
    mut file: impl Rows,
) -> io::Result<Vec<u8>> {
    let mut header = vec![
        "text",
        "label",
        "answer",
        "probability",
        "right",
        "truncated",
    ];
    if has_pairs {
        header.splice(..1, ["text_a", "text_b"]);
    }
    file.row(&header)?;
    for row in rows {
        let probability = row.probability.to_string();
        let mut fields = vec![row.text];
        fields.extend(row.text_b);
        fields.extend([row.label, row.answer, &probability]);
        fields.extend([row.right, row.truncated].map(|it| if it { "true" } else { "false" }));
        file.row(&fields)?;
    }
    file.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{ReadOptions, parse};

    #[test]
    fn what_is_written_can_be_read_again() {
        let file = "text,label\n\"a\tb, \"\"c\"\"\nd\",on\nplain,dim\n";
        let known = ["off".to_owned(), "on".to_owned()];
        let read = |format, bytes: &[u8], known: Option<&[String]>| {
            parse(
                "set".as_ref(),
                format,
                bytes,
                &ReadOptions::default(),
                known,
            )
            .unwrap()
        };
        let dataset = read(Format::Csv, file.as_bytes(), Some(&known));
        let answers = [1, 0].map(|class| Answered {
            class,
            probability: 0.75,
            truncated: false,
        });
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("it.csv", "a\tb, \"c\"\nd"),
            ("it.tsv", "a b, \"c\" d"),
            ("it.jsonl", "a\tb, \"c\"\nd"),
        ] {
            let path = folder.path().join(name);
            check(&path, &[]).unwrap();
            write(&path, &dataset, &answers).unwrap();
            check(&path, &[&path]).unwrap_err();
            check(&path, &[folder.path()]).unwrap();
            let bytes = std::fs::read(&path).unwrap();
            let again = read(Format::of_path(&path).unwrap(), &bytes, Some(&known));
            let first = again.examples.get(0).map(|example| example.text);
            assert_eq!(first, Some(text), "{name}");
            assert_eq!(again.unseen, ["dim"]);
            let written = String::from_utf8(bytes).unwrap();
            assert!(written.contains("0.75"), "{written}");
            assert_eq!(written.matches("true").count(), 1, "{written}");
        }
        for name in ["it.txt", "it.tsv.gz", "it"] {
            check(name.as_ref(), &[]).unwrap_err();
        }
    }
}
