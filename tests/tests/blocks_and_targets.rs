//! Layouts are chosen for a target, and training can prune in the blocks that suit them.
//!
//! A user is promised that `--blocks` makes a network whose file is laid out in blocks and is
//! therefore smaller at the same sparsity, that `--target` changes the file but no answer, that a
//! finished run can be written for another target without training it again, and that `inspect`
//! shows what was chosen and what it costs.

use neuroprune_format::Model;
use neuroprune_tests::{Folder, run};
use serde_json::Value;

fn inspected(folder: &Folder, arguments: &[&str]) -> Value {
    let mut command = folder.neuroprune(&["inspect", "model.neuro", "--json"]);
    run(command.args(arguments)).json()
}

/// Bytes of the encoder's matrices, and how many of them are laid out as `layout`.
fn encoder(inspection: &Value, layout: &str) -> (u64, usize) {
    let tensors = inspection["tensors"].as_array().expect("a list");
    let matrices: Vec<&Value> = tensors.iter().filter(|t| t["is_encoder"] == true).collect();
    let bytes = matrices.iter().filter_map(|t| t["bytes"].as_u64()).sum();
    let such = matrices.iter().filter(|t| t["layout"] == layout);
    (bytes, such.count())
}

#[test]
fn blocks_are_laid_out_as_blocks() {
    let train = |blocks: &str| {
        let folder = Folder::new();
        let arguments = ["--blocks", blocks, "--target", "cortex-m4", "--json"];
        let outcome = run(folder.train(&arguments).arg("--quiet")).json();
        let sparsity = outcome["sparsity"].as_f64().expect("a share");
        assert!((0.8..0.82).contains(&sparsity), "{blocks}: {sparsity}");
        let recipe = String::from_utf8(folder.read("model.recipe.toml")).unwrap();
        let key = format!("blocks = \"{blocks}\"");
        assert!(recipe.contains(&key), "{recipe}");
        let inspection = inspected(&folder, &[]);
        assert_eq!(inspection["layouts_for"], "cortex-m4");
        inspection
    };
    let (single, fours) = (train("1x1"), train("1x4"));
    let (bytes, such) = encoder(&single, "1×4 blocks");
    assert_eq!(such, 0, "{single}");
    let (bytes_of_fours, such) = encoder(&fours, "1×4 blocks");
    assert!(such >= 4, "{fours}");
    let features = |inspection: &Value| inspection["runtime_features"].to_string();
    assert!(features(&fours).contains("blocks"), "{fours}");
    assert!(!features(&single).contains("blocks"), "{single}");
    assert!(10 * bytes_of_fours < 9 * bytes, "{bytes_of_fours}, {bytes}");
}

#[test]
fn a_finished_run_is_written_for_another_target() {
    let folder = Folder::new();
    let quiet = ["--quiet", "--test", "test.tsv"];
    run(&mut folder.train(&quiet)).assert_code(0);
    let portable = folder.read("model.neuro");
    let work = |target| inspected(&folder, &["--target", target])["work"].as_u64();
    let before = work("x86-64").expect("a number");
    assert_eq!(inspected(&folder, &[])["layouts_for"], "portable");
    assert_eq!(inspected(&folder, &[])["work"].as_u64(), work("portable"));

    let again = ["--resume", "--target", "x86-64", "--json"];
    let outcome = run(folder.train(&quiet).args(again)).json();
    assert_eq!(outcome["sparse"]["layouts_for"], "x86-64");
    let moved = folder.read("model.neuro");
    assert!(moved != portable, "the same layouts");
    // Only the layouts and their target differ.
    let score = |file: &[u8]| Model::open(file).unwrap().manifest().scores;
    assert_eq!(score(&moved), score(&portable));
    let after = work("x86-64").expect("a number");
    assert!(after <= before, "{after}, {before} in layouts for another");

    // And back, byte for byte.
    run(folder.train(&quiet).arg("--resume")).assert_code(0);
    assert!(folder.read("model.neuro") == portable);
}

#[test]
fn inspect_tells_what_was_chosen() {
    let folder = Folder::new();
    run(&mut folder.train(&["--quiet", "--blocks", "1x2"])).assert_code(0);
    let said = run(&mut folder.neuroprune(&["inspect", "model.neuro"]));
    said.assert_code(0);
    for part in ["density", "a nonzero", "work", "chosen for portable"] {
        assert!(said.stdout.contains(part), "no {part:?} in {}", said.stdout);
    }
    let mut command = folder.neuroprune(&["inspect", "model.dense.neuro"]);
    let said = run(command.args(["--target", "wasm"]));
    for part in ["not chosen for a target", "estimated for wasm"] {
        assert!(said.stdout.contains(part), "no {part:?} in {}", said.stdout);
    }
}
