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
    assert!(outcome["majority"]["accuracy"].as_f64().unwrap() >= 50.0);
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
            &["--quiet", "--strict", "--out", "strict.neuro"],
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
