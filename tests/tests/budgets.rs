//! The numbers that `inspect` adds to a model's are those of the firmware.
//!
//! A user is promised that the flash and RAM that `inspect` estimates for a Cortex-M4F
//! match the firmware's own budget and measurement, and that the model which comes with the
//! firmware examples fits the microcontrollers it is meant for.

use std::fs;

use neuroprune_format::Model;
use neuroprune_runtime::kernels::scalar;
use neuroprune_runtime::required_scratch_with;
use neuroprune_tests::workspace;
use neuroprune_trainer::data::smart_home;
use neuroprune_trainer::{CODE_BYTES, Inspection, STACK_BYTES};

/// The Cortex-M4F board.
const BOARD: &str = "mps2-an386";
const MODEL: &str = "firmware-examples/models/commands.neuro";

fn text(path: &str) -> String {
    fs::read_to_string(workspace().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The number of a line such as `stack: 3240 bytes of RAM`.
fn measured(what: &str) -> usize {
    let output = text(&format!("firmware-examples/src/bin/footprint.{BOARD}.out"));
    let line = output.lines().find_map(|line| line.strip_prefix(what));
    let number = line.and_then(|line| line.strip_prefix(": ")?.split(' ').next());
    number
        .and_then(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("no {what} in {output}"))
}

#[test]
fn code_is_the_budget() {
    let budgets: toml::Table = text("firmware-examples/budgets.toml").parse().unwrap();
    let budget = budgets["hello"][BOARD]["flash"].as_integer();
    assert_eq!(budget, i64::try_from(CODE_BYTES).ok());
}

#[test]
fn stack_is_the_measured_one_with_a_margin() {
    let stack = measured("stack");
    assert!(STACK_BYTES >= stack, "{STACK_BYTES}, measured {stack}");
    assert!(
        4 * STACK_BYTES <= 5 * stack,
        "{STACK_BYTES}, measured {stack}"
    );
}

#[test]
fn the_committed_model_fits() {
    let file = fs::read(workspace().join(MODEL)).unwrap();
    let model = Model::open(&file).unwrap();
    let labels: Vec<&str> = model.labels().iter().collect();
    assert_eq!(labels, smart_home::labels());
    assert_eq!(labels.len(), 17);
    assert!(file.len() <= 64_000, "{} bytes", file.len());
    // On a device: one tile at a time.
    let feature = size_of::<scalar::Feature>();
    let scratch = required_scratch_with(model.limits(), model.limits().tokens, feature);
    assert!(scratch <= 12 * 1024, "{scratch} bytes");

    let inspection = Inspection::new(&file).unwrap();
    assert_eq!(inspection.flash_estimate, file.len() + CODE_BYTES);
    assert_eq!(inspection.scratch, scratch);
    let on_device = inspection.scratch_cortex_m4;
    assert_eq!(inspection.ram_estimate, on_device + STACK_BYTES);
    // The firmware was measured with exactly this file.
    assert_eq!(measured("model"), file.len());
    assert_eq!(measured("scratch"), on_device);
    let accuracy = model.manifest().scores.runtime.expect("a test accuracy");
    assert!(accuracy > 85.0, "{accuracy} %");
}
