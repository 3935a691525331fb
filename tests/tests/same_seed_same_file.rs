//! The same recipe, data and seed give the same file, byte for byte.
//!
//! A user is promised this whatever the folder is, however many threads there are and
//! whether the recipe is the one that was given or the resolved one that was written
//! next to the model; and that another seed gives another model.

use neuroprune_tests::{Folder, run};

/// What a run writes with these arguments and this number of threads.
fn files(folder: &Folder, threads: Option<&str>, arguments: &[&str]) -> [Vec<u8>; 3] {
    let mut command = folder.neuroprune(&["train", "--data", "train.tsv"]);
    command.args(arguments);
    if !arguments.contains(&"--recipe") {
        command.args(["--recipe", "recipe.toml"]);
    }
    command.args(["--test", "test.tsv", "--quiet"]);
    match threads {
        Some(threads) => command.env("RAYON_NUM_THREADS", threads),
        None => command.env_remove("RAYON_NUM_THREADS"),
    };
    run(&mut command).assert_code(0);
    ["model.neuro", "model.dense.neuro", "model.checkpoint"].map(|name| folder.read(name))
}

fn assert_same(one: &[Vec<u8>; 3], other: &[Vec<u8>; 3]) {
    for (index, name) in ["sparse", "dense", "checkpoint"].into_iter().enumerate() {
        // Not assert_eq!: nobody wants to read the bytes.
        assert!(one[index] == other[index], "the {name} files differ");
    }
}

#[test]
fn folder_and_number_of_threads_do_not_matter() {
    let first = Folder::new();
    let two_threads = files(&first, Some("2"), &[]);
    let one_thread = files(&Folder::new(), Some("1"), &[]);
    assert_same(&two_threads, &one_thread);
    let second = Folder::new();
    second.write("resolved.toml", first.read("model.recipe.toml"));
    let usual = files(&second, None, &["--recipe", "resolved.toml"]);
    assert_same(&two_threads, &usual);
    assert_eq!(
        first.read("model.recipe.toml"),
        second.read("model.recipe.toml")
    );
}

#[test]
fn another_seed_is_another_model() {
    let quick = ["--epochs", "1", "--seed"];
    let seeded = |seed| files(&Folder::new(), None, &[&quick[..], &[seed]].concat());
    let (zero, one) = (seeded("0"), seeded("1"));
    assert!(zero[0] != one[0], "the sparse files are the same");
    assert!(zero[1] != one[1], "the dense files are the same");
}
