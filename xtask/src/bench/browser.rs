//! Times of whole models in Chromium: ours, and those of onnxruntime-web in turn.
//!
//! ```text
//! models ────────────────► .neuro ─┐
//! browser/wasm ──────────► .wasm ──┼─► bench.mjs: one page, one thread ─► record
//! model.py (onnxruntime) ► .onnx ──┘
//! ```
//!
//! `benchmarks/browser/README.md` is the record, and says what the figures mean.

mod record;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use neuroprune_format::writer::LayoutChoice;
use neuroprune_runtime::{Classifier, Model, required_scratch};
use serde::{Deserialize, Serialize};

use super::models::{Shape, random_model};
use super::vocabulary::WORDS;
use crate::browser;
use crate::command::{command, repository, run_quietly};

/// A model, and how many tokens the texts have that it classifies.
struct Subject {
    /// Name of its files.
    file: &'static str,
    model: Shape,
    tokens: [usize; 2],
}

const SUBJECTS: [Subject; 2] = [
    Subject {
        file: "minilm",
        model: MINILM,
        tokens: [16, 128],
    },
    Subject {
        file: "intent",
        model: INTENT,
        tokens: [8, 16],
    },
];

/// The shape of all-MiniLM-L6-v2.
const MINILM: Shape = Shape {
    name: "MiniLM-L6 shape",
    layers: 6,
    hidden: 384,
    heads: 12,
    intermediate: 1536,
    tokens: 128,
    labels: 17,
    density: 10,
    block: 1,
    layout: LayoutChoice::Smallest,
};

/// A small model for commands.
const INTENT: Shape = Shape {
    name: "small intent model",
    layers: 2,
    hidden: 128,
    heads: 4,
    intermediate: 512,
    tokens: 16,
    ..MINILM
};

/// What the page is asked to measure.
#[derive(Debug, Serialize)]
struct Task {
    file: &'static str,
    model: &'static str,
    texts: Vec<Text>,
}

/// A text, and the tokens that our tokenizer makes of it.
#[derive(Debug, Serialize)]
struct Text {
    tokens: usize,
    text: String,
}

/// What was measured, and on what.
#[derive(Debug, Serialize, Deserialize)]
struct Results {
    processor: String,
    chromium: String,
    onnxruntime_web: String,
    cases: Vec<Case>,
}

/// A model and a length of text.
#[derive(Debug, Serialize, Deserialize)]
struct Case {
    model: String,
    tokens: usize,
    ours: Times,
    /// onnxruntime-web with the dense model, in int8 and in float32.
    int8: Times,
    float: Times,
}

/// Milliseconds of one classification.
#[derive(Debug, Serialize, Deserialize)]
struct Times {
    /// Processor time of the page's thread; median.
    processor: f64,
    /// By the clock; median.
    median: f64,
    least: f64,
    samples: usize,
}

/// Measures, prints and writes the record.
///
/// # Errors
/// Where a model, the module or the page cannot be made or run.
pub(crate) fn run(json: bool) -> anyhow::Result<()> {
    let folder = repository().join("benchmarks/browser");
    let files = folder.join("out");
    fs::create_dir_all(&files).with_context(|| files.display().to_string())?;
    let module = browser::module()?;
    fs::copy(&module, files.join("neuroprune.wasm"))
        .with_context(|| module.display().to_string())?;
    let python = python(&files)?;
    let mut tasks = Vec::new();
    for subject in &SUBJECTS {
        peer_models(&python, subject, &files)?;
        tasks.push(task(subject, &files)?);
    }
    write(&files.join("tasks.json"), &serde_json::to_string(&tasks)?)?;

    let mut bench = command("node", &["benchmarks/browser/bench.mjs"]);
    let measured = run_quietly(bench.arg(&files))?;
    let results: Results = serde_json::from_str(&measured).context("bench.mjs")?;
    let text = record::markdown(&results);
    write(&folder.join("README.md"), &text)?;
    let pretty = serde_json::to_string_pretty(&results)?;
    write(&folder.join("times.json"), &format!("{pretty}\n"))?;
    if json {
        println!("{}", serde_json::to_string(&results)?);
    } else {
        println!("{text}");
    }
    Ok(())
}

/// Writes our model and returns what it is to classify.
fn task(subject: &Subject, files: &Path) -> anyhow::Result<Task> {
    let file = random_model(&subject.model)?;
    let path = files.join(subject.file).with_extension("neuro");
    fs::write(&path, &file).with_context(|| path.display().to_string())?;
    let texts = subject.tokens.map(|tokens| text(&file, tokens));
    Ok(Task {
        file: subject.file,
        model: subject.model.name,
        texts: texts.into_iter().collect::<anyhow::Result<_>>()?,
    })
}

/// A text of this many tokens: each word is one, and two surround them.
fn text(file: &[u8], tokens: usize) -> anyhow::Result<Text> {
    let words = WORDS.split(' ').cycle().take(tokens - 2);
    let text = words.collect::<Vec<_>>().join(" ");
    let model = Model::open(file)?;
    let mut scratch = vec![0; required_scratch(model.limits(), tokens) + 3];
    let found = Classifier::with_tokens(model, &mut scratch, tokens)?
        .classify(&text)?
        .tokens;
    ensure!(found == tokens, "a text of {tokens} tokens has {found}");
    Ok(Text { tokens, text })
}

/// A Python with the packages that make the peer's models, in a virtual environment.
fn python(files: &Path) -> anyhow::Result<PathBuf> {
    let environment = files.join("venv");
    let python = environment.join("bin/python");
    if !python.exists() {
        run_quietly(command("python3", &["-m", "venv"]).arg(&environment))?;
    }
    let requirements = "benchmarks/browser/requirements.txt";
    let install = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--requirement",
        requirements,
    ];
    run_quietly(command(&python.to_string_lossy(), &[]).args(install))?;
    Ok(python)
}

/// The dense model of the same shape for onnxruntime-web, unless it exists.
fn peer_models(python: &Path, subject: &Subject, files: &Path) -> anyhow::Result<()> {
    let is_there = |kind: &str| files.join(format!("{}.{kind}.onnx", subject.file)).exists();
    if is_there("int8") && is_there("float") {
        return Ok(());
    }
    let Shape {
        layers,
        hidden,
        intermediate,
        heads,
        tokens,
        ..
    } = subject.model;
    let shape = [
        usize::from(layers),
        hidden,
        intermediate,
        heads.into(),
        tokens,
    ];
    let mut write = command(&python.to_string_lossy(), &["benchmarks/browser/model.py"]);
    write.arg(files).arg(subject.file);
    run_quietly(write.args(shape.map(|number| number.to_string()))).map(drop)
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| path.display().to_string())
}
