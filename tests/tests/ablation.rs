//! Methods side by side.
//!
//! A user is promised one table from one command: a grid of variants, sparsities and seeds
//! that may be stopped at any moment and resumes with the same command. Every cell is the model
//! that `train` would have made, although dense networks are trained once per seed.
#![cfg(unix)]

use core::time::Duration;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use neuroprune_tests::{Folder, PATIENCE, run};
use neuroprune_trainer::recipe::Recipe;

const GRID: &str = r#"
recipe = "recipe.toml"
methods = ["movement"]
sparsities = [0.5, 0.8]
seeds = [0, 1]
set.training.epochs = 1
set.quantization.calibration_texts = 16

[data]
train = "train.tsv"
test = "test.tsv"

[[variants]]
name = "as published"
pruning = { method = "paper", distillation = 0, alpha = 2e-3 }
"#;

/// A folder with data, a short test set, the fast recipe and the grid.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("grid.toml", GRID);
    // Scoring would take most of the time.
    let test = String::from_utf8(folder.read("test.tsv")).unwrap();
    let few: Vec<&str> = test.lines().take(61).collect();
    folder.write("test.tsv", few.join("\n"));
    folder
}

fn ablate(folder: &Folder) -> Command {
    folder.neuroprune(&["ablate", "grid.toml", "--out", "out", "--quiet"])
}

/// Kills the program once `path` exists; returns whether that was before its end.
fn killed_when_there(mut command: Command, path: &Path) -> bool {
    let command = command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let start = Instant::now();
    while !path.exists() && child.try_wait().unwrap().is_none() {
        assert!(start.elapsed() < PATIENCE, "nothing happens");
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    // A signal leaves no exit status.
    child.wait().unwrap().code().is_none()
}

#[test]
fn a_grid_that_is_killed_gives_the_same_table() {
    let whole = folder();
    let outcome = run(ablate(&whole).args(["--json", "--device", "cpu,cpu"])).json();
    let cells = outcome["cells"].as_array().unwrap();
    assert_eq!(cells.len(), 2 * 2 * 2);
    for cell in cells {
        let (asked, there) = (&cell["target_sparsity"], &cell["sparsity"]);
        assert!(there.as_f64() >= asked.as_f64(), "{cell}");
    }
    // One dense network per seed, however many cells start from it.
    assert_eq!(fs::read_dir(whole.path("out/dense")).unwrap().count(), 2);
    assert_eq!(outcome["dense"][0]["float"]["count"], 2);
    assert_eq!(outcome["rows"].as_array().unwrap().len(), 4);
    assert!(outcome["rows"][0]["penalties_reached"].is_null());
    assert!(outcome["rows"][2]["penalties_reached"]["mean"].as_f64() >= Some(0.0));
    let table = String::from_utf8(whole.read("out/ablation.md")).unwrap();
    assert!(table.contains("| as published | 80.0 % | 80."), "{table}");
    let page = String::from_utf8(whole.read("out/ablation.html")).unwrap();
    assert!(page.contains("as published") && page.trim_end().ends_with("</html>"));

    // Killed after a dense network, in a cell, and after a cell.
    let killed = folder();
    let mut kills = 0;
    for place in [
        "dense",
        "movement-0.5-0/model.checkpoint",
        "movement-0.8-1/model.outcome.json",
    ] {
        let path = killed.path("out").join(place);
        kills += usize::from(killed_when_there(ablate(&killed), &path));
    }
    assert!(kills >= 2, "only {kills} kills");
    let done = fs::metadata(killed.path("out/movement-0.5-0/model.neuro")).unwrap();
    run(&mut ablate(&killed)).assert_code(0);
    assert_eq!(
        String::from_utf8(killed.read("out/ablation.md")).unwrap(),
        table
    );
    // Finished cells were not trained again.
    let now = fs::metadata(killed.path("out/movement-0.5-0/model.neuro")).unwrap();
    assert_eq!(done.modified().unwrap(), now.modified().unwrap());

    // A cell is what `train` makes of its recipe.
    for cell in ["as-published-0.8-1", "movement-0.5-0"] {
        let recipe = whole.path("out").join(cell).join("model.recipe.toml");
        let (method, seed) = match cell {
            "movement-0.5-0" => ("movement", "0"),
            _ => ("paper", "1"),
        };
        let read = Recipe::read(&recipe).unwrap();
        assert_eq!(read.pruning.method.kind().name(), method);
        let mut command = whole.train(&["--test", "test.tsv", "--quiet", "--out"]);
        command
            .arg(format!("{cell}/model.neuro"))
            .args(["--seed", seed]);
        command.args([
            "--set",
            "training.epochs=1",
            "--set",
            "quantization.calibration_texts=16",
            "--method",
            method,
            "--sparsity",
            &read.pruning.sparsity.to_string(),
        ]);
        if method == "paper" {
            for set in ["distillation=0", "alpha=2e-3"] {
                command.arg("--set").arg(format!("pruning.{set}"));
            }
        }
        run(&mut command).assert_code(0);
        let (by_grid, alone) = (
            whole.read(&format!("out/{cell}/model.neuro")),
            whole.read(&format!("{cell}/model.neuro")),
        );
        assert!(by_grid == alone, "{cell}");
    }

    // The same runs as a page.
    let arguments = &["report", "out", "--json", "--out", "all.html"];
    let all = run(&mut whole.neuroprune(arguments)).json();
    assert_eq!(all["rows"].as_array().unwrap().len(), 4, "{all}");
    let page = String::from_utf8(whole.read("all.html")).unwrap();
    assert!(page.contains("<h1>8 models</h1>") && page.contains("movement"));
    let model = "out/movement-0.5-0/model.neuro";
    let before = whole.read("out/movement-0.5-0/model.report.html");
    let ran = run(&mut whole.neuroprune(&["report", model]));
    assert_eq!(ran.stdout, "out/movement-0.5-0/model.report.html\n");
    assert!(before == whole.read("out/movement-0.5-0/model.report.html"));

    // A changed grid does not accept the old cells as its own.
    whole.write("grid.toml", GRID.replace("2e-3", "1e-2"));
    let ran = run(&mut ablate(&whole));
    ran.assert_code(1);
    assert!(ran.stderr.contains("as-published-0.5-0"), "{}", ran.stderr);
    assert!(ran.stderr.contains("another recipe"), "{}", ran.stderr);
}

#[test]
fn what_cannot_be_compared_is_told() {
    let folder = folder();
    folder.write("grid.toml", GRID.replace("movement", "motion"));
    run(&mut ablate(&folder)).assert_error(2, &["grid.toml", "line 3", "motion"]);
    folder.write("grid.toml", GRID.replace("train.tsv", "none.tsv"));
    run(&mut ablate(&folder)).assert_error(1, &["none.tsv"]);
    let mut command = folder.neuroprune(&["ablate", "none.toml"]);
    run(&mut command).assert_error(2, &["none.toml"]);
    let mut command = folder.neuroprune(&["report", "model.neuro"]);
    run(&mut command).assert_error(1, &["model.outcome.json", "neuroprune train"]);
    let mut command = folder.neuroprune(&["report", "."]);
    run(&mut command).assert_error(1, &["has no finished run"]);
}

/// A missing tool is not a failure; with `--json` the answer is one object.
#[test]
fn the_doctor_is_honest_and_calm() {
    let folder = Folder::new();
    let mut command = folder.neuroprune(&["doctor", "--json"]);
    // Nothing but the program itself can be found.
    let ran = run(command.env("PATH", folder.path("")));
    let areas = ran.json()["areas"].clone();
    let areas = areas.as_array().unwrap();
    assert_eq!(areas.len(), 4);
    let checks = areas
        .iter()
        .flat_map(|area| area["checks"].as_array().unwrap());
    for check in checks {
        let is_there = check["is_there"].as_bool().unwrap();
        assert_eq!(is_there, check["get"] == "", "{check}");
    }
    for area in &areas[2..] {
        assert_eq!(area["is_ready"], false, "{area}");
    }
    let mut command = folder.neuroprune(&["doctor"]);
    let text = run(command.env("PATH", folder.path("")));
    text.assert_code(0);
    assert!(
        text.stdout
            .contains("rustup target add thumbv7em-none-eabihf")
    );
}
