//! The npm package, the demo page and their tests.

mod build;
mod models;
mod reference;
mod serve;

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
    /// The model of the demo page, its dense twin beside it; trained if it is not there.
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
    let mut built = false;
    tally.suite("browser: package", || {
        let figures = build::package()?;
        let mut budgets = Budgets::read()?;
        if job.bless {
            budgets.bless(BUDGETS, &figures)?;
        }
        built = true;
        budgets.check(BUDGETS, &figures)
    });
    if built && (job.serve || job.demo) {
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

/// The name of the browser's part of the budgets.
const BUDGETS: &str = "browser";

/// Every test of the package and the page; needs what `setup::for_browser_tests` names.
pub(crate) fn test(tally: &mut Tally) {
    let mut built = Err(anyhow::anyhow!("not built"));
    tally.suite("browser: package within its budgets", || {
        built = build::package();
        let figures = built
            .as_ref()
            .map_err(|error| anyhow::anyhow!("{error:#}"))?;
        Budgets::read()?.check(BUDGETS, figures)
    });
    if built.is_err() {
        return;
    }
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
    let mut node = command("node", &["--expose-gc", "--test", "--test-reporter=spec"]);
    run_aloud(node.args(files))
}
