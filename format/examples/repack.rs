//! Writes the pieces of an older file in blocks; nothing else of the file changes.
//!
//! ```text
//! cargo run -p neuroprune-format --features alloc --example repack -- old.neuro new.neuro
//! ```
#![allow(clippy::print_stdout, reason = "what it did")]

use core::error::Error;

use neuroprune_format::Model;
use neuroprune_format::writer::repack;

fn main() -> Result<(), Box<dyn Error>> {
    let mut files = std::env::args().skip(1);
    let (Some(from), Some(to)) = (files.next(), files.next()) else {
        return Err("expected two names: the file, and the new one".into());
    };
    let old = std::fs::read(&from).map_err(|error| format!("{from}: {error}"))?;
    let new = repack(&Model::open_whole(&old)?)?;
    std::fs::write(&to, &new).map_err(|error| format!("{to}: {error}"))?;
    println!("{} bytes, {} before", new.len(), old.len());
    Ok(())
}
