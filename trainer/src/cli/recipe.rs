//! `neuroprune recipe`.

use std::process::ExitCode;

use clap::Args;

use super::inputs::print;
use super::parts;
use super::recipe_options::RecipeOptions;
use crate::recipe::keys::{KEYS, Key};
use crate::recipe::{MethodKind, Recipe as Resolved};

/// Print a recipe with every key, or explain the keys.
///
/// A recipe is a TOML file with everything that shapes a run. Every key has a default, so a
/// file names only what differs. This prints the recipe that `train` would use with the same
/// options: a beginning for a file of your own.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Recipe {
    /// Explain every key instead: its values, its default and what it does
    #[arg(long)]
    keys: bool,
    #[command(flatten)]
    recipe: RecipeOptions,
}

const EXAMPLES: &str = "\
Examples:
  neuroprune recipe > my.toml
  neuroprune recipe --recipe tiny --method paper
  neuroprune recipe --keys";

impl Recipe {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let text = if self.recipe.asks_for_parts() {
            parts::table()
        } else if self.keys {
            KEYS.iter().map(explained).collect()
        } else {
            self.recipe.resolve(Resolved::default())?.recipe.to_toml()
        };
        print(text.trim_end())?;
        Ok(ExitCode::SUCCESS)
    }
}

/// A key in two or three lines, and an empty one.
fn explained(key: &Key) -> String {
    let methods = key.methods();
    let of = match methods.len() {
        0 => String::new(),
        _ => {
            let names: Vec<&str> = methods.into_iter().map(MethodKind::name).collect();
            format!("    methods: {}\n", names.join(", "))
        }
    };
    format!(
        "{} = {}    ({})\n{}{of}\n",
        key.path,
        key.default(),
        key.values,
        wrapped(key.meaning)
    )
}

/// Lines of up to 80 characters, indented by four.
fn wrapped(text: &str) -> String {
    let mut lines = String::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > 76 {
            lines += &format!("    {line}\n");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line += word;
    }
    lines + &format!("    {line}\n")
}
