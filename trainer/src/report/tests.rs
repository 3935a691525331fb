use super::*;
use crate::baselines::{Baselines, LinearScore, Majority};
use crate::charts::svg_check::assert_balanced;
use crate::model_file::inspection::Inspection;
use crate::model_file::scoring::{ClassScore, Confusion, Mistake, Scored};
use crate::numbers::real;
use crate::pruning::DegreeSpread;
use crate::pruning::{KeptHead, MergedHead};
use crate::recipe::Recipe;
use crate::run::outcome::{Accuracies, FileOutcome, MacroF1, RunOutcome, Seconds};
use crate::training::{CurvePoint, EpochRecord, Journal, Phase};

const GOLDEN: &[u8] = include_bytes!("../../../format/tests/golden/v2.neuro");

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
            Phase::Sparse | Phase::Finished => 0.9 * (1.0 - (1.0 - real(epoch) / 10.0).powi(3)),
        },
        heads: 4,
        neurons: 24,
        is_kept: false,
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
            summary: None,
            scored_on: "test".to_owned(),
            scored_sha256: String::new(),
            examples: 1_234,
            accuracy: Accuracies {
                dense_float: 94.12,
                dense_int8: 94.04,
                sparse_float: 93.5,
                sparse_int8: 93.4,
            },
            macro_f1: MacroF1 {
                dense_int8: 93.9,
                sparse_int8: 92.6,
            },
            scored: Some(scored()),
            baselines: Baselines {
                majority: Majority {
                    label: "lights <on>".to_owned(),
                    accuracy: 31.2,
                },
                linear: LinearScore {
                    accuracy: 90.1,
                    words: 812,
                    has_pairs: true,
                    bytes: 9_500,
                },
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

/// Of the two classes of the golden file.
fn scored() -> Scored {
    let class = |label: &str, right| ClassScore {
        label: label.to_owned(),
        examples: 10,
        answered: 10,
        right,
        precision: 90.0,
        recall: 90.0,
        f1: 90.0,
    };
    Scored {
        examples: 20,
        right: 17,
        accuracy: 85.0,
        macro_f1: 90.0,
        truncated: 0,
        classes: vec![class("ja", 9), class("nein", 8)],
        confusions: vec![Confusion {
            label: "nein".to_owned(),
            answer: "ja".to_owned(),
            texts: 2,
        }],
        mistakes: vec![Mistake {
            text: "which is <odd>".to_owned(),
            pair: None,
            label: "nein".to_owned(),
            answer: "ja".to_owned(),
            probability: 0.995,
        }],
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
        "dense 93.9\u{a0}%, sparse 92.6\u{a0}%",
        "the most frequent class of the training texts, gives 31.2\u{a0}%",
        "a linear model on 812 words and pairs of words gives 90.1\u{a0}% in 9,500 bytes",
        "which is &#60;odd&#62;",
        "99.5\u{a0}%",
        "dense 1 min 2 s, sparse 1 min 30 s",
        "lights &#60;on&#62; &#38; off",
        "head 0 → 1, distance 0.123",
        "head 1 is kept, also for 0",
        "head 1 is kept: 0 is nearest, at 0.777",
        "head 0 is kept: heads were not compared",
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
