//! Any bytes whatever are data or an error, never a panic.

use crate::data::{Columns, Dataset, Format, ReadOptions, parse};
use proptest::prelude::*;

const FORMATS: [Format; 3] = [Format::Tsv, Format::Csv, Format::JsonLines];

fn check(bytes: &[u8]) {
    let known = ["x".to_owned(), "1".to_owned()];
    let named = Columns {
        text: Some("a".into()),
        pair: Some("b".into()),
        label: Some("c".into()),
    };
    for format in FORMATS {
        for columns in [Columns::default(), named.clone()] {
            for skip_bad_lines in [false, true] {
                for labels in [None, Some(known.as_slice())] {
                    let options = ReadOptions {
                        delimiter: None,
                        columns: columns.clone(),
                        skip_bad_lines,
                        format: None,
                    };
                    match parse("any.bytes".as_ref(), format, bytes, &options, labels) {
                        Ok(data) => sound(&data),
                        Err(error) => assert!(error.to_string().starts_with("any.bytes")),
                    }
                }
            }
        }
    }
}

fn sound(data: &Dataset) {
    assert!(!data.examples.is_empty());
    for example in data.examples.iter() {
        assert!(!example.text.trim().is_empty());
        assert!((example.label as usize) < data.labels.len() + data.unseen.len());
        assert_eq!(example.pair.is_some(), data.is_pair());
    }
    let _ = data.clone().split_dev(0);
}

/// Pieces that files are made of, so that more than the first byte is looked at.
fn file() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&[u8]> = vec![
        b"text\tlabel\n",
        b"text,label\r\n",
        b"a,b,c\n",
        b"a\tb\tc\n",
        b"a\tx\n",
        b"b\t1\n",
        b"a,x\n",
        b"\"b\n\",1\n",
        b"\n",
        b"\r",
        b"\r\n",
        b"\t",
        b",",
        b"\"",
        b"\"\"",
        b"x",
        b"1",
        b"\xFF",
        b"\xC3",
        b"\xEF\xBB\xBF",
        b" ",
        b"\0",
        b"{\"text\":\"a\",\"label\":1}\n",
        b"{\"a\":\"",
        b"\",\"b\":\"q\",\"c\":true}\n",
        b"{}",
        b"{\"text\":",
        b"[[[[",
        b"\\ud800",
        b"end of file",
        "\u{2028}".as_bytes(),
    ];
    let piece = prop_oneof![
        8 => proptest::sample::select(pieces).prop_map(<[u8]>::to_vec),
        1 => proptest::collection::vec(any::<u8>(), 0..8),
    ];
    let header = proptest::sample::select(vec!["text\tlabel\n", "text,label\r\n", ""]);
    let pieces = proptest::collection::vec(piece, 0..40);
    (header, pieces).prop_map(|(header, pieces)| [header.as_bytes(), &pieces.concat()].concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn random_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        check(&bytes);
    }

    #[test]
    fn pieces_of_files(bytes in file()) {
        check(&bytes);
    }

    /// What CSV quoting writes is what is read, and the next row has the right line.
    #[test]
    fn quoted_texts_come_back(texts in proptest::collection::vec("[a-z \",\n\t'é]{0,12}[a-z]", 2..8)) {
        let mut file = String::from("text,label\n");
        for (index, text) in texts.iter().enumerate() {
            file += &format!("\"{}\",{}\n", text.replace('"', "\"\""), index % 2);
        }
        let read = |file: &str| {
            parse("a.csv".as_ref(), Format::Csv, file.as_bytes(), &ReadOptions::default(), None)
        };
        let data = read(&file).unwrap();
        let back: Vec<_> = data.texts().collect();
        prop_assert_eq!(&back, &texts);

        let lines_above = file.matches('\n').count();
        file += "short\n";
        prop_assert_eq!(read(&file).unwrap_err().line, Some(lines_above + 1));
    }
}

#[test]
fn deep_json_is_an_error() {
    let deep = format!("{{\"text\":{}", "[".repeat(100_000));
    check(deep.as_bytes());
}
