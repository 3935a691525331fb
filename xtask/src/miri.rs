//! The unit tests of the crates that devices run, interpreted by Miri, which detects undefined
//! behaviour that does not show otherwise.
//!
//! For a target of 32 bits without kernels of its own, which runs the portable code. Assembly and
//! vectors are not interpreted; the parity test and the boards check those.

use crate::command::{command, run_quietly};
use crate::tally::Tally;

/// 32 bits, as microcontrollers have.
const TARGET: &str = "i686-unknown-linux-gnu";

/// Cases of a property: each takes seconds.
const CASES: &str = "16";

/// What is interpreted: a package, and which of its tests.
const SUITES: [(&str, &[&str]); 2] = [
    ("neuroprune-format", &["--features", "alloc", "--lib"]),
    ("neuroprune-runtime", &["--lib"]),
];

/// Every suite; needs what `setup::for_check` names.
pub(crate) fn check(tally: &mut Tally) {
    for (package, tests) in SUITES {
        tally.suite(&format!("Miri: {package}"), || {
            let cargo = [
                "run", "nightly", "cargo", "miri", "test", "--quiet", "--locked",
            ];
            let mut command = command("rustup", &cargo);
            command
                .args(["--target", TARGET, "--package", package])
                .args(tests)
                // Proptest looks for the failures that it knows.
                .env("MIRIFLAGS", "-Zmiri-disable-isolation")
                .env("PROPTEST_CASES", CASES);
            run_quietly(&mut command).map(drop)
        });
    }
}
