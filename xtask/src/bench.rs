//! Counts the instructions of matrices and whole models, exactly: on boards in QEMU, on
//! this machine under callgrind.
//!
//! ```text
//! models ──┐                       ┌─► tables, benchmarks/BOARD/instructions.{md,json}
//! programs ┴─► QEMU with counter, ─┤
//!              or callgrind        │
//!                                  └─► benchmarks/budgets.toml: more than that fails
//! ```
//!
//! `benchmarks/README.md` says what the figures mean.

pub(crate) mod browser;
pub(crate) mod budgets;
mod callgrind;
mod costs;
mod counter;
mod layouts;
mod models;
mod numbers;
mod peers;
mod record;
mod recurrent;
mod tables;
pub(crate) mod texts;
pub(crate) mod vocabulary;
pub(crate) mod workload;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::Args;

use crate::boards::{BOARDS, Board, HOST};
use crate::command::repository;
use crate::firmware::{self, Build};
use crate::tally::Tally;
use budgets::Budgets;
use callgrind::Callgrind;
use costs::CostCounts;
use counter::{Counter, Counts, Measured};
use models::Matrix;
use texts::TextCounts;
use workload::{Batch, Workload, shipped};

/// Count instructions in QEMU and callgrind, compare with the budgets, write the records.
///
/// Counted exactly: matrices of known density, whole models stage by stage, another library's dense
/// layer for comparison. Prints tables, writes them to benchmarks/BOARD/, and fails where a figure
/// is above its budget in benchmarks/budgets.toml. Instructions are not cycles:
/// benchmarks/README.md says what the figures mean.
#[derive(Args, Debug, Default)]
#[command(after_help = "Examples:\n  \
    cargo xtask bench                        every board\n  \
    cargo xtask bench --board mps2-an386     Cortex-M4F alone\n  \
    cargo xtask bench --bless                accept what is counted now as the budgets\n  \
    cargo xtask bench --json | jq .          one line a board, for scripts\n  \
    cargo xtask bench --browser              times in Chromium, beside onnxruntime-web")]
pub(crate) struct Bench {
    /// Only this board; firmware-examples/README.md lists them. `x86-64` is this machine.
    #[arg(long)]
    board: Option<String>,
    /// Measure times in Chromium, ours and onnxruntime-web's, instead of counting.
    #[arg(long, conflicts_with_all = ["board", "bless"])]
    pub(crate) browser: bool,
    /// Print the records as JSON, one line per board, instead of tables.
    #[arg(long)]
    pub(crate) json: bool,
    /// Write budgets one per cent above the current counts.
    #[arg(long)]
    bless: bool,
    /// Compare the stated cost of this many random models with what is counted, instead of 50.
    #[arg(long, value_name = "NUMBER")]
    random_models: Option<u64>,
    /// Only write the models of MiniLM's shape to this folder, for benchmarks/against_onnxruntime.py.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) write_models: Option<PathBuf>,
}

/// Programs of this machine.
const HOST_MATRICES: &str = "count_matrices";
const HOST_MODEL: &str = "count_model";
/// Programs that every board runs.
const MATRICES: &str = "bench_matrices";
const MODEL: &str = "bench_model";
/// The program with the other library, for one board.
const PEER: &str = "bench_peer";
/// The program with texts of all characters, and that with random models, for the same board.
const TEXT: &str = "bench_text";
const COST: &str = "bench_cost";
/// That board.
const PEER_BOARD: &str = "mps2-an386";
/// Boards whose memory holds small matrices and the small model only.
const SMALL_BOARD: &str = "microbit";

/// Tokens that each matrix is multiplied with.
const TOKENS: u64 = 16;
/// And once more, for short texts.
const FEW: u64 = 4;
/// Densities (per cent) whose few tokens have a budget: the others follow.
const FEW_BUDGETED: [u64; 2] = [100, 10];

/// What every board needs.
struct Prepared {
    counter: Counter,
    small: Workload,
    large: Workload,
    /// Models whose stated cost is compared, if not the usual number.
    random_models: Option<u64>,
}

impl Prepared {
    fn new(random_models: Option<u64>) -> anyhow::Result<Self> {
        Ok(Self {
            random_models,
            counter: Counter::build()?,
            small: Workload::small()?,
            large: Workload::large()?,
        })
    }

    fn workload(&self, board: &Board) -> &Workload {
        if board.name == SMALL_BOARD {
            &self.small
        } else {
            &self.large
        }
    }
}

/// Boards to count on, this machine among them where its figures are comparable.
fn boards() -> impl Iterator<Item = &'static Board> {
    BOARDS.iter().chain(has_avx2().then_some(&HOST))
}

/// Whether this machine runs the kernels that its budgets are for.
fn has_avx2() -> bool {
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    return neuroprune_runtime::kernels::x86_64::Avx2::detect().is_some();
    #[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
    return false;
}

/// A matrix, as it was counted.
struct MatrixCounts {
    matrix: Matrix,
    /// Over [`TOKENS`] tokens.
    counts: Counts,
    /// Over [`FEW`].
    few: Counts,
}

/// What was counted on a board.
struct Results {
    board: &'static Board,
    matrices: Vec<MatrixCounts>,
    models: Measured,
    /// Tokenizers over all of Unicode.
    texts: Vec<TextCounts>,
    /// Random models, with what they state.
    costs: Vec<CostCounts>,
    /// Shape and instructions of the other library.
    peer: Vec<(String, Counts)>,
}

/// Counts, prints, writes the records and compares with the budgets.
///
/// Every board is a suite of `tally`, except where JSON is printed.
///
/// # Errors
/// Where nothing can be counted; with JSON also where a board fails.
pub(crate) fn run(job: &Bench, tally: &mut Tally) -> anyhow::Result<()> {
    let named = |board: &&Board| job.board.as_deref().is_none_or(|name| name == board.name);
    let chosen: Vec<&'static Board> = boards().filter(named).collect();
    ensure!(
        !chosen.is_empty(),
        "no such board; there are {}, and x86-64 under Linux on a processor with AVX2",
        BOARDS.map(|board| board.name).join(", ")
    );
    let prepared = Prepared::new(job.random_models)?;
    let mut budgets = Budgets::read()?;
    let mut failed = Vec::new();
    for board in chosen {
        let mut count = || -> anyhow::Result<()> {
            let results = count(&prepared, board)?;
            let (text, json) = (record::markdown(&results), record::json(&results));
            if job.json {
                println!("{json}");
            } else {
                println!("{text}");
            }
            let folder = repository().join("benchmarks").join(board.name);
            fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
            fs::write(folder.join("instructions.md"), text)?;
            fs::write(folder.join("instructions.json"), record::lines(&json))?;
            if job.bless {
                budgets.bless(board.name, &figures(&results))
            } else {
                budgets.check(board.name, &figures(&results))
            }
        };
        let name = format!("bench: {}", board.name);
        if !job.json {
            tally.suite(&name, count);
        } else if let Err(error) = count() {
            // Standard output is for scripts.
            eprintln!("{name}: {error:#}");
            failed.push(board.name);
        }
    }
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

/// Writes the models that `benchmarks/against_onnxruntime.py` times, as NAME.neuro.
pub(crate) fn write_models(folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    for (name, file) in models::minilm()? {
        let path = folder.join(name).with_extension("neuro");
        fs::write(&path, file).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

/// Counts on every board and compares with the budgets; writes nothing.
pub(crate) fn test(tally: &mut Tally) -> anyhow::Result<()> {
    let prepared = Prepared::new(None)?;
    let budgets = Budgets::read()?;
    for board in boards() {
        tally.suite(&format!("bench: {} within its budgets", board.name), || {
            budgets.check(board.name, &figures(&count(&prepared, board)?))
        });
    }
    if !has_avx2() {
        tally.skip("bench: x86-64", "this is no Linux on x86-64 with AVX2");
    }
    Ok(())
}

fn count(bench: &Prepared, board: &'static Board) -> anyhow::Result<Results> {
    if board.name == HOST.name {
        return count_host(bench);
    }
    let Prepared { counter, .. } = bench;
    let workload = bench.workload(board);
    let firmware = repository().join("firmware-examples");
    let has_peer = board.name == PEER_BOARD;
    let programs: &[&str] = if has_peer {
        &[MATRICES, MODEL, TEXT, COST, PEER]
    } else {
        &[MATRICES, MODEL]
    };
    let built = firmware::build_all(&firmware, board, programs, Build::Release, None)?;
    let mut counted = Vec::new();
    for Batch { files, matrices } in &workload.batches {
        let run = counter.run(board, &built.join(MATRICES), files);
        counted.extend(matched(matrices, run.context(MATRICES)?).context(MATRICES)?);
    }
    let models = counter
        .run(board, &built.join(MODEL), &workload.models)
        .context(MODEL)?;
    let (texts, costs, peer) = if has_peer {
        let texts = texts::models(shipped()?)?;
        let texts = counter.run(board, &built.join(TEXT), &texts);
        let texts = texts.and_then(|texts| TextCounts::of(&texts));
        let costs = costs::count(bench.random_models, |files| {
            counter.run(board, &built.join(COST), files)
        });
        let peer = counter.run(board, &built.join(PEER), &[]);
        let peer = peer.context(PEER)?.regions;
        (texts.context(TEXT)?, costs.context(COST)?, peer)
    } else {
        (Vec::new(), Vec::new(), Vec::new())
    };
    Ok(Results {
        board,
        matrices: counted,
        models,
        texts,
        costs,
        peer,
    })
}

fn count_host(bench: &Prepared) -> anyhow::Result<Results> {
    let callgrind = Callgrind::build()?;
    let mut counted = Vec::new();
    for Batch { files, matrices } in &bench.large.batches {
        let run = callgrind.run(HOST_MATRICES, files);
        let run = run.context(HOST_MATRICES)?;
        counted.extend(matched(matrices, run).context(HOST_MATRICES)?);
    }
    let mut models = bench.large.models.clone();
    models.extend(models::minilm()?.into_iter().map(|(_, file)| file));
    let models = callgrind.run(HOST_MODEL, &models).context(HOST_MODEL)?;
    Ok(Results {
        board: &HOST,
        matrices: counted,
        models,
        texts: Vec::new(),
        costs: Vec::new(),
        peer: Vec::new(),
    })
}

/// The matrices with their counts.
fn matched(matrices: &[Matrix], run: Measured) -> anyhow::Result<Vec<MatrixCounts>> {
    let mut regions = run.regions.into_iter();
    let mut next = |expected: &str| {
        let (name, counts) = regions.next().context("fewer regions than matrices")?;
        ensure!(expected == name, "counted {name}, not {expected}");
        Ok(counts)
    };
    let counted = matrices.iter().map(|matrix| {
        Ok(MatrixCounts {
            matrix: matrix.clone(),
            counts: next(&matrix.region)?,
            few: next(&few(matrix))?,
        })
    });
    let counted = counted.collect::<anyhow::Result<_>>()?;
    ensure!(regions.next().is_none(), "more regions than matrices");
    Ok(counted)
}

/// Region of a matrix over few tokens.
fn few(matrix: &Matrix) -> String {
    format!("{}: few", matrix.region)
}

/// What has a budget: names and figures.
fn figures(results: &Results) -> Vec<(String, u64)> {
    let mut figures = Vec::new();
    for counted in &results.matrices {
        let matrix = &counted.matrix;
        figures.push((matrix.region.clone(), counted.counts.instructions));
        if FEW_BUDGETED.contains(&matrix.density) {
            figures.push((few(matrix), counted.few.instructions));
        }
    }
    for model in record::models(&results.models) {
        figures.push((format!("{}: total", model.name), model.instructions()));
        let stages = model.open.iter().chain(&model.stages).chain(&model.shorter);
        figures.extend(
            stages.map(|(stage, counts)| (format!("{}: {stage}", model.name), counts.instructions)),
        );
        for what in ["model", "scratch", "stack"] {
            let bytes = model.figure(what);
            figures.push((format!("{}: {what} bytes", model.name), bytes));
        }
    }
    figures.extend(results.texts.iter().flat_map(TextCounts::figures));
    figures.push(("program bytes".to_owned(), results.models.flash));
    // A PC's program has no flash and no stack that anyone counts.
    figures.retain(|(_, figure)| results.board.name != HOST.name || *figure > 0);
    figures
}
