//! Training with products in bf16, compared with training in f32.

use std::path::Path;

use crate::network::Precision;
use crate::recipe::{FloatPrecision, Recipe};
use crate::training::checkpoint;
use crate::training::{Examples, Phase, Run, float_accuracy};
use candle_core::DType;

fn run_in(precision: FloatPrecision, folder: &Path) -> (Run, Examples) {
    let mut recipe = Recipe::by_name("tiny").unwrap();
    recipe.training.epochs = 4;
    recipe.pruning.epochs = 3;
    recipe.quantization.aware = 0.2;
    recipe.training.precision = precision;
    super::home_run::prepare(&recipe, 1000, 200, folder)
}

fn finish(run: &mut Run, examples: &Examples) -> Vec<f32> {
    let mut losses = Vec::new();
    while run.phase != Phase::Finished {
        let ended = run.run_phase(examples, |_, report| {
            losses.push(report.loss);
            true
        });
        assert!(ended.unwrap());
    }
    losses
}

fn weights(run: &Run) -> Vec<Vec<f32>> {
    let parameters = run.network.parameters().into_iter();
    parameters
        .map(|it| it.parameter.to_vec().unwrap())
        .collect()
}

#[test]
fn bf16_learns_what_f32_learns() {
    let folder = tempfile::tempdir().unwrap();
    let [(in_f32, losses), (in_bf16, short_losses)] = [FloatPrecision::F32, FloatPrecision::Bf16]
        .map(|precision| {
            let (mut run, examples) = run_in(precision, folder.path());
            let losses = finish(&mut run, &examples);
            // Master weights, and no trace of how they were trained.
            let parameters = run.network.parameters();
            assert!(
                parameters
                    .iter()
                    .all(|it| it.parameter.value.dtype() == DType::F32)
            );
            assert_eq!(run.network.precision, Precision::Float);
            assert_eq!(run.dense.as_ref().unwrap().precision, Precision::Float);
            (float_accuracy(&run.network, &examples.dev).unwrap(), losses)
        });
    assert_eq!(losses.len(), short_losses.len());
    assert_ne!(losses, short_losses);
    assert!((losses[0] - short_losses[0]).abs() < 0.01 * losses[0]);
    assert!(in_f32 > 65.0, "{in_f32} %");
    assert!(
        (in_f32 - in_bf16).abs() < 5.0,
        "{in_bf16} %, in f32 {in_f32} %"
    );
}

/// The teacher's precision as well as the network's is that of the recipe after a resume.
#[test]
fn a_resumed_run_ends_with_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let (mut whole, examples) = run_in(FloatPrecision::Bf16, folder.path());
    finish(&mut whole, &examples);

    let (mut run, _) = run_in(FloatPrecision::Bf16, folder.path());
    assert!(run.run_phase(&examples, |_, _| true).unwrap());
    let mut steps = 0;
    let ended = run.run_phase(&examples, |_, _| {
        steps += 1;
        steps < 17
    });
    assert!(!ended.unwrap());
    let path = folder.path().join("model.checkpoint");
    checkpoint::save(&run, &path).unwrap();
    let mut resumed = checkpoint::load(&path).unwrap();
    finish(&mut resumed, &examples);
    assert_eq!(weights(&resumed), weights(&whole));
}
