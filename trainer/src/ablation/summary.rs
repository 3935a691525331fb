//! Cells put together: means and deviations over seeds, as a table.

use core::fmt::Write as _;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

use super::grid::flat;
use super::running::Finished;
use crate::numbers::{real, thousands};
use crate::recipe::{Method, Recipe};

/// Finished cells, row by row.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// What it is called.
    pub name: String,
    /// What accuracies were measured on: `test` or `dev`.
    pub scored_on: String,
    /// Examples in that set.
    pub examples: usize,
    /// The dense networks.
    pub dense: Vec<DenseRow>,
    /// One a variant and sparsity.
    pub rows: Vec<Row>,
    /// What others reached.
    pub peers: Vec<Peer>,
}

/// What another model reached on the same set, to compare with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// Its name, and where the number is from.
    pub name: String,
    /// Its accuracy in per cent.
    pub accuracy: f64,
    /// Share of its weights that is zero; left out for dense models.
    pub sparsity: Option<f64>,
}

/// `BERT-mini=83.69`, or `Prune OFA=91.0@0.9` for a sparse one.
impl FromStr for Peer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = "expected NAME=ACCURACY or NAME=ACCURACY@SPARSITY, such as fastText=76.1";
        let (name, numbers) = text.rsplit_once('=').ok_or(expected)?;
        let (accuracy, sparsity) = match numbers.split_once('@') {
            None => (numbers, None),
            Some((accuracy, sparsity)) => (accuracy, Some(sparsity)),
        };
        let number = |text: &str| text.trim().parse::<f64>().map_err(|_| expected);
        Self {
            name: name.trim().to_owned(),
            accuracy: number(accuracy)?,
            sparsity: sparsity.map(number).transpose()?,
        }
        .checked()
    }
}

impl Peer {
    /// The peer, if its numbers are what they are called.
    ///
    /// # Errors
    /// A message that names it, and what was expected.
    pub fn checked(self) -> Result<Self, String> {
        let Self {
            name,
            accuracy,
            sparsity,
        } = &self;
        if !(0.0..=100.0).contains(accuracy) {
            return Err(format!(
                "peer `{name}`: accuracy {accuracy}, expected per cent, 0 to 100"
            ));
        }
        match sparsity {
            Some(share) if !(0.0..1.0).contains(share) => Err(format!(
                "peer `{name}`: sparsity {share}, expected a share below 1"
            )),
            _ => Ok(self),
        }
    }
}

/// Dense networks of one shape and training, all seeds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DenseRow {
    /// `dense`, and of which variant where there are several.
    pub name: String,
    /// Accuracy in floats, per cent.
    pub float: Spread,
    /// Accuracy of the int8 file.
    pub int8: Spread,
    /// Spread of the connections of L_in.
    pub degrees: Spread,
}

/// One variant at one sparsity, all seeds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The variant.
    pub variant: String,
    /// Share of encoder weights that were to be zero.
    pub target_sparsity: f64,
    /// Share that is.
    pub sparsity: Spread,
    /// Accuracy of the int8 file in the runtime, per cent.
    pub int8: Spread,
    /// Accuracy in floats.
    pub float: Spread,
    /// Accuracy of the int8 file in per cent of that of its dense twin in floats.
    pub of_dense: Spread,
    /// Bytes of the model file.
    pub bytes: Spread,
    /// Heads that are left.
    pub heads: Spread,
    /// Neurons that are left.
    pub neurons: Spread,
    /// Standard deviation of the connections of L_in, by neuron.
    pub degrees: Spread,
    /// Share below 1e-4 that the published penalties reached alone, where there are any.
    pub penalties_reached: Option<Spread>,
}

/// Mean and sample standard deviation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// Mean.
    pub mean: f64,
    /// Standard deviation; 0 for one value.
    pub deviation: f64,
    /// Values.
    pub count: usize,
}

impl Spread {
    /// Of these values.
    #[must_use]
    pub fn of(values: &[f64]) -> Self {
        let count = real(values.len());
        let mean = values.iter().sum::<f64>() / count.max(1.0);
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Self {
            mean,
            deviation: (squares / (count - 1.0).max(1.0)).sqrt(),
            count: values.len(),
        }
    }

    /// `92.37 ± 0.41`, or the one value.
    #[must_use]
    pub fn show(&self, decimals: usize) -> String {
        let Self {
            mean, deviation, ..
        } = self;
        match self.count {
            0 => "–".to_owned(),
            1 => format!("{mean:.decimals$}"),
            _ => format!("{mean:.decimals$} ± {deviation:.decimals$}"),
        }
    }
}

impl Summary {
    /// Of these cells: rows in the order in which a variant and a sparsity come first.
    #[must_use]
    pub fn new(name: &str, cells: &[Finished], peers: &[Peer]) -> Self {
        let rows = grouped(cells, |cell| {
            let target = cell.run.target_sparsity;
            (cell.variant.clone(), target.to_bits())
        });
        // Variants with the same twins share a line.
        let dense = grouped(cells, |cell| Recipe {
            seed: 0,
            ..cell.run.recipe.dense_part()
        });
        let has_several = dense.len() > 1;
        let first = cells.first().map(|cell| &cell.run);
        Self {
            name: name.to_owned(),
            scored_on: first.map(|run| run.scored_on.clone()).unwrap_or_default(),
            examples: first.map_or(0, |run| run.examples),
            dense: dense
                .iter()
                .map(|cells| DenseRow::new(cells, has_several))
                .collect(),
            rows: rows.iter().map(|cells| Row::new(cells)).collect(),
            peers: peers.to_vec(),
        }
    }

    /// The table, as Markdown; nothing in it depends on how long anything took.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = format!(
            "# Ablation `{}`\n\n\
             Accuracies in per cent on the {} set, {} examples, mean ± standard deviation over \
             seeds. int8 is the file in the runtime; of dense is that in per cent of the dense \
             float network of the same seed. L_in is the standard deviation of the connections \
             of a neuron.\n\n\
             | variant | zeros asked | zeros | int8 | of dense | float | file, bytes | heads | \
             neurons | L_in | seeds |\n\
             |---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
            self.name,
            self.scored_on,
            thousands(self.examples),
        );
        for line in self.lines() {
            // A string takes everything.
            let _ = writeln!(text, "| {} |", line.join(" | "));
        }
        let reached: Vec<String> = self
            .rows
            .iter()
            .filter_map(|row| {
                let reached = row.penalties_reached.as_ref()?;
                let (name, target) = (&row.variant, 100.0 * row.target_sparsity);
                Some(format!(
                    "{name} at {target:.1} %: {} %",
                    scaled(reached, 100.0).show(2)
                ))
            })
            .collect();
        if !reached.is_empty() {
            let _ = write!(
                text,
                "\nWhat the published penalties alone brought below 1e-4, before the threshold: \
                 {}.\n",
                reached.join("; ")
            );
        }
        text
    }

    /// The cells of the table, line by line, dense networks first.
    pub(crate) fn lines(&self) -> Vec<[String; 11]> {
        let none = String::new;
        let dense = self.dense.iter().map(|row| {
            [
                row.name.clone(),
                none(),
                none(),
                row.int8.show(2),
                none(),
                row.float.show(2),
                none(),
                none(),
                none(),
                row.degrees.show(2),
                row.float.count.to_string(),
            ]
        });
        let rows = self.rows.iter().map(|row| {
            [
                row.variant.clone(),
                format!("{:.1} %", 100.0 * row.target_sparsity),
                format!("{:.2} %", 100.0 * row.sparsity.mean),
                row.int8.show(2),
                row.of_dense.show(2),
                row.float.show(2),
                whole(row.bytes.mean),
                format!("{:.1}", row.heads.mean),
                format!("{:.1}", row.neurons.mean),
                row.degrees.show(2),
                row.int8.count.to_string(),
            ]
        });
        let peers = self.peers.iter().map(|peer| {
            let mut line = [const { String::new() }; 11];
            line[0] = format!("peer: {}", peer.name);
            line[2] = peer
                .sparsity
                .map_or(none(), |share| format!("{:.2} %", 100.0 * share));
            line[5] = format!("{:.2}", peer.accuracy);
            line
        });
        dense.chain(rows).chain(peers).collect()
    }
}

impl DenseRow {
    fn new(cells: &[&Finished], has_several: bool) -> Self {
        let mut seeds: Vec<&Finished> = Vec::new();
        for cell in cells {
            let same = |other: &&Finished| other.run.recipe.seed == cell.run.recipe.seed;
            if !seeds.iter().any(same) {
                seeds.push(cell);
            }
        }
        let of = |value: fn(&Finished) -> f64| {
            Spread::of(&seeds.iter().map(|&cell| value(cell)).collect::<Vec<_>>())
        };
        let variant = cells.first().map_or("", |cell| &cell.variant);
        Self {
            name: match has_several {
                true => format!("dense, of {variant}"),
                false => "dense".to_owned(),
            },
            float: of(|cell| cell.run.accuracy.dense_float),
            int8: of(|cell| cell.run.accuracy.dense_int8),
            degrees: of(|cell| cell.run.dense_degrees[0].deviation),
        }
    }
}

impl Row {
    fn new(cells: &[&Finished]) -> Self {
        let of = |value: fn(&Finished) -> f64| {
            Spread::of(&cells.iter().map(|&cell| value(cell)).collect::<Vec<_>>())
        };
        let last = |cell: &Finished| cell.run.history.last().map(|e| (e.heads, e.neurons));
        let counts: Vec<(usize, usize)> = cells.iter().filter_map(|&cell| last(cell)).collect();
        let heads: Vec<f64> = counts.iter().map(|&(heads, _)| real(heads)).collect();
        let neurons: Vec<f64> = counts.iter().map(|&(_, neurons)| real(neurons)).collect();
        let reached = cells.iter().filter_map(|c| c.run.journal.penalties_reached);
        let reached: Vec<f64> = reached.map(f64::from).collect();
        #[expect(clippy::cast_precision_loss, reason = "bytes of a file")]
        let bytes = of(|cell| cell.bytes as f64);
        let first = cells.first();
        Self {
            variant: first.map(|cell| cell.variant.clone()).unwrap_or_default(),
            target_sparsity: first.map_or(0.0, |cell| cell.run.target_sparsity),
            sparsity: of(|cell| cell.run.sparsity),
            int8: of(|cell| cell.run.accuracy.sparse_int8),
            float: of(|cell| cell.run.accuracy.sparse_float),
            of_dense: of(|cell| {
                let accuracy = &cell.run.accuracy;
                100.0 * accuracy.sparse_int8 / accuracy.dense_float.max(f64::MIN_POSITIVE)
            }),
            bytes,
            heads: Spread::of(&heads),
            neurons: Spread::of(&neurons),
            degrees: of(|cell| cell.run.sparse_degrees[0].deviation),
            penalties_reached: (!reached.is_empty()).then(|| Spread::of(&reached)),
        }
    }
}

/// A name for each recipe: its method, and what tells it from others of that method, as far
/// as it is not the default. Seeds and sparsities tell nothing.
#[must_use]
pub fn names(recipes: &[&Recipe]) -> Vec<String> {
    let plain = |recipe: &Recipe| {
        let mut recipe = recipe.clone();
        recipe.seed = 0;
        recipe.pruning.sparsity = 0.0;
        recipe
    };
    let plain: Vec<Recipe> = recipes.iter().map(|recipe| plain(recipe)).collect();
    let keys = |recipe: &Recipe| {
        let table = toml::Table::try_from(recipe).unwrap_or_default();
        flat(&table, "")
    };
    let name = |recipe: &Recipe| {
        let kind = recipe.pruning.method.kind();
        let mut usual = Recipe::default();
        usual.pruning.method = Method::new(kind);
        let usual = keys(&usual);
        let others = plain
            .iter()
            .filter(|other| other.pruning.method.kind() == kind);
        let others: Vec<_> = others.map(keys).collect();
        let unusual = keys(recipe)
            .into_iter()
            .filter(|pair| !usual.contains(pair));
        let telling = unusual.filter(|(key, value)| {
            let differs =
                |(other_key, other): &(String, toml::Value)| other_key == key && other != value;
            others.iter().flatten().any(differs)
        });
        let parts = telling.map(|(key, value)| {
            let key = key.rsplit('.').next().unwrap_or_default();
            format!("{key} = {value}").replace('"', "")
        });
        let parts: Vec<String> = core::iter::once(kind.name().to_owned())
            .chain(parts)
            .collect();
        parts.join(", ")
    };
    plain.iter().map(name).collect()
}

/// A mean of counts, rounded.
fn whole(mean: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bytes of a file"
    )]
    let rounded = mean.round() as usize;
    thousands(rounded)
}

fn scaled(spread: &Spread, factor: f64) -> Spread {
    Spread {
        mean: spread.mean * factor,
        deviation: spread.deviation * factor,
        ..*spread
    }
}

/// Cells with the same key, in the order in which keys come first.
fn grouped<K: PartialEq>(cells: &[Finished], key: impl Fn(&Finished) -> K) -> Vec<Vec<&Finished>> {
    let mut groups: Vec<(K, Vec<&Finished>)> = Vec::new();
    for cell in cells {
        let key = key(cell);
        match groups.iter_mut().find(|(other, _)| *other == key) {
            Some((_, group)) => group.push(cell),
            None => groups.push((key, vec![cell])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::MethodKind;
    use crate::report::outcome_of_golden;

    /// A cell whose dense twin answers 90 + seed per cent, and it itself `accuracy`.
    fn cell(variant: &str, sparsity: f64, seed: u64, accuracy: f64) -> Finished {
        let mut run = outcome_of_golden().run;
        run.recipe.seed = seed;
        run.recipe.pruning.sparsity = sparsity;
        run.target_sparsity = sparsity;
        run.accuracy.sparse_int8 = accuracy;
        run.accuracy.dense_float = 90.0 + f64::from(u32::try_from(seed).unwrap());
        run.journal.penalties_reached = None;
        Finished {
            variant: variant.to_owned(),
            model: "model.neuro".into(),
            run,
            bytes: 1_000,
        }
    }

    #[test]
    fn deviation_is_that_of_a_sample() {
        let spread = Spread::of(&[1.0, 2.0, 3.0]);
        assert!((spread.mean - 2.0).abs() < 1e-12 && (spread.deviation - 1.0).abs() < 1e-12);
        assert_eq!(spread.show(1), "2.0 ± 1.0");
        assert_eq!(Spread::of(&[5.0]).show(2), "5.00");
        assert_eq!(Spread::of(&[]).show(2), "–");
    }

    #[test]
    fn seeds_become_one_row_and_each_dense_twin_counts_once() {
        let mut cells = vec![
            cell("a", 0.8, 0, 90.0),
            cell("a", 0.8, 2, 92.0),
            cell("b", 0.8, 0, 81.0),
            cell("b", 0.8, 2, 82.8),
        ];
        let summary = Summary::new("x", &cells, &[]);
        let [dense] = &summary.dense[..] else {
            panic!("{:?}", summary.dense)
        };
        assert_eq!((dense.float.mean, dense.float.count), (91.0, 2));
        let kept: Vec<f64> = summary.rows.iter().map(|row| row.of_dense.mean).collect();
        assert_eq!(kept, [100.0, 90.0]);
        assert!(
            summary
                .markdown()
                .contains("| a | 80.0 % | 90.00 % | 91.00 ± 1.41 |")
        );
        // Another width is another dense network.
        cells[3].run.recipe.model.hidden = 64;
        let names = |summary: &Summary| -> Vec<String> {
            summary.dense.iter().map(|row| row.name.clone()).collect()
        };
        let summary = Summary::new("x", &cells, &[]);
        assert_eq!(names(&summary), ["dense, of a", "dense, of b"]);
    }

    #[test]
    fn what_penalties_reached_is_told() {
        let mut cells = [cell("paper", 0.9, 0, 50.0)];
        assert!(
            !Summary::new("x", &cells, &[])
                .markdown()
                .contains("penalties")
        );
        cells[0].run.journal.penalties_reached = Some(0.25);
        let text = Summary::new("x", &cells, &[]).markdown();
        assert!(
            text.ends_with("before the threshold: paper at 90.0 %: 25.00 %.\n"),
            "{text}"
        );
    }

    #[test]
    fn recipes_of_one_method_are_told_apart_by_what_differs() {
        let of = |kind, heads: bool, seed| {
            let mut recipe = Recipe::default();
            recipe.pruning.method = Method::new(kind);
            let heads = heads.to_string();
            recipe = recipe.with("pruning.head_redundancy", &heads).unwrap();
            recipe.seed = seed;
            recipe
        };
        let recipes = [
            of(MethodKind::Neuroprune, true, 0),
            of(MethodKind::Neuroprune, false, 1),
            of(MethodKind::Paper, true, 2),
        ];
        assert_eq!(
            names(&recipes.iter().collect::<Vec<_>>()),
            ["neuroprune", "neuroprune, head_redundancy = false", "paper"]
        );
    }

    #[test]
    fn a_peer_has_an_accuracy_and_perhaps_a_sparsity() {
        let peer = |text: &str| text.parse::<Peer>();
        let sparse = peer("a=b=81.5@0.9").unwrap();
        assert_eq!((sparse.name.as_str(), sparse.accuracy), ("a=b", 81.5));
        assert_eq!(sparse.sparsity, Some(0.9));
        assert_eq!(peer("fastText = 76.1").unwrap().sparsity, None);
        for (text, message) in [
            ("fastText", "expected NAME=ACCURACY"),
            ("fastText=good", "expected NAME=ACCURACY"),
            ("fastText=761", "accuracy 761, expected per cent"),
            ("fastText=76@90", "sparsity 90, expected a share"),
        ] {
            assert!(peer(text).unwrap_err().contains(message), "{text}");
        }
        let cells = [cell("a", 0.8, 0, 90.0)];
        let text = Summary::new("x", &cells, &[sparse]).markdown();
        assert!(
            text.contains("| peer: a=b |  | 90.00 % |  |  | 81.50 |"),
            "{text}"
        );
    }
}
