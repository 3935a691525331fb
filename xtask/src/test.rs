//! Every test: on this machine, then on every board.

use std::env;
use std::path::PathBuf;

use crate::bench;
use crate::command::{cargo, repository, run_aloud};
use crate::firmware::{self, Selection};
use crate::setup::{self, Installing};
use crate::tally::Tally;

pub(crate) fn run(installing: Installing, tally: &mut Tally) -> anyhow::Result<()> {
    let no_firmware = match setup::ensure(&setup::for_bench()?, installing) {
        Ok(()) => None,
        // Where everything is asked for, half of it must not pass for the whole.
        Err(error) if installing == Installing::Refused || env::var_os("CI").is_some() => {
            return Err(error);
        }
        Err(error) => Some(format!("{error:#}")),
    };
    tally.suite("host: cargo test --workspace", || {
        run_aloud(&mut cargo(&[
            "test",
            "--workspace",
            "--locked",
            "--quiet",
            "--no-fail-fast",
        ]))
    });
    // A passing test prints nothing, so its skip is told here.
    if !has_text_sets() {
        tally.skip(
            "tokenizer on real text sets",
            "there is no folder of them; NEUROPRUNE_DATA names one",
        );
    }
    match no_firmware {
        None => {
            firmware::run(&Selection::default(), tally)?;
            bench::test(tally)?;
        }
        Some(reason) => tally.skip("firmware", &reason),
    }
    Ok(())
}

/// Where `trainer/tests/tokenizer_parity.rs` looks.
fn has_text_sets() -> bool {
    let beside = repository().join("../shared/data");
    env::var_os("NEUROPRUNE_DATA")
        .map_or(beside, PathBuf::from)
        .is_dir()
}
