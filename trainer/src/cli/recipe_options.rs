//! The options that shape a run: what `train`, `quickstart` and `recipe` share.

use std::path::PathBuf;

use clap::Args;

use super::inputs::WrongUse;
use super::running::Asked;
use crate::recipe::target::Target;
use crate::recipe::{
    Blocks, Budget, ClassWeights, Count, MethodKind, Recipe, Shape, Size, TrainingRecipe,
    VocabularySize,
};

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
    /// --recipe names another. For `train` also several sizes, 32KB,64KB,128KB, which share one
    /// teacher and give a model each. Without a size: lists common parts and what fits them
    #[arg(
        long,
        value_name = "SIZE",
        num_args = 0..=1,
        value_delimiter = ',',
        allow_negative_numbers = true
    )]
    fit: Option<Vec<Size>>,
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
        self.fit.as_ref().is_some_and(Vec::is_empty)
    }

    /// The sizes to fit models into.
    pub(super) fn sizes(&self) -> &[Size] {
        self.fit.as_deref().unwrap_or_default()
    }

    /// The recipe: `usual` or the file, then what the options override.
    pub(super) fn resolve(&self, usual: Recipe) -> anyhow::Result<Asked> {
        if let [_, second, ..] = self.sizes() {
            let message = format!("--fit …,{second}: only `neuroprune train` takes several sizes");
            return Err(WrongUse(message).into());
        }
        self.resolve_first(usual)
    }

    /// The recipe for the first size, if there is any.
    pub(super) fn resolve_first(&self, usual: Recipe) -> anyhow::Result<Asked> {
        let size = self.sizes().first();
        self.resolve_as(usual, size.map(|size| (self.budget(*size), None)))
    }

    /// The recipes of at most `most` shapes for each size, the usual one first.
    pub(super) fn candidates(
        &self,
        usual: &Recipe,
        most: usize,
    ) -> anyhow::Result<Vec<(Size, Asked)>> {
        let tokens = self.resolve_first(usual.clone())?.recipe.model.tokens;
        let mut sizes = self.sizes().to_vec();
        sizes.sort_unstable();
        sizes.dedup();
        let mut found: Vec<(Size, Asked)> = Vec::new();
        for size in sizes {
            let budget = self.budget(size);
            let first = found.len();
            for shape in budget.shapes(tokens) {
                let asked = self.resolve_as(usual.clone(), Some((budget, Some(shape))))?;
                // What is set may have made two of them the same.
                let is_new = found[first..]
                    .iter()
                    .all(|(_, it)| it.recipe != asked.recipe);
                if is_new && found.len() < first + most {
                    found.push((size, asked));
                }
            }
        }
        Ok(found)
    }

    fn budget(&self, bytes: Size) -> Budget {
        Budget {
            bytes,
            ram: self.ram,
            instructions: self.instructions,
        }
    }

    /// [`RecipeOptions::resolve`], within a budget, with this shape or the usual one.
    fn resolve_as(
        &self,
        usual: Recipe,
        fitted: Option<(Budget, Option<Shape>)>,
    ) -> anyhow::Result<Asked> {
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
        if let Some((budget, shape)) = fitted {
            // What is set counts for the shape, and then against it.
            recipe.model.tokens = changed(&recipe)?.model.tokens;
            match shape {
                Some(shape) => budget.apply_shape(&mut recipe, shape),
                None => budget.apply(&mut recipe),
            }
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
