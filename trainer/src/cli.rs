//! The command line: one file a subcommand.
//!
//! What a program reads (tables, `--json`) goes to standard output; progress and errors
//! go to standard error. Exit status: 0 success, 1 failure, 2 wrong use.

/// `eprintln!` for those whose standard error may be closed or full: a run goes on without.
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let text = $crate::cli::terminal::harmless(&format!($($text)*));
        let _ = writeln!(std::io::stderr(), "{text}");
    }};
}

mod ablate;
mod bench;
mod classify;
mod doctor;
mod evaluate;
mod inputs;
mod inspect;
mod lines;
mod parts;
mod predictions;
mod progress;
mod quickstart;
mod recipe;
mod recipe_options;
mod report;
mod running;
mod search;
mod stop;
mod tables;
mod terminal;
mod train;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Train transformers that a microcontroller can run.
///
/// From labelled text to one small file: trains a dense encoder, prunes it with NeuroPrune
/// and writes a file that a no_std runtime executes in place, with the same answers on
/// every target.
#[derive(Debug, Parser)]
#[command(name = "neuroprune", bin_name = "neuroprune", version, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  neuroprune quickstart
  neuroprune train --data train.tsv --test test.tsv --sparsity 0.9 --out model.neuro
  neuroprune evaluate --model model.neuro --data test.tsv
  neuroprune classify --model model.neuro \"turn the lamp off\"
  neuroprune inspect model.neuro
  neuroprune report model.neuro
  neuroprune ablate recipes/ablation.toml
  neuroprune recipe --keys
  neuroprune doctor";

// No comments on the variants: clap would take them for the whole help.
#[derive(Debug, Subcommand)]
enum Command {
    Quickstart(quickstart::Quickstart),
    Train(Box<train::Train>),
    Evaluate(evaluate::Evaluate),
    Classify(classify::Classify),
    Inspect(inspect::Inspect),
    Bench(bench::Bench),
    Report(report::Report),
    Ablate(ablate::Ablate),
    Recipe(recipe::Recipe),
    Doctor(doctor::Doctor),
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Quickstart(command) => command.run(),
        Command::Train(command) => command.run(),
        Command::Evaluate(command) => command.run(),
        Command::Classify(command) => command.run(),
        Command::Inspect(command) => command.run(),
        Command::Bench(command) => command.run(),
        Command::Report(command) => command.run(),
        Command::Ablate(command) => command.run(),
        Command::Recipe(command) => command.run(),
        Command::Doctor(command) => command.run(),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            // A reader that went away (`| head`) is no failure to report.
            if is_broken_pipe(&error) {
                return ExitCode::SUCCESS;
            }
            say!("error: {}", message(&error));
            if error.is::<inputs::WrongUse>()
                || error.is::<crate::recipe::RecipeError>()
                || error.is::<crate::ablation::GridError>()
            {
                ExitCode::from(2)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

/// The error and its causes, less those that it has told already.
fn message(error: &anyhow::Error) -> String {
    let mut message = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if message.is_empty() {
            message = cause;
        } else if !message.contains(cause.trim_end()) {
            message = format!("{message}: {cause}");
        }
    }
    terminal::one_line(message.trim_end())
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kind = |cause: &std::io::Error| cause.kind() == std::io::ErrorKind::BrokenPipe;
    error
        .chain()
        .any(|cause| cause.downcast_ref().is_some_and(kind))
}
