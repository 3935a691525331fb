//! `neuroprune ablate`.

use core::sync::atomic::{AtomicUsize, Ordering};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use super::inputs::{DataOptions, print, print_json};
use super::lines::watch;
use super::progress::Fetching;
use super::quickstart::smart_home_data;
use super::stop::Stop;
use crate::ablation::{Grid, Summary, page};
use crate::atomic_file;
use crate::ops::device::DeviceName;
use crate::pretrained::Pretrained;
use crate::run::data::Data;
use crate::run::observer::Observer;
use crate::run::outcome::Accuracies;
use crate::run::shared::Shared;
use crate::sweep::{Cell, Finished, Stage, Sweep};

/// Compare methods over a grid of variants, sparsities and seeds.
///
/// The grid file says what to compare. Every cell gets a folder with its model; the dense
/// baseline of a seed is trained once and shared. Run the same command again to resume a
/// grid that was stopped. The results are `ablation.md` (the table), `ablation.html` (the
/// table with plots) and `ablation.json`.
#[derive(Args, Debug)]
#[command(after_help = HELP)]
pub(super) struct Ablate {
    /// The grid, a TOML file
    #[arg(value_name = "GRID")]
    grid: PathBuf,
    /// Folder for the cells and the table [default: ./NAME of the grid]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Cells to train at the same time; does not change results [default: one per device]
    #[arg(long, value_name = "COUNT")]
    jobs: Option<usize>,
    /// Where to train: cpu, cuda or cuda:NUMBER; a list spreads the cells: cuda:0,cuda:1
    #[arg(
        long,
        value_name = "DEVICES",
        value_delimiter = ',',
        default_value = "cpu"
    )]
    device: Vec<DeviceName>,
    /// Print the table and the cells as one JSON object
    #[arg(long)]
    json: bool,
    /// Show no progress
    #[arg(long, short)]
    quiet: bool,
}

const HELP: &str = "\
A grid file:
  recipe = \"small\"                    # a recipe by name, or a file beside the grid
  methods = [\"neuroprune\", \"paper\", \"l1\", \"magnitude\", \"sensitivity\", \"movement\"]
  sparsities = [0.8, 0.9, 0.95]
  seeds = [0, 1, 2]
  set.training.epochs = 6             # keys of the recipe, for all cells

  [data]                              # without it: smart-home commands
  train = \"train.tsv\"
  test = \"test.tsv\"                   # also dev, text_column, pair_column, label_column

  [[variants]]                        # besides or instead of methods
  name = \"without heads\"
  pruning.head_redundancy = false     # any keys of the recipe

  [[peers]]                           # other models on this test set
  name = \"fastText\"
  accuracy = 89.8                     # sparsity = 0.9 for sparse ones

Examples:
  neuroprune ablate recipes/ablation.toml
  neuroprune ablate recipes/ablation.toml --jobs 4 --out results";

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    summary: &'a Summary,
    cells: Vec<ShownCell<'a>>,
}

#[derive(Serialize)]
struct ShownCell<'a> {
    variant: &'a str,
    target_sparsity: f64,
    seed: u64,
    model: &'a Path,
    sparsity: f64,
    accuracy: Accuracies,
    bytes: u64,
}

impl Ablate {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let mut grid = Grid::read(&self.grid)?;
        let pretrained = begin_with(&mut grid, self.quiet)?;
        // Before the data is read.
        for device in &self.device {
            device.open()?;
        }
        let out = self.out.clone().unwrap_or_else(|| grid.name.clone().into());
        std::fs::create_dir_all(&out).with_context(|| out.display().to_string())?;
        let data = read(&grid, &out)?;
        let shared = Shared::new(out.join("teacher"));
        let sweep = Sweep {
            cells: &grid.cells,
            name: "model",
            shared: &shared,
            data: &data,
            out: &out,
            pretrained: pretrained.as_ref(),
            devices: &self.device,
        };
        let jobs = self.jobs.unwrap_or(self.device.len());
        let stop = Stop::on_signals()?;
        let begun = AtomicUsize::new(0);
        let mut done = 0;
        for cell in &grid.cells {
            done += usize::from(matches!(sweep.finished(cell), Ok(Some(_))));
        }
        let observer = |stage: Stage<'_>| -> Box<dyn Observer> {
            let title = match stage {
                Stage::Dense(cell) => format!("dense network, seed {}", cell.recipe.seed),
                Stage::Cell(cell) => {
                    let number = done + begun.fetch_add(1, Ordering::Relaxed) + 1;
                    format!("{number} of {}: {}", grid.cells.len(), cell.folder())
                }
            };
            watch(title, jobs, self.quiet)
        };
        let failed = sweep.run(jobs, &observer, &|_| true, stop.asked());
        for (cell, error) in &failed {
            say!("error: {}: {error}", cell.folder());
        }
        if stop.asked().load(Ordering::Relaxed) {
            say!(
                "stopped; finished cells are kept in {}; to resume, run the same command again",
                out.display()
            );
            return Ok(stop.status());
        }
        for cell in &grid.cells {
            shared.forget_answers(cell.recipe.pool_part().sha256());
        }
        self.conclude(&grid, &sweep, failed.is_empty())
    }

    /// Writes the table of what is there.
    fn conclude(&self, grid: &Grid, sweep: &Sweep<'_>, is_whole: bool) -> anyhow::Result<ExitCode> {
        let out = sweep.out;
        let finished = |cell: &Cell| sweep.finished(cell).ok().flatten();
        let cells: Vec<Finished> = grid.cells.iter().filter_map(finished).collect();
        anyhow::ensure!(!cells.is_empty(), "no cell is finished");
        let summary = Summary::new(&grid.name, &cells, &grid.peers);
        let shown = Shown {
            summary: &summary,
            cells: cells.iter().map(ShownCell::new).collect(),
        };
        let table = summary.markdown();
        for (name, text) in [
            ("ablation.md", &table),
            ("ablation.html", &page::render(&summary)?),
            ("ablation.json", &serde_json::to_string_pretty(&shown)?),
        ] {
            let path = out.join(name);
            atomic_file::write(&path, text.as_bytes())
                .with_context(|| path.display().to_string())?;
        }
        if self.json {
            print_json(&shown)?;
        } else {
            print(&table)?;
            print(&format!("plots  {}", out.join("ablation.html").display()))?;
        }
        Ok(match is_whole {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        })
    }
}

impl<'a> ShownCell<'a> {
    fn new(cell: &'a Finished) -> Self {
        Self {
            variant: &cell.variant,
            target_sparsity: cell.run.target_sparsity,
            seed: cell.run.recipe.seed,
            model: &cell.model,
            sparsity: cell.run.sparsity,
            accuracy: cell.run.accuracy,
            bytes: cell.bytes,
        }
    }
}

/// The pretrained checkpoint of the grid, if it names one; every cell adopts its shape.
fn begin_with(grid: &mut Grid, is_quiet: bool) -> anyhow::Result<Option<Pretrained>> {
    let mut names = grid.cells.iter().map(|cell| &cell.recipe.model.from);
    let Some(from) = names.next().filter(|from| !from.is_empty()).cloned() else {
        return Ok(None);
    };
    anyhow::ensure!(
        names.all(|name| *name == from),
        "{}: `model.from` differs between variants, expected one checkpoint for all",
        grid.name
    );
    let pretrained = Pretrained::open(&from, &mut Fetching::new(is_quiet))?;
    let model = pretrained.model();
    for cell in &mut grid.cells {
        cell.recipe.model.adopt(&model, |_| false)?;
        cell.recipe.check()?;
    }
    Ok(Some(pretrained))
}

/// What the grid learns from.
fn read(grid: &Grid, out: &Path) -> anyhow::Result<Data> {
    let mut seeds = grid.cells.iter().map(|cell| cell.recipe.training.dev_seed);
    let dev_seed = seeds.next().unwrap_or(0);
    anyhow::ensure!(
        seeds.all(|seed| seed == dev_seed),
        "{}: `training.dev_seed` differs between variants, expected one dev set for all",
        grid.name
    );
    let Some(data) = &grid.data else {
        return smart_home_data(out, dev_seed);
    };
    let options = DataOptions {
        text_column: data.text_column.clone(),
        pair_column: data.pair_column.clone(),
        label_column: data.label_column.clone(),
        skip_bad_lines: data.skip_bad_lines,
        ..DataOptions::default()
    };
    let (dev, test) = (data.dev.as_deref(), data.test.as_deref());
    options.read_all(&data.train, dev, test, dev_seed)
}
