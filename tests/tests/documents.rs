//! The documents agree with the project: links lead somewhere, and figures are those of the code
//! and of the records that they name.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use neuroprune_runtime::{Limits, required_scratch_with};
use neuroprune_tests::workspace;

/// Folders without documents: build output, third-party files, and templates.
const ELSEWHERE: [&str; 5] = ["target", "node_modules", "out", ".git", "src"];

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Files below `folder` whose names end with one of these.
fn files(folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !ELSEWHERE.contains(&name.as_str()) {
            found.extend(files(&path, endings));
        } else if endings.iter().any(|ending| name.ends_with(ending)) {
            found.push(path);
        }
    }
    found
}

/// The text in parentheses after `](`, outside code.
fn links(document: &str) -> Vec<String> {
    let mut links = Vec::new();
    for (number, part) in document.split("```").enumerate() {
        let targets = part.split("](").skip(1).filter(|_| number % 2 == 0);
        links.extend(targets.map(|rest| rest.split([')', ' ']).next().unwrap().to_owned()));
    }
    links
}

/// The anchor that forges make from a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().chars();
    let kept = kept.filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[test]
fn links_lead_somewhere() {
    let mut dead = Vec::new();
    let documents = files(&workspace(), &[".md"]);
    assert!(documents.len() > 20, "{documents:?}");
    for path in documents {
        let document = text(&path);
        let folder = path.parent().unwrap();
        for link in links(&document) {
            let (file, part) = link.split_once('#').unwrap_or((&link, ""));
            if file.contains(':') {
                continue;
            }
            let target = if file.is_empty() {
                path.clone()
            } else {
                folder.join(file)
            };
            let leads = target.exists()
                && (part.is_empty()
                    || text(&target)
                        .lines()
                        .any(|line| line.starts_with('#') && anchor(line) == part));
            if !leads {
                dead.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert!(dead.is_empty(), "{dead:#?}");
}

/// Every file that a document names from the root of the project exists. Words in capitals stand
/// for names.
#[test]
fn paths_in_code_exist() {
    let root = workspace();
    let folders: Vec<String> = fs::read_dir(&root)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    let mut missing = Vec::new();
    let mut count = 0;
    // The changelog names files that have moved since; records of `benchmarks` name theirs from
    // their own folder.
    let documents = files(&root, &[".md"]).into_iter();
    let documents = documents.filter(|path| {
        !path.ends_with("CHANGELOG.md") && !path.starts_with(root.join("benchmarks"))
    });
    for path in documents {
        let document = text(&path);
        for code in document.split('`').skip(1).step_by(2) {
            let is_path = code.contains('.') && !code.contains(|c: char| " {<*…".contains(c));
            let Some((folder, file)) = code.split_once('/').filter(|_| is_path) else {
                continue;
            };
            let stands_for_a_name = file
                .split(['/', '.'])
                .any(|part| part.len() > 3 && part.chars().all(|c| c.is_ascii_uppercase()));
            if stands_for_a_name || !folders.iter().any(|it| it == folder) {
                continue;
            }
            count += 1;
            if !root.join(code).exists() {
                missing.push(format!("{}: {code}", path.display()));
            }
        }
    }
    assert!(count > 100, "only {count} paths");
    assert!(missing.is_empty(), "{missing:#?}");
}

/// `1,234`, `90.46` and `0.85 ± 0.02`, as figures of tables are written; shorter numbers occur by
/// chance in any record.
fn figures(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    for cell in line.split('|') {
        let cell = cell.replace('*', "");
        if cell.contains('±') {
            found.push(cell.trim().to_owned());
            continue;
        }
        let numbers = cell.split(|c: char| !(c.is_ascii_digit() || matches!(c, ',' | '.')));
        let numbers = numbers.map(|number| number.trim_matches([',', '.']));
        let is_long = |number: &&str| {
            let decimals = number
                .split_once('.')
                .map_or(0, |(_, decimals)| decimals.len());
            number.contains(',') || decimals > 1
        };
        found.extend(numbers.filter(is_long).map(str::to_owned));
    }
    found
}

/// Every figure in these documents' tables is in a record, next to the command that makes it.
#[test]
fn figures_stand_in_records() {
    let endings = [".md", ".toml", ".out", ".json", ".jsonl"];
    let records = files(&workspace().join("benchmarks"), &endings);
    let records = records.into_iter();
    let firmware = files(&workspace().join("firmware-examples"), &endings);
    let records: String = records.chain(firmware).map(|path| text(&path)).collect();
    let plain = records.replace(',', "");
    let numbers = plain.split(|c: char| !(c.is_ascii_digit() || c == '.'));
    let numbers: BTreeSet<&str> = numbers.map(|number| number.trim_matches('.')).collect();

    let documents = ["README.md", "docs/real-board.md"].map(|path| text(&workspace().join(path)));
    let mut count = 0;
    let mut missing = Vec::new();
    let lines = documents.iter().flat_map(|document| document.lines());
    for line in lines.filter(|line| line.starts_with('|')) {
        // Where others published a figure, "(recorded)" follows it.
        let recorded = line.split(" (recorded)").collect::<Vec<_>>();
        let (last, before) = recorded.split_last().unwrap();
        let own = |part: &&str| part.rsplit_once(' ').unwrap().0.to_owned();
        let line: String = before.iter().map(own).chain([(*last).to_owned()]).collect();
        for figure in figures(&line) {
            count += 1;
            let stands = if figure.contains('±') {
                records.contains(&figure)
            } else {
                numbers.contains(figure.replace(',', "").as_str())
            };
            if !stands {
                missing.push(figure);
            }
        }
    }
    assert!(count > 30, "only {count} figures");
    assert!(missing.is_empty(), "in no record: {missing:?}");
}

/// A model with these sizes, in the order of the script in `docs/memory.md`.
fn limits([tokens, hidden, query, value, context, intermediate, outputs]: [usize; 7]) -> Limits {
    Limits {
        tokens,
        hidden,
        query,
        value,
        context,
        intermediate,
        outputs,
        embedding: 0,
        recurrence: 0,
    }
}

fn number(cell: &str) -> usize {
    let digits: String = cell.chars().filter(char::is_ascii_digit).collect();
    digits
        .parse()
        .unwrap_or_else(|_| panic!("no number in `{cell}`"))
}

#[test]
fn the_table_of_scratch_memory_is_what_the_runtime_needs() {
    let document = text(&workspace().join("docs/memory.md"));
    let (_, table) = document.split_once("| change | T | c | m |").unwrap();
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let mut count = 0;
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        let [tokens, context, intermediate] = [1, 2, 3].map(|at| number(cells[at]));
        let mut limits = limits([tokens, 128, 32, 32, context, intermediate, 17]);
        if cells[0].contains("(g = 128, e = 32)") {
            (limits.query, limits.value) = (0, 0);
            (limits.embedding, limits.recurrence) = (32, 128);
        }
        for (feature, cell) in [(8, cells[4]), (16, cells[5])] {
            let needed = required_scratch_with(limits, tokens, feature);
            assert_eq!(number(cell), needed, "{row}");
        }
        count += 1;
    }
    assert_eq!(count, 9);
}

#[test]
fn the_largest_scratch_memory_is_what_security_says() {
    let largest = limits([2048, 65535, 32767, 65535, 65535, 65535, 65535]);
    let needed = required_scratch_with(largest, 2048, 16);
    let document = text(&workspace().join("docs/security.md"));
    let (_, stated) = document.split_once("can be as large as ").unwrap();
    assert_eq!(number(stated.split(' ').next().unwrap()), needed);
}

/// Sizes of code are stated as the budgets that limit them.
#[test]
fn sizes_of_code_are_budgets() {
    let budgets = text(&workspace().join("firmware-examples/budgets.toml"));
    let budgets: toml::Table = budgets.parse().unwrap();
    let document = text(&workspace().join("docs/memory.md"));
    let (_, sentence) = document
        .split_once("code and constants of the runtime: ")
        .unwrap();
    let sentence = sentence.lines().next().unwrap();
    for program in ["hello", "hello-small"] {
        let text = budgets[program]["mps2-an386"]["text"].as_integer();
        let stated = sentence
            .split(' ')
            .filter(|word| word.contains(',') && word.starts_with(|c: char| c.is_ascii_digit()));
        let mut stated = stated.map(|word| i64::try_from(number(word)).unwrap());
        assert!(
            stated.any(|bytes| Some(bytes) == text),
            "{program}: {text:?}"
        );
    }
}
