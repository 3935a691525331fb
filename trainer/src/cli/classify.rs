//! `neuroprune classify`.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use neuroprune_format::Model;
use neuroprune_runtime::{Classifier, SCRATCH_ALIGNMENT, required_scratch};
use serde::Serialize;

use super::inputs::{WrongUse, print, print_json_line, read_model};

/// Classify texts with a model file, with the runtime that devices use.
///
/// Texts come from the command line, or line by line from standard input. For a model of
/// pairs, a tab stands between the two texts.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Classify {
    /// The model file
    #[arg(long, short, value_name = "FILE", default_value = "model.neuro")]
    model: PathBuf,
    /// Texts to classify; read from standard input if there are none
    texts: Vec<String>,
    /// Print the answers as JSON Lines: an object a text, as soon as it is there
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  neuroprune classify \"turn the lamp off\" \"what's the weather like\"
  neuroprune classify --model pairs.neuro \"$(printf 'first text\\tsecond text')\"
  cut -f1 test.tsv | neuroprune classify --model model.neuro
  neuroprune classify --json < texts.txt | jq -r .label";

/// What a model says of a text.
#[derive(Debug, Serialize)]
pub(super) struct Answer {
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pair: Option<String>,
    label: String,
    probability: f32,
    tokens: usize,
    unknown: usize,
    truncated: bool,
    ranking: Vec<Guess>,
}

#[derive(Debug, Serialize)]
struct Guess {
    label: String,
    probability: f32,
}

/// Classifies one text, or a pair.
pub(super) fn answer(model: &Model<'_>, text: &str, pair: Option<&str>) -> anyhow::Result<Answer> {
    let limits = model.limits();
    let mut scratch = vec![0; required_scratch(limits, limits.tokens) + SCRATCH_ALIGNMENT];
    let mut classifier = Classifier::new(*model, &mut scratch)?;
    let answer = match pair {
        None => classifier.classify(text)?,
        Some(pair) => classifier.classify_pair(text, pair)?,
    };
    let ranking = answer.ranking.iter().map(|ranked| Guess {
        label: ranked.label.to_owned(),
        probability: ranked.probability,
    });
    Ok(Answer {
        text: text.to_owned(),
        pair: pair.map(str::to_owned),
        label: answer.label.to_owned(),
        probability: answer.probability,
        tokens: answer.tokens,
        unknown: answer.unknown,
        truncated: answer.truncated,
        ranking: ranking.collect(),
    })
}

impl Answer {
    /// One line for people.
    pub(super) fn line(&self) -> String {
        let mut line = format!(
            "{:>5.1} %  {:<20} {}",
            100.0 * self.probability,
            self.label,
            self.text
        );
        if let Some(pair) = &self.pair {
            line += &format!(" | {pair}");
        }
        if self.truncated {
            line += &format!("  (truncated to {} tokens)", self.tokens);
        }
        line
    }
}

impl Classify {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let path = &self.model;
        let bytes = read_model(path)?;
        let model = Model::open_whole(&bytes).with_context(|| path.display().to_string())?;
        let ask = |line: &str| {
            if !model.manifest().tokenizer.pair {
                return answer(&model, line, None);
            }
            let (text, pair) = line.split_once('\t').ok_or_else(|| {
                WrongUse(format!(
                    "{line:?}: this model takes pairs; put a tab between the texts"
                ))
            })?;
            answer(&model, text, Some(pair))
        };
        if self.texts.is_empty() || self.texts == ["-"] {
            let input = std::io::stdin();
            if input.is_terminal() {
                say!("one text per line; Ctrl-D ends");
            }
            for (number, line) in (1..).zip(input.lock().lines()) {
                let answer = ask(&line.with_context(|| format!("standard input, line {number}"))?)?;
                match self.json {
                    true => print_json_line(&answer)?,
                    false => print(&answer.line())?,
                }
            }
        }
        for text in self.texts.iter().filter(|_| self.texts != ["-"]) {
            let answer = ask(text)?;
            if self.json {
                print_json_line(&answer)?;
                continue;
            }
            print(&answer.line())?;
            for guess in answer.ranking.iter().skip(1).take(2) {
                print(&format!(
                    "{:>5.1} %  {}",
                    100.0 * guess.probability,
                    guess.label
                ))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
