//! Formatting, lints, documentation, features, dependencies, and what Miri finds.

use crate::command::{cargo, repository, run_quietly};
use crate::lines;
use crate::miri;
use crate::setup::{self, Installing};
use crate::tally::Tally;

/// The workspace with the host programs.
const ROOT: &str = "Cargo.toml";

/// Workspaces of the checkout, by manifest.
const MANIFESTS: [&str; 4] = [
    ROOT,
    "firmware-examples/Cargo.toml",
    WASM,
    "fuzz/Cargo.toml",
];

/// The module for browsers.
const WASM: &str = "browser/wasm/Cargo.toml";

/// Sets of features that must build where there is no operating system, each alone
/// and all together.
const FEATURES: [(&str, &[&str]); 2] = [
    (
        "neuroprune-format",
        &[
            "",
            "bitmap",
            "blocks",
            "recurrence",
            "factor",
            "alloc",
            "defmt",
            "alloc,defmt",
        ],
    ),
    (
        "neuroprune-runtime",
        &[
            "",
            "unrolled",
            "recurrence",
            "factor",
            "bitmap,blocks,recurrence,factor,unrolled,defmt",
        ],
    ),
];

/// Host lints are run with these.
const HOST_FEATURES: &str = "neuroprune-format/alloc,neuroprune-format/defmt,neuroprune-runtime/defmt,\
     neuroprune-trainer/hub";

/// One for each instruction set with code of its own, and the features that say so.
const FIRMWARE_TARGETS: [(&str, &str); 3] = [
    ("thumbv7em-none-eabihf", ""),
    ("thumbv8m.main-none-eabihf", "helium"),
    ("riscv32imac-unknown-none-elf", ""),
];

/// The target of the module for browsers.
const WASM_TARGET: &str = "wasm32-unknown-unknown";

/// The target with the least: no atomic swap, no float unit.
const SMALLEST_TARGET: &str = "thumbv6m-none-eabi";

pub(crate) fn run(installing: Installing, tally: &mut Tally) -> anyhow::Result<()> {
    setup::ensure(&setup::for_check()?, installing)?;
    format(tally);
    tally.suite("lengths of files", lines::check);
    dependencies(tally);
    features(tally);
    own_workspace_lints(tally);
    webassembly_lints(tally);
    tally.suite("clippy: workspace", || {
        quiet_cargo(&[
            "clippy",
            "--quiet",
            "--workspace",
            "--all-targets",
            "--locked",
            "--features",
            HOST_FEATURES,
            "--",
            "-Dwarnings",
        ])
    });
    tally.suite("rustdoc: workspace", || {
        // With the features of clippy, and with examples, which have those of tests: their
        // dependencies have already been checked with these.
        let mut command = cargo(&["doc", "--quiet", "--workspace", "--no-deps", "--locked"]);
        command.args(["--lib", "--bins", "--examples", "--features", HOST_FEATURES]);
        run_quietly(command.env("RUSTDOCFLAGS", "-Dwarnings")).map(drop)
    });
    miri::check(tally);
    Ok(())
}

fn format(tally: &mut Tally) {
    for manifest in manifests() {
        tally.suite(&format!("rustfmt: {manifest}"), || {
            let mut command = cargo(&["fmt", "--check", "--manifest-path", manifest]);
            if manifest == ROOT {
                // Only here: it formats packages outside the workspace too.
                command.arg("--all");
            }
            run_quietly(&mut command).map(drop)
        });
    }
}

fn dependencies(tally: &mut Tally) {
    for manifest in manifests() {
        tally.suite(&format!("dependency policy: {manifest}"), || {
            deny(manifest, &["check", "licenses", "bans", "sources"])
        });
    }
    let advisories = "security advisories";
    if deny(ROOT, &["fetch", "db"]).is_err() {
        tally.skip(advisories, "the advisory database cannot be fetched here");
        return;
    }
    for manifest in manifests() {
        tally.suite(&format!("{advisories}: {manifest}"), || {
            deny(manifest, &["--offline", "check", "advisories"])
        });
    }
}

fn deny(manifest: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let mut command = cargo(&["deny", "--locked", "--manifest-path", manifest]);
    command.args(["--config", "deny.toml"]);
    run_quietly(command.args(arguments)).map(drop)
}

fn features(tally: &mut Tally) {
    for (package, sets) in FEATURES {
        for set in sets {
            tally.suite(&format!("features: {package} [{set}]"), || {
                quiet_cargo(&[
                    "clippy",
                    "--quiet",
                    "--locked",
                    "--package",
                    package,
                    "--no-default-features",
                    "--features",
                    set,
                    "--target",
                    SMALLEST_TARGET,
                    "--",
                    "-Dwarnings",
                ])
            });
        }
    }
}

/// The runtime with its kernels for WebAssembly, whose intrinsics no other target has.
fn webassembly_lints(tally: &mut Tally) {
    tally.suite(&format!("clippy: runtime for {WASM_TARGET}"), || {
        quiet_cargo(&[
            "clippy",
            "--quiet",
            "--locked",
            "--package",
            "neuroprune-runtime",
            "--target",
            WASM_TARGET,
            "--",
            "-Dwarnings",
        ])
    });
}

fn own_workspace_lints(tally: &mut Tally) {
    let firmware = FIRMWARE_TARGETS
        .map(|(target, features)| ("firmware-examples/Cargo.toml", target, features));
    for (manifest, target, features) in firmware.into_iter().chain([(WASM, WASM_TARGET, "")]) {
        tally.suite(&format!("clippy: {manifest} for {target}"), || {
            quiet_cargo(&[
                "clippy",
                "--quiet",
                "--locked",
                "--manifest-path",
                manifest,
                "--target",
                target,
                "--features",
                features,
                "--",
                "-Dwarnings",
            ])
        });
    }
}

fn manifests() -> impl Iterator<Item = &'static str> {
    let exists = |manifest: &&str| repository().join(manifest).exists();
    MANIFESTS.into_iter().filter(exists)
}

fn quiet_cargo(arguments: &[&str]) -> anyhow::Result<()> {
    run_quietly(&mut cargo(arguments)).map(drop)
}
