//! Counts the instructions of matrices and whole models in QEMU, exactly.
//!
//! ```text
//! models ──┐                       ┌─► tables, benchmarks/BOARD/instructions.{md,json}
//! programs ┴─► QEMU with counter ──┤
//!                                  └─► benchmarks/budgets.toml: more than that fails
//! ```
//!
//! `benchmarks/README.md` says what the figures mean.

mod budgets;
mod counter;
mod models;
mod peers;
mod record;

use std::fs;

use anyhow::{Context, ensure};
use clap::Args;

use crate::boards::{BOARDS, Board};
use crate::command::repository;
use crate::firmware;
use crate::tally::Tally;
use budgets::Budgets;
use counter::{Counter, Counts, Measured};
use models::{LAYOUTS, Matrix, Widths};

/// Counts instructions in QEMU, exactly: matrices of known density, whole models stage by
/// stage, another library's dense layer beside them.
///
/// Prints tables, writes them to benchmarks/BOARD/, and fails where a figure is above its
/// budget in benchmarks/budgets.toml. Instructions are not cycles: benchmarks/README.md
/// says what the figures mean.
#[derive(Args, Debug, Default)]
#[command(after_help = "Examples:\n  \
    cargo xtask bench                        every board\n  \
    cargo xtask bench --board mps2-an386     Cortex-M4F alone\n  \
    cargo xtask bench --bless                accept what is counted now as the budgets\n  \
    cargo xtask bench --json | jq .          one object a line and board, for scripts")]
pub(crate) struct Bench {
    /// Only this board; firmware-examples/README.md lists them.
    #[arg(long)]
    board: Option<String>,
    /// Print the records as JSON, one line a board, in place of tables.
    #[arg(long)]
    json: bool,
    /// Write budgets one per cent above what is counted now.
    #[arg(long)]
    bless: bool,
}

/// Programs that every board runs.
const MATRICES: &str = "bench_matrices";
const MODEL: &str = "bench_model";
/// The program with the other library, for one board.
const PEER: &str = "bench_peer";
/// That board.
const PEER_BOARD: &str = "mps2-an386";
/// Boards whose memory holds small matrices and the small model only.
const SMALL_BOARD: &str = "microbit";

/// Tokens that each matrix is multiplied with.
const TOKENS: u64 = 16;

/// What is counted on a board.
struct Workload {
    /// Models with the matrices in them.
    files: Vec<Vec<u8>>,
    matrices: Vec<Matrix>,
    /// Whole models.
    models: Vec<Vec<u8>>,
}

/// What was counted on a board.
struct Results {
    board: &'static Board,
    matrices: Vec<(Matrix, Counts)>,
    models: Measured,
    /// Shape and instructions of the other library.
    peer: Vec<(String, Counts)>,
}

/// Counts, prints, writes the records and compares with the budgets.
pub(crate) fn run(job: &Bench, tally: &mut Tally) -> anyhow::Result<()> {
    let boards: Vec<&'static Board> = BOARDS
        .iter()
        .filter(|board| job.board.as_deref().is_none_or(|name| name == board.name))
        .collect();
    ensure!(
        !boards.is_empty(),
        "no such board; there are {}",
        BOARDS.map(|board| board.name).join(", ")
    );
    let counter = Counter::build()?;
    let mut budgets = Budgets::read()?;
    for board in boards {
        let mut count = || -> anyhow::Result<()> {
            let results = count(&counter, board)?;
            let (text, json) = (record::markdown(&results), record::json(&results));
            if job.json {
                println!("{json}");
            } else {
                println!("{text}");
            }
            let folder = repository().join("benchmarks").join(board.name);
            fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
            fs::write(folder.join("instructions.md"), text)?;
            let json = serde_json::to_string_pretty(&json)? + "\n";
            fs::write(folder.join("instructions.json"), json)?;
            if job.bless {
                budgets.bless(board.name, &figures(&results))
            } else {
                budgets.check(board.name, &figures(&results))
            }
        };
        let name = format!("bench: {}", board.name);
        if job.json {
            // Standard output is for scripts.
            let outcome = count();
            if let Err(error) = &outcome {
                eprintln!("{name}: {error:#}");
            }
            tally.record(&name, outcome.is_ok());
        } else {
            tally.suite(&name, count);
        }
    }
    Ok(())
}

/// Counts on every board and compares with the budgets; writes nothing.
pub(crate) fn test(tally: &mut Tally) -> anyhow::Result<()> {
    let counter = Counter::build()?;
    let budgets = Budgets::read()?;
    for board in &BOARDS {
        tally.suite(&format!("bench: {} within its budgets", board.name), || {
            budgets.check(board.name, &figures(&count(&counter, board)?))
        });
    }
    Ok(())
}

fn count(counter: &Counter, board: &'static Board) -> anyhow::Result<Results> {
    let firmware = repository().join("firmware-examples");
    let has_peer = board.name == PEER_BOARD;
    let programs: &[&str] = if has_peer {
        &[MATRICES, MODEL, PEER]
    } else {
        &[MATRICES, MODEL]
    };
    let built = firmware::build_all(&firmware, board, programs, None)?;
    let workload = workload(board)?;
    let matrices = counter
        .run(board, &built.join(MATRICES), &workload.files)
        .context(MATRICES)?;
    ensure!(
        matrices.regions.len() == workload.matrices.len(),
        "{MATRICES}: {} regions for {} matrices",
        matrices.regions.len(),
        workload.matrices.len()
    );
    let mut counted = Vec::new();
    for (matrix, (name, counts)) in workload.matrices.into_iter().zip(matrices.regions) {
        ensure!(
            matrix.region == name,
            "{MATRICES}: counted {name}, not {}",
            matrix.region
        );
        counted.push((matrix, counts));
    }
    let models = counter
        .run(board, &built.join(MODEL), &workload.models)
        .context(MODEL)?;
    let peer = if has_peer {
        let peer = counter.run(board, &built.join(PEER), &[]);
        peer.context(PEER)?.regions
    } else {
        Vec::new()
    };
    Ok(Results {
        board,
        matrices: counted,
        models,
        peer,
    })
}

fn workload(board: &Board) -> anyhow::Result<Workload> {
    const SMALL: [Widths; 1] = [widths(128, 128)];
    const LARGE: [Widths; 2] = [widths(384, 1536), widths(128, 512)];
    let small = board.name == SMALL_BOARD;
    let (all_widths, densities): (&[Widths], &[u64]) = if small {
        (&SMALL, &[20, 10])
    } else {
        (&LARGE, &[70, 60, 50, 40, 30, 20, 10, 5, 2])
    };
    let mut workload = Workload {
        files: Vec::new(),
        matrices: Vec::new(),
        models: Vec::new(),
    };
    for &widths in all_widths {
        for layout in &LAYOUTS {
            let densities = if layout.is_dense() { &[100] } else { densities };
            for &density in densities {
                if let Some((file, matrices)) = models::matrices(widths, layout, density)? {
                    workload.files.push(file);
                    workload.matrices.extend(matrices);
                }
            }
        }
    }
    let shipped = repository().join("firmware-examples/models/commands.neuro");
    let shipped = fs::read(&shipped).with_context(|| shipped.display().to_string())?;
    workload.models.push(shipped);
    if !small {
        workload.models.push(models::synthetic()?);
    }
    Ok(workload)
}

const fn widths(hidden: usize, intermediate: usize) -> Widths {
    Widths {
        hidden,
        intermediate,
    }
}

/// What has a budget: names and figures.
fn figures(results: &Results) -> Vec<(String, u64)> {
    let matrices = results
        .matrices
        .iter()
        .map(|(matrix, counts)| (matrix.region.clone(), counts.instructions));
    let mut figures: Vec<_> = matrices.collect();
    for model in record::models(&results.models) {
        figures.push((format!("{}: total", model.name), model.instructions()));
        let stages = model.open.iter().chain(&model.stages);
        figures.extend(
            stages.map(|(stage, counts)| (format!("{}: {stage}", model.name), counts.instructions)),
        );
        for what in ["model", "scratch", "stack"] {
            let bytes = model.figure(what);
            figures.push((format!("{}: {what} bytes", model.name), bytes));
        }
    }
    figures.push(("program bytes".to_owned(), results.models.flash));
    figures
}
