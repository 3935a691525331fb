//! Opens any bytes as a model and reads everything an accepted one offers.
//!
//! The lowest bit of the first byte decides whether the rest gets good checksums,
//! without which a fuzzer would rarely get past them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use neuroprune_format::Model;

#[path = "../../format/tests/checksums/mod.rs"]
mod checksums;
#[path = "../../format/tests/walk/mod.rs"]
mod walk;

fuzz_target!(|input: &[u8]| {
    let Some((&choice, file)) = input.split_first() else {
        return;
    };
    let mut file = file.to_vec();
    if choice & 1 != 0 {
        checksums::repair(&mut file);
    }
    if let Ok(model) = Model::open(&file) {
        walk::walk(&model);
    }
});
