//! What a run is about to learn from, and what in it may mislead: said before the first step.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::data::{Dataset, UnusedColumn};
use crate::numbers::{counted, percent, share, thousands};
use crate::quoted::Quoted;
use crate::recipe::ModelRecipe;
use crate::run::data::Data;
use crate::run::warning::{self, LISTED, Warning};
use crate::text::vocabulary::{Normalization, Vocabulary};
use crate::training::Examples;

/// What the sets are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Training set, dev set, and the test set if there is one.
    sets: Vec<SetSummary>,
    /// Classes of the training set.
    classes: usize,
    least: ClassCount,
    most: ClassCount,
    /// Tokens of a training text: median, longest, and the limit.
    tokens: [usize; 3],
    /// Share of the training texts that reach the limit, in per cent: longer ones are truncated.
    at_the_limit: f64,
    /// Function of the pooled vector, and pieces of the vocabulary.
    pooling: String,
    pieces: usize,
    /// What is done to texts first.
    #[serde(default)]
    normalization: String,
    /// What may mislead.
    pub warnings: Vec<Warning>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SetSummary {
    name: String,
    file: String,
    rows: usize,
    skipped: usize,
    used: Vec<String>,
    unused: Vec<UnusedColumn>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct ClassCount {
    label: String,
    rows: usize,
}

impl Summary {
    pub(crate) fn new(
        data: &Data,
        examples: &Examples,
        model: &ModelRecipe,
        vocabulary: &Vocabulary,
    ) -> Self {
        let train = &data.train;
        let mut sets = vec![("training", train), ("dev", &data.dev)];
        sets.extend(data.test.as_ref().map(|test| ("test", test)));
        let counts = train.labels.iter().zip(train.class_counts());
        let count = |(label, rows): (&String, usize)| ClassCount {
            label: label.clone(),
            rows,
        };
        let nothing = || ClassCount {
            label: String::new(),
            rows: 0,
        };
        let mut lengths: Vec<usize> = examples.train.iter().map(|it| it.ids.len()).collect();
        lengths.sort_unstable();
        let at_the_limit = lengths
            .iter()
            .filter(|&&length| length >= model.tokens)
            .count();
        let mut warnings = Vec::new();
        warnings.extend(warning::near_equal(&train.labels));
        warnings.extend(warning::second_text(train));
        warnings.extend(warning::numbers(&train.labels));
        warnings.extend(
            sets.iter()
                .filter_map(|(name, set)| warning::missing(name, set)),
        );
        warnings.extend(
            sets.iter()
                .filter_map(|(name, set)| Warning::of_unseen_labels(name, set)),
        );
        warnings.extend(warning::shared_texts(&sets));
        let unknown = vocabulary.unknown();
        for (name, set) in [("training", &examples.train), ("dev", &examples.dev)] {
            warnings.extend(warning::unknown_tokens(name, set, unknown));
        }
        warnings.extend(warning::same_texts(train, &examples.train));
        Self {
            classes: train.labels.len(),
            least: counts
                .clone()
                .min_by_key(|(_, rows)| *rows)
                .map_or_else(nothing, count),
            most: counts
                .max_by_key(|(_, rows)| *rows)
                .map_or_else(nothing, count),
            tokens: [
                lengths.get(lengths.len() / 2).copied().unwrap_or(0),
                lengths.last().copied().unwrap_or(0),
                model.tokens,
            ],
            at_the_limit: share(at_the_limit, lengths.len()),
            pooling: model.pooling.name().to_owned(),
            normalization: Normalization::of(model).to_string(),
            pieces: vocabulary.len(),
            warnings,
            sets: sets
                .into_iter()
                .map(|(name, set)| SetSummary::new(name, set))
                .collect(),
        }
    }
}

impl SetSummary {
    fn new(name: &str, set: &Dataset) -> Self {
        Self {
            name: name.to_owned(),
            file: set.path.display().to_string(),
            rows: set.examples.len(),
            skipped: set.skipped,
            used: set.columns.used().map(str::to_owned).collect(),
            unused: set.columns.unused.clone(),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for set in &self.sets {
            write!(
                f,
                "{:<8}  {}: {}",
                set.name,
                set.file,
                counted(set.rows, "row")
            )?;
            if set.skipped > 0 {
                write!(f, ", {} skipped", thousands(set.skipped))?;
            }
            write!(f, ", columns {}", set.used.join(", "))?;
            let unused: Vec<&str> = set
                .unused
                .iter()
                .map(|column| column.name.as_str())
                .collect();
            let more = match unused.len().saturating_sub(LISTED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let shown = &unused[..unused.len().min(LISTED)];
            match unused.is_empty() {
                true => writeln!(f)?,
                false => writeln!(f, " (not read: {}{more})", shown.join(", "))?,
            }
        }
        let (least, most) = (&self.least, &self.most);
        writeln!(
            f,
            "classes   {}, from {} of {} to {} of {}",
            thousands(self.classes),
            counted(least.rows, "text"),
            Quoted(&least.label),
            thousands(most.rows),
            Quoted(&most.label)
        )?;
        let [median, longest, limit] = self.tokens.map(thousands);
        write!(
            f,
            "tokens    median {median}, longest {longest}; {} of the training texts reach the limit of \
             {limit}; {} pieces{}, {} pooling",
            percent(self.at_the_limit),
            thousands(self.pieces),
            self.normalization,
            self.pooling
        )
    }
}
