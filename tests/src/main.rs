//! The command `neuroprune` for the stories: cargo builds a package's programs before its
//! tests, but not those of other packages.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    neuroprune_trainer::cli::main()
}
