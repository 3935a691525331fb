//! What is compared: a TOML file.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Table;

use super::peer::Peer;
use crate::input_file;
use crate::recipe::keys::flat;
use crate::recipe::{KeyError, MethodKind, NotToml, Recipe, RecipeError};
use crate::sweep::Cell;

/// A grid of runs.
#[derive(Clone, Debug)]
pub(crate) struct Grid {
    /// Name, for the table: that of the file.
    pub name: String,
    /// What is learned from; `None` for the smart-home commands that the program makes.
    pub data: Option<DataFiles>,
    /// Every run: variants in the order of the file, then sparsities, then seeds.
    pub cells: Vec<Cell>,
    /// What other models reached, for the table.
    pub peers: Vec<Peer>,
}

/// Data files of a grid and how to read them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DataFiles {
    /// Training set.
    pub train: PathBuf,
    /// Dev set; without it a tenth of each class of the training set.
    pub dev: Option<PathBuf>,
    /// Test set; without it the dev set.
    pub test: Option<PathBuf>,
    /// Column with the text.
    pub text_column: Option<String>,
    /// Column with the second text of a pair.
    pub pair_column: Option<String>,
    /// Column with the class.
    pub label_column: Option<String>,
    /// Whether lines that cannot be used are skipped.
    #[serde(default)]
    pub skip_bad_lines: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GridFile {
    recipe: Option<String>,
    #[serde(default)]
    set: Table,
    data: Option<DataFiles>,
    #[serde(default)]
    methods: Vec<MethodKind>,
    #[serde(default)]
    variants: Vec<VariantFile>,
    #[serde(default)]
    peers: Vec<Peer>,
    sparsities: Vec<f64>,
    seeds: Vec<u64>,
}

#[derive(Deserialize)]
struct VariantFile {
    name: String,
    #[serde(flatten)]
    changes: Table,
}

/// Why a grid cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {problem}")]
pub(crate) struct GridError {
    path: String,
    problem: Problem,
}

#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("{0}")]
    Read(#[from] std::io::Error),
    #[error("not a grid{0}")]
    Parse(NotToml),
    #[error("{0}")]
    Recipe(#[from] RecipeError),
    #[error("{of}: {problem}")]
    Change { of: String, problem: KeyError },
    #[error("{0}")]
    Peer(String),
    #[error("`{0}` is empty; expected at least one")]
    Empty(&'static str),
    #[error("set: `{key}` is given, but `{axis}` decides it for every cell; leave one of them out")]
    Overridden {
        key: &'static str,
        axis: &'static str,
    },
    #[error("the folder {0} would hold two cells; expected every name, sparsity and seed once")]
    Twice(String),
}

impl Grid {
    /// Reads a grid file. Paths in it are relative to its folder.
    ///
    /// # Errors
    /// [`GridError`], with file, and line or variant.
    pub(crate) fn read(path: &Path) -> Result<Self, GridError> {
        let at = |problem| GridError {
            path: path.display().to_string(),
            problem,
        };
        let text =
            input_file::read_text(path, input_file::RECIPE).map_err(|error| at(error.into()))?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::parse(&text, &name, folder).map_err(at)
    }

    fn parse(text: &str, name: &str, folder: &Path) -> Result<Self, Problem> {
        let parsed = toml::from_str(text);
        let file: GridFile = parsed.map_err(|error| Problem::Parse(NotToml::new(text, &error)))?;
        let base = match &file.recipe {
            None => Recipe::default(),
            Some(name) => match Recipe::by_name(name) {
                Some(recipe) => recipe,
                None => Recipe::read(&folder.join(name))?,
            },
        };
        // What an axis decides for every cell.
        let set = flat(&file.set, "");
        let axes = [("seed", "seeds"), ("pruning.sparsity", "sparsities")];
        let taken = axes
            .into_iter()
            .find(|(key, _)| set.iter().any(|(it, _)| it == key));
        if let Some((key, axis)) = taken {
            return Err(Problem::Overridden { key, axis });
        }
        let base = changed(&base, &file.set, "set")?;
        let of_method = |kind: &MethodKind| {
            let mut recipe = base.clone();
            recipe.pruning.method = recipe.pruning.method.changed_to(*kind);
            (kind.name().to_owned(), recipe)
        };
        let mut variants: Vec<(String, Recipe)> = file.methods.iter().map(of_method).collect();
        for variant in file.variants {
            let of = format!("variant `{}`", variant.name);
            let recipe = changed(&base, &variant.changes, &of)?;
            variants.push((variant.name, recipe));
        }
        for (what, is_empty) in [
            ("methods and variants", variants.is_empty()),
            ("sparsities", file.sparsities.is_empty()),
            ("seeds", file.seeds.is_empty()),
        ] {
            if is_empty {
                return Err(Problem::Empty(what));
            }
        }
        let mut cells: Vec<Cell> = Vec::new();
        for (variant, recipe) in variants {
            for &sparsity in &file.sparsities {
                for &seed in &file.seeds {
                    let mut recipe = recipe.clone();
                    recipe.pruning.sparsity = sparsity;
                    recipe.seed = seed;
                    recipe.check()?;
                    let cell = Cell {
                        variant: variant.clone(),
                        recipe,
                    };
                    if cells.iter().any(|other| other.folder() == cell.folder()) {
                        return Err(Problem::Twice(cell.folder()));
                    }
                    cells.push(cell);
                }
            }
        }
        let peers = file.peers.into_iter();
        let peers = peers.map(|peer| peer.checked().map_err(Problem::Peer));
        let data = file.data.map(|data| DataFiles {
            train: folder.join(&data.train),
            dev: data.dev.as_ref().map(|path| folder.join(path)),
            test: data.test.as_ref().map(|path| folder.join(path)),
            ..data
        });
        Ok(Self {
            name: name.to_owned(),
            data,
            cells,
            peers: peers.collect::<Result<_, _>>()?,
        })
    }
}

/// `recipe` with the keys of `changes` in place of its own.
fn changed(recipe: &Recipe, changes: &Table, of: &str) -> Result<Recipe, Problem> {
    let changes = flat(changes, "").into_iter();
    let changes: Vec<_> = changes
        .map(|(key, value)| (key, value.to_string()))
        .collect();
    recipe.with_all(&changes).map_err(|problem| {
        let of = of.to_owned();
        Problem::Change { of, problem }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::{Gradual, L1, Method, Paper};

    fn parse(text: &str) -> Result<Grid, String> {
        Grid::parse(text, "grid", Path::new("home")).map_err(|problem| problem.to_string())
    }

    #[test]
    fn a_grid_is_variants_times_sparsities_times_seeds() {
        let grid = parse(
            r#"
            recipe = "tiny"
            methods = ["neuroprune", "magnitude"]
            sparsities = [0.8, 0.9]
            seeds = [0, 3]
            set.training.epochs = 2
            [data]
            train = "train.tsv"
            [[variants]]
            name = "no teacher"
            pruning.distillation = 0
            [[variants]]
            name = "wide"
            model.hidden = 64
            "#,
        )
        .unwrap();
        assert_eq!(grid.cells.len(), 4 * 2 * 2);
        assert_eq!(grid.data.unwrap().train, Path::new("home/train.tsv"));
        let names: Vec<String> = grid.cells.iter().map(Cell::folder).collect();
        assert_eq!(names[0], "neuroprune-0.8-0");
        assert_eq!(names[11], "no-teacher-0.9-3");
        assert!(grid.cells.iter().all(|c| c.recipe.training.epochs == 2));
        let magnitude = &grid.cells[4].recipe;
        assert_eq!(magnitude.pruning.method.kind(), MethodKind::Magnitude);
        assert_eq!(grid.cells[8].recipe.pruning.distillation, 0.0);
        // A dense baseline for each seed and each shape.
        let baseline = |index: usize| grid.cells[index].recipe.dense_part();
        assert_eq!(baseline(0), baseline(2));
        assert_eq!(baseline(0), baseline(10));
        assert_ne!(baseline(0), baseline(1));
        assert_ne!(baseline(0), baseline(12));
    }

    #[test]
    fn the_grids_of_this_repository_are_valid() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        Grid::read(&root.join("recipes/ablation.toml")).unwrap();
        // Variants, to which a script adds the rest.
        for name in ["ablation", "prices", "schedules"] {
            let path = root.join(format!("benchmarks/gpu/{name}.toml"));
            let variants = std::fs::read_to_string(path).unwrap();
            let axes = "recipe = \"pretrained\"\nset.model.from = \"folder\"\n\
                        sparsities = [0.9]\nseeds = [0]\n";
            parse(&format!("{axes}{variants}")).unwrap();
        }
    }

    /// Settings of the previous method are not carried over, except those that both have.
    #[test]
    fn a_sweep_of_methods_gives_each_its_own_settings() {
        let grid = parse(
            r#"
            methods = ["paper", "l1", "magnitude"]
            sparsities = [0.8]
            seeds = [0]
            set.pruning.method = "paper"
            set.pruning.alpha = 2e-3
            "#,
        )
        .unwrap();
        let methods = grid.cells.iter().map(|cell| cell.recipe.pruning.method);
        let paper = Paper {
            alpha: 2e-3,
            ..Paper::default()
        };
        let expected = [
            Method::Paper(paper),
            Method::L1(L1 {
                interval: 10,
                alpha: 2e-3,
            }),
            Method::Magnitude(Gradual { interval: 10 }),
        ];
        assert!(methods.eq(expected));
    }

    #[test]
    fn errors_say_where_and_what() {
        let axes = "sparsities = [0.8]\nseeds = [0]\n";
        for (text, parts) in [
            (format!("methods = [\"magic\"]\n{axes}"), "unknown variant"),
            (axes.to_owned(), "`methods and variants` is empty"),
            (
                "methods = [\"l1\"]\nsparsities = []\nseeds = [0]".to_owned(),
                "`sparsities` is empty",
            ),
            (
                format!("{axes}[[variants]]\nname = \"a\"\npruning.speed = 1"),
                "variant `a`: there is no key `pruning.speed`",
            ),
            (
                format!(
                    "{axes}[[variants]]\nname = \"a\"\npruning = {{ method = \"l1\", beta = 1 }}"
                ),
                "variant `a`: `beta` means nothing to the method `l1`; it is a key \
                 of paper",
            ),
            (
                format!("{axes}[[variants]]\nname = \"a b\"\n[[variants]]\nname = \"a-b\""),
                "a-b-0.8-0 would hold two cells",
            ),
            (
                format!("methods = [\"l1\"]\nset.pruning.sparsity = 0.5\n{axes}"),
                "set: `pruning.sparsity` is given, but `sparsities` decides it",
            ),
            (
                "methods = [\"l1\"]\nsparsities = [2]\nseeds = [0]".to_owned(),
                "`pruning.sparsity` is 2, expected 0 to 0.999",
            ),
            (
                format!("{axes}methods = [\"l1\"]\n[[peers]]\nname = \"a\"\naccuracy = 0.9e3"),
                "peer `a`: accuracy 900",
            ),
            (
                format!("{axes}methods = [\"l1\"]\nrecipes = 1"),
                "unknown field `recipes`",
            ),
            (
                format!("{axes}methods = [\"l1\"]\nrecipe = \"none.toml\""),
                "home/none.toml",
            ),
        ] {
            let error = parse(&text).unwrap_err();
            assert!(error.contains(parts), "{error}");
        }
    }
}
