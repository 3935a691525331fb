//! How many instructions and bytes a case may take.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, bail};

use crate::command::repository;

/// The text above the budgets.
const HEADER: &str = "\
# Most instructions (and bytes, where the name says so) of each case on each board, and
# in the browser. More than that fails `cargo xtask bench`, `browser` and `test`.
# `--bless` of `bench` and `browser` writes this file: one per cent above what is counted.
";

/// `benchmarks/budgets.toml`: board, case, most instructions or bytes.
pub(crate) struct Budgets {
    path: PathBuf,
    boards: BTreeMap<String, BTreeMap<String, u64>>,
}

impl Budgets {
    /// Reads the file; without one there are no budgets yet.
    pub(crate) fn read() -> anyhow::Result<Self> {
        let path = repository().join("benchmarks/budgets.toml");
        let boards = if path.exists() {
            let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            toml::from_str(&text).with_context(|| path.display().to_string())?
        } else {
            BTreeMap::new()
        };
        Ok(Self { path, boards })
    }

    /// # Errors
    /// Names every case above its budget, and every one without.
    pub(crate) fn check(&self, board: &str, figures: &[(String, u64)]) -> anyhow::Result<()> {
        let none = BTreeMap::new();
        let budgets = self.boards.get(board).unwrap_or(&none);
        let mut faults = Vec::new();
        for (case, figure) in figures {
            match budgets.get(case) {
                Some(budget) if figure <= budget => {}
                Some(budget) => faults.push(format!(
                    "{board}: {case}: {figure} is over the budget of {budget} by {}",
                    figure - budget
                )),
                None => faults.push(format!("{board}: {case}: {figure} has no budget")),
            }
        }
        let counted = |case: &&String| !figures.iter().any(|(counted, _)| counted == *case);
        for case in budgets.keys().filter(counted) {
            faults.push(format!("{board}: {case}: has a budget, but is not counted"));
        }
        if faults.is_empty() {
            return Ok(());
        }
        bail!(
            "{}\nbudgets are in benchmarks/budgets.toml; where the change is meant: \
             cargo xtask bench --bless, or browser --bless",
            faults.join("\n")
        )
    }

    /// Takes `figures` as the board's budgets, with a little room, and writes the file.
    pub(crate) fn bless(&mut self, board: &str, figures: &[(String, u64)]) -> anyhow::Result<()> {
        let with_room = figures.iter().map(|(case, figure)| {
            // Symbol names contain a hash of the checkout's path, and the order in which
            // functions are inlined can follow them.
            (case.clone(), figure + figure / 100)
        });
        self.boards.insert(board.to_owned(), with_room.collect());
        let text = format!("{HEADER}\n{}", toml::to_string(&self.boards)?);
        fs::write(&self.path, text).with_context(|| self.path.display().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_names_case_budget_and_figure() {
        let cases = BTreeMap::from([("a".to_owned(), 100), ("gone".to_owned(), 1)]);
        let budgets = Budgets {
            path: PathBuf::new(),
            boards: BTreeMap::from([("board".to_owned(), cases)]),
        };
        let figures = [("a".to_owned(), 101), ("new".to_owned(), 5)];
        let error = budgets.check("board", &figures).unwrap_err().to_string();
        assert!(error.contains("board: a: 101 is over the budget of 100 by 1"));
        assert!(error.contains("board: new: 5 has no budget"));
        assert!(error.contains("board: gone: has a budget, but is not counted"));
        let figures = [("a".to_owned(), 100), ("gone".to_owned(), 0)];
        assert!(budgets.check("board", &figures).is_ok());
    }
}
