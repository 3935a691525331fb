//! Odd commands and a full disk.
//!
//! A user is promised that a log that cannot be written does not end a run, that no command
//! overwrites a model or texts that are not its own, and that a bundled recipe is found even where
//! a folder has its name.

use neuroprune_tests::{Folder, run};

/// Only Linux has a device that is always full.
#[cfg(target_os = "linux")]
#[test]
fn a_log_that_cannot_be_written_ends_no_run() {
    use std::fs::File;
    use std::process::Stdio;

    let log = File::options().write(true).open("/dev/full").unwrap();
    let folder = Folder::new();
    let mut command = folder.train(&["--out", "model.neuro"]);
    let status = command.stderr(Stdio::from(log)).status().unwrap();
    assert!(status.success(), "{status}");
    assert!(folder.names().contains(&"model.neuro".to_owned()));
}

#[test]
fn a_page_is_not_written_over_its_model() {
    let folder = Folder::new();
    run(&mut folder.train(&["--out", "model.neuro"])).assert_code(0);
    let before = folder.read("model.neuro");
    let mut command = folder.neuroprune(&["report", "model.neuro", "--out", "model.neuro"]);
    run(&mut command).assert_error(2, &["model.neuro", "ends in .html"]);
    assert_eq!(folder.read("model.neuro"), before);
}

#[test]
fn the_quickstart_leaves_texts_of_others() {
    let folder = Folder::new();
    let own = "text\tlabel\nmine\ta\n";
    folder.write("train.tsv", own);
    let mut command = folder.neuroprune(&["quickstart", "--recipe", "tiny", "--out", "."]);
    run(&mut command).assert_error(1, &["train.tsv", "other texts"]);
    assert_eq!(folder.read("train.tsv"), own.as_bytes());
}

#[test]
fn a_folder_is_no_recipe() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("tiny")).unwrap();
    let ran = run(&mut folder.neuroprune(&["recipe", "--recipe", "tiny"]));
    ran.assert_code(0);
    assert!(ran.stdout.contains("[pruning]"), "{}", ran.stdout);
}
