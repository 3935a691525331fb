//! Reading TSV, CSV and JSON Lines: what is accepted, and every message in full.

mod any_bytes;

use std::io::Write as _;
use std::path::Path;

use crate::data::{Columns, DataError, Dataset, Format, Problem, ReadOptions, parse, read};
use flate2::{Compression, write::GzEncoder};

const TSV: &str = "text\tlabel\nlights on\ton\nlights off\toff\n";

fn file_name(format: Format) -> &'static str {
    match format {
        Format::Tsv => "train.tsv",
        Format::Csv => "train.csv",
        Format::JsonLines => "train.jsonl",
    }
}

fn parsed(format: Format, bytes: impl AsRef<[u8]>) -> Result<Dataset, DataError> {
    parsed_with(format, bytes, &ReadOptions::default())
}

fn parsed_with(
    format: Format,
    bytes: impl AsRef<[u8]>,
    options: &ReadOptions,
) -> Result<Dataset, DataError> {
    parse(
        file_name(format).as_ref(),
        format,
        bytes.as_ref(),
        options,
        None,
    )
}

#[track_caller]
fn message(outcome: Result<Dataset, DataError>) -> String {
    let message = outcome.expect_err("an error").to_string();
    assert!(!message.contains('\n'), "{message}");
    message
}

fn columns(text: Option<&str>, pair: Option<&str>, label: Option<&str>) -> ReadOptions {
    let owned = |name: Option<&str>| name.map(str::to_owned);
    let columns = Columns {
        text: owned(text),
        pair: owned(pair),
        label: owned(label),
    };
    ReadOptions {
        columns,
        ..ReadOptions::default()
    }
}

fn skipping() -> ReadOptions {
    ReadOptions {
        skip_bad_lines: true,
        ..ReadOptions::default()
    }
}

/// `text|pair|label` of every example.
fn shown(data: &Dataset) -> Vec<String> {
    let row = |example: crate::data::Example<'_>| {
        let pair = example
            .pair
            .map_or(String::new(), |pair| format!("|{pair}"));
        format!(
            "{}{pair}|{}",
            example.text, data.labels[example.label as usize]
        )
    };
    data.examples.iter().map(row).collect()
}

// What is accepted.

#[test]
fn the_three_formats_read_alike() {
    let expected = ["lights on|on", "lights off|off"];
    let csv = "text,label\nlights on,on\nlights off,off\n";
    let json =
        "{\"text\":\"lights on\",\"label\":\"on\"}\n{\"label\":\"off\",\"text\":\"lights off\"}\n";
    for (format, file) in [
        (Format::Tsv, TSV),
        (Format::Csv, csv),
        (Format::JsonLines, json),
    ] {
        let data = parsed(format, file).unwrap();
        assert_eq!(shown(&data), expected);
        assert_eq!(data.labels, ["off", "on"]);
        assert_eq!(data.class_counts(), [1, 1]);
        assert_eq!(data.skipped, 0);
        assert!(!data.is_pair());
    }
}

#[test]
fn byte_order_mark_crlf_blank_lines_and_a_missing_last_line_end() {
    let files = [
        (
            Format::Tsv,
            "\u{feff}text\tlabel\r\na\tx\r\n\r\nb\ty\r\n\r\n\n",
        ),
        (Format::Tsv, "text\tlabel\na\tx\nb\ty"),
        (Format::Csv, "\u{feff}\u{feff}text,label\na,x\nb,y"),
        (
            Format::Csv,
            "\u{feff}text,label\r\na,x\r\n\r\nb,y\r\n\r\n\n",
        ),
        (Format::Csv, "text,label\na,x\n\"b\",\"y\""),
        (Format::Csv, "text,label\ra,x\rb,y\r"),
        (
            Format::JsonLines,
            "\u{feff}{\"text\":\"a\",\"label\":\"x\"}\r\n \r\n{\"text\":\"b\",\"label\":\"y\"}\r\n\n",
        ),
        (
            Format::JsonLines,
            "{\"text\":\"a\",\"label\":\"x\"}\n{\"text\":\"b\",\"label\":\"y\"}",
        ),
    ];
    for (format, file) in files {
        assert_eq!(
            shown(&parsed(format, file).unwrap()),
            ["a|x", "b|y"],
            "{file:?}"
        );
    }
}

#[test]
fn a_quote_is_a_plain_character_in_tsv() {
    let data = parsed(Format::Tsv, "text\tlabel\n\"open\tx\nit's 5\" tall\ty\n").unwrap();
    assert_eq!(shown(&data), ["\"open|x", "it's 5\" tall|y"]);
}

#[test]
fn csv_quoting() {
    let file = "text,label\n\"one, two\",x\n\"line\nend\",y\n\"say \"\"hi\"\"\",x\n";
    let data = parsed(Format::Csv, file).unwrap();
    assert_eq!(shown(&data), ["one, two|x", "line\nend|y", "say \"hi\"|x"]);
}

/// The lines of a file that the reader makes something else of would be learned, or lost.
#[test]
fn quotes_that_csv_does_not_have_are_errors() {
    let cases = [
        (
            "text,label\ngood,on\nsaid \"hello\" to me,off\n",
            "train.csv, line 3: byte 6 of the row is a quote inside a field",
        ),
        (
            "text,label\n\"switch \\\"it\\\" on\",on\nswitch it off,off\n",
            "train.csv, line 2: byte 11 of the row follows a closing quote",
        ),
        (
            "text,label\n\"oops never closed,on\nlost row,off\n\"another\" one,off\nkept,on\n",
            "train.csv, line 2: byte 37 of the row follows a closing quote",
        ),
    ];
    for (file, expected) in cases {
        let found = message(parsed(Format::Csv, file));
        assert!(found.starts_with(expected), "{found}");
    }
    let file = "text,label\r\n\"a, \"\"b\"\"\",x\r\n\"\",y\nc,\"y\"\n";
    let error = parsed(Format::Csv, file).unwrap_err();
    // Empty quotes are whole; the empty text is what is wrong.
    assert_eq!(error.line, Some(3));
}

#[test]
fn a_row_that_line_ends_tore_is_bad_as_a_whole() {
    let file =
        "text\tlabel\n\"light it\nnow\"\ton\nstop it\toff\n\"start\n\nthe tv\nnow\"\ton\ngo\ton\n";
    assert_eq!(
        message(parsed(Format::Tsv, file)),
        "train.tsv, line 2: a quote opens here and closes in line 3; the file seems to be written with \
         quotes, but in TSV a quote is a plain character and a row is one line: save it as CSV"
    );
    let data = parsed_with(Format::Tsv, file, &skipping()).unwrap();
    assert_eq!(shown(&data), ["stop it|off", "go|on"]);
    assert_eq!(data.skipped, 2);
    // A quote that never closes is one bad line.
    let file = "text\tlabel\n\"open\na\tx\nb\ty\n";
    let data = parsed_with(Format::Tsv, file, &skipping()).unwrap();
    assert_eq!(shown(&data), ["a|x", "b|y"]);
}

#[test]
fn files_of_other_kinds_are_named() {
    for (bytes, expected) in [
        (
            &b"\x1f\x8b\x08\x00"[..],
            "this file is packed by gzip twice; expected one that is packed once",
        ),
        (
            b"\xff\xfet\x00e\x00",
            "this file is in UTF-16; expected UTF-8, into which `iconv",
        ),
        (
            b"\xff\xfe\0\0t\0\0\0",
            "this file is in UTF-32; expected UTF-8, into which `iconv",
        ),
        (
            b"version https://git-lfs.github.com/spec/v1\noid",
            "this is a Git LFS pointer",
        ),
        (b"PK\x03\x04\x14", "this is a zip archive or a spreadsheet"),
    ] {
        for format in [Format::Tsv, Format::Csv, Format::JsonLines] {
            let found = message(parsed(format, bytes));
            assert!(found.contains(expected), "{found}");
        }
    }
}

/// Without a reason nobody could tell what to mend.
#[test]
fn where_no_line_is_good_the_first_reason_is_told() {
    let file = b"text,label\ncaf\xe9,on\ncaf\xe9 au lait,off\n";
    let found = message(parsed_with(Format::Csv, file, &skipping()));
    assert_eq!(
        found,
        "train.csv: no rows to use; all 2 lines were skipped as bad, the first of them: train.csv, \
         line 2: byte 4 of the line is not valid UTF-8; expected a file in UTF-8"
    );
}

#[test]
fn line_ends_in_quotes_count_for_line_numbers() {
    for end in ["\n", "\r\n"] {
        let file = "text,label\n\n\"a\nb\nc\",x\n\nshort\n".replace('\n', end);
        let error = parsed(Format::Csv, file).unwrap_err();
        // Header 1, blank 2, row 3 to 5, blank 6.
        assert_eq!(error.line, Some(7));
    }
}

#[test]
fn usual_columns_by_any_of_their_names_and_in_any_case() {
    for header in ["text\tlabel", "Sentence\tIntent", "utterance\tlabel"] {
        let data = parsed(Format::Tsv, format!("{header}\na\tx\nb\ty\n")).unwrap();
        assert_eq!(shown(&data), ["a|x", "b|y"]);
    }
    for header in [
        "text_a\ttext_b",
        "sentence1\tsentence2",
        "premise\thypothesis",
    ] {
        let data = parsed(Format::Tsv, format!("{header}\tlabel\na\tb\tx\nc\td\ty\n")).unwrap();
        assert_eq!(shown(&data), ["a|b|x", "c|d|y"]);
        assert!(data.is_pair());
    }
}

#[test]
fn columns_by_name_in_any_order() {
    let file = "id,class,body,title\n1,x,a,b\n2,y,c,d\n";
    let single = columns(Some("body"), None, Some("class"));
    assert_eq!(
        shown(&parsed_with(Format::Csv, file, &single).unwrap()),
        ["a|x", "c|y"]
    );
    let pair = columns(Some("body"), Some("title"), Some("class"));
    let data = parsed_with(Format::Csv, file, &pair).unwrap();
    assert_eq!(shown(&data), ["a|b|x", "c|d|y"]);
    assert_eq!(data.columns.pair.as_deref(), Some("title"));
}

#[test]
fn a_second_text_alone_may_be_named() {
    let file = "text,reply,label\na,b,x\nc,d,y\n";
    let options = columns(None, Some("reply"), None);
    assert_eq!(
        shown(&parsed_with(Format::Csv, file, &options).unwrap()),
        ["a|b|x", "c|d|y"]
    );
}

#[test]
fn json_pairs_and_labels_that_are_not_strings() {
    let file = "{\"premise\":\"a\",\"hypothesis\":\"b\",\"label\":10}\n{\"premise\":\"c\",\"hypothesis\":\"d\",\"label\":9}\n{\"premise\":\"e\",\"hypothesis\":\"f\",\"label\":true}\n";
    let data = parsed(Format::JsonLines, file).unwrap();
    assert_eq!(shown(&data), ["a|b|10", "c|d|9", "e|f|true"]);
    assert_eq!(data.labels, ["9", "10", "true"]);
}

#[test]
fn known_labels_keep_their_numbers() {
    let known = ["on".to_owned(), "dim".to_owned(), "off".to_owned()];
    let options = ReadOptions::default();
    let data = parse(
        "dev.tsv".as_ref(),
        Format::Tsv,
        TSV.as_bytes(),
        &options,
        Some(&known),
    );
    let data = data.unwrap();
    assert_eq!(data.labels, known);
    assert_eq!(
        data.examples
            .iter()
            .map(|example| example.label)
            .collect::<Vec<_>>(),
        [0, 2]
    );
    assert_eq!(data.class_counts(), [1, 0, 1]);
}

#[test]
fn the_format_comes_from_the_name() {
    let of = |name: &str| Format::of_path(name.as_ref());
    for (name, format) in [
        ("a.tsv", Format::Tsv),
        ("dir/a.CSV", Format::Csv),
        ("a.b.jsonl", Format::JsonLines),
        ("a.ndjson.gz", Format::JsonLines),
        ("a.tsv.GZ", Format::Tsv),
    ] {
        assert_eq!(of(name), Some(format), "{name}");
    }
    for name in ["a.txt", "tsv", "a.gz", "a.json", ""] {
        assert_eq!(of(name), None, "{name}");
    }
}

// Files on disk.

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn read(&self, name: &str, bytes: &[u8], options: &ReadOptions) -> Result<Dataset, DataError> {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        read(&path, options, None)
    }

    /// The message without the folder, which differs from run to run.
    #[track_caller]
    fn message(&self, outcome: Result<Dataset, DataError>) -> String {
        message(outcome).replace(&format!("{}/", self.0.path().display()), "")
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn compressed_and_plain_files_are_the_same_data() {
    let folder = Folder::new();
    let options = ReadOptions::default();
    let plain = folder.read("train.tsv", TSV.as_bytes(), &options).unwrap();
    let packed = folder
        .read("train.tsv.gz", &gzip(TSV.as_bytes()), &options)
        .unwrap();
    assert_eq!(plain.examples, packed.examples);
    assert_eq!(plain.sha256, packed.sha256);
    let hex: String = plain
        .sha256
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(hex, TSV_SHA256);

    // Two gzip members, as `cat a.gz b.gz` makes them.
    let (first, second) = TSV.split_at(20);
    let mut members = [gzip(first.as_bytes()), gzip(second.as_bytes())].concat();
    // And padding, as some servers add it.
    members.extend([0; 1000]);
    assert_eq!(
        folder
            .read("b.tsv.gz", &members, &options)
            .unwrap()
            .examples,
        plain.examples
    );
}

/// `printf 'text\tlabel\nlights on\ton\nlights off\toff\n' | sha256sum`
const TSV_SHA256: &str = "9ccf4668f0973bb2771963c73a3411ad94c36889e06501a414e7f73e55a37abb";

#[test]
fn a_broken_gzip_file() {
    let folder = Folder::new();
    let packed = gzip(TSV.as_bytes());
    let expected = "a.tsv.gz: expected a complete gzip file, as its name or its beginning says: ";
    for length in [0, 5, 20, packed.len() - 9, packed.len() - 1] {
        // The rest is the decompressor's message.
        let outcome = folder.read("a.tsv.gz", &packed[..length], &ReadOptions::default());
        let message = folder.message(outcome);
        assert!(message.starts_with(expected), "{length}: {message}");
    }
    let outcome = folder.read("a.tsv.gz", TSV.as_bytes(), &ReadOptions::default());
    assert_eq!(
        folder.message(outcome),
        "a.tsv.gz: expected a complete gzip file, as its name or its beginning says: invalid gzip header"
    );
}

/// Standard input has no name that could say it.
#[test]
fn a_gzip_file_is_known_by_its_beginning() {
    let folder = Folder::new();
    let packed = gzip(TSV.as_bytes());
    let data = folder.read("a.tsv", &packed, &ReadOptions::default());
    assert_eq!(shown(&data.unwrap()), ["lights on|on", "lights off|off"]);
    let outcome = folder.read("a.tsv", &gzip(&packed), &ReadOptions::default());
    assert_eq!(
        folder.message(outcome),
        "a.tsv: this file is packed by gzip twice; expected one that is packed once"
    );
}

/// A few kilobytes must not take a gigabyte.
#[test]
fn a_gzip_bomb_is_refused() {
    let folder = Folder::new();
    let rows = "\n".repeat(129 << 20);
    let outcome = folder.read("a.tsv.gz", &gzip(rows.as_bytes()), &ReadOptions::default());
    let message = folder.message(outcome);
    assert!(
        message.starts_with("a.tsv.gz: unpacks to more than 50 times"),
        "{message}"
    );
}

/// The place is that in the line, wherever the value begins.
#[test]
fn a_bad_escape_is_found_in_its_line() {
    let line = r#"{"label": "on", "text": "ab\ud800"}"#;
    let message = message(parsed(Format::JsonLines, line));
    let place = line.find("d800").unwrap() + "d800".len() + 1;
    assert!(message.contains(&format!("byte {place}:")), "{message}");
}

#[test]
fn an_unknown_name_and_the_option_that_helps() {
    let folder = Folder::new();
    let outcome = folder.read("train.txt", TSV.as_bytes(), &ReadOptions::default());
    assert_eq!(
        folder.message(outcome),
        "train.txt: the name does not tell the format; expected .tsv, .csv, .jsonl or .ndjson, each also with .gz"
    );
    let options = ReadOptions {
        format: Some(Format::Tsv),
        ..ReadOptions::default()
    };
    assert_eq!(
        folder
            .read("train.txt", TSV.as_bytes(), &options)
            .unwrap()
            .examples
            .len(),
        2
    );
}

#[cfg(unix)]
#[test]
fn a_missing_file_and_a_folder() {
    let outcome = read(
        Path::new("no-such-folder/train.tsv"),
        &ReadOptions::default(),
        None,
    );
    assert!(matches!(
        outcome,
        Err(DataError {
            problem: Problem::Open(_),
            line: None,
            ..
        })
    ));
    assert_eq!(
        message(outcome),
        "no-such-folder/train.tsv: cannot be opened: No such file or directory (os error 2)"
    );
    let folder = Folder::new();
    std::fs::create_dir(folder.0.path().join("d.tsv")).unwrap();
    let outcome = read(
        &folder.0.path().join("d.tsv"),
        &ReadOptions::default(),
        None,
    );
    assert_eq!(
        folder.message(outcome),
        "d.tsv: cannot be read: Is a directory (os error 21)"
    );
}

// Messages about the whole file.

#[test]
fn empty_files() {
    for bytes in ["", "\u{feff}", "\n\r\n"] {
        assert_eq!(
            message(parsed(Format::Tsv, bytes)),
            "train.tsv: the file is empty; expected a header line with the names of the columns"
        );
        assert_eq!(
            message(parsed(Format::Csv, bytes)),
            "train.csv: the file is empty; expected a header line with the names of the columns"
        );
        assert_eq!(
            message(parsed(Format::JsonLines, bytes)),
            "train.jsonl: the file is empty; expected one JSON object on each line"
        );
    }
}

#[test]
fn a_header_alone() {
    assert_eq!(
        message(parsed(Format::Tsv, "text\tlabel\n")),
        "train.tsv: no rows to use; expected at least one after the header"
    );
    assert_eq!(
        message(parsed_with(Format::Csv, "text,label\nonly\n", &skipping())),
        "train.csv: no rows to use; the only line was skipped as bad: train.csv, line 2: expected 2 columns \
         (\"text\", \"label\"), found 1"
    );
    assert_eq!(
        message(parsed_with(
            Format::Csv,
            "text,label\none\ntwo\n",
            &skipping()
        )),
        "train.csv: no rows to use; all 2 lines were skipped as bad, the first of them: train.csv, \
         line 2: expected 2 columns (\"text\", \"label\"), found 1"
    );
}

#[test]
fn a_single_class() {
    assert_eq!(
        message(parsed(Format::Tsv, "text\tlabel\na\tx\nb\tx\n")),
        "train.tsv: every row has the label \"x\"; a classifier needs at least 2 classes"
    );
}

#[test]
fn missing_columns() {
    let file = "body\tclass\na\tx\nb\ty\n";
    assert_eq!(
        message(parsed(Format::Tsv, file)),
        "train.tsv, line 1: no column \"text\" and no pair \"text_a\", \"text_b\"; the columns are \"body\", \"class\""
    );
    assert_eq!(
        message(parsed_with(
            Format::Tsv,
            file,
            &columns(Some("body"), None, None)
        )),
        "train.tsv, line 1: no column \"label\" (or \"intent\"); the columns are \"body\", \"class\""
    );
    assert_eq!(
        message(parsed_with(
            Format::Tsv,
            file,
            &columns(Some("Body"), None, Some("class"))
        )),
        "train.tsv, line 1: no column \"Body\"; the columns are \"body\", \"class\""
    );
    assert_eq!(
        message(parsed_with(
            Format::Tsv,
            file,
            &columns(None, Some("body"), Some("class"))
        )),
        "train.tsv, line 1: no column \"text\" or \"text_a\" for the first text of the pair; the columns are \"body\", \"class\""
    );
    let json = "{\"body\":\"a\"}\n{\"body\":\"b\",\"label\":1}\n";
    assert_eq!(
        message(parsed(Format::JsonLines, json)),
        "train.jsonl: no column \"text\" and no pair \"text_a\", \"text_b\"; the columns are \"body\", \"label\""
    );
    assert_eq!(
        message(parsed(Format::JsonLines, "{}\n")),
        "train.jsonl: no column \"text\" and no pair \"text_a\", \"text_b\"; the columns are none"
    );
    // Blank lines before the header count.
    assert_eq!(
        parsed(Format::Csv, "\n\nbody,class\n").unwrap_err().line,
        Some(3)
    );
}

#[test]
fn a_long_list_of_columns_is_cut() {
    let names: Vec<String> = (0..33).map(|index| format!("c{index}")).collect();
    let message = message(parsed(Format::Tsv, names.join("\t")));
    assert!(
        message.ends_with("\"c28\", \"c29\" and 3 more"),
        "{message}"
    );
}

#[test]
fn a_column_twice() {
    assert_eq!(
        message(parsed(Format::Csv, "text,label,text\na,x,b\n")),
        "train.csv, line 1: the column \"text\" occurs twice in the header; expected every name once"
    );
    // It does not matter for a column that is not read.
    assert!(parsed(Format::Csv, "text,label,id,id\na,x,1,2\nb,y,3,4\n").is_ok());
}

#[test]
fn problems_of_the_header_are_not_skipped() {
    for file in ["body\tlabel\na\tx\n", "text\tlabel\ttext\n", "te\u{0}xt\n"] {
        let line = parsed_with(Format::Tsv, file, &skipping())
            .unwrap_err()
            .line;
        assert_eq!(line, Some(1), "{file:?}");
    }
    let outcome = parsed_with(Format::Tsv, b"text\tla\xFFbel\na\tx\n", &skipping());
    assert_eq!(
        message(outcome),
        "train.tsv, line 1: byte 8 of the line is not valid UTF-8; expected a file in UTF-8"
    );
}

// Messages about a line.

#[test]
fn a_row_with_the_wrong_number_of_fields() {
    assert_eq!(
        message(parsed(Format::Tsv, "text\tlabel\na\tx\nonly text\n")),
        "train.tsv, line 3: expected 2 columns (\"text\", \"label\"), found 1"
    );
    assert_eq!(
        message(parsed(Format::Csv, "text,label\nwell, then,x\n")),
        "train.csv, line 2: expected 2 columns (\"text\", \"label\"), found 3"
    );
}

#[test]
fn empty_fields() {
    assert_eq!(
        message(parsed(Format::Tsv, "text\tlabel\n \tx\n")),
        "train.tsv, line 2: the text is empty; expected at least one character that is not white space"
    );
    assert_eq!(
        message(parsed(Format::Csv, "text,label\na,\n")),
        "train.csv, line 2: the label is empty; expected at least one character that is not white space"
    );
    assert_eq!(
        message(parsed(Format::Csv, "text_a,text_b,label\na,\"\",x\n")),
        "train.csv, line 2: the second text is empty; expected at least one character that is not white space"
    );
    assert_eq!(
        message(parsed(Format::JsonLines, "{\"text\":\"a\",\"label\":\"\"}")),
        "train.jsonl, line 1: the label is empty; expected at least one character that is not white space"
    );
}

#[test]
fn bytes_that_are_not_utf8() {
    assert_eq!(
        message(parsed(Format::Tsv, b"text\tlabel\na\tx\ncaf\xE9\ty\n")),
        "train.tsv, line 3: byte 4 of the line is not valid UTF-8; expected a file in UTF-8"
    );
    // The line and the byte inside it, though the row starts two lines above.
    assert_eq!(
        message(parsed(
            Format::Csv,
            b"text,label\r\n\r\n\"a\r\nb\r\ncaf\xE9\",y\r\n"
        )),
        "train.csv, line 5: byte 4 of the line is not valid UTF-8; expected a file in UTF-8"
    );
    assert_eq!(
        message(parsed(
            Format::JsonLines,
            b"{\"text\":\"a\",\"label\":1}\n{\"text\":\"\xFF\"}"
        )),
        "train.jsonl, line 2: byte 10 of the line is not valid UTF-8; expected a file in UTF-8"
    );
}

#[test]
fn one_column_is_not_two_things() {
    let options = |text: &str, pair: Option<&str>, label: &str| ReadOptions {
        columns: Columns {
            text: Some(text.to_owned()),
            pair: pair.map(str::to_owned),
            label: Some(label.to_owned()),
        },
        ..ReadOptions::default()
    };
    let file = "a\tb\nx\ty\n";
    for options in [
        options("a", None, "a"),
        options("a", Some("a"), "b"),
        options("a", Some("b"), "b"),
    ] {
        let error = message(parsed_with(Format::Tsv, file, &options));
        assert!(error.contains("is asked for twice"), "{error}");
    }
}

#[test]
fn long_and_broken_names_are_cut_in_messages() {
    let header = "x".repeat(1000);
    let error = message(parsed(Format::Csv, format!("\"{header}\",\"a\nb\"\n1,2\n")));
    assert!(
        error.len() < 300 && error.contains("…") && error.contains("a\\nb"),
        "{error}"
    );
}

#[test]
fn a_label_that_is_not_known_is_kept_apart() {
    let known = ["off".to_owned(), "on".to_owned()];
    let read = |file: &str| {
        parse(
            "dev.tsv".as_ref(),
            Format::Tsv,
            file.as_bytes(),
            &ReadOptions::default(),
            Some(&known),
        )
    };
    let data = read("text\tlabel\nlights on\ton\nless light\tdim\nno light\tdim\n").unwrap();
    assert_eq!(
        (data.labels.as_slice(), data.unseen.as_slice()),
        (&known[..], &["dim".to_owned()][..])
    );
    let labels: Vec<_> = data
        .examples
        .iter()
        .map(|it| (it.label, data.label_of(it)))
        .collect();
    assert_eq!(labels, [(1, "on"), (2, "dim"), (2, "dim")]);
    assert_eq!(data.class_counts(), [0, 1]);
    // Of another training set, or the wrong column.
    assert_eq!(
        message(read("text\tlabel\nless light\tdim\nmore\tbright\n")),
        "dev.tsv: none of the labels (\"dim\", \"bright\") is one of the training set's \"off\", \"on\"; \
         is the label in another column?"
    );
}

/// A column of numbers that is taken for the label would fill the memory with classes.
#[test]
fn labels_and_columns_have_a_limit() {
    let rows = |labels: usize| -> String { (0..labels).map(|it| format!("a\t{it}\n")).collect() };
    let read = |labels| {
        parsed_with(
            Format::Tsv,
            format!("text\tlabel\n{}", rows(labels)),
            &skipping(),
        )
    };
    assert_eq!(read(65_535).unwrap().labels.len(), 65_535);
    assert_eq!(
        message(read(65_536)),
        "train.tsv: more than 65535 different labels; is the label in another column?"
    );
    let names: Vec<String> = (0..65_536).map(|it| it.to_string()).collect();
    let known = parse(
        "a.tsv".as_ref(),
        Format::Tsv,
        TSV.as_bytes(),
        &skipping(),
        Some(&names),
    );
    assert!(message(known).starts_with("a.tsv: more than 65535 different labels"));

    let header = format!("text\tlabel{}\n", "\tx".repeat(65_534));
    assert_eq!(
        message(parsed(Format::Tsv, header)),
        "train.tsv, line 1: more than 65535 columns; expected a text and its label"
    );
    for (rows, line) in [("text,label\n", 2), ("text,label\na,\"\n,\"\n", 4)] {
        let wide = format!("{rows}{}\n", ",".repeat(65_535));
        assert_eq!(
            message(parsed(Format::Csv, wide)),
            format!(
                "train.csv, line {line}: more than 65535 columns; expected a text and its label"
            )
        );
    }
    let objects = (0..65_536).map(|it| format!("{{\"text\":\"a\",\"label\":\"x\",\"{it}\":0}}\n"));
    assert_eq!(
        message(parsed(Format::JsonLines, objects.collect::<String>())),
        "train.jsonl: more than 65535 columns; expected a text and its label"
    );
}

#[test]
fn a_quote_that_never_closes() {
    let file = "text,label\na,x\n\"open,y\nb,x\n";
    let expected = "train.csv, line 3: a quote opens a field in this row and never closes; expected a second \" after the field";
    assert_eq!(message(parsed(Format::Csv, file)), expected);
    // It has swallowed the rest of the file, so it is not one bad line.
    assert_eq!(
        message(parsed_with(Format::Csv, file, &skipping())),
        expected
    );
    for file in [
        "\"",
        "text,label\n\"",
        "text,label\na,\"x\n",
        "text,label\na,\"x\"\"",
    ] {
        let outcome = parsed(Format::Csv, file);
        assert!(
            matches!(
                outcome,
                Err(DataError {
                    problem: Problem::UnterminatedQuote,
                    ..
                })
            ),
            "{file:?}"
        );
    }
    // The text that marks the end inside the reader is no special text.
    let file = "text,label\n\"end of file\",x\nend of file,y\n";
    assert_eq!(parsed(Format::Csv, file).unwrap().examples.len(), 2);
}

#[test]
fn json_lines_that_are_no_objects() {
    assert_eq!(
        message(parsed(
            Format::JsonLines,
            "{\"text\":\"a\",\"label\":\"x\"}\n{\"text\":\"b\",}\n"
        )),
        "train.jsonl, line 2: expected a JSON object, but at byte 13: trailing comma"
    );
    assert_eq!(
        message(parsed(
            Format::JsonLines,
            "[{\"text\":\"a\",\"label\":\"x\"}]"
        )),
        "train.jsonl, line 1: expected a JSON object, found an array"
    );
    assert_eq!(
        message(parsed_with(Format::JsonLines, "\n1\nx\n", &skipping())),
        "train.jsonl, line 2: expected a JSON object, found a number"
    );
}

#[test]
fn json_values_of_the_wrong_type() {
    let second = |line: &str| {
        message(parsed(
            Format::JsonLines,
            format!("{{\"text\":\"a\",\"label\":\"x\"}}\n{line}\n"),
        ))
    };
    assert_eq!(
        second("{\"text\":5,\"label\":\"x\"}"),
        "train.jsonl, line 2: expected a string for \"text\", found a number"
    );
    assert_eq!(
        second("{\"text\":\"b\",\"label\":null}"),
        "train.jsonl, line 2: expected a string, a number or a boolean for \"label\", found null"
    );
    assert_eq!(
        second("{\"text\":\"b\",\"label\":[\"x\"]}"),
        "train.jsonl, line 2: expected a string, a number or a boolean for \"label\", found an array"
    );
    assert_eq!(
        second("{\"text\":\"b\",\"id\":1}"),
        "train.jsonl, line 2: no key \"label\"; the keys are \"text\", \"id\""
    );
}

#[test]
fn skipped_lines_are_counted_and_the_first_are_told() {
    let mut file = b"text\tlabel\ngood\tx\nshort\nbad \xFF\ty\n\tx\nalso good\ty\n".to_vec();
    for _ in 0..4 {
        file.extend(b"a\tb\tc\n");
    }
    let data = parsed_with(Format::Tsv, &file, &skipping()).unwrap();
    assert_eq!(shown(&data), ["good|x", "also good|y"]);
    assert_eq!(data.skipped, 7);
    assert_eq!(
        data.first_skipped,
        [
            "train.tsv, line 3: expected 2 columns (\"text\", \"label\"), found 1",
            "train.tsv, line 4: byte 5 of the line is not valid UTF-8; expected a file in UTF-8",
            "train.tsv, line 5: the text is empty; expected at least one character that is not white space",
            "train.tsv, line 7: expected 2 columns (\"text\", \"label\"), found 3",
            "train.tsv, line 8: expected 2 columns (\"text\", \"label\"), found 3",
        ]
    );
    let json =
        "nonsense\n{\"text\":\"a\",\"label\":1}\n{\"text\":\"b\"}\n{\"text\":\"c\",\"label\":2}\n";
    assert_eq!(
        parsed_with(Format::JsonLines, json, &skipping())
            .unwrap()
            .skipped,
        2
    );
}
