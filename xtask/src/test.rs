//! Every test: on this machine, on every board, in Node and in a browser.

mod host;

use std::env;
use std::path::PathBuf;

use crate::bench;
use crate::browser;
use crate::command::{cargo, repository, run_aloud, succeeds};
use crate::firmware::{self, Selection};
use crate::setup::{self, Installing, Tool};
use crate::tally::Tally;
use crate::webassembly;

pub(crate) fn run(installing: Installing, tally: &mut Tally) -> anyhow::Result<()> {
    let no_firmware = lacks(&setup::for_bench()?, installing)?;
    let no_webassembly = lacks(&setup::for_webassembly(), installing)?;
    let no_browser = lacks(&setup::for_browser_tests(), installing)?;
    host::test(tally);
    // A passing test prints nothing, so its skip is reported here.
    if !has_text_sets() {
        tally.skip(
            "tokenizer on real text sets",
            "there is no folder of them; NEUROPRUNE_DATA names one",
        );
    }
    if succeeds("nvcc", &["--version"]) && succeeds("nvidia-smi", &["-L"]) {
        tally.suite("GPU: operations and a run are those of the CPU", || {
            let package = ["test", "--release", "--locked", "-p", "neuroprune-trainer"];
            let tests = ["--features", "cuda", "--lib", "tests::gpu"];
            run_aloud(&mut cargo(&[&package[..], &tests].concat()))
        });
    } else {
        tally.skip("GPU", "it needs an NVIDIA GPU (nvidia-smi) and nvcc");
    }
    match no_firmware {
        None => {
            firmware::run(&Selection::default(), tally)?;
            bench::test(tally)?;
        }
        Some(reason) => tally.skip("firmware", &reason),
    }
    match no_webassembly {
        None => webassembly::test(tally),
        Some(reason) => tally.skip("runtime on WebAssembly", &reason),
    }
    match no_browser {
        None => browser::test(tally),
        Some(reason) => tally.skip("browser", &reason),
    }
    Ok(())
}

/// Why tests that need `tools` cannot run, where they cannot.
fn lacks(tools: &[Tool], installing: Installing) -> anyhow::Result<Option<String>> {
    match setup::ensure(tools, installing) {
        Ok(()) => Ok(None),
        // Where everything is asked for, half of it must not pass for the whole.
        Err(error) if installing == Installing::Refused || env::var_os("CI").is_some() => {
            Err(error)
        }
        Err(error) => Ok(Some(format!("{error:#}"))),
    }
}

/// Where `trainer/src/text/parity.rs` looks.
fn has_text_sets() -> bool {
    let beside = repository().join("../shared/data");
    env::var_os("NEUROPRUNE_DATA")
        .map_or(beside, PathBuf::from)
        .is_dir()
}
