//! Builds every program for every board, runs it in QEMU, compares what it prints.
//!
//! `firmware-examples/src/bin/NAME.rs` has its expected output next to it: `NAME.out`, the same for
//! all boards, or `NAME.BOARD.out`. That of `classify` is written by this machine running the same
//! model, so that comparing it compares every bit of every logit between host and board.

mod budget;
pub(crate) mod emulator;
pub(crate) mod image;
mod output;
mod real_board;
mod reference;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::Args;

use crate::boards::{BOARDS, Board};
use crate::command::{cargo, repository, run_quietly};
use crate::tally::Tally;
use crate::voice::{Running, say};
use budget::Budgets;
use image::Image;
use output::Tolerance;

/// Which firmware, and whether to accept what it prints.
#[derive(Args, Debug, Default)]
pub(crate) struct Selection {
    /// Only this board.
    #[arg(long)]
    board: Option<String>,
    /// Only this program.
    #[arg(long)]
    program: Option<String>,
    /// Write what the programs print as their expected output.
    #[arg(long)]
    bless: bool,
    /// Measure this model instead: prints what `footprint` says, compares nothing.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["program", "bless"])]
    model: Option<PathBuf>,
}

/// A program of `firmware-examples/src/bin`.
struct Program {
    name: &'static str,
    build: Build,
    /// Whether every board prints the same.
    same_everywhere: bool,
    tolerance: Tolerance,
}

/// How a program is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Build {
    /// As fast as it gets.
    Release,
    /// For little flash: the profile `small`, and only the layouts that every build has.
    Small,
}

impl Build {
    /// The profile, which also names the folder of what is built.
    const fn profile(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Small => "small",
        }
    }
}

impl Program {
    /// What tables and budgets call it.
    fn title(&self) -> String {
        match self.build {
            Build::Release => self.name.to_owned(),
            Build::Small => format!("{}-small", self.name),
        }
    }
}

const PROGRAMS: [Program; 6] = [
    Program {
        name: SMALLEST,
        build: Build::Release,
        same_everywhere: true,
        tolerance: Tolerance::Exact,
    },
    Program {
        name: SMALLEST,
        build: Build::Small,
        same_everywhere: true,
        tolerance: Tolerance::Exact,
    },
    Program {
        name: "passes",
        build: Build::Release,
        same_everywhere: true,
        tolerance: Tolerance::Exact,
    },
    Program {
        name: REFERENCE,
        build: Build::Release,
        same_everywhere: true,
        tolerance: Tolerance::Exact,
    },
    Program {
        name: FOOTPRINT,
        build: Build::Release,
        same_everywhere: false,
        // Symbol names contain a hash of the checkout's path, and the order in
        // which functions are inlined can follow them.
        tolerance: Tolerance::Percent(2),
    },
    Program {
        name: "arithmetic",
        build: Build::Release,
        same_everywhere: false,
        tolerance: Tolerance::Percent(5),
    },
];

/// The program that must not pull in any formatting, and so cannot panic.
const SMALLEST: &str = "hello";

/// The program that reports what a model costs.
const FOOTPRINT: &str = "footprint";

/// The program whose expected output the host writes.
const REFERENCE: &str = "classify";

/// Runs what `selection` names; every program on a board is a suite of `tally`.
pub(crate) fn run(selection: &Selection, tally: &mut Tally) -> anyhow::Result<()> {
    let folder = repository().join("firmware-examples");
    let is_chosen =
        |chosen: &Option<String>, name: &str| chosen.as_ref().is_none_or(|chosen| chosen == name);
    let boards: Vec<&Board> = BOARDS
        .iter()
        .filter(|board| is_chosen(&selection.board, board.name))
        .collect();
    let programs: Vec<&Program> = PROGRAMS
        .iter()
        .filter(|program| is_chosen(&selection.program, program.name))
        .collect();
    ensure!(
        !boards.is_empty(),
        "no such board; there are {}",
        BOARDS.map(|board| board.name).join(", ")
    );
    ensure!(
        !programs.is_empty(),
        "no such program; there are {}",
        PROGRAMS.map(|program| program.name).join(", ")
    );

    if let Some(model) = &selection.model {
        return measure(&folder, &boards, model, tally);
    }
    let budgets = Budgets::read(&folder)?;
    let mut expectations = Expectations {
        folder: &folder,
        bless: selection.bless,
        blessed: Vec::new(),
    };
    if programs.iter().any(|program| program.name == REFERENCE) {
        tally.suite("firmware: expected logits are the host's", || {
            let text = reference::classify(&folder)?;
            expectations.meet(&format!("{REFERENCE}.out"), &text, Tolerance::Exact)
        });
    }
    println!("---- firmware: every board");
    println!(
        "     {:<11} {:<5} {:<11} {:>8} {:>8} {:>8}",
        "board", "core", "program", ".text", "flash", "RAM"
    );
    for board in boards {
        for program in &programs {
            let title = program.title();
            let name = format!("firmware: {title} on {}", board.name);
            let running = Running::begin(&name);
            let result = try_program(&folder, board, program, &budgets, &mut expectations);
            let (sizes, error) = match result {
                Ok(Tried { image, outcome }) => {
                    let Image {
                        text,
                        flash,
                        memory,
                        ..
                    } = image;
                    (format!("{text:>8} {flash:>8} {memory:>8}"), outcome.err())
                }
                Err(error) => (format!("{:>26}", ""), Some(error)),
            };
            drop(running);
            let verdict = if error.is_none() { "ok" } else { "FAILED" };
            say(&format!(
                "     {:<11} {:<5} {title:<11} {sizes}  {verdict}",
                board.name, board.core
            ));
            if let Some(error) = &error {
                say(&format!("{error:#}"));
            }
            tally.record(&name, error.is_none());
        }
    }
    if selection.board.is_none() && selection.program.is_none() {
        real_board::test(tally);
    }
    Ok(())
}

/// A program that was built, and whether it did what it should.
struct Tried {
    image: Image,
    outcome: anyhow::Result<()>,
}

fn try_program(
    folder: &Path,
    board: &Board,
    program: &Program,
    budgets: &Budgets,
    expectations: &mut Expectations<'_>,
) -> anyhow::Result<Tried> {
    let elf = build(folder, board, program.name, program.build, None)?;
    let image = Image::read(&elf)?;
    let outcome = (|| {
        if program.name == SMALLEST {
            image.check_no_formatting()?;
        }
        budgets.check(&program.title(), board.name, &image)?;
        let printed = image.decode(&emulator::run(board, &elf)?)?;
        let file = if program.same_everywhere {
            format!("{}.out", program.name)
        } else {
            format!("{}.{}.out", program.name, board.name)
        };
        expectations.meet(&file, &printed, program.tolerance)
    })();
    Ok(Tried { image, outcome })
}

/// What `model` costs on each board.
fn measure(
    folder: &Path,
    boards: &[&Board],
    model: &Path,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let model = fs::canonicalize(model).with_context(|| model.display().to_string())?;
    for board in boards {
        tally.suite(&format!("{FOOTPRINT} on {}", board.name), || {
            let elf = build(folder, board, FOOTPRINT, Build::Release, Some(&model))?;
            let image = Image::read(&elf)?;
            let printed = image.decode(&emulator::run(board, &elf)?)?;
            print!("{printed}");
            println!("image: {} bytes of flash", image.flash);
            println!("statics: {} bytes of RAM", image.memory);
            Ok(())
        });
    }
    Ok(())
}

fn build(
    folder: &Path,
    board: &Board,
    program: &str,
    build: Build,
    model: Option<&Path>,
) -> anyhow::Result<PathBuf> {
    Ok(build_all(folder, board, &[program], build, model)?.join(program))
}

/// Builds programs for a board; returns the folder that they are then in.
pub(crate) fn build_all(
    folder: &Path,
    board: &Board,
    programs: &[&str],
    build: Build,
    model: Option<&Path>,
) -> anyhow::Result<PathBuf> {
    let mut command = cargo(&["build", "--quiet", "--locked"]);
    if build == Build::Small {
        command.arg("--no-default-features");
    }
    command
        .args(["--profile", build.profile()])
        .args(["--target", board.target])
        .args(["--features", &board.features.join(",")])
        .args(programs.iter().flat_map(|program| ["--bin", program]))
        .arg("--manifest-path")
        .arg(folder.join("Cargo.toml"))
        .env("NEUROPRUNE_BOARD", board.name);
    if let Some(model) = model {
        command.env("NEUROPRUNE_MODEL", model);
    }
    run_quietly(&mut command)?;
    let built = folder.join("target").join(board.target);
    Ok(built.join(build.profile()))
}

/// The files that say what programs must print.
struct Expectations<'a> {
    folder: &'a Path,
    bless: bool,
    /// Files written in this run: the next board must print the same.
    blessed: Vec<PathBuf>,
}

impl Expectations<'_> {
    /// Compares `printed` with the file, or writes it.
    fn meet(&mut self, file: &str, printed: &str, tolerance: Tolerance) -> anyhow::Result<()> {
        let path = self.folder.join("src/bin").join(file);
        if self.bless && !self.blessed.contains(&path) {
            fs::write(&path, printed).with_context(|| file.to_owned())?;
            self.blessed.push(path);
            return Ok(());
        }
        let expected = fs::read_to_string(&path)
            .with_context(|| format!("{file}: `cargo xtask firmware --bless` writes it"))?;
        match output::difference(&expected, printed, tolerance) {
            None => Ok(()),
            Some(difference) => bail!("{file}: not what was expected\n{difference}"),
        }
    }
}
