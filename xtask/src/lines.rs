//! How much production code there is, by crate, and which files have become too long.

mod source;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use clap::Args;
use serde::Serialize;

use crate::command::repository;
use source::Source;

/// Count the lines of production code by crate, and find files that are too long.
///
/// Counts Rust files of `src` folders and build scripts, without what is compiled only for tests. A
/// file's lines include comments and blank lines, as for a reader; lines of code do not. A function
/// extends from the line of its `fn` to that of its closing brace, comments and blank lines
/// included; functions without a body do not count.
#[derive(Args, Debug)]
pub(crate) struct Lines {
    /// Count another checkout, to compare with.
    #[arg(long, value_name = "FOLDER")]
    of: Option<PathBuf>,
    /// Print the figures as one JSON object.
    #[arg(long)]
    json: bool,
}

/// Crates of the checkout that are more than tests. Crates that a checkout does not have are left
/// out.
const CRATES: [&str; 8] = [
    "format",
    "runtime",
    "trainer",
    "browser/wasm",
    "firmware-examples",
    "counter",
    "host-bench",
    "xtask",
];

/// A file with more lines should have a second concept in it, or a reason.
const LONG: usize = 400;

/// Files that are longer all the same, each with its reason, as `PATH: REASON`.
const REASONS: &str = include_str!("lines/long_files.txt");

/// Prints the state of a checkout.
///
/// # Errors
/// Where a file cannot be read.
pub(crate) fn run(job: &Lines) -> anyhow::Result<()> {
    let root = job.of.as_deref().unwrap_or(repository());
    let crates = count(root)?;
    if job.json {
        println!("{}", serde_json::to_string(&crates)?);
    } else {
        print!("{}", table(&crates));
    }
    Ok(())
}

/// Prints the state of the checkout and checks the length of every file.
///
/// # Errors
/// Names the files that are too long, and the reasons that are not needed.
pub(crate) fn check() -> anyhow::Result<()> {
    let crates = count(repository())?;
    print!("{}", table(&crates));
    let files: Vec<&File> = crates.iter().flat_map(|counted| &counted.files).collect();
    let wrong = complaints(&files, REASONS);
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// A production file.
#[derive(Serialize)]
struct File {
    /// From the root of the checkout, with `/`.
    path: String,
    lines: usize,
    code: usize,
    #[serde(skip)]
    functions: Vec<usize>,
}

/// The figures of a crate.
#[derive(Serialize)]
struct Crate {
    name: &'static str,
    /// With comments and blank lines.
    lines: usize,
    /// Without.
    code: usize,
    functions: usize,
    median_function: usize,
    files: Vec<File>,
}

fn count(root: &Path) -> anyhow::Result<Vec<Crate>> {
    let there = CRATES.iter().filter(|name| root.join(name).is_dir());
    there.map(|name| Crate::count(root, name)).collect()
}

impl Crate {
    fn count(root: &Path, name: &'static str) -> anyhow::Result<Self> {
        let mut paths = Vec::new();
        collect(&root.join(name).join("src"), &mut paths)?;
        paths.extend(Some(root.join(name).join("build.rs")).filter(|path| path.is_file()));
        paths.sort();
        let mut sources = Vec::new();
        for path in paths {
            let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            sources.push((path, Source::read(&text)));
        }
        let only_tests: Vec<PathBuf> = sources.iter().flat_map(test_files).collect();
        // With the modules inside them.
        let is_test = |path: &Path| {
            let mut tests = only_tests.iter();
            tests.any(|test| path == test || path.starts_with(test.with_extension("")))
        };
        sources.retain(|(path, _)| !is_test(path));
        let mut files = Vec::new();
        for (path, source) in sources {
            let path = path.strip_prefix(root)?.to_string_lossy();
            files.push(File {
                path: path.replace('\\', "/"),
                lines: source.lines,
                code: source.code,
                functions: source.functions,
            });
        }
        let lengths = files.iter().flat_map(|file| file.functions.iter().copied());
        let (functions, median_function) = median(lengths.collect());
        Ok(Self {
            name,
            lines: files.iter().map(|file| file.lines).sum(),
            code: files.iter().map(|file| file.code).sum(),
            functions,
            median_function,
            files,
        })
    }

    fn longest(&self) -> usize {
        self.files.iter().map(|file| file.lines).max().unwrap_or(0)
    }
}

/// How many there are, and the lower of the two in the middle.
fn median(mut lengths: Vec<usize>) -> (usize, usize) {
    lengths.sort_unstable();
    let middle = lengths.len().saturating_sub(1) / 2;
    (lengths.len(), lengths.get(middle).copied().unwrap_or(0))
}

/// Rust files of a folder and of those inside it.
fn collect(folder: &Path, paths: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, paths)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
    Ok(())
}

/// Files of the modules that a file has only for tests.
fn test_files((path, source): &(PathBuf, Source)) -> Vec<PathBuf> {
    let is_root = path.ends_with("src/lib.rs") || path.ends_with("src/main.rs");
    let folder = if is_root {
        path.with_file_name("")
    } else {
        path.with_extension("")
    };
    let modules = source.test_modules.iter();
    modules
        .map(|name| folder.join(name).with_extension("rs"))
        .collect()
}

fn table(crates: &[Crate]) -> String {
    let mut text = format!(
        "     {:<18} {:>6} {:>6} {:>6} {:>9} {:>6} {:>7}\n",
        "crate", "files", "lines", "code", "functions", "median", "longest"
    );
    let mut row = |name: &str, [files, lines, code, functions, median, longest]: [usize; 6]| {
        text += &format!(
            "     {name:<18} {files:>6} {lines:>6} {code:>6} {functions:>9} {median:>6} {longest:>7}\n"
        );
    };
    for counted in crates {
        row(
            counted.name,
            [
                counted.files.len(),
                counted.lines,
                counted.code,
                counted.functions,
                counted.median_function,
                counted.longest(),
            ],
        );
    }
    let files = || crates.iter().flat_map(|counted| &counted.files);
    let lengths = files().flat_map(|file| file.functions.iter().copied());
    let (functions, median) = median(lengths.collect());
    row(
        "together",
        [
            files().count(),
            files().map(|file| file.lines).sum(),
            files().map(|file| file.code).sum(),
            functions,
            median,
            crates.iter().map(Crate::longest).max().unwrap_or(0),
        ],
    );
    text
}

/// What is wrong with the lengths of `files`, with these reasons.
fn complaints(files: &[&File], reasons: &str) -> Vec<String> {
    let reasons: Vec<(&str, &str)> = reasons
        .lines()
        .map(|line| line.split_once(": ").unwrap_or((line, "")))
        .collect();
    let reason = |file: &&&File| reasons.iter().find(|(path, _)| *path == file.path);
    let long = || files.iter().filter(|file| file.lines > LONG);
    let mut complaints = Vec::new();
    for file in long().filter(|file| reason(file).is_none_or(|(_, why)| why.is_empty())) {
        complaints.push(format!(
            "{}: {} lines, more than {LONG}; split it, or say in xtask/src/lines/long_files.txt \
             why it is one concept",
            file.path, file.lines
        ));
    }
    for (path, _) in &reasons {
        if !long().any(|file| file.path == *path) {
            complaints.push(format!("{path}: has a reason to be long, and is not"));
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, lines: usize) -> File {
        File {
            path: path.to_owned(),
            lines,
            code: lines,
            functions: Vec::new(),
        }
    }

    #[test]
    fn long_files_need_reasons_and_reasons_long_files() {
        let (short, long) = (
            file("a/src/short.rs", LONG),
            file("a/src/long.rs", LONG + 1),
        );
        let files = [&short, &long];
        assert_eq!(complaints(&files, "a/src/long.rs: a table\n").len(), 0);
        let missing = complaints(&files, "");
        assert_eq!(missing.len(), 1);
        assert!(
            missing[0].starts_with("a/src/long.rs: 401 lines"),
            "{missing:?}"
        );
        assert_eq!(complaints(&files, "a/src/long.rs: \n").len(), 1);
        let needless = complaints(&files, "a/src/long.rs: a table\na/src/short.rs: x\n");
        assert_eq!(
            needless,
            ["a/src/short.rs: has a reason to be long, and is not"]
        );
    }

    #[test]
    fn the_median_is_one_of_them() {
        assert_eq!(median(vec![]), (0, 0));
        assert_eq!(median(vec![9, 1, 5]), (3, 5));
        assert_eq!(median(vec![9, 1, 5, 7]), (4, 5));
    }
}
