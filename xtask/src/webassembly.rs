//! The tests of the runtime on WebAssembly, in Node.
//!
//! The kernels for `simd128` are checked against the oracle by the same tests as all others, and
//! whole networks against their pinned logits. V8 compiles a module twice: at once without
//! optimising (Liftoff), and what runs often again (TurboFan). Each may be wrong alone, so each
//! runs all tests.

use crate::command::{cargo, run_aloud};
use crate::tally::Tally;

/// For every run: V8 discards the bytecode of JavaScript that has not been called for some
/// collections. Node 20 has discarded that of the function which waits for a program for half a
/// minute, and crashed when it resumed.
const KEEPS_BYTECODE: &str = "--no-flush-bytecode";

/// V8's compilers, and the flags of Node that leave only this one.
const TIERS: [(&str, &str); 2] = [
    ("Liftoff", "--liftoff-only --no-wasm-tier-up"),
    ("TurboFan", "--no-liftoff"),
];

/// WASI is what a Rust test program needs of its host; the instructions are the same.
const TARGET: &str = "wasm32-wasip1";

/// What runs a test program, from the folder of the package.
const HOST: &str = "../xtask/src/webassembly/host.mjs";

/// Every test of the runtime, once a tier; needs what `setup::for_webassembly` names.
pub(crate) fn test(tally: &mut Tally) {
    for (name, flags) in TIERS {
        tally.suite(&format!("runtime on WebAssembly: {name}"), || {
            let runner = format!("node --no-warnings {KEEPS_BYTECODE} {flags} {HOST}");
            let mut command = cargo(&["test", "--quiet", "--locked", "--tests"]);
            command
                .args(["--package", "neuroprune-runtime", "--target", TARGET])
                .env("CARGO_TARGET_WASM32_WASIP1_RUNNER", runner);
            run_aloud(&mut command)
        });
    }
}
