//! `neuroprune train`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use super::inputs::{DataOptions, WrongUse, print, print_json};
use super::running::{Asked, RunOptions, Trained};
use super::{parts, tables};
use crate::data::read_unlabelled;
use crate::numbers::hex;
use crate::recipe::target::Target;
use crate::recipe::{
    Blocks, Budget, ClassWeights, Count, MethodKind, Recipe, Size, TrainingRecipe, VocabularySize,
};
use crate::run::data::Data;
use crate::run::files::Files;

/// Train a dense encoder, prune it with NeuroPrune and write the model file.
///
/// Data files are .tsv, .csv or .jsonl (each also .gz) with a header that names the
/// columns: `text` and `label`, or `text_a`, `text_b` and `label` for pairs. Without
/// --dev a tenth of the training texts of each class is set aside to watch the training; without
/// --test accuracies are those on the dev set.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Train {
    /// Labelled texts to train on
    #[arg(long, value_name = "FILE", required_unless_present = "fit")]
    data: Option<PathBuf>,
    /// Labelled texts to monitor training with
    #[arg(long, value_name = "FILE")]
    dev: Option<PathBuf>,
    /// Labelled texts to measure the finished model on
    #[arg(long, value_name = "FILE")]
    test: Option<PathBuf>,
    /// With --fit, a plain text file with one text on each line, such as messages that nobody has
    /// labelled: the teacher answers some of them, and the student learns from that too
    #[arg(long, value_name = "FILE")]
    unlabelled: Option<PathBuf>,
    /// The model file to write; recipe, checkpoint and report are written beside it
    #[arg(long, value_name = "FILE", default_value = "model.neuro")]
    out: PathBuf,
    #[command(flatten)]
    running: RunOptions,
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
  neuroprune train --data export.csv --delimiter ';'
  zstdcat train.tsv.zst | neuroprune train --data -
  neuroprune train --data pairs.jsonl --recipe recipes/small.toml --set model.tokens=48
  neuroprune train --data train.tsv --resume      (after Ctrl-C, or a power cut)
  neuroprune train --data train.tsv --blocks 1x4 --target cortex-m4
  neuroprune train --from ./all-minilm-l6-v2 --data train.tsv --sparsity 0.9
  neuroprune train --fit                          (lists parts and what fits them)
  neuroprune train --from ./all-minilm-l6-v2 --data train.tsv --fit 64KB
  neuroprune train --data train.tsv --fit 64KB --ram 16KB --instructions 0.5M
  neuroprune train --data train.tsv --fit 64KB --unlabelled messages.txt
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
    /// Fit the model into this many bytes of flash: 64KB, 2MB, 48000. The network that is trained
    /// first, with --from a checkpoint, then teaches a small one, which is pruned while it learns;
    /// the size decides its shape, and it keeps as many pieces as fit. Uses the recipe `fit` unless
    /// --recipe names another. Without a size: lists common parts and what fits them
    #[arg(long, value_name = "SIZE", allow_negative_numbers = true)]
    fit: Option<Option<Size>>,
    /// With --fit, also within this much RAM, scratch memory and stack, on a Cortex-M4: 16KB; for
    /// texts of `model.tokens`, which --set can lower
    #[arg(
        long,
        value_name = "SIZE",
        requires = "fit",
        allow_negative_numbers = true
    )]
    ram: Option<Size>,
    /// With --fit, also within so many instructions of a Cortex-M4F for a text of 16 tokens, without
    /// the tokenizer: 600K, 0.6M
    #[arg(
        long,
        value_name = "NUMBER",
        requires = "fit",
        allow_negative_numbers = true
    )]
    instructions: Option<Count>,
    /// A recipe file, or a bundled recipe: small, tiny, quickstart, pretrained, fit [default: none,
    /// every key at its default; quickstart for `neuroprune quickstart`]
    #[arg(long, value_name = "FILE")]
    recipe: Option<PathBuf>,
    /// Largest vocabulary, in subword pieces; a piece takes `model.hidden` bytes of the file. With
    /// --from also `used`, the pieces that the training texts need and the characters that
    /// spell other words [default with --from], or `all`
    #[arg(long, value_name = "SIZE", allow_negative_numbers = true)]
    vocabulary: Option<VocabularySize>,
    /// How weights are chosen [default: the recipe's]
    #[arg(long, value_name = "METHOD")]
    method: Option<MethodKind>,
    /// Share of the encoder's weights to prune, 0 to 0.999
    /// [default: the recipe's, 0.9 in most]
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    sparsity: Option<f64>,
    /// Prune weights one by one, or neighbouring inputs of an output together
    /// [default: the recipe's]
    #[arg(long, value_name = "SHAPE")]
    blocks: Option<Blocks>,
    /// Processor to choose the storage layouts for; any file runs everywhere
    /// [default: the recipe's]
    #[arg(long, value_name = "TARGET")]
    target: Option<Target>,
    /// What a text weighs: every text the same, or every class the same in sum, for data with
    /// rare classes [default: the recipe's, even]
    #[arg(long, value_name = "WEIGHTS")]
    class_weights: Option<ClassWeights>,
    /// Random seed; the same recipe, data and seed give the same file
    /// [default: the recipe's, 0]
    #[arg(long, allow_negative_numbers = true)]
    seed: Option<u64>,
    /// Passes over the training data, in each of the two phases [default: the recipe's]
    #[arg(long, allow_negative_numbers = true)]
    epochs: Option<usize>,
    /// Set any key of the recipe, such as model.hidden=64; may be repeated.
    /// `neuroprune recipe --keys` explains them all
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
}

impl RecipeOptions {
    /// Whether `--fit` stands alone.
    pub(super) fn asks_for_parts(&self) -> bool {
        self.fit == Some(None)
    }

    /// The recipe: `usual` or the file, then what the options override.
    pub(super) fn resolve(&self, usual: Recipe) -> anyhow::Result<Asked> {
        let (mut recipe, mut named) = match &self.recipe {
            Some(path) => Recipe::find(path)?,
            None if self.fit.is_some() && self.from.is_some() => (Recipe::fit(), Vec::new()),
            None if self.fit.is_some() => (fit_from_scratch(usual), Vec::new()),
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
        let epochs = self.epochs.map(|epochs| epochs.to_string());
        let options = [
            ("target", self.target.map(|it| it.name().to_owned())),
            ("seed", self.seed.map(|it| it.to_string())),
            ("model.vocabulary", self.vocabulary.map(|it| it.to_string())),
            (
                "training.class_weights",
                self.class_weights.map(|it| it.name().to_owned()),
            ),
            ("training.epochs", epochs.clone()),
            ("pruning.epochs", epochs),
            ("pruning.method", self.method.map(|it| it.name().to_owned())),
            ("pruning.sparsity", self.sparsity.map(|it| it.to_string())),
            ("pruning.blocks", self.blocks.map(|it| it.name().to_owned())),
        ];
        for (key, value) in options {
            let Some(value) = value else { continue };
            let set = changes.iter().rfind(|(set, _)| set == key);
            if let Some((_, other)) = set.filter(|(_, other)| *other != value) {
                return Err(WrongUse(format!(
                    "--set {key}={other}: an option makes it {value}; expected one of both"
                ))
                .into());
            }
            changes.push((key.to_owned(), value));
        }
        let changed = |recipe: &Recipe| {
            let changed = recipe.with_all(&changes);
            changed.map_err(|problem| WrongUse(problem.to_string()))
        };
        if let Some(bytes) = self.fit.flatten() {
            let budget = Budget {
                bytes,
                ram: self.ram,
                instructions: self.instructions,
            };
            // What is set counts for the shape, and then against it.
            recipe.model.tokens = changed(&recipe)?.model.tokens;
            budget.apply(&mut recipe);
        }
        recipe = changed(&recipe)?;
        recipe.check()?;
        let file = self.recipe.clone();
        Ok(Asked {
            recipe,
            named,
            file,
        })
    }
}

/// Without a checkpoint a dense network of the usual shape teaches.
fn fit_from_scratch(usual: Recipe) -> Recipe {
    let fit = Recipe::fit();
    Recipe {
        seed: usual.seed,
        target: usual.target,
        model: usual.model,
        training: TrainingRecipe {
            least_steps: fit.training.least_steps,
            ..usual.training
        },
        ..fit
    }
}

impl Train {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        if self.recipe.asks_for_parts() {
            print(&parts::table())?;
            return Ok(ExitCode::SUCCESS);
        }
        let Some(data) = &self.data else {
            let message = "--data FILE: expected labelled texts to train on".to_owned();
            return Err(WrongUse(message).into());
        };
        let mut recipe = self.recipe.resolve(Recipe::default())?;
        self.check_unlabelled(&recipe.recipe)?;
        let mut data = self.data_options.read_all(
            data,
            self.dev.as_deref(),
            self.test.as_deref(),
            recipe.recipe.training.dev_seed,
        )?;
        check_out(&self.out)?;
        self.add_unlabelled(&mut recipe.recipe, &mut data)?;
        let files = Files {
            model: self.out.clone(),
        };
        let outcome = match self.running.train(recipe, &files, &data)? {
            Trained::Finished(outcome) => outcome,
            Trained::Stopped(status) => return Ok(status),
        };
        if self.running.json {
            print_json(&outcome)?;
            return Ok(ExitCode::SUCCESS);
        }
        print(&tables::outcome(&outcome))?;
        print(&format!("model   {}", files.model.display()))?;
        print(&format!("report  {}", files.report().display()))?;
        Ok(ExitCode::SUCCESS)
    }

    /// Whether texts without classes are given where they mean something, and only there.
    fn check_unlabelled(&self, recipe: &Recipe) -> anyhow::Result<()> {
        let known = &recipe.student.unlabelled_sha256;
        match &self.unlabelled {
            Some(path) if !recipe.student.exists() => Err(WrongUse(format!(
                "--unlabelled {}: only a student learns from such texts; expected --fit SIZE with it",
                path.display()
            ))
            .into()),
            None if !known.is_empty() => Err(WrongUse(format!(
                "recipe key `student.unlabelled_sha256` is {known}, expected --unlabelled with these \
                 texts"
            ))
            .into()),
            Some(_) | None => Ok(()),
        }
    }

    /// Reads the texts without classes, and has the recipe know them.
    fn add_unlabelled(&self, recipe: &mut Recipe, data: &mut Data) -> anyhow::Result<()> {
        let Some(path) = &self.unlabelled else {
            return Ok(());
        };
        let known = &recipe.student.unlabelled_sha256;
        let unlabelled = read_unlabelled(path, data.train.is_pair())?;
        let found = hex(&unlabelled.fingerprint());
        anyhow::ensure!(
            known.is_empty() || *known == found,
            "recipe key `student.unlabelled_sha256` is {known}, but {} has {found}",
            path.display()
        );
        recipe.student.unlabelled_sha256 = found;
        data.unlabelled = Some(unlabelled);
        Ok(())
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
    let stem = Path::new(out.file_stem().unwrap_or_default());
    if let Some(part) = stem
        .extension()
        .filter(|part| *part == "dense" || *part == "next")
    {
        let message = format!(
            "--out {}: expected a name without .{}, which the files of another run have",
            out.display(),
            part.display()
        );
        return Err(WrongUse(message).into());
    }
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    tempfile::tempfile_in(folder).with_context(|| format!("{}: cannot write", folder.display()))?;
    Ok(())
}
