//! The npm package, the demo page and their tests.

mod build;
mod models;
mod reference;
mod serve;
mod texts;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use crate::bench::budgets::Budgets;
use crate::command::{command, repository, run_aloud};
use crate::tally::Tally;

/// Build the npm package for browsers and Node; with `--serve` the demo page too.
#[derive(Args, Debug)]
pub(crate) struct Browser {
    /// Build the demo page and serve it.
    #[arg(long)]
    serve: bool,
    /// Build the demo page, to be put on any web server.
    #[arg(long)]
    demo: bool,
    /// Port of the server.
    #[arg(long, default_value_t = 8080, requires = "serve")]
    port: u16,
    /// The model of the demo page, its dense baseline next to it; trained if it is missing.
    #[arg(long, value_name = "FILE", default_value = "quickstart/commands.neuro")]
    model: PathBuf,
    /// Run the tests in Node and Chromium, as `cargo xtask test` does.
    #[arg(long, conflicts_with_all = ["serve", "demo", "bless"])]
    pub(crate) test: bool,
    /// Take the sizes that the package has now as its budgets.
    #[arg(long)]
    bless: bool,
}

/// Where everything is built.
fn output() -> PathBuf {
    repository().join("browser/out")
}

pub(crate) fn run(job: &Browser, tally: &mut Tally) -> anyhow::Result<()> {
    if job.test {
        test(tally);
        return Ok(());
    }
    if package(job.bless, tally) && (job.serve || job.demo) {
        let model = repository().join(&job.model);
        models::ensure(&model)?;
        let site = build::demo(&model)?;
        println!("     demo page: {}", site.display());
        if job.serve {
            serve::serve(&site, job.port)?;
        }
    }
    Ok(())
}

/// Builds the package and returns its module.
///
/// # Errors
/// Where it does not compile.
pub(crate) fn module() -> anyhow::Result<PathBuf> {
    build::package()?;
    Ok(output().join("package/neuroprune.wasm"))
}

/// The name of the browser's part of the budgets.
const BUDGETS: &str = "browser";

/// Builds the package and checks it against its budgets. Returns whether it was built.
fn package(bless: bool, tally: &mut Tally) -> bool {
    let mut built = false;
    tally.suite("browser: package within its budgets", || {
        let figures = build::package()?;
        built = true;
        let mut budgets = Budgets::read()?;
        if bless {
            budgets.bless(BUDGETS, &figures)?;
        }
        budgets.check(BUDGETS, &figures)
    });
    built
}

/// Every test of the package and the page; needs what `setup::for_browser_tests` names.
pub(crate) fn test(tally: &mut Tally) {
    if !package(false, tally) {
        return;
    }
    tally.suite("browser: time of a text over all of Unicode", || {
        texts::test(&output().join("package/neuroprune.wasm"))
    });
    tally.suite("browser: in Node", || {
        reference::write(&output().join("reference.json"))?;
        node_tests("node")
    });
    tally.suite("browser: in Chromium", || {
        let model = models::small()?;
        build::demo(&model)?;
        node_tests("chromium")
    });
}

/// A test that takes longer than this many milliseconds hangs.
const TEST_LIMIT: &str = "--test-timeout=600000";

/// Runs `browser/tests/NAME/*.test.js`.
fn node_tests(name: &str) -> anyhow::Result<()> {
    let folder = repository().join("browser/tests").join(name);
    let entries = folder
        .read_dir()
        .with_context(|| folder.display().to_string())?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.to_string_lossy().ends_with(".test.js") {
            files.push(path);
        }
    }
    files.sort();
    let mut node = command(
        "node",
        &["--expose-gc", "--test", "--test-reporter=spec", TEST_LIMIT],
    );
    run_aloud(node.args(files))
}
