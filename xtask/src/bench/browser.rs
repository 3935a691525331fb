//! Times of whole models in Chromium, ours and those of onnxruntime-web in turn.
//!
//! ```text
//! models ───────────────► .neuro ─┐
//! browser/wasm ─────────► .wasm ──┼─► bench.mjs: one page, one thread ─► medians ─► record
//! model.py (onnxruntime) ► .onnx ─┘
//! ```
//!
//! `benchmarks/browser/README.md` says what the figures mean, and is written here.

mod record;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::models::{Encoder, Widths};
use crate::command::{cargo, command, repository, run_quietly};

/// The models that are measured, and how many tokens the texts have.
const CASES: [(Encoder, &[usize]); 2] = [(MINILM, &[16, 128]), (INTENT, &[6, 16])];

/// The shape of all-MiniLM-L6-v2, nine of ten weights zero.
const MINILM: Encoder = Encoder {
    name: "MiniLM-L6 shape",
    layers: 6,
    widths: Widths {
        hidden: 384,
        intermediate: 1536,
    },
    heads: 12,
    tokens: 128,
    density: 10,
};

/// What a recipe of ours trains for commands.
const INTENT: Encoder = Encoder {
    name: "intent, 2 × 128",
    layers: 2,
    widths: Widths {
        hidden: 128,
        intermediate: 512,
    },
    heads: 4,
    tokens: 16,
    density: 10,
};

/// What the page is asked to measure.
#[derive(Debug, Serialize)]
struct Task {
    name: &'static str,
    /// Files of the model, as the page asks for them.
    neuro: String,
    onnx: String,
    texts: Vec<Text>,
}

/// A text of a known number of tokens.
#[derive(Debug, Serialize)]
struct Text {
    tokens: usize,
    text: String,
}

/// What was measured.
#[derive(Debug, Serialize, Deserialize)]
struct Results {
    /// Versions of the browser and of the peer.
    chromium: String,
    onnxruntime_web: String,
    processor: String,
    cases: Vec<Case>,
}

/// A model and a length of text.
#[derive(Debug, Serialize, Deserialize)]
struct Case {
    model: String,
    tokens: usize,
    /// Nonzero weights of the encoder, all of its weights.
    ours: Times,
    /// int8 and float32.
    int8: Times,
    float: Times,
}

/// Milliseconds of one classification.
#[derive(Debug, Serialize, Deserialize)]
struct Times {
    median: f64,
    least: f64,
    /// Samples of at least four milliseconds each.
    samples: usize,
}
