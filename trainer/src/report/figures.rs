//! The headline numbers, and the four networks that were scored.

use crate::numbers::{duration, percent, real, signed, significant, thousands};
use crate::run::outcome::{MacroF1, Outcome};

/// A headline number.
pub(super) struct Tile {
    pub(super) label: &'static str,
    /// Digits and their unit, one pair or two.
    pub(super) number: Vec<(String, String)>,
    pub(super) detail: String,
}

impl Tile {
    /// `number` as it comes from [`numbers`]: digits and unit in turn.
    fn new(label: &'static str, number: &str, detail: String) -> Self {
        let words: Vec<&str> = number.split(['\u{a0}', ' ']).collect();
        let pairs = words.chunks(2).map(|pair| match pair {
            &[digits, unit] => (digits.to_owned(), unit.to_owned()),
            others => (others.concat(), String::new()),
        });
        Self {
            label,
            number: pairs.collect(),
            detail,
        }
    }
}

pub(super) fn tiles(outcome: &Outcome) -> [Tile; 5] {
    let (accuracy, seconds) = (&outcome.run.accuracy, &outcome.run.seconds);
    let (sparse, dense) = (&outcome.sparse.inspection, &outcome.dense.inspection);
    [
        Tile::new(
            "accuracy, sparse int8",
            &percent(accuracy.sparse_int8),
            format!(
                "dense float {}: {} points",
                percent(accuracy.dense_float),
                signed(accuracy.sparse_int8 - accuracy.dense_float)
            ),
        ),
        Tile::new(
            "sparsity of the encoder",
            &percent(100.0 * sparse.sparsity),
            format!(
                "{} of {} weights are left",
                thousands(sparse.nonzeros),
                thousands(sparse.dense_weights.try_into().unwrap_or(usize::MAX))
            ),
        ),
        Tile::new(
            "file",
            &format!("{} bytes", thousands(sparse.bytes)),
            format!(
                "dense int8 {}: {}",
                thousands(dense.bytes),
                compared(dense.bytes, sparse.bytes)
            ),
        ),
        Tile::new(
            "scratch RAM",
            &format!("{} bytes", thousands(sparse.scratch)),
            format!(
                "for texts of {} tokens; on Cortex-M4, M7, M33 {}; dense int8 {}",
                thousands(sparse.tokens),
                thousands(sparse.scratch_cortex_m4),
                thousands(dense.scratch)
            ),
        ),
        Tile::new(
            "training time",
            &duration(seconds.dense + seconds.sparse),
            format!(
                "dense {}, sparse {}, then export {}",
                duration(seconds.dense),
                duration(seconds.sparse),
                duration(seconds.export)
            ),
        ),
    ]
}

/// One of the four networks that were scored.
pub(super) struct NetworkRow {
    pub(super) name: &'static str,
    pub(super) accuracy: String,
    /// Against the dense floats, in points.
    pub(super) difference: String,
    pub(super) sparsity: String,
    pub(super) bytes: String,
}

pub(super) fn networks(outcome: &Outcome) -> [NetworkRow; 4] {
    let accuracy = &outcome.run.accuracy;
    let (sparse, dense) = (&outcome.sparse.inspection, &outcome.dense.inspection);
    let row = |name, scored: f64, zeros: Option<f64>, bytes: Option<usize>| NetworkRow {
        name,
        accuracy: percent(scored),
        difference: signed(scored - accuracy.dense_float),
        sparsity: zeros
            .map(|zeros| percent(100.0 * zeros))
            .unwrap_or_default(),
        bytes: bytes.map(thousands).unwrap_or_default(),
    };
    let mut rows = [
        row("dense float", accuracy.dense_float, None, None),
        row(
            "dense int8",
            accuracy.dense_int8,
            Some(dense.sparsity),
            Some(dense.bytes),
        ),
        row(
            "sparse float",
            accuracy.sparse_float,
            Some(outcome.run.sparsity),
            None,
        ),
        row(
            "sparse int8",
            accuracy.sparse_int8,
            Some(sparse.sparsity),
            Some(sparse.bytes),
        ),
    ];
    // What the others are compared with.
    rows[0].difference.clear();
    rows
}

/// Of both files.
pub(super) fn macro_f1(outcome: &Outcome) -> String {
    let MacroF1 {
        dense_int8,
        sparse_int8,
    } = outcome.run.macro_f1;
    format!(
        "dense {}, sparse {}",
        percent(dense_int8),
        percent(sparse_int8)
    )
}

/// √(p·(1 − p) / n), in points: what chance alone does to an accuracy. One text more counts as right
/// and one as wrong (Laplace's rule of succession).
pub(super) fn standard_error(outcome: &Outcome) -> String {
    // Of few texts that are all right, the next may still be wrong.
    let examples = real(outcome.run.examples);
    let right = (outcome.run.accuracy.sparse_int8 / 100.0).clamp(0.0, 1.0);
    let right = (right * examples + 1.0) / (examples + 2.0);
    let variance = right * (1.0 - right) / (examples + 2.0);
    significant(100.0 * variance.sqrt())
}

/// `3.44 × smaller`.
fn compared(dense: usize, sparse: usize) -> String {
    let (larger, smaller) = (dense.max(sparse), dense.min(sparse));
    let ratio = significant(real(larger) / real(smaller.max(1)));
    let direction = if sparse > dense { "larger" } else { "smaller" };
    format!("{ratio}\u{a0}× {direction}")
}
