//! The table of an ablation, as Markdown.

use core::fmt::Write as _;

use super::spread::Spread;
use super::summary::Summary;
use crate::numbers::{rounded, thousands};

impl Summary {
    /// The table, as Markdown; nothing in it depends on how long anything took.
    pub(crate) fn markdown(&self) -> String {
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

/// A mean of counts, rounded.
fn whole(mean: f64) -> String {
    thousands(rounded(mean))
}

fn scaled(spread: &Spread, factor: f64) -> Spread {
    Spread {
        mean: spread.mean * factor,
        deviation: spread.deviation * factor,
        ..*spread
    }
}
