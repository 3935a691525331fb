//! Labelled text goes in, an answer comes out.
//!
//! A user is promised that one `train` writes five files, that every accuracy it prints
//! is the runtime's on the file it wrote, that the sparse file is as sparse as was asked for and
//! therefore smaller, that the other subcommands and the library report the same of that file, and
//! that `--json` keeps its keys.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::Stdio;

use neuroprune_format::Model;
use neuroprune_runtime::{
    Classification, Classifier, RuntimeError, SCRATCH_ALIGNMENT, kernels::scalar, required_scratch,
    required_scratch_with,
};
use neuroprune_tests::{Folder, run};
use neuroprune_trainer::Phase;
use neuroprune_trainer::checkpoint;
use neuroprune_trainer::data::smart_home::{self, SAMPLES};
use neuroprune_trainer::data::{ReadOptions, read};
use serde_json::Value;

const OUTCOME_KEYS: &str = "name recipe data_sha256 scored_on scored_sha256 examples accuracy \
     target_sparsity sparsity summary heads neurons dense_degrees sparse_degrees merged history journal macro_f1 baselines \
     scored seconds sparse dense";
const INSPECTION_KEYS: &str = "name producer seed recipe_sha256 data_sha256 layers hidden \
     tokens vocabulary activation pooling pair labels scores bytes sections tensors \
     dense_weights nonzeros sparsity layouts_for runtime_features target work scratch \
     scratch_cortex_m4 flash_estimate ram_estimate";
const SCORED_KEYS: &str =
    "examples right accuracy macro_f1 truncated classes confusions mistakes majority";
const CLASS_KEYS: &str = "label examples answered right precision recall f1";
const ANSWER_KEYS: &str = "text label probability tokens unknown truncated ranking";

#[track_caller]
fn assert_keys(value: &Value, keys: &str) {
    let object = value.as_object().expect("an object");
    let found: BTreeSet<&str> = object.keys().map(String::as_str).collect();
    let expected: BTreeSet<&str> = keys.split_whitespace().collect();
    assert_eq!(found, expected);
}

/// A number of the outcome, by the names on the way to it.
#[track_caller]
fn number(value: &Value, path: &str) -> f64 {
    let found = path.split('.').fold(value, |value, key| &value[key]);
    found
        .as_f64()
        .unwrap_or_else(|| panic!("{path} is {found}"))
}

/// The library's answer to a text, or a pair, with a scratch buffer of the stated size.
fn library_answer<T>(
    file: &[u8],
    text: &str,
    pair: Option<&str>,
    look: impl FnOnce(Classification<'_>) -> T,
) -> Result<T, RuntimeError> {
    let model = Model::open(file).unwrap();
    let limits = model.limits();
    let required = required_scratch(limits, limits.tokens);
    // Aligned, and not a byte larger than stated.
    let mut memory = vec![0_u8; required + SCRATCH_ALIGNMENT];
    let start = memory.as_ptr().align_offset(SCRATCH_ALIGNMENT);
    let scratch = &mut memory[start..start + required];
    let mut classifier = Classifier::new(model, scratch)?;
    let answer = match pair {
        None => classifier.classify(text)?,
        Some(pair) => classifier.classify_pair(text, pair)?,
    };
    Ok(look(answer))
}

/// Checks that the program's answer, as JSON, is the library's.
#[track_caller]
fn assert_same_answer(file: &[u8], said: &Value, text: &str, pair: Option<&str>) {
    let same = library_answer(file, text, pair, |answer| {
        assert_eq!(said["text"], text);
        assert_eq!(said["label"], answer.label);
        assert_eq!(said["tokens"], answer.tokens);
        assert_eq!(said["unknown"], answer.unknown);
        assert_eq!(said["truncated"], answer.truncated);
        let ranking = said["ranking"].as_array().expect("a list");
        assert_eq!(ranking.len(), answer.ranking.len());
        for (said, ranked) in ranking.iter().zip(&answer.ranking) {
            assert_keys(said, "label probability");
            assert_eq!(said["label"], ranked.label);
            assert_probability(&said["probability"], ranked.probability);
        }
        assert_probability(&said["probability"], answer.probability);
    });
    same.unwrap();
}

#[track_caller]
fn assert_probability(said: &Value, expected: f32) {
    assert!((0.0..=1.0).contains(&expected), "{expected}");
    // The shortest decimal that means this f32, so nothing is lost on the way.
    let said: f32 = said.to_string().parse().expect("a number");
    assert_eq!(said.to_bits(), expected.to_bits());
}

/// Share of the most frequent class, in per cent.
#[expect(clippy::cast_precision_loss, reason = "small counts")]
fn majority(counts: &[usize]) -> f64 {
    let most = counts.iter().max().expect("a class");
    100.0 * *most as f64 / counts.iter().sum::<usize>() as f64
}

#[test]
fn single_texts() {
    let folder = Folder::new();
    let outcome = run(&mut folder.train(&["--test", "test.tsv", "--json", "--quiet"]));
    assert_eq!(outcome.stderr, "", "--quiet");
    let outcome = outcome.json();

    // All files exist, and are what their names say.
    let written: Vec<String> = folder
        .names()
        .into_iter()
        .filter(|name| name.starts_with("model"))
        .collect();
    let expected = "model.checkpoint model.dense.neuro model.neuro model.outcome.json \
         model.recipe.toml model.report.html";
    assert_eq!(written, expected.split_whitespace().collect::<Vec<_>>());
    assert_eq!(folder.names().len(), 9, "{:?}", folder.names());
    let (sparse, dense) = (folder.read("model.neuro"), folder.read("model.dense.neuro"));
    let model = Model::open(&sparse).unwrap();
    Model::open(&dense).unwrap();
    let saved = checkpoint::load(&folder.path("model.checkpoint")).unwrap();
    assert_eq!(saved.phase, Phase::Finished);
    let report = String::from_utf8(folder.read("model.report.html")).unwrap();
    let report = report.to_ascii_lowercase();
    assert!(report.trim_start().starts_with("<!doctype html"));
    assert!(report.contains("</html>"));

    // The keys that programs rely on.
    assert_keys(&outcome, OUTCOME_KEYS);
    assert_keys(
        &outcome["accuracy"],
        "dense_float dense_int8 sparse_float sparse_int8",
    );
    assert_keys(&outcome["seconds"], "dense sparse export");
    assert_keys(&outcome["sparse"], &format!("path {INSPECTION_KEYS}"));
    assert_keys(&outcome["dense"], &format!("path {INSPECTION_KEYS}"));
    let epoch = "phase epoch step loss dev_accuracy sparsity heads neurons is_kept";
    assert_keys(&outcome["history"][0], epoch);
    let phases = outcome["history"].as_array().expect("a list");
    let phases: Vec<&str> = phases
        .iter()
        .filter_map(|epoch| epoch["phase"].as_str())
        .collect();
    assert_eq!(phases, ["dense", "dense", "sparse", "sparse"]);
    assert_eq!(outcome["name"], "model");
    assert_eq!(outcome["scored_on"], "test");
    assert_eq!(outcome["sparse"]["path"], "model.neuro");

    // Sparse as asked for, and every zero is a byte not stored.
    let sparsity = number(&outcome, "sparsity");
    assert!((0.8..0.801).contains(&sparsity), "{sparsity}");
    let in_file = number(&outcome, "sparse.sparsity");
    assert!((sparsity..0.85).contains(&in_file), "{in_file}");
    assert!(number(&outcome, "dense.sparsity") < 0.1);
    assert!(sparse.len() < dense.len());
    let weights = number(&outcome, "sparse.dense_weights");
    let saved = dense.len() - sparse.len();
    // A dense weight is one byte, a sparse one two.
    #[expect(clippy::cast_precision_loss, reason = "bytes of a small file")]
    let share = saved as f64 / weights;
    assert!(share > 0.45, "{saved} bytes of {weights} weights");

    // The accuracy is that of the file, whichever command measures it.
    let arguments = ["evaluate", "--model", "model.neuro", "--data", "test.tsv"];
    let mut command = folder.neuroprune(&arguments);
    let scored = run(command.arg("--json")).json();
    assert_keys(&scored, SCORED_KEYS);
    assert_keys(&scored["classes"][0], CLASS_KEYS);
    assert_eq!(scored["accuracy"], outcome["accuracy"]["sparse_int8"]);
    assert_eq!(scored["examples"], 200);
    assert_eq!(outcome["examples"], 200);
    let accuracy = number(&scored, "accuracy");
    #[expect(clippy::cast_possible_truncation, reason = "the file holds f32")]
    let narrow = accuracy as f32;
    assert_eq!(model.manifest().scores.runtime, Some(narrow));
    let mut command = folder.neuroprune(&["evaluate", "--data", "test.tsv", "--json"]);
    let scored = run(command.args(["--model", "model.dense.neuro"])).json();
    assert_eq!(scored["accuracy"], outcome["accuracy"]["dense_int8"]);
    let labels: Vec<String> = model.labels().iter().map(str::to_owned).collect();
    let test = folder.path("test.tsv");
    let test = read(&test, &ReadOptions::default(), Some(&labels)).unwrap();
    let guessing = majority(&test.class_counts());
    assert!(accuracy > guessing + 20.0, "{accuracy} %, {guessing} %");

    // The file says the same to the program and to the library.
    let mut command = folder.neuroprune(&["classify", "--json"]);
    let texts = SAMPLES.iter().copied().chain([
        "",
        "Straße ☃ [CLS] zzzzzz",
        "a word after a word after a word that goes on and on until no token is left for \
         all of the words that follow it to the end of the sentence",
    ]);
    let texts: Vec<&str> = texts.collect();
    let answers = run(command.args(&texts)).json_lines();
    assert_eq!(answers.len(), texts.len());
    for (said, text) in answers.iter().zip(&texts) {
        assert_keys(said, ANSWER_KEYS);
        assert_same_answer(&sparse, said, text, None);
    }
    assert_eq!(answers.last().expect("an answer")["truncated"], true);

    // Standard input works like arguments.
    let mut command = folder.neuroprune(&["classify", "--json"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let lines = texts.join("\n") + "\n";
    let mut input = child.stdin.take().expect("piped");
    input.write_all(lines.as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    let piped = String::from_utf8(output.stdout).unwrap();
    let piped: Vec<Value> = piped.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(piped, answers);

    // What `inspect` states is what the firmware will need.
    let inspection = run(&mut folder.neuroprune(&["inspect", "model.neuro", "--json"])).json();
    assert_keys(&inspection, INSPECTION_KEYS);
    assert_keys(&inspection["sections"][0], "name bytes");
    let tensor = "role layer head rows cols layout nonzeros density bytes bytes_per_nonzero \
         work is_encoder";
    assert_keys(&inspection["tensors"][0], tensor);
    let limits = model.limits();
    assert_eq!(
        inspection["scratch"],
        required_scratch_with(limits, limits.tokens, size_of::<scalar::Feature>())
    );
    assert_eq!(inspection["bytes"], sparse.len());
    for (key, value) in inspection.as_object().expect("an object") {
        assert_eq!(value, &outcome["sparse"][key], "{key}");
    }
}

/// Commands and what a home may reply, in either order: only a network that sees which text is
/// which can tell the order.
fn pairs(rows: &[(String, String)]) -> String {
    let replies = [
        "done",
        "sorry i cannot do that",
        "ok i did it",
        "as you like",
    ];
    let mut file = "text_a\ttext_b\tlabel\n".to_owned();
    for (index, (command, _)) in rows.iter().enumerate() {
        let reply = replies[index % replies.len()];
        file += &if index % 3 == 0 {
            format!("{reply}\t{command}\treply first\n")
        } else {
            format!("{command}\t{reply}\tcommand first\n")
        };
    }
    file
}

#[test]
fn pairs_of_texts() {
    let folder = Folder::new();
    let home = smart_home::generate(3, 300, 90);
    folder.write("pairs.tsv", pairs(&home.train));
    folder.write("pairs.test.tsv", pairs(&home.test));
    let mut command = folder.neuroprune(&["train", "--data", "pairs.tsv", "--json"]);
    command.args(["--recipe", "recipe.toml", "--test", "pairs.test.tsv"]);
    let outcome = run(command.args(["--out", "pairs.neuro"])).json();
    assert_eq!(outcome["sparse"]["pair"], true);

    let mut command = folder.neuroprune(&["evaluate", "--model", "pairs.neuro", "--json"]);
    let scored = run(command.args(["--data", "pairs.test.tsv"])).json();
    assert_eq!(scored["accuracy"], outcome["accuracy"]["sparse_int8"]);
    let accuracy = number(&scored, "accuracy");
    assert!(accuracy > 66.7 + 20.0, "{accuracy} %");

    let file = folder.read("pairs.neuro");
    let texts = [("turn the lamp off", "done"), ("done", "turn the lamp off")];
    let lines = texts.map(|(first, second)| format!("{first}\t{second}"));
    let mut command = folder.neuroprune(&["classify", "--model", "pairs.neuro", "--json"]);
    let answers = run(command.args(&lines)).json_lines();
    for (index, (first, second)) in texts.into_iter().enumerate() {
        let said = &answers[index];
        assert_keys(said, &format!("pair {ANSWER_KEYS}"));
        assert_eq!(said["pair"], second);
        assert_same_answer(&file, said, first, Some(second));
    }
    assert_eq!(answers[0]["label"], "command first");
    assert_eq!(answers[1]["label"], "reply first");

    // One text alone is refused by both.
    let mut command = folder.neuroprune(&["classify", "--model", "pairs.neuro"]);
    run(command.arg("lamp off")).assert_error(2, &["pairs", "tab", "lamp off"]);
    let refused = library_answer(&file, "lamp off", None, |_| ());
    assert_eq!(refused, Err(RuntimeError::PairExpected));
}
