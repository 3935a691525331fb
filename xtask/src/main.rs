//! Every routine job of the project, one file per job.
//!
//! ```text
//! cargo xtask test      host tests, the firmware of every board in QEMU, the browser tests
//! cargo xtask check     formatting, lints, lengths of files, documentation, features,
//!                       dependencies, what Miri finds
//! cargo xtask firmware  the firmware alone, or one program, or one board
//! cargo xtask browser   the npm package; its demo page, served
//! cargo xtask bench     counts instructions, compares with budgets, writes records;
//!                       times in a browser, beside onnxruntime-web
//! cargo xtask lines     how much production code there is, by crate
//! cargo xtask accuracy  trains a recipe on real text sets and writes the record
//! ```

mod accuracy;
mod bench;
mod boards;
mod browser;
mod check;
mod command;
mod firmware;
mod lines;
mod miri;
mod programs;
mod setup;
mod tally;
mod test;
mod voice;
mod webassembly;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use setup::Installing;
use tally::Tally;

/// Every routine job of the project.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    job: Job,
    /// Do not install missing tools; say what is missing and how to get it.
    #[arg(long, global = true)]
    no_install: bool,
}

#[derive(Subcommand)]
enum Job {
    /// Run every test: on this machine, on every board in QEMU, in Node and Chromium.
    Test,
    /// Check formatting, lints, documentation, features, dependencies, and what Miri finds.
    Check,
    /// Build the firmware, run it in QEMU and compare what it prints.
    Firmware(firmware::Selection),
    Browser(browser::Browser),
    Bench(bench::Bench),
    Lines(lines::Lines),
    /// Train a recipe on real text sets and write the record (minutes a run).
    Accuracy(accuracy::Accuracy),
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    let installing = if arguments.no_install {
        Installing::Refused
    } else {
        Installing::Allowed
    };
    let mut tally = Tally::new();
    match arguments.job {
        Job::Test => test::run(installing, &mut tally)?,
        Job::Check => check::run(installing, &mut tally)?,
        Job::Firmware(selection) => {
            setup::ensure(&setup::for_firmware()?, installing)?;
            firmware::run(&selection, &mut tally)?;
        }
        Job::Browser(job) => {
            let tools = if job.test {
                setup::for_browser_tests()
            } else {
                setup::for_browser()
            };
            setup::ensure(&tools, installing)?;
            browser::run(&job, &mut tally)?;
        }
        Job::Bench(job) if job.browser => {
            setup::ensure(&setup::for_browser_bench(), installing)?;
            return bench::browser::run(job.json);
        }
        Job::Bench(job) => {
            if let Some(folder) = &job.write_models {
                return bench::write_models(folder);
            }
            setup::ensure(&setup::for_bench()?, installing)?;
            bench::run(&job, &mut tally)?;
            if job.json {
                return Ok(());
            }
        }
        Job::Lines(job) => return lines::run(&job),
        Job::Accuracy(job) => return accuracy::run(&job),
    }
    tally.finish()
}
