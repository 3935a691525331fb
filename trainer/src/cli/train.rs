//! `neuroprune train`.

use core::sync::atomic::{AtomicBool, Ordering};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;

use super::inputs::{DataOptions, WrongUse, print, print_json};
use super::progress::{Fetching, Progress};
use super::tables;
use crate::numbers::thousands;
use crate::ops::device::DeviceName;
use crate::pretrained::Pretrained;
use crate::recipe::target::Target;
use crate::recipe::{Blocks, MethodKind, Recipe, VocabularySize};
use crate::run::files::Files;
use crate::run::outcome::Outcome;
use crate::run::pipeline::{self, Data, End};
use crate::training::Run;
use crate::training::checkpoint;

/// Train a dense encoder, prune it with NeuroPrune and write the model file.
///
/// Data files are .tsv, .csv or .jsonl (each also .gz) with a header that names the
/// columns: `text` and `label`, or `text_a`, `text_b` and `label` for pairs. Without
/// --dev every tenth training text is set aside to watch the training; without --test
/// accuracies are those on the dev set.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Train {
    /// Labelled texts to train on
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// Labelled texts to monitor training with
    #[arg(long, value_name = "FILE")]
    dev: Option<PathBuf>,
    /// Labelled texts to measure the finished model on
    #[arg(long, value_name = "FILE")]
    test: Option<PathBuf>,
    /// The model file to write; recipe, checkpoint and report are written beside it
    #[arg(long, value_name = "FILE", default_value = "model.neuro")]
    out: PathBuf,
    /// Resume an interrupted run from its checkpoint; needs the same options and data
    #[arg(long)]
    resume: bool,
    /// Where to train: cpu, cuda or cuda:NUMBER
    #[arg(long, value_name = "DEVICE", default_value_t)]
    device: DeviceName,
    /// Print the results as one JSON object
    #[arg(long)]
    json: bool,
    /// Show no progress
    #[arg(long, short)]
    quiet: bool,
    // Last: a heading holds for all options after it.
    #[command(flatten)]
    recipe: RecipeOptions,
    #[command(flatten)]
    data_options: DataOptions,
}

const EXAMPLES: &str = "\
Examples:
  neuroprune train --data train.tsv --test test.tsv
  neuroprune train --data train.csv --text-column query --label-column intent --sparsity 0.95
  neuroprune train --data pairs.jsonl --recipe recipes/small.toml --set model.tokens=48
  neuroprune train --data train.tsv --resume      (after Ctrl-C, or a power cut)
  neuroprune train --data train.tsv --blocks 1x4 --target cortex-m4
  neuroprune train --from ./all-minilm-l6-v2 --data train.tsv --sparsity 0.9
  neuroprune train --from hf:sentence-transformers/all-MiniLM-L6-v2 --data train.tsv
  neuroprune train --data train.tsv --method paper --set pruning.alpha=3e-3

Files beside model.neuro:
  model.dense.neuro   the dense baseline in int8
  model.recipe.toml   everything that shaped the run
  model.report.html   curves, topology, bytes
  model.outcome.json  the results, for `neuroprune report`
  model.checkpoint    the state of the run, for --resume";

/// What shapes a run.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Recipe")]
pub(super) struct RecipeOptions {
    /// Start from a pretrained encoder (BERT, DistilBERT, MiniLM, ELECTRA), which fixes the
    /// shape of the network. Either a folder with config.json, model.safetensors and
    /// tokenizer.json or vocab.txt, or hf:OWNER/NAME[@REVISION], which builds with the feature
    /// `hub` can fetch. Uses the recipe `pretrained` unless --recipe names another
    #[arg(long, value_name = "CHECKPOINT")]
    from: Option<String>,
    /// A recipe file, or a bundled recipe: small, tiny, quickstart, pretrained
    #[arg(long, value_name = "FILE")]
    recipe: Option<PathBuf>,
    /// Maximum number of pieces in the vocabulary; a piece takes one byte per dimension. With
    /// --from also `used`, the pieces that the training texts need and the characters that
    /// spell other words [default with --from], or `all`
    #[arg(long, value_name = "SIZE")]
    vocabulary: Option<VocabularySize>,
    /// How weights are chosen [default: neuroprune]
    #[arg(long, value_name = "METHOD")]
    method: Option<MethodKind>,
    /// Share of the encoder's weights to prune, 0 to 0.999 [default: 0.9]
    #[arg(long, value_name = "SHARE")]
    sparsity: Option<f64>,
    /// Prune weights one by one, or neighbouring inputs of an output together [default: 1x1]
    #[arg(long, value_name = "SHAPE")]
    blocks: Option<Blocks>,
    /// Processor to choose the storage layouts for; any file runs everywhere
    /// [default: portable]
    #[arg(long, value_name = "TARGET")]
    target: Option<Target>,
    /// Random seed; the same recipe, data and seed give the same file [default: 0]
    #[arg(long)]
    seed: Option<u64>,
    /// Passes over the training data, in each of the two phases
    #[arg(long)]
    epochs: Option<usize>,
    /// Set any key of the recipe, such as model.hidden=64; may be repeated.
    /// `neuroprune recipe --keys` explains them all
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
}

/// A recipe as it was asked for, before a pretrained checkpoint has its say.
pub(super) struct Asked {
    recipe: Recipe,
    /// Keys of its section `model` that the user named.
    named: Vec<String>,
}

impl Asked {
    /// The recipe, every key resolved.
    pub(super) fn recipe(&self) -> &Recipe {
        &self.recipe
    }
}

impl RecipeOptions {
    /// The recipe: `usual` or the file, then what the options override.
    pub(super) fn resolve(&self, usual: Recipe) -> anyhow::Result<Asked> {
        let (mut recipe, mut named) = match &self.recipe {
            Some(path) => Recipe::find(path)?,
            None if self.from.is_some() => (Recipe::pretrained(), Vec::new()),
            None => (usual, Vec::new()),
        };
        if let Some(from) = &self.from {
            recipe.model.from.clone_from(from);
        }
        let mut changes = Vec::new();
        for set in &self.sets {
            let (key, value) = set.split_once('=').ok_or_else(|| {
                WrongUse(format!(
                    "--set {set}: expected KEY=VALUE, such as model.hidden=64"
                ))
            })?;
            let (key, value) = (key.trim(), value.trim());
            changes.push((key.to_owned(), value.to_owned()));
            named.extend(key.strip_prefix("model.").map(str::to_owned));
        }
        // Options come after --set and so override it.
        let method = self.method.map(MethodKind::name);
        let blocks = self.blocks.map(Blocks::name);
        for (key, value) in [("pruning.method", method), ("pruning.blocks", blocks)] {
            changes.extend(value.map(|value| (key.to_owned(), value.to_owned())));
        }
        recipe = recipe
            .with_all(&changes)
            .map_err(|problem| WrongUse(format!("--set: {problem}")))?;
        if let Some(vocabulary) = self.vocabulary {
            recipe.model.vocabulary = vocabulary;
        }
        if let Some(sparsity) = self.sparsity {
            recipe.pruning.sparsity = sparsity;
        }
        if let Some(target) = self.target {
            recipe.target = target;
        }
        if let Some(seed) = self.seed {
            recipe.seed = seed;
        }
        if let Some(epochs) = self.epochs {
            recipe.training.epochs = epochs;
            recipe.pruning.epochs = epochs;
        }
        recipe.check()?;
        Ok(Asked { recipe, named })
    }
}

impl Train {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let recipe = self.recipe.resolve(Recipe::default())?;
        let data =
            self.data_options
                .read_all(&self.data, self.dev.as_deref(), self.test.as_deref())?;
        check_out(&self.out)?;
        let files = Files {
            model: self.out.clone(),
        };
        let device = self.device.open()?;
        let mut run = begin(self.resume, recipe, &files, &data, self.quiet)?;
        run.move_to(&device)?;
        match train_and_report(run, &data, &files, self.quiet)? {
            None => Ok(ExitCode::FAILURE),
            Some(outcome) if self.json => {
                print_json(&outcome)?;
                Ok(ExitCode::SUCCESS)
            }
            Some(outcome) => {
                print(&tables::outcome(&outcome))?;
                print(&format!("model   {}", files.model.display()))?;
                print(&format!("report  {}", files.report().display()))?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

/// Fails before an hour of training rather than after it.
fn check_out(out: &Path) -> anyhow::Result<()> {
    if out.extension().is_none_or(|extension| extension != "neuro") {
        let message = format!(
            "--out {}: expected a name that ends in .neuro",
            out.display()
        );
        return Err(WrongUse(message).into());
    }
    anyhow::ensure!(
        !out.is_dir(),
        "{}: is a folder, expected a file",
        out.display()
    );
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    tempfile::tempfile_in(folder).with_context(|| format!("{}: cannot write", folder.display()))?;
    Ok(())
}

/// A new run, or the one that was interrupted.
pub(super) fn begin(
    resume: bool,
    asked: Asked,
    files: &Files,
    data: &Data,
    is_quiet: bool,
) -> anyhow::Result<Run> {
    let Asked { mut recipe, named } = asked;
    if resume {
        return Ok(checkpoint::resume(
            &files.checkpoint(),
            &recipe,
            &data.train,
        )?);
    }
    if !recipe.model.is_pretrained() {
        return Ok(Run::new(recipe, &data.train)?);
    }
    let pretrained = Pretrained::open(&recipe.model.from, &mut Fetching::new(is_quiet))?;
    let named = |key: &str| named.iter().any(|named| named == key);
    recipe.model.adopt(&pretrained.model(), named)?;
    recipe.check()?;
    let run = Run::from_pretrained(recipe, &data.train, &pretrained)?;
    if !is_quiet {
        say_what_is_kept(&run, &pretrained, data)?;
    }
    Ok(run)
}

/// What a run has of a pretrained checkpoint.
fn say_what_is_kept(run: &Run, pretrained: &Pretrained, data: &Data) -> anyhow::Result<()> {
    let model = &run.recipe.model;
    say!(
        "{}: {} layers of width {}, {} heads; {} of {} pieces of the vocabulary kept",
        model.from,
        model.layers,
        model.hidden,
        model.heads,
        thousands(run.vocabulary.len()),
        thousands(pretrained.pieces())
    );
    let sets = [("dev", Some(&data.dev)), ("test", data.test.as_ref())];
    for (name, set) in sets {
        let Some(set) = set else { continue };
        let respelled = pretrained.respelled(&run.vocabulary, set.texts())?;
        #[expect(clippy::cast_precision_loss, reason = "a share")]
        let percent = 100.0 * respelled.changed as f64 / respelled.words.max(1) as f64;
        say!(
            "{name}: with fewer pieces {} of {} words are spelled differently ({percent:.2} %)",
            thousands(respelled.changed),
            thousands(respelled.words)
        );
    }
    Ok(())
}

/// Trains with progress; Ctrl-C saves a checkpoint, says how to resume and gives `None`.
pub(super) fn train_and_report(
    run: Run,
    data: &Data,
    files: &Files,
    is_quiet: bool,
) -> anyhow::Result<Option<Outcome>> {
    let stop = stop_on_ctrl_c()?;
    let mut progress = Progress::new(is_quiet);
    match pipeline::train(run, data, files, &mut progress, &stop)? {
        End::Finished(outcome) => Ok(Some(*outcome)),
        End::Stopped => {
            drop(progress);
            say!(
                "stopped; the run is saved in {}; to resume it, run the same command with --resume",
                files.checkpoint().display()
            );
            Ok(None)
        }
    }
}

/// Becomes true with the first Ctrl-C; the second one ends the program.
pub(super) fn stop_on_ctrl_c() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        // The second time it is meant.
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    })?;
    Ok(stop)
}
