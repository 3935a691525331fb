//! Cells put together: means and deviations over seeds.

use serde::Serialize;

use super::peer::Peer;
use super::spread::Spread;
use crate::numbers::real;
use crate::recipe::Recipe;
use crate::sweep::Finished;

/// Finished cells, row by row.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Summary {
    /// Its name.
    pub name: String,
    /// What accuracies were measured on: `test` or `dev`.
    pub scored_on: String,
    /// Examples in that set.
    pub examples: usize,
    /// The dense networks.
    pub dense: Vec<DenseRow>,
    /// One per variant and sparsity.
    pub rows: Vec<Row>,
    /// What other models reached.
    pub peers: Vec<Peer>,
}

/// Dense networks of one shape and training, all seeds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct DenseRow {
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
pub(crate) struct Row {
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
    /// Accuracy of the int8 file in per cent of that of its dense baseline in floats.
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

impl Summary {
    /// Of these cells: rows in the order in which a variant and a sparsity first occur.
    pub(crate) fn new(name: &str, cells: &[Finished], peers: &[Peer]) -> Self {
        let rows = grouped(cells, |cell| {
            let target = cell.run.target_sparsity;
            (cell.variant.clone(), target.to_bits())
        });
        // Variants with the same baselines share a line.
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
            bytes: of(|cell| real(cell.bytes)),
            heads: Spread::of(&heads),
            neurons: Spread::of(&neurons),
            degrees: of(|cell| cell.run.sparse_degrees[0].deviation),
            penalties_reached: (!reached.is_empty()).then(|| Spread::of(&reached)),
        }
    }
}

/// Cells with the same key, in the order in which keys first occur.
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
    use crate::report::outcome_of_golden;

    /// A cell with an accuracy of `accuracy`, whose dense baseline has 90 + seed per cent.
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
    fn seeds_become_one_row_and_each_dense_baseline_counts_once() {
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
    fn a_peer_is_a_line_of_the_table() {
        let sparse = "a=b=81.5@0.9".parse().unwrap();
        let cells = [cell("a", 0.8, 0, 90.0)];
        let text = Summary::new("x", &cells, &[sparse]).markdown();
        assert!(
            text.contains("| peer: a=b |  | 90.00 % |  |  | 81.50 |"),
            "{text}"
        );
    }
}
