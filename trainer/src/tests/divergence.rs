//! What is reported and kept where training diverges.

use core::sync::atomic::AtomicBool;
use std::path::Path;

use candle_core::{Device, Tensor};

use crate::recipe::Recipe;
use crate::run::observer::Observer;
use crate::run::phase::train_phase;
use crate::training::checkpoint;
use crate::training::{Examples, Phase, Run, StepReport};

/// Ignores everything.
struct Silent;

impl Observer for Silent {
    fn phase(&mut self, _: Phase, _: u64, _: u64) {}
    fn step(&mut self, _: &StepReport) {}
    fn note(&mut self, _: &str) {}
}

fn small_run(folder: &Path) -> (Run, Examples) {
    let mut recipe = Recipe::by_name("tiny").unwrap();
    recipe.training.epochs = 2;
    super::home_run::prepare(&recipe, 120, 20, folder)
}

/// One value of L_in of the second layer becomes NaN.
fn spoil(run: &mut Run) {
    let weight = &mut run.network.layers[1]
        .mlp
        .as_mut()
        .unwrap()
        .input
        .weight
        .value;
    let mut values = weight.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    values[3] = f32::NAN;
    *weight = Tensor::from_vec(values, weight.shape(), &Device::Cpu).unwrap();
}

#[test]
fn names_step_tensor_and_last_good_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let (mut run, examples) = small_run(folder.path());
    let path = folder.path().join("model.checkpoint");
    let never = AtomicBool::new(false);

    // Nothing good yet.
    spoil(&mut run);
    let error = train_phase(&mut run, &examples, &path, &mut Silent, &never).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("dense training diverged"), "{text}");
    assert!(text.contains("at step 1,"), "{text}");
    assert!(
        text.contains("parameter `layer.1.mlp_input.weight`"),
        "{text}"
    );
    assert!(!text.contains("checkpoint"), "{text}");
    assert!(!path.exists());

    // After an epoch.
    let (mut run, examples) = small_run(folder.path());
    assert!(train_phase(&mut run, &examples, &path, &mut Silent, &never).unwrap());
    assert_eq!(run.phase, Phase::Sparse);
    let good = std::fs::read(&path).unwrap();
    spoil(&mut run);
    let text = train_phase(&mut run, &examples, &path, &mut Silent, &never)
        .unwrap_err()
        .to_string();
    assert!(text.contains("sparse training diverged"), "{text}");
    assert!(text.contains("the last good checkpoint is "), "{text}");
    assert!(text.contains("model.checkpoint"), "{text}");

    // And it is not overwritten with what is not good.
    let text = checkpoint::save(&run, &path).unwrap_err().to_string();
    assert!(
        text.contains("`layer.1.mlp_input.weight` is not finite"),
        "{text}"
    );
    assert_eq!(std::fs::read(&path).unwrap(), good);
}
