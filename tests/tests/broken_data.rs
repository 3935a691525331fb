//! A data file with something wrong in it.
//!
//! A user is promised a message of one line that names the file, the line and what was
//! expected there, an exit status of 1 and no output file; and with `--skip-bad-lines`
//! a run on the good lines, with the bad ones counted.

use neuroprune_tests::{Folder, run, workspace};

/// Twelve good rows of two classes, from line 2.
fn rows() -> Vec<String> {
    let texts = ["lamp", "light", "bulb", "lantern", "torch", "candle"];
    let rows = texts.iter().flat_map(|text| {
        ["on", "off"].map(|label| format!("turn the {text} {label} please\t{label}"))
    });
    rows.collect()
}

fn tsv(header: &str, rows: &[String]) -> String {
    let mut file = format!("{header}\n");
    for row in rows {
        file += &format!("{row}\n");
    }
    file
}

/// Trains on this file, which cannot be used, and looks for `parts` in the message.
#[track_caller]
fn assert_refused(name: &str, bytes: impl AsRef<[u8]>, parts: &[&str]) {
    let folder = Folder::new();
    folder.write(name, bytes);
    let before = folder.names();
    let ran = run(&mut folder.neuroprune(&["train", "--data", name, "--epochs", "1"]));
    ran.assert_error(1, parts);
    assert!(ran.stderr.contains(name), "{}", ran.stderr);
    assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
    assert_eq!(folder.names(), before);
}

#[test]
fn columns_that_are_not_there() {
    let file = tsv("sms\tlabel", &rows());
    let parts = ["data.tsv, line 1", "text", "the columns are", "\"sms\""];
    assert_refused("data.tsv", file, &parts);
    let file = tsv("text\tclass", &rows());
    assert_refused("data.tsv", file, &["line 1", "\"label\"", "\"class\""]);
    let file = "{\"text\": \"on\"}\n{\"text\": \"off\"}\n";
    assert_refused("data.jsonl", file, &["\"label\"", "\"text\""]);

    let folder = Folder::new();
    let mut command = folder.train(&["--label-column", "Intent"]);
    run(&mut command).assert_error(1, &["train.tsv, line 1", "\"Intent\"", "\"label\""]);
}

#[test]
fn rows_that_do_not_fit_the_header() {
    let mut longer = rows();
    longer[3] += "\tof no use";
    let parts = [
        "data.tsv, line 5",
        "expected 2 columns",
        "found 3",
        "\"text\"",
    ];
    assert_refused("data.tsv", tsv("text\tlabel", &longer), &parts);
    let mut shorter = rows();
    shorter[0] = "only a text".to_owned();
    let parts = ["data.tsv, line 2", "expected 2 columns", "found 1"];
    assert_refused("data.tsv", tsv("text\tlabel", &shorter), &parts);
    let csv = "text,label\nturn it on, please,on\n";
    assert_refused("data.csv", csv, &["data.csv, line 2", "found 3"]);
    let open = "text,label\non,on\n\"off,off\non,on\n";
    assert_refused("data.csv", open, &["data.csv, line 3", "quote"]);
    let mut blank = rows();
    blank[4] = "   \ton".to_owned();
    let parts = ["data.tsv, line 6", "the text is empty"];
    assert_refused("data.tsv", tsv("text\tlabel", &blank), &parts);
    let json = "{\"text\": \"on\", \"label\": \"on\"}\n{\"text\": 7, \"label\": \"off\"}\n";
    let parts = [
        "data.jsonl, line 2",
        "expected a string",
        "\"text\"",
        "a number",
    ];
    assert_refused("data.jsonl", json, &parts);
}

#[test]
fn bytes_that_are_not_utf_8() {
    let mut file = tsv("text\tlabel", &rows()).into_bytes();
    let line = file.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    let (end, _) = line.clone().nth(2).unwrap();
    // "turn" of line 4.
    file[end + 3] = 0xe9;
    let parts = ["data.tsv, line 4", "byte 3", "UTF-8"];
    assert_refused("data.tsv", file, &parts);
    let file = b"text,label\nlamp on,on\nlamp \xff,off\n";
    assert_refused("data.csv", file, &["data.csv, line 3", "byte 6", "UTF-8"]);
}

#[test]
fn classes_to_learn() {
    let only: Vec<String> = rows()
        .into_iter()
        .filter(|row| row.ends_with("\ton"))
        .collect();
    let parts = ["data.tsv", "\"on\"", "at least 2 classes"];
    assert_refused("data.tsv", tsv("text\tlabel", &only), &parts);
    let parts = ["data.tsv", "4 rows", "at least 10"];
    assert_refused("data.tsv", tsv("text\tlabel", &rows()[..4]), &parts);
    assert_refused("data.tsv", "text\tlabel\n", &["data.tsv", "no rows"]);
    assert_refused("data.tsv", "", &["data.tsv", "empty", "header"]);
    assert_refused("data.txt", "", &["data.txt", ".tsv", ".csv", ".jsonl"]);
    assert_refused("data.tsv.gz", "text", &["data.tsv.gz", "gzip"]);
}

#[test]
fn skipped_lines_are_counted() {
    let folder = Folder::new();
    let text = String::from_utf8(folder.read("train.tsv")).unwrap();
    let mut csv = "text,label\n".to_owned();
    let mut good = 0;
    for row in text.lines().skip(1) {
        let (text, label) = row.split_once('\t').unwrap();
        csv += &format!("\"{text}\",{label}\n");
        good += 1;
    }
    // A line end and a quote inside quotes are text.
    csv += "\"turn the \"\"big\"\"\nlamp on\",light_on\n";
    good += 1;
    let mut bytes = csv.clone().into_bytes();
    bytes.extend(b"one field\nlamp \xff,light_on\n,light_off\na,b,c\nlamp on,\nlamp,,\n");
    folder.write("train.csv", &bytes);

    let arguments = ["train", "--data", "train.csv", "--test", "test.tsv"];
    let recipe = ["--recipe", "recipe.toml", "--epochs", "1", "--quiet"];
    let command = || {
        let mut command = folder.neuroprune(&arguments);
        command.args(recipe);
        command
    };
    // Two of the text's line ends are one row.
    let bad = good + 3;
    let place = format!("train.csv, line {bad}");
    run(&mut command()).assert_error(1, &[&place, "expected 2 columns", "found 1"]);
    let skipped = run(command().args(["--skip-bad-lines", "--out", "skipped.neuro"]));
    skipped.assert_code(0);
    let said = &skipped.stderr;
    assert!(said.contains("train.csv: 6 bad lines skipped"), "{said}");
    assert!(said.contains(&place), "{said}");
    assert!(!said.contains("test.tsv"), "{said}");

    // The model is that of the good lines alone, except for the record of its origin.
    folder.write("train.csv", &csv);
    run(command().args(["--out", "good.neuro"])).assert_code(0);
    let weights = |name| {
        let file = folder.read(name);
        let file = neuroprune_format::container::Container::open(&file).unwrap();
        file.section(neuroprune_format::Section::Weights)
            .map(<[u8]>::to_vec)
            .unwrap()
    };
    assert!(weights("skipped.neuro") == weights("good.neuro"));
}

/// Evaluates the model that comes with the firmware examples on this file.
fn evaluate(folder: &Folder, name: &str, bytes: impl AsRef<[u8]>) -> neuroprune_tests::Ran {
    folder.write(name, bytes);
    let model = workspace().join("firmware-examples/models/commands.neuro");
    let mut command = folder.neuroprune(&["evaluate", "--json", "--data", name]);
    run(command.arg("--model").arg(model))
}

#[test]
fn odd_files_that_are_fine() {
    let folder = Folder::new();
    let count = |name, file: &[u8]| evaluate(&folder, name, file).json()["examples"].clone();
    let quoted = b"text,label\n\"lamp\non, please\",light_on\n\"say \"\"off\"\"\",light_off\n";
    assert_eq!(count("quoted.csv", quoted), 2);
    let windows = b"\xef\xbb\xbfTEXT\tIntent\r\nlamp on\tlight_on\r\n\r\nlamp off\tlight_off";
    assert_eq!(count("windows.tsv", windows), 2);
    let json = b"{\"label\": \"light_on\", \"text\": \"lamp\\non\", \"more\": null}\n";
    assert_eq!(count("lines.jsonl", json), 1);
    let quotes = b"text\tlabel\n\"lamp on\tlight_on\n";
    assert_eq!(count("quotes.tsv", quotes), 1);
}

#[test]
fn a_model_of_single_texts_and_pairs() {
    let folder = Folder::new();
    let pairs = "text_a\ttext_b\tlabel\nlamp\ton\tlight_on\nlamp\toff\tlight_off\n";
    let ran = evaluate(&folder, "pairs.tsv", pairs);
    ran.assert_error(1, &["pairs.tsv", "this model classifies single texts"]);
    // One text of the pair can be read alone.
    let model = workspace().join("firmware-examples/models/commands.neuro");
    let mut command = folder.neuroprune(&["evaluate", "--data", "pairs.tsv", "--json"]);
    command.args(["--text-column", "text_a"]).arg("--model");
    assert_eq!(run(command.arg(model)).json()["examples"], 2);
}

#[test]
fn a_model_of_pairs_and_single_texts() {
    let folder = Folder::new();
    let rows = rows();
    let pairs = rows.iter().map(|row| format!("lamp\t{row}\n"));
    let pairs = "text_a\ttext_b\tlabel\n".to_owned() + &pairs.collect::<String>();
    folder.write("pairs.tsv", pairs);
    let mut command = folder.neuroprune(&["train", "--data", "pairs.tsv", "--quiet"]);
    command.args(["--recipe", "recipe.toml", "--epochs", "1"]);
    run(&mut command).assert_code(0);
    folder.write("single.tsv", tsv("text\tlabel", &rows));
    let mut command = folder.neuroprune(&["evaluate", "--data", "single.tsv"]);
    let parts = ["single.tsv", "this model classifies pairs of texts"];
    run(&mut command).assert_error(1, &parts);

    let mut command = folder.neuroprune(&["train", "--data", "pairs.tsv"]);
    run(command.args(["--test", "single.tsv"])).assert_error(
        1,
        &[
            "single.tsv: has single texts",
            "pairs.tsv has pairs of texts",
        ],
    );
}
