//! A run may be killed at any moment.
//!
//! A user is promised that a power cut costs at most one epoch: every file exists whole or not at
//! all, `--resume` continues from the last checkpoint, and the result is the file of an
//! uninterrupted run, byte for byte. Ctrl-C saves first and prints how to resume. A checkpoint that
//! does not belong to the command, or is damaged, is refused by name.
#![cfg(unix)]

use core::time::Duration;
use std::ffi::OsStr;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Instant, SystemTime};

use neuroprune_format::Model;
use neuroprune_tests::{Folder, PATIENCE, Ran, Random, run};
use neuroprune_trainer::Phase;
use neuroprune_trainer::checkpoint;
use serde_json::Value;

const OUTPUTS: [&str; 6] = [
    "model.checkpoint",
    "model.dense.neuro",
    "model.neuro",
    "model.outcome.json",
    "model.recipe.toml",
    "model.report.html",
];

/// What a program that was killed leaves behind: the next one removes it.
const LOCK: &str = ".model.lock";

/// The state of an unfinished run that is to replace a finished one.
const NEXT: &str = "model.next.checkpoint";

/// Epochs that leave time to press Ctrl-C.
const LONG: [&str; 2] = ["--epochs", "6"];

/// The run of these stories. The best network of a phase is part of what is saved.
fn train(folder: &Folder) -> Command {
    let mut command = folder.train(&["--test", "test.tsv", "--quiet"]);
    command.args(["--set", "training.keep=best", "--class-weights", "balanced"]);
    command
}

/// Resumes where there is a checkpoint, starts where there is none.
fn go_on(folder: &Folder) -> Command {
    let mut command = train(folder);
    if folder.path("model.checkpoint").exists() {
        command.arg("--resume");
    }
    command
}

fn start(command: &mut Command) -> Child {
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped());
    command.stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits until `condition` holds; returns whether it did before the program ended.
fn wait_until(child: &mut Child, mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    loop {
        if condition() {
            return true;
        }
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        assert!(start.elapsed() < PATIENCE, "nothing happens");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Every file with the name of an output is that output, and whole.
fn assert_whole(folder: &Folder) {
    for name in folder.names() {
        assert!(
            OUTPUTS.contains(&name.as_str())
                || [LOCK, NEXT].contains(&name.as_str())
                || !name.contains("model"),
            "{name} was left behind"
        );
        let path = folder.path(&name);
        match path.extension().and_then(OsStr::to_str) {
            Some("neuro") => drop(Model::open(&fs::read(&path).unwrap()).unwrap()),
            Some("checkpoint") => drop(checkpoint::load(&path).unwrap()),
            Some("json") => drop(serde_json::from_slice::<Value>(&folder.read(&name)).unwrap()),
            Some("html") => assert!(folder.read(&name).trim_ascii_end().ends_with(b"</html>")),
            _ => {}
        }
    }
    if let Ok(recipe) = fs::read_to_string(folder.path("model.recipe.toml")) {
        assert!(recipe.contains("calibration_texts"), "{recipe}");
    }
}

/// When the checkpoint was last replaced.
fn modified(folder: &Folder) -> Option<SystemTime> {
    fs::metadata(folder.path("model.checkpoint"))
        .and_then(|data| data.modified())
        .ok()
}

/// The half-written files of a checkpoint's size, including those that a kill left behind.
fn half_written(folder: &Folder) -> Vec<String> {
    let mut names = folder.names();
    names.retain(|name| {
        // Gone since the listing: no longer half written.
        let length = fs::metadata(folder.path(name)).map_or(0, |data| data.len());
        name.starts_with(".tmp") && length > 50_000
    });
    names
}

/// A run that is killed again and again.
struct Life {
    folder: Folder,
    kills: usize,
}

impl Life {
    fn new() -> Self {
        Self {
            folder: Folder::new(),
            kills: 0,
        }
    }

    /// Resumes and is killed when `condition` holds, unless it ends first; returns whether it was
    /// killed.
    fn killed_when(&mut self, mut condition: impl FnMut(&Folder) -> bool) -> bool {
        let mut child = start(&mut go_on(&self.folder));
        wait_until(&mut child, || condition(&self.folder));
        child.kill().unwrap();
        // A signal leaves no exit status.
        let was_killed = child.wait().unwrap().code().is_none();
        self.kills += usize::from(was_killed);
        assert_whole(&self.folder);
        was_killed
    }

    /// Runs to the end, and gives what `whole` gave.
    fn finish(&self, whole: &Folder) {
        run(&mut go_on(&self.folder)).assert_code(0);
        assert_whole(&self.folder);
        for name in ["model.neuro", "model.dense.neuro", "model.checkpoint"] {
            assert!(whole.read(name) == self.folder.read(name), "{name} differs");
        }
    }
}

#[test]
fn killed_at_any_moment() {
    let whole = Folder::new();
    let begin = Instant::now();
    run(&mut train(&whole)).assert_code(0);
    let duration = begin.elapsed();
    assert_eq!(whole.names().len(), 9, "{:?}", whole.names());

    // At moments of interest.
    let mut life = Life::new();
    life.killed_when(|folder| folder.path("model.recipe.toml").exists());
    for _ in 0..3 {
        // A checkpoint is half written: no harm to the previous one. That takes milliseconds; where
        // they were missed, the moment after is as good.
        let (left, before) = (half_written(&life.folder), modified(&life.folder));
        life.killed_when(|folder| half_written(folder) != left || modified(folder) != before);
        // A checkpoint was put in its place.
        let before = modified(&life.folder);
        life.killed_when(|folder| modified(folder) != before);
    }
    life.killed_when(|folder| folder.path("model.dense.neuro").exists());
    assert!(life.kills >= 4, "only {} kills", life.kills);
    life.finish(&whole);

    // Anywhere: mostly in the training, then also after it.
    let mut life = Life::new();
    let mut random = Random(0x6b69_6c6c);
    let (mut duration, mut kills) = (duration, 0);
    for permille in [200, 200, 300, 500, 900] {
        let delay = duration.mul_f64(random.below(permille) as f64 / 1000.0);
        let begin = Instant::now();
        if life.killed_when(|_| begin.elapsed() >= delay) {
            kills += 1;
        } else {
            // It ended before it was killed: the machine is less busy than when the duration was
            // measured.
            life.finish(&whole);
            life = Life::new();
            duration /= 2;
        }
    }
    assert!(kills >= 2, "only {kills} kills");
    life.finish(&whole);

    // A finished run that is resumed writes its files again.
    fs::remove_file(whole.path("model.neuro")).unwrap();
    run(train(&whole).arg("--resume")).assert_code(0);
    assert!(whole.read("model.neuro") == life.folder.read("model.neuro"));
}

/// Presses Ctrl-C once the training has begun.
fn interrupted(folder: &Folder, command: &mut Command) -> Ran {
    interrupted_by("-INT", folder, command)
}

/// Sends a signal once the training has begun.
fn interrupted_by(signal: &str, folder: &Folder, command: &mut Command) -> Ran {
    let mut child = start(command);
    assert!(wait_until(&mut child, || {
        folder
            .names()
            .iter()
            .any(|name| name.ends_with("recipe.toml") && name != "recipe.toml")
    }));
    let status = Command::new("kill")
        .args([signal, &child.id().to_string()])
        .status();
    assert!(status.unwrap().success());
    let output = child.wait_with_output().unwrap();
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A run that a signal stopped. On a busy machine the signal may come when the run is over: then
/// another one.
fn stopped_by(signal: &str) -> (Folder, Ran) {
    for _ in 0..5 {
        let folder = Folder::new();
        let stopped = interrupted_by(signal, &folder, train(&folder).args(LONG));
        if stopped.code != Some(0) {
            return (folder, stopped);
        }
    }
    panic!("five runs ended before a signal reached them");
}

/// Ctrl-C, what `kill` and schedulers send, and what a closed terminal sends.
#[test]
fn interrupted_by_ctrl_c_and_other_signals() {
    let whole = Folder::new();
    run(train(&whole).args(LONG)).assert_code(0);

    for (signal, status) in [("-INT", 130), ("-TERM", 143), ("-HUP", 129)] {
        let (folder, stopped) = stopped_by(signal);
        stopped.assert_code(status);
        assert_eq!(stopped.stdout, "");
        for part in ["--resume", "model.checkpoint"] {
            assert!(stopped.stderr.contains(part), "{}", stopped.stderr);
        }
        assert_whole(&folder);
        let saved = checkpoint::load(&folder.path("model.checkpoint")).unwrap();
        assert_ne!(saved.phase, Phase::Finished);
        assert!(saved.step > 0 || saved.phase == Phase::Sparse);
        assert!(!folder.path("model.neuro").exists());

        run(train(&folder).args(LONG).arg("--resume")).assert_code(0);
        assert!(whole.read("model.neuro") == folder.read("model.neuro"));
        assert_eq!(folder.names(), whole.names());
    }
}

/// `nohup` ignores the end of the terminal; so does the run.
#[test]
fn a_run_without_a_terminal_outlives_it() {
    let folder = Folder::new();
    let inner = train(&folder);
    let mut command = Command::new("sh");
    command.current_dir(folder.path(""));
    command.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]);
    command.arg(inner.get_program()).args(inner.get_args());
    interrupted_by("-HUP", &folder, &mut command).assert_code(0);
    assert!(folder.path("model.neuro").exists());
}

/// Whoever starts a run in the place of another is told, and the other is as it was.
#[test]
fn a_run_is_replaced_only_when_asked() {
    let folder = stopped();
    let before = folder.read("model.checkpoint");
    let refused = |command: &mut Command| {
        run(command).assert_error(1, &["model.checkpoint", "--resume", "--overwrite"]);
    };
    refused(train(&folder).args(LONG));
    refused(train(&folder).args(["--seed", "3"]));
    assert!(before == folder.read("model.checkpoint"));

    run(train(&folder).args(["--overwrite", "--seed", "3"])).assert_code(0);
    let (model, outcome) = (
        folder.read("model.neuro"),
        folder.read("model.outcome.json"),
    );
    refused(train(&folder).args(["--seed", "3"]));
    // One that stops leaves the files of the one before, and can be resumed.
    let checkpoint = folder.read("model.checkpoint");
    let next = folder.path(NEXT);
    let other = |how: &str| {
        let mut other = train(&folder);
        other.args(LONG).args([how, "--seed", "4"]);
        other
    };
    let mut child = start(&mut other("--overwrite"));
    assert!(wait_until(&mut child, || next.exists()));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(model == folder.read("model.neuro"));
    assert!(outcome == folder.read("model.outcome.json"));
    assert!(checkpoint == folder.read("model.checkpoint"));
    assert_whole(&folder);
    run(&mut other("--resume")).assert_code(0);
    assert!(model != folder.read("model.neuro") && !next.exists());
    assert!(checkpoint != folder.read("model.checkpoint"));
}

/// Two programs cannot work on the same run.
#[test]
fn a_run_that_is_running_is_left_alone() {
    let folder = Folder::new();
    let mut child = start(train(&folder).args(LONG));
    assert!(wait_until(&mut child, || folder.path(LOCK).exists()));
    let second = run(train(&folder).args(LONG).arg("--overwrite"));
    second.assert_error(1, &["model.neuro", "another program"]);
    child.kill().unwrap();
    child.wait().unwrap();
    // The system let go of what the killed one held.
    run(go_on(&folder).args(LONG)).assert_code(0);
}

/// A recipe that the user wrote is not replaced by a resolved one.
#[test]
fn a_recipe_of_the_user_is_left_alone() {
    let folder = Folder::new();
    let own = String::from_utf8(folder.read("recipe.toml")).unwrap() + "# mine\n";
    folder.write("model.recipe.toml", &own);
    let mut changed = folder.neuroprune(&["train", "--data", "train.tsv", "--quiet"]);
    changed.args(["--recipe", "model.recipe.toml", "--seed", "9"]);
    run(&mut changed).assert_error(1, &["model.recipe.toml", "another recipe"]);
    let mut as_it_is = folder.neuroprune(&["train", "--data", "train.tsv", "--quiet"]);
    as_it_is.args(["--recipe", "model.recipe.toml"]);
    run(&mut as_it_is).assert_code(0);
    assert_eq!(folder.read("model.recipe.toml"), own.as_bytes());
}

/// The quickstart must be able to resume as its message says.
#[test]
fn an_interrupted_quickstart_can_go_on_as_it_says() {
    let folder = Folder::new();
    // It writes its own texts, but not over those of others.
    for name in ["train.tsv", "test.tsv"] {
        fs::remove_file(folder.path(name)).unwrap();
    }
    let home = Folder::new();
    let mut command = home.neuroprune(&["quickstart", "--quiet", "--out"]);
    let stopped = interrupted(&folder, command.arg(folder.path("")));
    stopped.assert_code(130);
    assert!(folder.path("commands.checkpoint").exists());
    if stopped.stderr.contains("the same command with --resume") {
        let help = run(&mut home.neuroprune(&["quickstart", "--help"]));
        let text = &stopped.stderr;
        assert!(help.stdout.contains("--resume"), "no --resume, but: {text}");
    }
}

/// A folder with a run that stopped after its first steps.
fn stopped() -> Folder {
    let folder = Folder::new();
    interrupted(&folder, train(&folder).args(LONG)).assert_code(130);
    folder
}

#[test]
fn another_run_is_not_gone_on_with() {
    let folder = stopped();
    let text = String::from_utf8(folder.read("train.tsv")).unwrap();
    let shorter: Vec<&str> = text.lines().take(500).collect();
    folder.write("shorter.tsv", shorter.join("\n"));
    let before = folder.read("model.checkpoint");

    let resume = |arguments: &[&str]| {
        let mut command = train(&folder);
        run(command.args(LONG).arg("--resume").args(arguments))
    };
    let refused = |arguments: &[&str], what: &str| {
        resume(arguments).assert_error(1, &["model.checkpoint", what, "--overwrite"]);
    };
    refused(&["--seed", "9"], "seed was 0 and is 9");
    refused(
        &["--set", "pruning.sparsity=0.7"],
        "pruning.sparsity was 0.8 and is 0.7",
    );
    refused(
        &["--blocks", "1x4"],
        "pruning.blocks was \"1x1\" and is \"1x4\"",
    );
    let mut command = folder.neuroprune(&["train", "--data", "shorter.tsv", "--resume"]);
    command.args(["--recipe", "recipe.toml"]).args(LONG);
    command.args(["--set", "training.keep=best", "--class-weights", "balanced"]);
    run(&mut command).assert_error(1, &["model.checkpoint", "training texts", "shorter.tsv"]);
    // It is still there for the right command.
    assert!(before == folder.read("model.checkpoint"));
}

/// The same file read in another way is other data too.
#[test]
fn the_same_file_read_otherwise_is_other_data() {
    let folder = Folder::new();
    // Two columns to learn from: the class, and its first letter.
    let text = String::from_utf8(folder.read("train.tsv")).unwrap();
    let rows = text.lines().skip(1).map(|row| {
        let (_, label) = row.split_once('\t').unwrap();
        format!("{row}\t{}\n", &label[..1])
    });
    folder.write(
        "train.tsv",
        "text\tlabel\tletter\n".to_owned() + &rows.collect::<String>(),
    );
    let command = || {
        let mut command = folder.train(&LONG);
        command.args(["--quiet", "--resume"]);
        command
    };
    interrupted(&folder, &mut folder.train(&LONG)).assert_code(130);
    let refused = |command: &mut Command| {
        run(command).assert_error(1, &["model.checkpoint", "training texts"]);
    };
    refused(command().args(["--label-column", "letter"]));
    // With a dev set of its own, the training set keeps every row.
    refused(command().args(["--dev", "test.tsv"]));
}

/// The checkpoint with another description, without checksums, which files of before had not.
fn described(good: &[u8], change: impl Fn(&mut Value)) -> Vec<u8> {
    let (length, rest) = good.split_at(8);
    let length = u64::from_le_bytes(length.try_into().unwrap());
    let (header, values) = rest.split_at(usize::try_from(length).unwrap());
    let mut header: Value = serde_json::from_slice(header).unwrap();
    let text = header["__metadata__"]["neuroprune"].as_str().unwrap();
    let mut description: Value = serde_json::from_str(text).unwrap();
    description["version"] = 3.into();
    change(&mut description);
    header["__metadata__"]["neuroprune"] = description.to_string().into();
    let mut header = header.to_string();
    header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
    let length = (header.len() as u64).to_le_bytes();
    [&length, header.as_bytes(), values].concat()
}

/// What a program with a fault, or somebody, may have written: one line, before anything is trained.
#[test]
fn checkpoints_that_contradict_themselves_are_refused_by_name() {
    let folder = stopped();
    let good = folder.read("model.checkpoint");
    folder.write("same.checkpoint", described(&good, |_| {}));
    assert!(checkpoint::load(&folder.path("same.checkpoint")).is_ok());
    type Change = fn(&mut Value);
    let cases: [(Change, &str); 7] = [
        (
            |it| it["layers"][0]["heads"] = vec![0, 0].into(),
            "left of a layer",
        ),
        (
            |it| it["layers"][0]["heads"] = vec![65_535].into(),
            "left of a layer",
        ),
        (
            |it| it["layers"][0]["mlp_columns"] = vec![4_000_000_000_u32].into(),
            "left of a layer",
        ),
        (
            |it| it["layers"] = Vec::<Value>::new().into(),
            "left of a layer",
        ),
        (
            |it| it["labels"][0] = it["labels"][1].clone(),
            "a class occurs twice",
        ),
        (
            |it| {
                for of in ["shape", "recipe"] {
                    let it = if of == "shape" {
                        &mut it[of]
                    } else {
                        &mut it[of]["model"]
                    };
                    it["hidden"] = 2_048.into();
                    it["intermediate"] = 16_384.into();
                }
            },
            "shorter than the weights",
        ),
        (|it| it["step"] = u64::MAX.into(), "a step after its end"),
    ];
    for (change, what) in cases {
        folder.write("model.checkpoint", described(&good, change));
        let ran = run(train(&folder).args(LONG).arg("--resume"));
        ran.assert_error(1, &["model.checkpoint", what]);
    }
}

#[test]
fn damaged_checkpoints_are_refused_by_name() {
    let folder = stopped();
    let good = folder.read("model.checkpoint");
    let path = folder.path("model.checkpoint");
    let mut random = Random(0x63_6b70);
    let mut garbage = good.clone();
    for byte in &mut garbage[8..400] {
        *byte = random.bits().to_le_bytes()[0];
    }
    let version = b"\\\"version\\\":";
    let at = good
        .windows(version.len())
        .position(|window| window == version);
    let mut later = good.clone();
    later[at.expect("a version") + version.len()] = b'9';
    let cases: [(&str, &[u8], &str); 6] = [
        ("empty", &[], "not a whole"),
        ("a few bytes", &good[..5], "not a whole"),
        ("half", &good[..good.len() / 2], "not a whole"),
        ("all but one", &good[..good.len() - 1], "not a whole"),
        ("garbage", &garbage, "not a whole"),
        ("of a later version", &later, "version 9"),
    ];
    for (name, bytes, what) in cases {
        folder.write("model.checkpoint", bytes);
        let ran = run(train(&folder).arg("--resume"));
        assert_eq!(ran.code, Some(1), "{name}: {}", ran.stderr);
        ran.assert_error(1, &["model.checkpoint", what]);
        // Nothing was written over it.
        assert!(folder.read("model.checkpoint") == bytes, "{name}");
    }
    // Any bit that flips is named: what it is in, or that the whole is none.
    for _ in 0..200 {
        let mut flipped = good.clone();
        flipped[random.below(good.len())] ^= 1 << random.below(8);
        folder.write("model.checkpoint", &flipped);
        let error = checkpoint::load(&path).expect_err("a flipped bit");
        assert!(error.to_string().contains("model.checkpoint"), "{error}");
    }
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    folder.write("model.checkpoint", &flipped);
    let ran = run(train(&folder).arg("--resume"));
    ran.assert_error(1, &["model.checkpoint", "tensor `", "is damaged"]);
    fs::remove_file(&path).unwrap();
    run(train(&folder).arg("--resume")).assert_error(1, &["model.checkpoint", "No such file"]);

    // Cut anywhere: a message, never a panic.
    for _ in 0..200 {
        let length = random.below(good.len());
        folder.write("model.checkpoint", &good[..length]);
        let error = checkpoint::load(&path).expect_err("a cut file");
        assert!(error.to_string().contains("model.checkpoint"), "{error}");
    }
}
