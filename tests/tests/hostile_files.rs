//! A model file from a stranger, or from faulty flash.
//!
//! A user is promised that no bytes make the runtime panic, that a damaged file is
//! noticed by its checksums, and that a file which was changed on purpose, checksums
//! included, either does not open or gives answers.

use core::panic::AssertUnwindSafe;
use std::panic::catch_unwind;

use neuroprune_format::container::{
    Container, ENTRY_BYTES, HEADER_BYTES, HEADER_CHECKSUM_OFFSET, checksum,
};
use neuroprune_format::tensor::{Pattern, RECORD_BYTES, Record};
use neuroprune_format::{ErrorKind, FormatError, Model, Section};
use neuroprune_runtime::{Classifier, required_scratch};
use neuroprune_tests::{Folder, Random, run};

/// Damaged files; each is opened with its old checksums and with repaired ones.
const MUTATIONS: usize = 24_000;
const TEXTS: [&str; 3] = [
    "turn the lamp off",
    "",
    "Straße ☃ it is \u{0}\u{300} 日本 zzz",
];
/// Values at which something overflows, ends or changes its meaning.
const EDGES: [u32; 13] = [
    0,
    1,
    2,
    0x7f,
    0x80,
    0xff,
    0x100,
    0x7bff, // the largest f16
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
];

/// A folder with a model that was really trained, small so that much of it is touched.
fn trained() -> (Folder, Vec<u8>) {
    let folder = Folder::new();
    let mut command = folder.train(&["--epochs", "1", "--quiet"]);
    for set in [
        "vocabulary=160",
        "hidden=16",
        "intermediate=48",
        "tokens=16",
    ] {
        command.args(["--set", &format!("model.{set}")]);
    }
    run(command.args(["--set", "pruning.sparsity=0.9"])).assert_code(0);
    let file = folder.read("model.neuro");
    (folder, file)
}

/// Makes the bytes pass every CRC-32, so that the checks after them are reached.
fn repair(bytes: &mut [u8]) {
    let Some(&[low, high]) = bytes.get(10..12) else {
        return;
    };
    let table_end = HEADER_BYTES + usize::from(u16::from_le_bytes([low, high])) * ENTRY_BYTES;
    for at in (HEADER_BYTES..table_end).step_by(ENTRY_BYTES) {
        let Some(entry) = bytes.get(at..at + ENTRY_BYTES) else {
            break;
        };
        let word = |at: usize| {
            let word = [entry[at], entry[at + 1], entry[at + 2], entry[at + 3]];
            u32::from_le_bytes(word) as usize
        };
        let (start, length) = (word(4), word(8));
        // A section over the header would never settle.
        if start < table_end {
            continue;
        }
        if let Some(body) = bytes.get(start..start.saturating_add(length)) {
            let sum = checksum(&[body]);
            bytes[at + 12..at + 16].copy_from_slice(&sum.to_le_bytes());
        }
    }
    let after = HEADER_CHECKSUM_OFFSET + 4;
    if let Some(rest) = bytes.get(after..table_end) {
        let sum = checksum(&[&bytes[..HEADER_CHECKSUM_OFFSET], rest]);
        bytes[HEADER_CHECKSUM_OFFSET..after].copy_from_slice(&sum.to_le_bytes());
    }
}

/// One change somewhere; every field of header, table and directory, and every section, is hit
/// often.
/// Where these sections are among those of a file.
const TENSORS: usize = 4;
const WEIGHTS: usize = 5;

fn damage(bytes: &mut Vec<u8>, sections: &[(usize, usize)], random: &mut Random) {
    let edge = EDGES[random.below(EDGES.len())].to_le_bytes();
    let end = bytes.len();
    let place = match random.below(24) {
        0 => return bytes.truncate(random.below(end + 1)),
        1 => return bytes.resize(end + 1 + random.below(40), edge[0]),
        // One stretch copied over another.
        2 => {
            let length = random.below(64).min(end);
            let from = random.below(end - length + 1);
            let to = random.below(end - length + 1);
            return bytes.copy_within(from..from + length, to);
        }
        3 => 8 + random.below(HEADER_BYTES - 8),
        4 => HEADER_BYTES + random.below(sections.len() * ENTRY_BYTES),
        // A field of a record of the directory, or of the limits.
        5..=7 => sections[TENSORS].0 + random.below(sections[TENSORS].1 / 2) * 2,
        8 => sections[1].0 + random.below(sections[1].1 / 4) * 4,
        // Weights, scales and norms.
        9..=16 => sections[WEIGHTS].0 + random.below(sections[WEIGHTS].1 / 2) * 2,
        // A section, small ones as often as large ones.
        _ => {
            let (start, length) = sections[random.below(sections.len())];
            start + random.below(length)
        }
    };
    let width = [1, 2, 4][random.below(3)];
    let Some(field) = bytes.get_mut(place..place + width) else {
        return;
    };
    match random.below(3) {
        0 => field[0] ^= 1 << random.below(8),
        1 => field[0] = random.bits().to_le_bytes()[0],
        _ => field.copy_from_slice(&edge[..width]),
    }
}

/// Classifies three texts.
fn answers(bytes: &[u8]) -> Result<bool, FormatError> {
    let model = Model::open(bytes)?;
    let limits = model.limits();
    let mut scratch = vec![0; required_scratch(limits, limits.tokens) + 4];
    let mut classifier = Classifier::new(model, &mut scratch).expect("enough scratch");
    let mut finite = true;
    for text in TEXTS {
        let answer = if model.manifest().tokenizer.pair {
            classifier.classify_pair(text, text)
        } else {
            classifier.classify(text)
        };
        let answer = answer.expect("an answer");
        assert!(usize::from(answer.class) < limits.outputs);
        assert!(answer.tokens <= limits.tokens);
        finite &= classifier.logits().iter().all(|logit| logit.is_finite());
    }
    Ok(finite)
}

#[test]
fn any_damage_is_noticed_or_survived() {
    let (_folder, file) = trained();
    assert_eq!(answers(&file), Ok(true));
    let model = Model::open(&file).unwrap();
    let records = || model.tensors().records();
    let is_dense = |dense| {
        move |record: Record| {
            let pattern = record.layout.pattern();
            pattern.is_some_and(|pattern| {
                matches!(pattern, Pattern::Dense | Pattern::Columns) == dense
            })
        }
    };
    assert!(records().any(is_dense(true)) && records().any(is_dense(false)));
    let container = Container::open(&file).unwrap();
    let sections = container
        .entries()
        .map(|entry| (entry.offset, entry.length));
    let sections: Vec<(usize, usize)> = sections.collect();
    assert_eq!(sections.len(), 8);
    assert_eq!(sections[TENSORS].1, records().count() * RECORD_BYTES);

    let mut random = Random(0x686f_7374);
    let (mut opened, mut infinite) = (0, Vec::new());
    for number in 0..MUTATIONS {
        let mut bytes = file.clone();
        for _ in 0..=random.below(2) {
            damage(&mut bytes, &sections, &mut random);
        }
        if bytes == file {
            continue;
        }
        let stale = Model::open_whole(&bytes).map(drop);
        assert!(stale.is_err(), "mutation {number} was not noticed");
        if random.below(2) == 0 {
            let length = u32::try_from(bytes.len()).unwrap();
            if let Some(field) = bytes.get_mut(12..16) {
                field.copy_from_slice(&length.to_le_bytes());
            }
        }
        repair(&mut bytes);
        let outcome = catch_unwind(AssertUnwindSafe(|| answers(&bytes)));
        match outcome.unwrap_or_else(|_| panic!("mutation {number} made a panic")) {
            Ok(is_finite) => {
                opened += 1;
                if !is_finite {
                    infinite.push(number);
                }
            }
            Err(error) => assert_ne!(error.kind, ErrorKind::Checksum, "mutation {number}"),
        }
    }
    // Damage that is mostly rejected at the header would test little.
    assert!(opened > MUTATIONS / 5, "only {opened} opened");
    assert!(infinite.is_empty(), "infinite logits: {infinite:?}");
}

/// The largest f16 at every place of the weights where the file still opens with it:
/// scales, biases and norms grow as far as they can, all at once.
#[test]
fn the_largest_numbers_are_survived() {
    let (_folder, file) = trained();
    let container = Container::open(&file).unwrap();
    let weights = container
        .entries()
        .find(|entry| entry.section == Section::Weights)
        .expect("weights");
    let mut bytes = file.clone();
    let mut kept = 0;
    for at in (weights.offset..weights.offset + weights.length - 1).step_by(2) {
        let before = [bytes[at], bytes[at + 1]];
        bytes[at..at + 2].copy_from_slice(&0x7bff_u16.to_le_bytes());
        repair(&mut bytes);
        if Model::open(&bytes).is_ok() {
            kept += 1;
        } else {
            bytes[at..at + 2].copy_from_slice(&before);
        }
    }
    repair(&mut bytes);
    assert!(kept > 500, "only {kept} places");
    let outcome = catch_unwind(|| answers(&bytes)).expect("no panic");
    assert_eq!(outcome, Ok(true), "infinite logits");
}

#[test]
fn the_program_says_where_a_file_is_wrong() {
    let (folder, file) = trained();
    let container = Container::open(&file).unwrap();
    let offset_of = |section| {
        let entry = container.entries().find(|entry| entry.section == section);
        entry.expect("a section").offset
    };
    let (limits, tensors) = (offset_of(Section::Limits), offset_of(Section::Tensors));
    let changed = |at: usize, value: u8, is_repaired: bool| {
        let mut bytes = file.clone();
        assert_ne!(bytes[at], value);
        bytes[at] = value;
        if is_repaired {
            repair(&mut bytes);
        }
        bytes
    };
    let cases = [
        (
            changed(0, b'P', true),
            "header at byte 0: not a .neuro file",
        ),
        (changed(8, 9, true), "header at byte 8: version 9"),
        (
            file[..file.len() - 9].to_vec(),
            "header at byte 12: the file states",
        ),
        (
            [&file[..], b"more"].concat(),
            "bytes follow where the end was expected",
        ),
        (changed(limits, 0xee, false), "limits at byte 0: the CRC-32"),
        (
            changed(limits + 28, 1, true),
            "tensors at byte 0: a shape disagrees with the rest of the model",
        ),
        (
            changed(tensors + RECORD_BYTES, 0x77, true),
            "tensors at byte 32: a tag is not known",
        ),
    ];
    for (bytes, place) in cases {
        folder.write("changed.neuro", bytes);
        let model = ["--model", "changed.neuro"];
        let parts = ["changed.neuro: ", place];
        let mut command = folder.neuroprune(&["inspect", "changed.neuro"]);
        run(&mut command).assert_error(1, &parts);
        let mut command = folder.neuroprune(&["classify", "lamp off"]);
        run(command.args(model)).assert_error(1, &parts);
        let mut command = folder.neuroprune(&["evaluate", "--data", "test.tsv"]);
        run(command.args(model)).assert_error(1, &parts);
    }
}
