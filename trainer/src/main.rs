//! The command `neuroprune`.

use std::process::ExitCode;

fn main() -> ExitCode {
    neuroprune_trainer::cli::main()
}
