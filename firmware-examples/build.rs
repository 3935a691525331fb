//! Hands the linker the memory map of the board named by `NEUROPRUNE_BOARD`.
//!
//! Without that variable it is the first board listed for the target, so that a
//! plain `cargo build --target …` works.

use core::error::Error;
use std::env;
use std::fs;
use std::path::Path;

/// Target, and the board used when none is named.
const BOARDS: [(&str, &str); 5] = [
    ("thumbv6m-none-eabi", "microbit"),
    ("thumbv7m-none-eabi", "mps2-an385"),
    ("thumbv7em-none-eabihf", "mps2-an386"),
    ("thumbv8m.main-none-eabihf", "mps3-an547"),
    ("riscv32imac-unknown-none-elf", "virt"),
];

/// The board whose memory holds only the small cases of the bench.
const SMALL_BOARD: &str = "microbit";

/// Programs that log through defmt; their strings are in sections of its script.
const DEFMT_PROGRAMS: [&str; 3] = ["classify", "footprint", "arithmetic"];

/// The model of `footprint`: the one named by `NEUROPRUNE_MODEL`, or the default.
fn model() -> Result<String, Box<dyn Error>> {
    if let Ok(model) = env::var("NEUROPRUNE_MODEL") {
        return Ok(model);
    }
    let folder = env::var("CARGO_MANIFEST_DIR")?;
    Ok(format!("{folder}/models/commands.neuro"))
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=memory");
    println!("cargo:rerun-if-env-changed=NEUROPRUNE_BOARD");
    println!("cargo:rerun-if-env-changed=NEUROPRUNE_MODEL");
    println!("cargo:rustc-env=NEUROPRUNE_MODEL={}", model()?);
    let target = env::var("TARGET")?;
    let board = match env::var("NEUROPRUNE_BOARD") {
        Ok(board) => board,
        Err(_) => BOARDS
            .iter()
            .find(|(of, _)| *of == target)
            .map(|(_, board)| (*board).to_owned())
            .ok_or_else(|| {
                format!("no board for {target}: name a target of this list: {BOARDS:?}")
            })?,
    };
    let map = Path::new("memory").join(format!("{board}.x"));
    let map = fs::read(&map).map_err(|error| format!("{}: {error}", map.display()))?;
    let out = env::var("OUT_DIR")?;
    fs::write(Path::new(&out).join("memory.x"), map)?;
    println!("cargo:rustc-link-search={out}");
    println!("cargo:rustc-check-cfg=cfg(thumb2)");
    if target.starts_with("thumbv") && !target.starts_with("thumbv6m") {
        println!("cargo:rustc-cfg=thumb2");
    }
    println!("cargo:rustc-check-cfg=cfg(small_memory)");
    if board == SMALL_BOARD {
        println!("cargo:rustc-cfg=small_memory");
    }

    if target.starts_with("riscv") {
        // On Cortex-M link.x includes the map by itself.
        println!("cargo:rustc-link-arg-bins=-Tmemory.x");
    }
    println!("cargo:rustc-link-arg-bins=-Tlink.x");
    // Flash has no pages to align to.
    println!("cargo:rustc-link-arg-bins=--nmagic");
    for program in DEFMT_PROGRAMS {
        println!("cargo:rustc-link-arg-bin={program}=-Tdefmt.x");
    }
    Ok(())
}
