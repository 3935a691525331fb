//! What the program says about itself, and about wrong use.
//!
//! A user is promised help that fits the program, an exit status of 2 for a command that
//! makes no sense and of 1 for one that failed, and a message that names the option, or
//! the file and the place in it. The files `cli/*.trycmd` hold commands with their whole output;
//! `TRYCMD=overwrite cargo test -p neuroprune-tests --test command_line` rewrites them.

use neuroprune_tests::{Folder, neuroprune, program, run};

#[test]
fn commands_print_what_is_written_down() {
    let cases = trycmd::TestCases::new();
    cases
        .register_bin("neuroprune", program())
        .env("COLUMNS", "100")
        .env("RUST_BACKTRACE", "0")
        .env("NO_COLOR", "1")
        .insert_var("[VERSION]", env!("CARGO_PKG_VERSION"))
        .expect("a good name");
    cases.case("tests/cli/*.trycmd");
}

/// The snapshots hold the help texts; this checks what they must not leave out.
#[test]
fn help_tells_what_a_newcomer_must_know() {
    let help = |command| {
        let mut program = neuroprune();
        let ran = run(program.args([command, "--help"]).env("COLUMNS", "100"));
        ran.assert_code(0);
        // Wrapping does not matter here.
        ran.stdout.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    for (command, facts) in [
        (
            "train",
            &[".tsv, .csv or .jsonl", "text_a", "a tenth of"][..],
        ),
        ("classify", &["standard input", "a tab stands between"]),
        ("quickstart", &["Writes a data set of its own"]),
    ] {
        let text = help(command);
        for fact in facts {
            assert!(text.contains(fact), "{command}: no {fact:?} in {text}");
        }
    }
    // Options of the program are not listed among those of the recipe.
    for command in ["train", "quickstart"] {
        let text = help(command);
        let (_, recipe) = text.split_once(" Recipe: ").expect("a heading");
        let recipe = recipe.split(" Data files: ").next().expect("a part");
        let recipe = recipe.split(" Examples: ").next().expect("a part");
        for option in ["--json", "--quiet", "--resume"] {
            assert!(!recipe.contains(option), "{command}: {option} in {recipe}");
        }
    }
}

/// A message states each fact once.
#[test]
fn messages_do_not_repeat_themselves() {
    let folder = Folder::new();
    folder.write("bad.toml", "[model]\nhaeds = 2\n");
    std::fs::create_dir(folder.path("folder.neuro")).unwrap();
    let quick = ["--epochs", "1", "--quiet"];
    let cases: [(&[&str], &str); 3] = [
        (&["--recipe", "bad.toml"], "there is no key"),
        (&["--recipe", "missing.toml"], "No such file"),
        (&["--out", "folder.neuro"], "is a folder"),
    ];
    for (arguments, what) in cases {
        let mut command = folder.neuroprune(&["train", "--data", "train.tsv"]);
        if !arguments.contains(&"--recipe") {
            command.args(["--recipe", "recipe.toml"]);
        }
        let ran = run(command.args(arguments).args(quick));
        assert_ne!(ran.code, Some(0), "{what}");
        assert_eq!(ran.stderr.matches(what).count(), 1, "{}", ran.stderr);
    }
}
