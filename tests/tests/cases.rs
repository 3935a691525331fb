//! Data that trained something else than its user meant.
//!
//! A user is told what a run is about to learn from, before its first step: files, columns,
//! classes, lengths, and by name what may mislead. `--strict` stops there.

use neuroprune_tests::{Folder, Ran, run};

/// Rows of two classes, `on` and `off` named as `name` has them for the row's number.
fn rows(name: impl Fn(usize) -> &'static str) -> String {
    let things = ["lamp", "fan", "tv", "heater", "radio", "kettle"];
    let mut text = String::new();
    for row in 0..60 {
        let verb = if row / 2 % 2 == 0 {
            "switch on"
        } else {
            "kill"
        };
        let thing = things[row % things.len()];
        text += &format!("{verb} {thing} {},{}\n", row / 12, name(row));
    }
    text
}

fn trained(folder: &Folder, file: &str, options: &[&str]) -> Ran {
    let mut command = folder.neuroprune(&["train", "--data", file, "--recipe", "tiny"]);
    command.args(["--epochs", "1", "--overwrite"]).args(options);
    run(&mut command)
}

#[test]
fn what_a_run_learns_from_is_said_before_it_begins() {
    let folder = Folder::new();
    let name = |row: usize| ["on", "off"][row / 2 % 2];
    folder.write("plain.csv", format!("text,label\n{}", rows(name)));
    let ran = trained(&folder, "plain.csv", &["--json"]);
    ran.assert_code(0);
    for part in [
        "training  plain.csv: 54 rows, columns text, label",
        "classes   2, from 27 texts of \"off\" to 27 of \"on\"",
        "without a model: always answering",
    ] {
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
    }
    assert!(!ran.stderr.contains("warning"), "{}", ran.stderr);
    let outcome: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(outcome["summary"]["sets"][0]["rows"], 54);
    assert!(
        outcome["baselines"]["majority"]["accuracy"]
            .as_f64()
            .unwrap()
            >= 50.0
    );
    assert!(outcome["baselines"]["linear"]["bytes"].as_u64().unwrap() > 10);
    assert!(outcome["macro_f1"]["sparse_int8"].is_number());
}

#[test]
fn what_may_mislead_is_named_and_refused_with_strict() {
    let folder = Folder::new();
    let near = |row: usize| ["on", "off", "ON", "off"][row / 2 % 4];
    let numbers = |row: usize| ["1", "0", "1.0", "0"][row / 2 % 4];
    let mut pairs = "text,reply,label\n".to_owned();
    for line in rows(|row| ["on", "off"][row / 2 % 2]).lines() {
        let (text, label) = line.split_once(',').unwrap();
        pairs += &format!("{text},thank you very much,{label}\n");
    }
    let shared = format!("text,label\n{}", rows(|row| ["on", "off"][row / 2 % 2]));
    let same =
        "text,label\nLamp on,a\nlamp ON,b\n".to_owned() + &rows(|row| ["a", "b"][row / 2 % 2]);
    let cases = [
        (
            "near.csv",
            format!("text,label\n{}", rows(near)),
            "near-equal-classes: the classes \"ON\", \"on\"",
        ),
        (
            "numbers.csv",
            format!("text,label\n{}", rows(numbers)),
            "near-equal-classes: the classes \"1\", \"1.0\"",
        ),
        (
            "pairs.csv",
            pairs,
            "second-text: the column \"reply\" is not read",
        ),
        (
            "shared.csv",
            shared,
            "shared-texts: 60 texts of the dev set are in the training set too",
        ),
        (
            "same.csv",
            same,
            "same-texts: 1 training text of different classes",
        ),
    ];
    for (file, text, expected) in cases {
        folder.write(file, text);
        let ran = trained(&folder, file, &["--quiet", "--dev", file]);
        ran.assert_code(0);
        assert!(
            ran.stderr.contains(&format!("warning: {expected}")),
            "{}",
            ran.stderr
        );
        let refused = trained(
            &folder,
            file,
            &[
                "--quiet",
                "--strict",
                "--dev",
                file,
                "--out",
                "strict.neuro",
            ],
        );
        refused.assert_error(1, &["--strict"]);
        assert!(!folder.path("strict.neuro").exists());
    }
}

/// A name of a class is somebody's text: it must not colour or rewrite the screen.
#[test]
fn control_characters_do_not_reach_the_terminal() {
    let folder = Folder::new();
    let mut text = String::new();
    for line in rows(|row| ["\\u001b[31mred\\u001b[0m", "b"][row / 2 % 2]).lines() {
        let (words, label) = line.split_once(',').unwrap();
        text += &format!("{{\"text\": \"{words}\", \"label\": \"{label}\"}}\n");
    }
    folder.write("red.jsonl", text);
    let ran = trained(&folder, "red.jsonl", &[]);
    ran.assert_code(0);
    let commands: [&[&str]; 3] = [
        &["classify", "switch on lamp 1"],
        &["evaluate", "--data", "red.jsonl"],
        &["inspect"],
    ];
    for command in commands {
        let ran = run(&mut folder.neuroprune(command));
        ran.assert_code(0);
        for output in [&ran.stdout, &ran.stderr] {
            assert!(!output.contains('\u{1b}'), "{output}");
        }
    }
    assert!(!ran.stdout.contains('\u{1b}') && !ran.stderr.contains('\u{1b}'));
}

/// Rows whose classes alternate, or are sorted, once took every dev text from one class.
#[test]
fn the_dev_set_has_its_share_of_every_class() {
    let folder = Folder::new();
    let mut text = "text,label\n".to_owned();
    for row in 0..60 {
        text += &format!("thing {row},{}\n", ["on", "off"][row % 2]);
    }
    text += "one of a kind,rare\n";
    folder.write("alternate.csv", text);
    let ran = trained(&folder, "alternate.csv", &[]);
    ran.assert_code(0);
    for part in [
        "training  alternate.csv: 55 rows",
        "dev       alternate.csv: 6 rows",
        "classes   3, from 1 text of \"rare\" to 27 of",
        "warning: missing-classes: the dev set has no text of \"rare\"",
    ] {
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
    }
    // Another seed sets others aside.
    let outcome = |seed: &str| {
        let seed = format!("training.dev_seed={seed}");
        let ran = trained(
            &folder,
            "alternate.csv",
            &["--json", "--quiet", "--set", &seed],
        );
        ran.json()["baselines"]["linear"]["words"].clone()
    };
    assert_eq!(outcome("0"), outcome("0"));
}

/// Official test sets have labels that the training set has not.
#[test]
fn labels_of_the_test_set_alone_count_as_wrong() {
    let folder = Folder::new();
    let name = |row: usize| ["on", "off"][row / 2 % 2];
    folder.write("train.csv", format!("text,label\n{}", rows(name)));
    let test = "text,label\nswitch on lamp 1,on\nkill lamp 1,off\nwhat time is it,time\n";
    folder.write("test.csv", test);
    let ran = trained(&folder, "train.csv", &["--test", "test.csv", "--json"]);
    let outcome = ran.json();
    let said = "unseen-labels: test: 1 text of \"time\", which the model has no class for";
    assert!(ran.stderr.contains(said), "{}", ran.stderr);
    assert_eq!(outcome["examples"], 3);
    assert!(outcome["accuracy"]["sparse_int8"].as_f64().unwrap() < 66.7);
    assert_eq!(outcome["scored"]["classes"][2]["label"], "time");
    assert_eq!(outcome["scored"]["classes"][2]["recall"], 0.0);
    let strict = ["--test", "test.csv", "--strict"];
    trained(&folder, "train.csv", &strict).assert_error(1, &["--strict"]);

    let evaluate = ["evaluate", "--data", "test.csv", "--json"];
    let scored = run(&mut folder.neuroprune(&evaluate));
    assert!(
        scored.stderr.contains("unseen-labels: test.csv"),
        "{}",
        scored.stderr
    );
    assert_eq!(
        scored.json()["accuracy"],
        outcome["accuracy"]["sparse_int8"]
    );
    let mut command = folder.neuroprune(&evaluate);
    run(command.arg("--strict")).assert_error(1, &["--strict"]);
    // A column of other things is not a set whose every answer is wrong.
    folder.write("other.csv", "text,label\nswitch on,1\nkill,2\n");
    let command = ["evaluate", "--data", "other.csv"];
    run(&mut folder.neuroprune(&command)).assert_error(1, &["other.csv", "none of the labels"]);
}

#[test]
fn a_model_is_compared_with_what_is_cheaper() {
    let folder = Folder::new();
    let name = |row: usize| ["on", "off"][row / 2 % 2];
    let file = format!("text,label\n{}", rows(name));
    folder.write("train.csv", &file);
    folder.write("test.csv", &file);
    let ran = trained(&folder, "train.csv", &["--test", "test.csv"]);
    ran.assert_code(0);
    for part in [
        "a linear model on ",
        "without a model: always answering",
        "the model is not better than a linear model, which is smaller",
    ] {
        assert!(ran.stdout.contains(part), "{part}: {}", ran.stdout);
    }
    let report = String::from_utf8(folder.read("model.report.html")).unwrap();
    assert!(report.contains("Labels and answers") && report.contains("a linear model on"));

    let mut command = folder.neuroprune(&["evaluate", "--data", "test.csv"]);
    command.args(["--train", "train.csv", "--predictions", "answers.jsonl"]);
    let ran = run(&mut command);
    ran.assert_code(0);
    assert!(ran.stdout.contains("a linear model on"), "{}", ran.stdout);
    let answers = String::from_utf8(folder.read("answers.jsonl")).unwrap();
    assert_eq!(answers.lines().count(), 60);
    let first: serde_json::Value = answers.lines().next().unwrap().parse().unwrap();
    assert_eq!(
        (&first["text"], &first["label"]),
        (&"switch on lamp 0".into(), &"on".into())
    );
    let mut command = folder.neuroprune(&["evaluate", "--data", "test.csv"]);
    run(command.args(["--predictions", "answers.txt"])).assert_error(2, &["answers.txt", ".tsv"]);
}

#[test]
fn other_layouts_and_standard_input_are_read() {
    let folder = Folder::new();
    let name = |row: usize| ["on", "off"][row / 2 % 2];
    let semicolons = format!("text;label\n{}", rows(name).replace(',', ";"));
    folder.write("export.csv", &semicolons);
    trained(&folder, "export.csv", &[]).assert_error(1, &["export.csv", "--delimiter ';'"]);
    trained(&folder, "export.csv", &["--delimiter", ";"]).assert_code(0);
    trained(&folder, "export.csv", &["--delimiter", "\""]).assert_error(2, &["ASCII"]);
    folder.write("data.txt", semicolons.replace(';', "\t"));
    trained(&folder, "data.txt", &["--format", "tsv"]).assert_code(0);
    let input = std::fs::File::open(folder.path("data.txt")).unwrap();
    let mut command = folder.neuroprune(&["train", "--data", "-", "--recipe", "tiny"]);
    command.args(["--epochs", "1", "--overwrite"]).stdin(input);
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("training  -: 54 rows"), "{said}");
    let mut command = folder.neuroprune(&["train", "--data", "-", "--dev", "-"]);
    run(&mut command).assert_error(2, &["standard input"]);
}

/// Vietnamese: the marks are the word.
#[test]
fn languages_have_keys() {
    let folder = Folder::new();
    let words = ["b\u{e0}n", "b\u{1ea1}n", "b\u{e1}n"];
    let mut text = "text,label\n".to_owned();
    for row in 0..60 {
        let word = words[row % 3];
        text += &format!("{word} {},{word}\n", row / 12);
    }
    folder.write("vi.csv", text);
    let usual = trained(&folder, "vi.csv", &["--dev", "vi.csv"]);
    assert!(
        usual.stderr.contains("warning: same-texts"),
        "{}",
        usual.stderr
    );
    let marks = ["--dev", "vi.csv", "--set", "model.strip_accents=false"];
    let kept = trained(&folder, "vi.csv", &marks);
    kept.assert_code(0);
    assert!(!kept.stderr.contains("same-texts"), "{}", kept.stderr);
    assert!(
        kept.stderr.contains("lower case, marks kept"),
        "{}",
        kept.stderr
    );
}
