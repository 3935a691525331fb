//! What the stories share: the real program, a small data set and a fast recipe.
//!
//! A story is one file of `tests/`: it states a promise to the user, does what a user would do, and
//! checks what the user would see. Nothing here depends on the program's internals.
#![forbid(unsafe_code)]

use core::time::Duration;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use neuroprune_trainer::data::smart_home;
use serde_json::Value;

/// Seed of the small data set.
const DATA_SEED: u64 = 7;
/// Rows of its training set.
const TRAIN_ROWS: usize = 600;
/// Rows of its test set.
const TEST_ROWS: usize = 200;

/// Timeout for everything that is waited for, which takes seconds, or a minute on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(600);

/// A recipe that learns the small data set in about two seconds.
pub const FAST_RECIPE: &str = "\
[model]
hidden = 32
layers = 2
heads = 2
intermediate = 64
vocabulary = 400
tokens = 24

[training]
epochs = 2
batch = 8
learning_rate = 3e-3

[pruning]
sparsity = 0.8
epochs = 2
learning_rate = 3e-3
";

/// The program `neuroprune`.
#[must_use]
pub fn neuroprune() -> Command {
    Command::new(program())
}

/// Variable in which cargo passes the program's path to every test that it runs.
const PROGRAM: &str = "CARGO_BIN_EXE_neuroprune_of_stories";

/// Path of the program `neuroprune`, which cargo builds before any story runs.
///
/// # Panics
/// When a story is started without cargo, and the environment does not name the program.
#[must_use]
pub fn program() -> PathBuf {
    let program = std::env::var_os(PROGRAM);
    PathBuf::from(program.unwrap_or_else(|| panic!("{PROGRAM} must name the program")))
}

/// The root of the workspace.
#[must_use]
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What a command did.
#[derive(Clone, Debug)]
pub struct Ran {
    /// Exit status; `None` where a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Ran {
    /// The one JSON object on standard output.
    ///
    /// # Panics
    /// When the command failed, or wrote anything else.
    #[track_caller]
    #[must_use]
    pub fn json(&self) -> Value {
        self.assert_code(0);
        let value = serde_json::from_str(&self.stdout);
        let value: Value = value.unwrap_or_else(|error| panic!("{error} in {}", self.stdout));
        assert!(value.is_object(), "{value}");
        value
    }

    /// Standard output as JSON Lines, of a command that succeeded.
    ///
    /// # Panics
    /// When it failed, or a line is no JSON object.
    #[must_use]
    pub fn json_lines(&self) -> Vec<Value> {
        self.assert_code(0);
        let values = self.stdout.lines().map(|line| line.parse::<Value>());
        let values: Vec<Value> = values.collect::<Result<_, _>>().unwrap();
        assert!(values.iter().all(Value::is_object), "{}", self.stdout);
        values
    }

    /// Fails, with all output, unless the exit status is `code`.
    ///
    /// # Panics
    /// That is how it fails.
    #[track_caller]
    pub fn assert_code(&self, code: i32) {
        assert_eq!(self.code, Some(code), "{}\n{}", self.stdout, self.stderr);
    }

    /// Fails unless the exit status is `code` and standard error is an error message
    /// with each of `parts` in it.
    ///
    /// # Panics
    /// That is how it fails.
    #[track_caller]
    pub fn assert_error(&self, code: i32, parts: &[&str]) {
        self.assert_code(code);
        assert_eq!(self.stdout, "");
        assert!(self.stderr.contains("error: "), "{}", self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        for part in parts {
            assert!(self.stderr.contains(part), "no {part:?} in {}", self.stderr);
        }
    }
}

/// Runs a command to its end, without a terminal.
///
/// # Panics
/// When it does not start, or its output is not UTF-8.
#[track_caller]
pub fn run(command: &mut Command) -> Ran {
    let output = command
        .stdin(Stdio::null())
        .output()
        .expect("the program starts");
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

/// A temporary folder with `train.tsv`, `test.tsv` and `recipe.toml` in it.
#[derive(Debug)]
pub struct Folder {
    folder: tempfile::TempDir,
}

impl Default for Folder {
    fn default() -> Self {
        Self::new()
    }
}

impl Folder {
    /// A folder with the small data set: commands to a smart home, 17 classes.
    ///
    /// # Panics
    /// When it cannot be written.
    #[must_use]
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let home = smart_home::generate(DATA_SEED, TRAIN_ROWS, TEST_ROWS);
        for (name, rows) in [("train.tsv", &home.train), ("test.tsv", &home.test)] {
            smart_home::write_tsv(&folder.path().join(name), rows).expect("a writable folder");
        }
        let new = Self { folder };
        new.write("recipe.toml", FAST_RECIPE);
        new
    }

    /// A file of the folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file of the folder.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).expect("a writable folder");
    }

    /// Reads a file of the folder.
    ///
    /// # Panics
    /// When it cannot be read.
    #[track_caller]
    #[must_use]
    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Names of the files, sorted.
    ///
    /// # Panics
    /// When the folder cannot be read.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).expect("a folder");
        let names = entries.map(|entry| {
            let name = entry.expect("an entry").file_name();
            name.into_string().expect("UTF-8")
        });
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    /// `neuroprune` with these arguments, in this folder.
    #[must_use]
    pub fn neuroprune(&self, arguments: &[&str]) -> Command {
        let mut command = neuroprune();
        command.args(arguments).current_dir(self.folder.path());
        command
    }

    /// `neuroprune train` on `train.tsv` with `recipe.toml`, then these arguments.
    #[must_use]
    pub fn train(&self, arguments: &[&str]) -> Command {
        let mut command = self.neuroprune(&["train", "--data", "train.tsv"]);
        command.args(["--recipe", "recipe.toml"]).args(arguments);
        command
    }
}

/// SplitMix64 (Steele, Lea and Flood 2014): the same choices in every run.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        #[expect(clippy::cast_possible_truncation, reason = "below a usize")]
        let below = (self.bits() % bound as u64) as usize;
        below
    }
}
