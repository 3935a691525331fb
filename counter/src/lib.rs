//! Counts the instructions that firmware executes in QEMU, exactly and by class.
//!
//! ```text
//! qemu-system-arm … -plugin libneuroprune_counter.so,out=counts.json -kernel program
//! ```
//!
//! A program marks what is counted with instructions that otherwise do nothing:
//!
//! | marker | Thumb | RISC-V |
//! |---|---|---|
//! | a region begins | `mov r10, r10` | `ori x0, x0, 4` |
//! | it ends | `mov r11, r11` | `ori x0, x0, 5` |
//! | it ends and the next begins | `mov r12, r12` | `ori x0, x0, 6` |
//!
//! Regions are numbered in the order in which they begin; markers are not counted. When
//! QEMU ends, the file `out` gets one record for each (`record`).
//!
//! An instruction counts when QEMU executes it, a conditional one whether or not its
//! condition holds. There are no caches, no wait states and no pipeline in QEMU: cycles are an
//! estimate (`class::Tally::cycles`).
//!
//! It works with QEMU 7.2 (plugin API 1) to 10.x (API 4): `host` declares what they have in common,
//! and the one function that changed.

mod class;
mod counting;
mod host;
mod record;
mod riscv;
mod thumb;

use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};

use class::{Decode, Tally};
use counting::{Block, Marker, Regions};
use host::{Host, Information, PluginId, Translation};

/// What is known once QEMU has loaded the plugin.
struct Plugin {
    decode: Decode,
    target: String,
    /// The file that the record is written to.
    out: PathBuf,
    regions: Mutex<Regions>,
}

static PLUGIN: OnceLock<Plugin> = OnceLock::new();

/// The entry point; called by [`host`] with arguments that are already checked.
///
/// # Errors
/// States which argument is missing, or that the processor is not known.
fn install(
    host: Host,
    id: PluginId,
    information: &Information,
    arguments: &[String],
) -> Result<(), String> {
    let out = arguments
        .iter()
        .find_map(|argument| argument.strip_prefix("out="))
        .ok_or("name the file for the counts: -plugin …,out=FILE")?;
    let decode: Decode = match information.target.as_str() {
        "arm" => thumb::decode,
        "riscv32" => riscv::decode,
        other => return Err(format!("no decoder for {other}; there are arm and riscv32")),
    };
    let plugin = Plugin {
        decode,
        target: information.target.clone(),
        out: PathBuf::from(out),
        regions: Mutex::new(Regions::default()),
    };
    if PLUGIN.set(plugin).is_err() {
        return Err("loaded twice".to_owned());
    }
    host.on_translation(id);
    host.on_exit(id);
    Ok(())
}

/// Instruments a block of instructions that QEMU has just translated.
fn translated(translation: &Translation<'_>) {
    let Some(plugin) = PLUGIN.get() else { return };
    let mut regions = lock(&plugin.regions);
    let mut open: Option<(usize, u64, Tally)> = None;
    let mut end = 0;
    let mut whole = true;
    for index in 0..translation.instructions() {
        let (address, bytes) = translation.instruction(index);
        let instruction = (plugin.decode)(&bytes);
        let next = address + u64::from(instruction.length);
        if let Some(kind) = instruction.marker {
            whole = false;
            if let Some((first, start, tally)) = open.take() {
                let block = regions.keep(Block::new(start, end, tally));
                translation.on_first(first, block);
            }
            let marker = regions.keep_marker(Marker::new(kind, address, next));
            translation.on_marker(index, marker);
        } else {
            let (_, _, tally) = open.get_or_insert_with(|| (index, address, Tally::default()));
            tally.add(&instruction);
        }
        end = next;
    }
    let Some((first, start, tally)) = open else {
        return;
    };
    let block = regions.keep(Block::new(start, end, tally));
    if whole {
        translation.on_execution(block);
    } else {
        translation.on_first(first, block);
    }
}

/// The processor reaches a marker.
fn passed(marker: &Marker) {
    if let Some(plugin) = PLUGIN.get() {
        lock(&plugin.regions).pass(marker);
    }
}

/// Called when QEMU ends: writes the record.
fn ended() {
    let Some(plugin) = PLUGIN.get() else { return };
    let text = record::write(&plugin.target, &lock(&plugin.regions));
    if let Err(error) = fs::write(&plugin.out, text) {
        eprintln!("neuroprune-counter: {}: {error}", plugin.out.display());
    }
}

/// After a panic elsewhere the numbers are still consistent.
fn lock(regions: &Mutex<Regions>) -> std::sync::MutexGuard<'_, Regions> {
    regions.lock().unwrap_or_else(PoisonError::into_inner)
}
