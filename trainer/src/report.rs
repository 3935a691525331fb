//! The report: one HTML file that shows what a run came to and what was pruned.
//!
//! It needs no network, no script and no second file. Numbers come from the
//! [`Outcome`], the topology from the sparse file itself.

mod axis;
mod bytes;
mod comparison;
mod curves;
mod histogram;
mod layers;
#[cfg(test)]
mod svg_check;
mod topology;

use askama::Template;
use neuroprune_format::{FormatError, Model};

use crate::ablation::Summary;
use crate::numbers::{duration, percent, real, signed, significant, thousands};
use crate::pruning::DegreeSpread;
use crate::recipe::{Method, Neuroprune, Paper, PruningRecipe};
use crate::run::outcome::Outcome;
use crate::training::loss::has_teacher;
use bytes::{Bar, BytesRow};
use comparison::{Comparison, Key};
use curves::Curve;
use layers::{LayerView, MatrixRow};

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The sparse file does not open.
    #[error("the sparse file: {0}")]
    Format(#[from] FormatError),
    /// The page cannot be put together.
    #[error("the page: {0}")]
    Template(#[from] askama::Error),
}

/// The page about `outcome`; `sparse_file` is the `.neuro` file that came of it.
///
/// # Errors
/// When the file does not open.
pub fn render(outcome: &Outcome, sparse_file: &[u8]) -> Result<String, ReportError> {
    let model = Model::open(sparse_file)?;
    let sparse = &outcome.sparse.inspection;
    let page = Page {
        outcome,
        summary: summary(outcome),
        tiles: tiles(outcome),
        networks: networks(outcome),
        examples: counted(outcome.run.examples, "example"),
        standard_error: standard_error(outcome),
        curves: [
            Curve::of_loss(&outcome.run),
            Curve::of_dev_accuracy(&outcome.run),
            Curve::of_sparsity(&outcome.run),
        ],
        method: method(outcome),
        spreads: spreads(outcome),
        head_test: head_test(&outcome.run.recipe.pruning),
        layers: layers::views(outcome, &model),
        encoder: MatrixRow::of_encoder(sparse),
        bars: bytes::bars(outcome),
        parts: bytes::parts(outcome),
        sections: bytes::sections(outcome),
        flash: thousands(sparse.flash_estimate),
        ram: thousands(sparse.ram_estimate),
        facts: facts(outcome),
    };
    Ok(page.render()?)
}

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    outcome: &'a Outcome,
    summary: String,
    tiles: [Tile; 5],
    networks: [NetworkRow; 4],
    examples: String,
    standard_error: String,
    curves: [Curve; 3],
    method: String,
    spreads: [SpreadRow; 2],
    head_test: String,
    layers: Vec<LayerView>,
    encoder: MatrixRow,
    bars: [Bar; 2],
    parts: Vec<BytesRow>,
    sections: Vec<BytesRow>,
    flash: String,
    ram: String,
    facts: Vec<(&'static str, String)>,
}

/// The page about several runs: an ablation, or models side by side.
///
/// # Errors
/// When the page cannot be put together.
pub fn render_summary(summary: &Summary) -> Result<String, ReportError> {
    let page = SummaryPage {
        summary,
        examples: counted(summary.examples, "example"),
        lines: summary.lines(),
        charts: comparison::charts(summary),
        keys: comparison::keys(summary),
    };
    Ok(page.render()?)
}

#[derive(Template)]
#[template(path = "ablation.html")]
struct SummaryPage<'a> {
    summary: &'a Summary,
    examples: String,
    lines: Vec<[String; 11]>,
    charts: [Comparison; 3],
    keys: Vec<Key>,
}

/// What this is, in one sentence.
fn summary(outcome: &Outcome) -> String {
    let file = &outcome.sparse.inspection;
    format!(
        "A classifier of {} into {} classes: a transformer encoder with {} and a width of {}, \
         trained until {} of its encoder weights were exactly zero and stored as int8 in {} bytes.",
        if file.pair { "pairs of texts" } else { "texts" },
        file.labels.len(),
        counted(file.layers.into(), "layer"),
        thousands(file.hidden),
        percent(100.0 * outcome.run.sparsity),
        thousands(file.bytes),
    )
}

/// How weights were chosen.
fn method(outcome: &Outcome) -> String {
    let run = &outcome.run;
    let pruning = &run.recipe.pruning;
    let mechanisms = match pruning.method {
        Method::Neuroprune(Neuroprune {
            preferential_attachment,
            group_sparsity,
            head_redundancy,
            ..
        })
        | Method::Paper(Paper {
            preferential_attachment,
            group_sparsity,
            head_redundancy,
            ..
        }) => [preferential_attachment, group_sparsity, head_redundancy],
        Method::L1 { .. }
        | Method::Magnitude { .. }
        | Method::Sensitivity { .. }
        | Method::Movement { .. } => [false; 3],
    };
    let [attachment, groups, heads] = mechanisms;
    let switches = [
        ("preferential attachment", attachment),
        ("group sparsity", groups),
        ("redundancy of heads", heads),
        ("distillation", has_teacher(pruning)),
    ];
    let on = switches.iter().filter(|(_, on)| *on).map(|&(name, _)| name);
    let on: Vec<&str> = on.collect();
    let mut text = format!("Method: {}", pruning.method.kind().name());
    text += &match on.as_slice() {
        [] => ", without any mechanism beside its score".to_owned(),
        on => format!(", with {}", on.join(", ")),
    };
    if let Some(reached) = run.journal.penalties_reached {
        text += &format!(
            ". Its penalties alone brought {} of the encoder weights below 1e-4; \
             a threshold on magnitude took the rest",
            percent(100.0 * f64::from(reached))
        );
    }
    text + "."
}

/// Connections of both networks.
struct SpreadRow {
    name: &'static str,
    dense: String,
    sparse: String,
}

fn spreads(outcome: &Outcome) -> [SpreadRow; 2] {
    let run = &outcome.run;
    let [dense, sparse] = [run.dense_degrees, run.sparse_degrees];
    let of = |spread: DegreeSpread| {
        format!(
            "{} (mean {})",
            significant(spread.deviation),
            significant(spread.mean)
        )
    };
    let row = |name, at: usize| SpreadRow {
        name,
        dense: of(dense[at]),
        sparse: of(sparse[at]),
    };
    [row("L_in, by neuron", 0), row("L_out, by output", 1)]
}

/// How heads were compared.
fn head_test(pruning: &PruningRecipe) -> String {
    match &pruning.method {
        Method::Neuroprune(settings) if settings.head_redundancy => format!(
            "A head that says what another one says is merged into it; the distance is the \
             part of what it said that the other cannot predict (0: nothing is lost, 1: \
             everything). Up to {} counts as the same.",
            significant(settings.head_distance.into())
        ),
        Method::Paper(settings) if settings.head_redundancy => format!(
            "A head goes where another one has all its neighbours: heads no weight of which \
             differs by more than {}, the distance here.",
            significant(settings.theta.into())
        ),
        Method::Neuroprune(_)
        | Method::Paper(_)
        | Method::L1 { .. }
        | Method::Magnitude { .. }
        | Method::Sensitivity { .. }
        | Method::Movement { .. } => "Heads were not compared.".to_owned(),
    }
}

/// A headline number.
struct Tile {
    label: &'static str,
    /// Digits and their unit, one pair or two.
    number: Vec<(String, String)>,
    detail: String,
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

fn tiles(outcome: &Outcome) -> [Tile; 5] {
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
                "for texts of {} tokens; dense int8 {}",
                thousands(sparse.tokens),
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
struct NetworkRow {
    name: &'static str,
    accuracy: String,
    /// Against the dense floats, in points.
    difference: String,
    sparsity: String,
    bytes: String,
}

fn networks(outcome: &Outcome) -> [NetworkRow; 4] {
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

/// √(p·(1 − p) / n), in points: what chance alone does to an accuracy.
fn standard_error(outcome: &Outcome) -> String {
    let right = (outcome.run.accuracy.sparse_int8 / 100.0).clamp(0.0, 1.0);
    let variance = right * (1.0 - right) / real(outcome.run.examples.max(1));
    significant(100.0 * variance.sqrt())
}

/// Where the model comes from, and what else there is to know about it.
fn facts(outcome: &Outcome) -> Vec<(&'static str, String)> {
    let file = &outcome.sparse.inspection;
    vec![
        ("Written by", file.producer.clone()),
        ("Random seed", file.seed.to_string()),
        ("Recipe, SHA-256", file.recipe_sha256.clone()),
        ("Training data, SHA-256", file.data_sha256.clone()),
        (
            "Scored on",
            format!(
                "the {} set, {}",
                outcome.run.scored_on,
                counted(outcome.run.examples, "example")
            ),
        ),
        (
            "Network",
            format!(
                "{}, width {}, {}, pooling: {}",
                counted(file.layers.into(), "layer"),
                thousands(file.hidden),
                file.activation,
                file.pooling
            ),
        ),
        (
            "Text",
            format!(
                "up to {} tokens, {} pieces in the vocabulary",
                thousands(file.tokens),
                thousands(file.vocabulary)
            ),
        ),
        ("Classes", file.labels.join(", ")),
    ]
}

/// `1 layer`, `2 layers`.
fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", thousands(count))
}

/// `3.44 × smaller`.
fn compared(dense: usize, sparse: usize) -> String {
    let (larger, smaller) = (dense.max(sparse), dense.min(sparse));
    let ratio = significant(real(larger) / real(smaller.max(1)));
    let direction = if sparse > dense { "larger" } else { "smaller" };
    format!("{ratio}\u{a0}× {direction}")
}

#[cfg(test)]
pub(crate) use tests::outcome_of_golden;

#[cfg(test)]
mod tests {
    use super::svg_check::assert_balanced;
    use super::*;
    use crate::model_file::inspection::Inspection;
    use crate::pruning::{KeptHead, MergedHead};
    use crate::recipe::Recipe;
    use crate::run::outcome::{Accuracies, FileOutcome, RunOutcome, Seconds};
    use crate::training::{CurvePoint, EpochRecord, Journal, Phase};

    const GOLDEN: &[u8] = include_bytes!("../../format/tests/golden/v2.neuro");

    pub(crate) fn outcome_of_golden() -> Outcome {
        outcome(GOLDEN, GOLDEN)
    }

    fn outcome(file: &[u8], dense: &[u8]) -> Outcome {
        let inspected = |bytes| FileOutcome {
            path: None,
            inspection: Inspection::new(bytes).unwrap(),
        };
        let epoch = |phase, epoch: usize| EpochRecord {
            phase,
            epoch,
            step: 40 * epoch as u64,
            loss: 2.0 / real(epoch),
            dev_accuracy: 95.0 - 40.0 / real(epoch),
            sparsity: match phase {
                Phase::Dense => 0.0,
                _ => 0.9 * (1.0 - (1.0 - real(epoch) / 10.0).powi(3)),
            },
            heads: 4,
            neurons: 24,
        };
        let dense_epochs = (1..=10).map(|number| epoch(Phase::Dense, number));
        let sparse_epochs = (1..=10).map(|number| epoch(Phase::Sparse, number));
        let point = |phase, step: u16| CurvePoint {
            phase,
            step: step.into(),
            loss: 2.0 / f32::from(step),
            sparsity: 0.5,
        };
        let spread = |deviation| DegreeSpread {
            mean: 20.0,
            deviation,
        };
        let dense_steps = (1..=50).map(|step| point(Phase::Dense, 8 * step));
        let sparse_steps = (1..=50).map(|step| point(Phase::Sparse, 8 * step));
        Outcome {
            run: RunOutcome {
                name: "lights <on> & off".to_owned(),
                recipe: Recipe::default(),
                data_sha256: String::new(),
                scored_on: "test".to_owned(),
                scored_sha256: String::new(),
                examples: 1_234,
                accuracy: Accuracies {
                    dense_float: 94.12,
                    dense_int8: 94.04,
                    sparse_float: 93.5,
                    sparse_int8: 93.4,
                },
                target_sparsity: 0.9,
                sparsity: 0.9,
                heads: 4,
                neurons: 312,
                dense_degrees: [spread(0.13), spread(0.5)],
                sparse_degrees: [spread(12.12), spread(7.0)],
                merged: vec![MergedHead {
                    layer: 1,
                    head: 0,
                    into: 1,
                    distance: 0.1234,
                }],
                history: dense_epochs.chain(sparse_epochs).collect(),
                journal: Journal {
                    curve: dense_steps.chain(sparse_steps).collect(),
                    kept: vec![KeptHead {
                        layer: 0,
                        head: 1,
                        nearest: Some(0),
                        distance: 0.777,
                    }],
                    penalties_reached: Some(0.4),
                    ..Journal::default()
                },
                seconds: Seconds {
                    dense: 61.5,
                    sparse: 90.2,
                    export: 2.25,
                },
            },
            sparse: inspected(file),
            dense: inspected(dense),
        }
    }

    #[test]
    fn everything_is_on_one_page() {
        let page = render(&outcome(GOLDEN, GOLDEN), GOLDEN).unwrap();
        assert_balanced(&page);
        for part in [
            "93.4\u{a0}%",
            "−0.72 points",
            "1,234 examples",
            "dense 1 min 2 s, sparse 1 min 30 s",
            "lights &#60;on&#62; &#38; off",
            "head 0 → 1, distance 0.123",
            "head 1 stays, also for 0",
            "head 1 stays: 0 is nearest, at 0.777",
            "head 0 stays: heads were not compared",
            "12.1 (mean 20.0)",
            "Its penalties alone brought 40.0 %",
            "2 of 2 heads",
            "1 of 2 heads",
            "weiß nicht",
        ] {
            let plain = page.replace('\u{a0}', " ");
            assert!(plain.contains(&part.replace('\u{a0}', " ")), "{part}");
        }
        for outside in ["http:", "https:", "<script", "src=", "@import", "url("] {
            assert!(!page.contains(outside), "{outside}");
        }
    }

    #[test]
    fn every_matrix_of_the_encoder_is_a_picture() {
        let outcome = outcome(GOLDEN, GOLDEN);
        let page = render(&outcome, GOLDEN).unwrap();
        let tensors = outcome.sparse.inspection.tensors.iter();
        let drawn = tensors.filter(|tensor| tensor.is_encoder).count();
        assert_eq!(page.matches("<svg class=\"map\"").count(), drawn);
        // Two matrices in each of two layers, and three curves.
        assert_eq!(page.matches("<svg class=\"chart\"").count(), 4 + 3);
    }

    #[test]
    fn a_run_without_history_or_examples_has_a_report() {
        let mut outcome = outcome(GOLDEN, GOLDEN);
        outcome.run.history.clear();
        outcome.run.merged.clear();
        outcome.run.examples = 0;
        outcome.run.seconds = Seconds::default();
        let page = render(&outcome, GOLDEN).unwrap();
        assert_balanced(&page);
        assert!(!page.contains("NaN"));
    }

    #[test]
    fn a_damaged_file_is_an_error() {
        let error = render(&outcome(GOLDEN, GOLDEN), &GOLDEN[1..]).unwrap_err();
        assert!(
            error.to_string().starts_with("the sparse file: "),
            "{error}"
        );
    }
}
