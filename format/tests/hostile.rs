//! Opening any bytes gives a model or an error, and a model keeps every promise of its view.
#![cfg(feature = "alloc")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

mod checksums;
mod sources;
mod walk;

use neuroprune_format::container::{
    Container, ENTRY_BYTES, HEADER_BYTES, REQUIRED, SECTION_ALIGNMENT, checksum,
};
use neuroprune_format::tensor::{
    Layout, Pattern, RECORD_BYTES, Record, Role, TableValues, Tensors,
};
use neuroprune_format::writer::{LayoutChoice, TensorSource};
use neuroprune_format::{ErrorKind, FormatError, Model, Section};

/// Damaged files of the random test; each is opened with its old checksums and
/// with repaired ones.
const DAMAGED_FILES: u64 = 120_000;
/// Values at which something overflows, ends or changes its meaning.
const EDGES: [u32; 16] = [
    0,
    1,
    2,
    4,
    0x7f,
    0x80,
    0xff,
    0x100,
    0x7fff,
    0xffff,
    0x1_0000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_fff0,
    0xffff_fffe,
    0xffff_ffff,
];

fn files() -> Vec<Vec<u8>> {
    let sources = sources::all().into_iter();
    sources
        .map(|(_, source)| source.to_bytes().unwrap())
        .collect()
}

/// Opens `bytes` and, if that works, reads everything.
fn open(bytes: &[u8]) -> Result<(), FormatError> {
    let model = Model::open(bytes)?;
    walk::walk(&model);
    Ok(())
}

fn open_repaired(bytes: &mut [u8]) -> Result<(), FormatError> {
    checksums::repair(bytes);
    open(bytes)
}

fn with_length(bytes: &mut [u8]) {
    let length = u32::try_from(bytes.len()).unwrap();
    if let Some(field) = bytes.get_mut(12..16) {
        field.copy_from_slice(&length.to_le_bytes());
    }
}

#[test]
fn every_flipped_bit_is_noticed() {
    for file in files() {
        let mut bytes = file.clone();
        for bit in 0..file.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&bytes).is_err(), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        assert_eq!(bytes, file);
    }
}

#[test]
fn every_flipped_bit_behind_good_checksums_is_survived() {
    for file in files() {
        for bit in 0..file.len() * 8 {
            let mut bytes = file.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let _ = open_repaired(&mut bytes);
        }
    }
}

#[test]
fn every_cut_is_an_error() {
    for file in files() {
        for length in 0..file.len() {
            assert!(open(&file[..length]).is_err(), "{length} bytes");
            let mut bytes = file[..length].to_vec();
            with_length(&mut bytes);
            assert!(open_repaired(&mut bytes).is_err(), "{length} bytes");
        }
    }
}

#[test]
fn every_cut_of_a_section_is_an_error() {
    for file in files() {
        let parts = Parts::of(&file);
        assert_eq!(parts.to_bytes(), file);
        for (index, part) in parts.0.iter().enumerate() {
            for length in 0..part.bytes.len() {
                let mut cut = parts.clone();
                cut.0[index].bytes.truncate(length);
                assert!(
                    open(&cut.to_bytes()).is_err(),
                    "section {index}, {length} bytes"
                );
            }
            let mut longer = parts.clone();
            longer.0[index].bytes.push(0);
            assert!(
                open(&longer.to_bytes()).is_err(),
                "section {index}, one more"
            );
        }
    }
}

#[test]
fn every_edge_value_is_survived_everywhere() {
    for file in files() {
        for at in 0..file.len() - 4 {
            for value in EDGES {
                let mut bytes = file.clone();
                bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
                let _ = open_repaired(&mut bytes);
                let mut bytes = file.clone();
                bytes[at..at + 2].copy_from_slice(&value.to_le_bytes()[..2]);
                let _ = open_repaired(&mut bytes);
            }
        }
    }
}

#[test]
fn random_damage_is_survived() {
    let files = files();
    let mut random = Random(0x006e_6575_726f);
    let mut opened = 0;
    for _ in 0..DAMAGED_FILES {
        let file = &files[random.below(files.len())];
        let mut bytes = file.clone();
        for _ in 0..=random.below(3) {
            damage(&mut bytes, &mut random);
        }
        let stale = open(&bytes);
        // The bytes after the file become part of it.
        let is_lengthened = random.below(2) == 0;
        if is_lengthened {
            with_length(&mut bytes);
        }
        let repaired = open_repaired(&mut bytes);
        assert!(stale.is_err() || is_lengthened || repaired.is_ok());
        opened += u64::from(repaired.is_ok());
    }
    // If most damage were rejected at the header, this would test little.
    assert!(opened > DAMAGED_FILES / 20, "only {opened} files opened");
}

/// One change, if `bytes` are still long enough for it.
fn damage(bytes: &mut Vec<u8>, random: &mut Random) {
    let edge = EDGES[random.below(EDGES.len())].to_le_bytes();
    let field = match random.below(14) {
        0 | 1 if !bytes.is_empty() => {
            let at = random.below(bytes.len());
            bytes[at] ^= 1 << random.below(8);
            return;
        }
        2 => return bytes.truncate(random.below(bytes.len() + 1)),
        3 => {
            let more = random.below(40);
            return bytes.resize(bytes.len() + more, edge[0]);
        }
        4 => [8, 10, 12, 16, 20][random.below(5)],
        5 => HEADER_BYTES + random.below(7) * ENTRY_BYTES + [0, 2, 4, 8, 12][random.below(5)],
        // A few bytes of one section, which keeps its place.
        kind @ 6..=12 => {
            let sections = [
                (Section::Tensors, 2),
                (Section::Limits, 4),
                (Section::Manifest, 1),
                (Section::Weights, 1),
                (Section::Characters, 1),
                (Section::PieceBlocks, 1),
                (Section::Labels, 1),
            ];
            let (section, step) = sections[kind - 6];
            let kind = section.kind().unwrap().to_le_bytes();
            let mut entries = (HEADER_BYTES..).step_by(ENTRY_BYTES).take(8);
            let is_this = |&at: &usize| bytes.get(at..at + 2) == Some(&kind);
            let Some(entry) = entries.find(is_this) else {
                return;
            };
            let Some(&[a, b, c, d, e, f, g, h]) = bytes.get(entry + 4..entry + 12) else {
                return;
            };
            let offset = u32::from_le_bytes([a, b, c, d]) as usize;
            let length = u32::from_le_bytes([e, f, g, h]) as usize;
            offset.saturating_add(random.below(length.max(1)) / step * step)
        }
        // One stretch over another.
        _ => {
            let length = random.below(40).min(bytes.len());
            let from = random.below(bytes.len() - length + 1);
            let to = random.below(bytes.len() - length + 1);
            return bytes.copy_within(from..from + length, to);
        }
    };
    let width = [1, 2, 4][random.below(3)];
    let end = field.saturating_add(width);
    if let Some(field) = bytes.get_mut(field..end) {
        if random.below(3) == 0 {
            field[0] = random.next().to_le_bytes()[0];
        } else {
            field.copy_from_slice(&edge[..width]);
        }
    }
}

/// SplitMix64 (Steele, Lea and Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }
}

/// A file taken apart. It is reassembled here, not by the writer, so that the two check each other.
#[derive(Clone)]
struct Parts(Vec<Part>);

#[derive(Clone)]
struct Part {
    kind: u16,
    flags: u16,
    bytes: Vec<u8>,
}

impl Parts {
    fn of(file: &[u8]) -> Self {
        let container = Container::open(file).unwrap();
        let part = |entry: neuroprune_format::container::Entry| Part {
            kind: entry.section.kind().unwrap(),
            flags: if entry.required { REQUIRED } else { 0 },
            bytes: container.section(entry.section).unwrap().to_vec(),
        };
        Self(container.entries().map(part).collect())
    }

    fn section(&mut self, section: Section) -> &mut Vec<u8> {
        let kind = section.kind().unwrap();
        let part = self.0.iter_mut().find(|part| part.kind == kind);
        &mut part.unwrap().bytes
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut file = b"\x89NEURO\r\n\x02\0".to_vec();
        file.extend(u16::try_from(self.0.len()).unwrap().to_le_bytes());
        file.resize(HEADER_BYTES + self.0.len() * ENTRY_BYTES, 0);
        for (index, part) in self.0.iter().enumerate() {
            file.resize(file.len().next_multiple_of(SECTION_ALIGNMENT), 0);
            let entry = HEADER_BYTES + index * ENTRY_BYTES;
            let word = |value: usize| u32::try_from(value).unwrap().to_le_bytes();
            let offset = file.len();
            file[entry..entry + 2].copy_from_slice(&part.kind.to_le_bytes());
            file[entry + 2..entry + 4].copy_from_slice(&part.flags.to_le_bytes());
            file[entry + 4..entry + 8].copy_from_slice(&word(offset));
            file[entry + 8..entry + 12].copy_from_slice(&word(part.bytes.len()));
            file[entry + 12..entry + 16].copy_from_slice(&checksum(&[&part.bytes]).to_le_bytes());
            file.extend(&part.bytes);
        }
        with_length(&mut file);
        checksums::repair(&mut file);
        file
    }
}

/// The error of the model `pair` after `change`.
#[track_caller]
fn assert_refused(
    kind: ErrorKind,
    section: Section,
    offset: usize,
    change: impl FnOnce(&mut Parts),
) {
    assert_refused_of(
        &sources::pair().to_bytes().unwrap(),
        kind,
        section,
        offset,
        change,
    );
}

#[track_caller]
fn assert_refused_of(
    file: &[u8],
    kind: ErrorKind,
    section: Section,
    offset: usize,
    change: impl FnOnce(&mut Parts),
) {
    let mut parts = Parts::of(file);
    change(&mut parts);
    let offset = u32::try_from(offset).unwrap();
    let expected = FormatError {
        kind,
        section,
        offset,
    };
    assert_eq!(open(&parts.to_bytes()), Err(expected));
}

/// The error after `value` is written over byte `at` of `section`.
#[track_caller]
fn assert_edit(section: Section, at: usize, value: &[u8], kind: ErrorKind, offset: usize) {
    assert_refused(kind, section, offset, |parts| {
        parts.section(section)[at..at + value.len()].copy_from_slice(value);
    });
}

/// The error of the raw file after `change`; checksums are repaired.
#[track_caller]
fn assert_raw(kind: ErrorKind, section: Section, offset: u32, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = sources::pair().to_bytes().unwrap();
    change(&mut bytes);
    let expected = FormatError {
        kind,
        section,
        offset,
    };
    assert_eq!(open_repaired(&mut bytes), Err(expected));
}

/// Number and content of a record of the model `pair`.
fn record(role: Role, layer: u16) -> (usize, Record) {
    let bytes = sources::pair().to_bytes().unwrap();
    let tensors = walk::encoder(&Model::open(&bytes).unwrap())
        .tensors()
        .records()
        .collect::<Vec<_>>();
    let is_this = |record: &Record| (record.role, record.layer) == (role, layer);
    let index = tensors.iter().position(is_this).unwrap();
    (index, tensors[index])
}

/// Byte of the weights section of the model `pair`, `within` a tensor.
fn weight_at(role: Role, layer: u16, within: usize) -> usize {
    record(role, layer).1.offset + within
}

#[test]
fn header_errors() {
    use Section::{Header, Table};
    assert_raw(ErrorKind::Magic, Header, 0, |bytes| bytes[7] = b'\r');
    for found in [0, 1, 3] {
        let version = ErrorKind::Version { found, known: 2 };
        assert_raw(version, Header, 8, |bytes| {
            bytes[8..10].copy_from_slice(&found.to_le_bytes());
        });
    }
    let given = u32::try_from(sources::pair().to_bytes().unwrap().len()).unwrap();
    let shorter = ErrorKind::Length {
        stated: given,
        given: given - 1,
    };
    assert_raw(shorter, Header, 12, |bytes| bytes.truncate(bytes.len() - 1));
    // The table is outside the length that the file states.
    assert_raw(ErrorKind::Truncated, Header, 32, |bytes| {
        bytes[12..16].copy_from_slice(&[99, 0, 0, 0])
    });
    assert_raw(ErrorKind::Reserved, Header, 20, |bytes| bytes[31] = 1);
    assert_raw(ErrorKind::Truncated, Header, 32, |bytes| bytes[11] = 1);
    assert_raw(ErrorKind::Truncated, Header, 0, |bytes| bytes.truncate(7));
    assert_raw(ErrorKind::Truncated, Header, 20, |bytes| {
        bytes.truncate(31);
        with_length(bytes);
    });
    assert_raw(ErrorKind::Trailing, Header, given, |bytes| {
        bytes.push(0);
        with_length(bytes);
    });

    assert_raw(ErrorKind::Order, Table, 0, |bytes| bytes[32] = 0);
    assert_raw(ErrorKind::Order, Table, 16, |bytes| bytes[48] = 1);
    assert_raw(ErrorKind::Reserved, Table, 2, |bytes| bytes[34] = 3);
    assert_raw(ErrorKind::Alignment, Table, 4, |bytes| bytes[36] += 16);
    assert_raw(ErrorKind::Alignment, Table, 20, |bytes| bytes[52] += 1);
    assert_raw(ErrorKind::Truncated, Table, 16 * 6 + 8, |bytes| {
        bytes[138] = 1
    });
    assert_raw(ErrorKind::Truncated, Table, 16 * 6 + 8, |bytes| {
        bytes[136..140].fill(0xff);
    });
    // The first byte between manifest and limits.
    assert_raw(ErrorKind::Reserved, Table, 20, |bytes| {
        assert_eq!(bytes[270], 0);
        bytes[270] = 1;
    });
}

#[test]
fn checksum_errors() {
    let file = sources::pair().to_bytes().unwrap();
    let assert_stale = |at: usize, section, offset| {
        let mut bytes = file.clone();
        bytes[at] ^= 0x10;
        let kind = ErrorKind::Checksum;
        let expected = FormatError {
            kind,
            section,
            offset,
        };
        assert_eq!(open(&bytes), Err(expected));
    };
    assert_stale(16, Section::Header, 16);
    assert_stale(40, Section::Header, 16);
    for entry in Container::open(&file).unwrap().entries() {
        assert_stale(entry.offset, entry.section, 0);
        assert_stale(entry.offset + entry.length - 1, entry.section, 0);
    }
}

#[test]
fn sections_that_are_not_known() {
    let part = |kind, flags| Part {
        kind,
        flags,
        bytes: b"later".to_vec(),
    };
    let mut parts = Parts::of(&sources::pair().to_bytes().unwrap());
    parts.0.push(part(10, 0));
    parts.0.push(part(u16::MAX, 0));
    assert_eq!(open(&parts.to_bytes()), Ok(()));
    let section = Section::Unknown(900);
    assert_refused(ErrorKind::Required, section, 0, |parts| {
        parts.0.push(part(900, REQUIRED));
    });
    // Skipped is not unchecked.
    let mut bytes = parts.to_bytes();
    *bytes.last_mut().unwrap() ^= 1;
    let section = Section::Unknown(u16::MAX);
    assert_eq!(
        open(&bytes).map_err(|error| (error.kind, error.section)),
        Err((ErrorKind::Checksum, section))
    );
}

#[test]
fn every_section_is_needed() {
    for kind in [1, 2, 3, 5, 6, 7, 9] {
        // Without blocks of pieces it is their table that is missed.
        let section = Section::from_kind(if kind == 9 { 4 } else { kind });
        assert_refused(ErrorKind::Missing, section, 0, |parts| {
            parts.0.retain(|part| part.kind != kind);
        });
    }
}

/// Kinds of stacks and heads that this version does not know.
#[test]
fn manifest_version_2_errors() {
    let file = include_bytes!("golden/v2-manifest-2.neuro");
    // Architecture; norm, its place, positions, MLP; activation; head; pooling.
    let edits = [
        (9, 1),
        (11, 1),
        (12, 1),
        (13, 1),
        (14, 1),
        (15, 2),
        (16, 1),
        (17, 2),
    ];
    for (at, number) in edits {
        assert_refused_of(file, ErrorKind::Manifest, Section::Manifest, 0, |parts| {
            parts.section(Section::Manifest)[at] = number;
        });
    }
}

#[test]
fn manifest_errors() {
    use Section::Manifest;
    for found in [0, 4] {
        let version = ErrorKind::Version {
            found: u16::from(found),
            known: 3,
        };
        assert_edit(Manifest, 0, &[found], version, 0);
    }
    assert_edit(Manifest, 1, &[0x7f], ErrorKind::Manifest, 0);
    assert_edit(Manifest, 2, &[0xff], ErrorKind::Manifest, 0);
    assert_edit(Manifest, 9, &[1], ErrorKind::Manifest, 0); // architecture
    assert_edit(Manifest, 11, &[2], ErrorKind::Manifest, 0); // activation
    assert_edit(Manifest, 12, &[2], ErrorKind::Manifest, 0); // pooling
    for epsilon in [f32::NAN, -1e-9, 1.0, f32::INFINITY] {
        assert_edit(Manifest, 13, &epsilon.to_le_bytes(), ErrorKind::Scale, 0);
    }
    for id in 19..22 {
        assert_edit(Manifest, id, &[13], ErrorKind::Index, 0);
    }
    assert_edit(Manifest, 22, &[101], ErrorKind::Limit, 0);
    assert_edit(Manifest, 23, &[2], ErrorKind::Manifest, 0); // pair
    assert_refused(ErrorKind::Trailing, Manifest, 110, |parts| {
        parts.section(Manifest).push(0);
    });
    assert_refused(ErrorKind::Manifest, Manifest, 0, |parts| {
        parts.section(Manifest).clear();
    });
}

/// Rows of four bits, a factor, recurrences, layers without an MLP.
#[test]
fn errors_of_a_recurrent_model() {
    let file: &[u8] = include_bytes!("golden/v2-recurrent.neuro");
    let refuse = |kind, section, offset, edit: &dyn Fn(&mut Parts)| {
        assert_refused_of(file, kind, section, offset, edit);
    };
    use Section::{Limits, Manifest, Tensors, Weights};
    // The scales of 13 rows come first, then rows of three bytes.
    for (at, wrong) in [(13, 0x08), (14, 0x80), (15, 0x10)] {
        refuse(ErrorKind::Weight, Weights, at, &|parts| {
            parts.section(Weights)[at] = wrong;
        });
    }
    // 10 letters of the name are before the settings.
    let positions = 1 + 10 + 1 + 1 + 2;
    refuse(ErrorKind::Missing, Tensors, 2 * RECORD_BYTES, &|parts| {
        assert_eq!(parts.section(Manifest)[positions], 1);
        parts.section(Manifest)[positions] = 0;
    });
    refuse(ErrorKind::Manifest, Manifest, 0, &|parts| {
        parts.section(Manifest)[positions] = 2;
    });
    refuse(ErrorKind::Manifest, Manifest, 0, &|parts| {
        parts.section(Manifest)[0] = 2;
    });
    for (at, wrong) in [(28, 6), (30, 0), (30, 8)] {
        let (kind, section, offset) = match at {
            28 => (ErrorKind::Shape, Tensors, 0),
            _ => (ErrorKind::Limit, Limits, 8),
        };
        refuse(kind, section, offset, &|parts| {
            parts.section(Limits)[at] = wrong;
        });
    }
    // The first layer is whole: its records cannot be of attention, or of an MLP.
    let first = 3 * RECORD_BYTES;
    for (role, kind, offset) in [
        (Role::Head, ErrorKind::Shape, first),
        (Role::MlpInput, ErrorKind::Order, first + RECORD_BYTES),
        (
            Role::ForwardRecurrence,
            ErrorKind::Order,
            first + RECORD_BYTES,
        ),
    ] {
        let at = if role == Role::ForwardRecurrence {
            first + RECORD_BYTES
        } else {
            first
        };
        refuse(kind, Tensors, offset, &|parts| {
            parts.section(Tensors)[at] = role.tag();
        });
    }
}

#[test]
fn limit_errors() {
    use Section::{Limits, Tensors};
    // Two for [CLS] and [SEP], three for a pair of texts.
    assert_edit(Limits, 0, &[2], ErrorKind::Limit, 0);
    let beyond = u32::try_from(neuroprune_format::limits::TOKENS + 1).unwrap();
    assert_edit(Limits, 0, &beyond.to_le_bytes(), ErrorKind::Limit, 0);
    assert_edit(Limits, 4, &[0], ErrorKind::Limit, 4);
    for (at, wrong) in [(8, 3), (8, 1), (12, 4), (16, 5), (20, 0x2d)] {
        assert_edit(Limits, at, &[wrong], ErrorKind::Limit, 8);
    }
    // An embedding that no factor reads, and a recurrence that is not there.
    assert_edit(Limits, 28, &[6], ErrorKind::Limit, 8);
    assert_edit(Limits, 30, &[6], ErrorKind::Limit, 8);
    assert_refused(ErrorKind::Shape, Tensors, 0, |parts| {
        parts.section(Limits)[28] = 1;
    });
    assert_refused(ErrorKind::Limit, Section::Labels, 0, |parts| {
        parts.section(Limits)[24] = 4;
    });
    assert_refused(ErrorKind::Shape, Tensors, RECORD_BYTES, |parts| {
        parts.section(Limits)[0] = 9;
    });
    assert_refused(ErrorKind::Shape, Tensors, 0, |parts| {
        parts.section(Limits)[4] = 7;
    });
    assert_refused(ErrorKind::Truncated, Limits, 30, |parts| {
        parts.section(Limits).truncate(31);
    });
    assert_refused(ErrorKind::Trailing, Limits, 32, |parts| {
        parts.section(Limits).push(0);
    });
}

#[test]
fn string_errors() {
    use Section::{Labels, Vocabulary};
    assert_edit(Labels, 4, &[3], ErrorKind::Tag, 4);
    assert_edit(Labels, 0, &[0xff; 4], ErrorKind::Truncated, 8);
    assert_edit(Labels, 8, &[1], ErrorKind::Index, 8);
    assert_edit(Labels, 10, &[0], ErrorKind::Text, 8); // an empty string
    assert_edit(Labels, 12, &[1], ErrorKind::Text, 10); // offsets that descend
    assert_edit(Labels, 14, &[0x12], ErrorKind::Truncated, 16);
    assert_edit(Labels, 14, &[0x10], ErrorKind::Trailing, 32);
    assert_edit(Labels, 12, &[10], ErrorKind::Text, 10); // inside ß
    assert_edit(Labels, 25, &[0xff], ErrorKind::Text, 25);
    assert_refused(ErrorKind::Limit, Labels, 0, |parts| {
        *parts.section(Labels) = [0, 0, 0, 0, 2, 0, 0, 0, 0, 0].to_vec();
        parts.section(Section::Limits)[24] = 0;
    });
    let edit = |at: usize, value: &[u8], kind, offset| {
        assert_refused_of(PIECE_TABLE, kind, Vocabulary, offset, |parts| {
            parts.section(Vocabulary)[at..at + value.len()].copy_from_slice(value);
        });
    };
    edit(0, &[14], ErrorKind::Index, 0);
    edit(4, &[1], ErrorKind::Reserved, 4);
    // The halves no longer meet between "日" and "b".
    edit(0, &[8], ErrorKind::Order, 16 + 9 * 2);
    // "[CLS]" becomes "[TLS]"; pieces may not repeat either.
    edit(45, b"T", ErrorKind::Order, 16 + 2);
    edit(49, b"[CLS]", ErrorKind::Order, 16 + 2);
}

/// A first piece is compared as it is, so a syllable in it would be found as something else.
#[test]
fn first_pieces_have_no_syllables() {
    let file = sources::pair().to_bytes().unwrap();
    assert_refused_of(
        &file,
        ErrorKind::Text,
        Section::PieceBlocks,
        22 + 6,
        |parts| {
            let pieces = parts.section(Section::PieceBlocks);
            pieces[10] = 1;
            pieces.splice(12..12, *b"CLS\0");
            // "[CLS]" as its length, `[`, the syllable and two letters: still text in its order.
            pieces[22..28].copy_from_slice(&[5, b'[', 0, b'C', b'L', b'S']);
        },
    );
}

/// A file of before pieces were in blocks.
const PIECE_TABLE: &[u8] = include_bytes!("golden/v2-piece-table.neuro");

#[test]
fn piece_errors() {
    use Section::PieceBlocks;
    // After two counts, the width and the offsets 0, 44 and 54: "[CLS]", 1 + 5 bytes, "[SEP]", 1 kept.
    let pieces = 18;
    assert_edit(PieceBlocks, 0, &[0xff; 4], ErrorKind::Truncated, 12);
    assert_edit(PieceBlocks, 8, &[3], ErrorKind::Tag, 8);
    // One piece more, or less, than there are.
    assert_edit(PieceBlocks, 4, &[5], ErrorKind::Truncated, pieces + 54);
    assert_edit(PieceBlocks, 4, &[3], ErrorKind::Index, pieces + 52);
    assert_edit(PieceBlocks, 12, &[1], ErrorKind::Index, pieces);
    assert_edit(PieceBlocks, 14, &[45], ErrorKind::Index, pieces + 44);
    // The first piece has no bytes; the second keeps more than there is.
    assert_edit(PieceBlocks, pieces, &[0], ErrorKind::Text, pieces + 1);
    assert_edit(
        PieceBlocks,
        pieces + 6,
        &[0x63],
        ErrorKind::Index,
        pieces + 10,
    );
    // "[SEP]" becomes "[BEP]", and text that is none.
    assert_edit(PieceBlocks, pieces + 7, b"B", ErrorKind::Order, pieces + 11);
    assert_edit(
        PieceBlocks,
        pieces + 7,
        &[0xff],
        ErrorKind::Text,
        pieces + 11,
    );
    assert_refused(ErrorKind::Trailing, PieceBlocks, pieces + 54, |parts| {
        parts.section(PieceBlocks).push(0);
    });
    assert_refused(ErrorKind::Repeated, PieceBlocks, 0, |parts| {
        let table = Parts::of(PIECE_TABLE).section(Section::Vocabulary).clone();
        let table = Part {
            kind: 4,
            flags: REQUIRED,
            bytes: table,
        };
        parts.0.insert(3, table);
    });
}

#[test]
fn character_errors() {
    use Section::Characters;
    let (targets_end, ascii, runs) = (39, 47, 303);
    assert_edit(Characters, targets_end, &[9], ErrorKind::Index, targets_end);
    assert_edit(
        Characters,
        targets_end + 4,
        &[0x28],
        ErrorKind::Truncated,
        runs,
    );
    assert_edit(
        Characters,
        targets_end + 4,
        &[0x26],
        ErrorKind::Truncated,
        341,
    );
    assert_edit(Characters, ascii + 20, &[12], ErrorKind::Index, ascii + 20);
    assert_edit(
        Characters,
        ascii + 254,
        &[0xff; 2],
        ErrorKind::Index,
        ascii + 254,
    );
    assert_edit(Characters, runs, &[1, 0], ErrorKind::Index, runs); // no characters
    assert_edit(Characters, 341, &[12], ErrorKind::Index, 341);
    // The last code continues beyond the section.
    assert_edit(Characters, 341, &[0x80], ErrorKind::Truncated, 341);
    // Five bytes, and more characters than there are.
    assert_edit(Characters, runs, &[0xff; 5], ErrorKind::Truncated, runs);
    assert_edit(
        Characters,
        runs,
        &[0xff, 0xff, 0xff, 0x7f],
        ErrorKind::Index,
        runs,
    );
    assert_refused(ErrorKind::Trailing, Characters, 342, |parts| {
        parts.section(Characters).push(0);
    });
}

#[test]
fn character_index_errors() {
    use Section::{CharacterIndex, Characters};
    let mut source = sources::pair();
    source.characters = sources::many_characters();
    let file = source.to_bytes().unwrap();
    let entries = Parts::of(&file).section(CharacterIndex).len() / 4;
    assert!(entries > 8);
    let assert_wrong = |entry: usize, change: &dyn Fn(&mut [u8])| {
        assert_refused_of(
            &file,
            ErrorKind::Index,
            CharacterIndex,
            entry * 4,
            |parts| {
                change(parts.section(CharacterIndex));
            },
        );
    };
    for entry in 0..entries {
        // Another scalar value, and another number of listed characters that are left.
        for byte in 0..4 {
            assert_wrong(entry, &|index| index[entry * 4 + byte] ^= 1);
        }
        // Neither in the order of the runs, nor below U+110000.
        assert_wrong(entry, &|index| index[entry * 4..][..4].fill(0));
        assert_wrong(entry, &|index| index[entry * 4..][..4].fill(0xff));
    }
    assert_wrong(3, &|index| index[12..20].rotate_left(4));
    // Fewer entries would leave a longer walk.
    let short = (entries - 1) * 4;
    assert_refused_of(
        &file,
        ErrorKind::Truncated,
        CharacterIndex,
        short,
        |parts| {
            parts.section(CharacterIndex).truncate(short);
        },
    );
    assert_refused_of(&file, ErrorKind::Truncated, CharacterIndex, 0, |parts| {
        parts.section(CharacterIndex).clear();
    });
    assert_refused_of(
        &file,
        ErrorKind::Trailing,
        CharacterIndex,
        entries * 4,
        |parts| {
            parts.section(CharacterIndex).push(0);
        },
    );
    // The first run has one character more, and the index does not know.
    assert_refused_of(&file, ErrorKind::Index, CharacterIndex, 0, |parts| {
        let characters = parts.section(Characters);
        let first_run = [0x81, 0x01, 0x07, 0x03];
        let runs = characters.windows(4).position(|bytes| bytes == first_run);
        characters[runs.unwrap()] += 4;
    });
}

/// A search that an index shortens finds what a walk from the start finds.
#[test]
fn an_index_changes_no_outcome() {
    let mut source = sources::pair();
    source.characters = sources::many_characters();
    let file = source.to_bytes().unwrap();
    let mut parts = Parts::of(&file);
    parts.0.retain(|part| part.kind != 8);
    let without = parts.to_bytes();
    let [with, without] = [&file, &without].map(|file| Model::open(file).unwrap().characters());
    for character in ('\0'..='\u{3000}').chain('\u{10ff00}'..=char::MAX) {
        assert_eq!(
            with.outcome(character),
            without.outcome(character),
            "{character:?}"
        );
    }
}

/// An index is optional, whatever its flag says.
#[test]
fn an_index_may_be_required_or_missing() {
    let file = sources::pair().to_bytes().unwrap();
    let mut parts = Parts::of(&file);
    let mut index = parts.0.iter_mut().filter(|part| part.kind == 8);
    let index = index.next().unwrap();
    assert_eq!(index.flags, 0);
    index.flags = REQUIRED;
    assert_eq!(open(&parts.to_bytes()), Ok(()));
    parts.0.retain(|part| part.kind != 8);
    assert_eq!(open(&parts.to_bytes()), Ok(()));
}

#[test]
fn record_errors() {
    use Section::{Tensors, Weights};
    assert_edit(Tensors, 0, &[0], ErrorKind::Tag, 0);
    assert_edit(Tensors, 0, &[16], ErrorKind::Tag, 0);
    assert_edit(Tensors, 1, &[0], ErrorKind::Tag, 1);
    assert_edit(Tensors, 1, &[9], ErrorKind::Tag, 1);
    assert_edit(Tensors, 2, &[1], ErrorKind::Tag, 2);
    assert_edit(Tensors, 3, &[1], ErrorKind::Reserved, 3);
    assert_edit(Tensors, 28, &[1], ErrorKind::Reserved, 28);
    assert_edit(Tensors, 10, &[1], ErrorKind::Shape, 8);
    assert_edit(Tensors, 14, &[1], ErrorKind::Shape, 8);
    assert_edit(Tensors, 16, &[4], ErrorKind::Alignment, 16);
    assert_edit(Tensors, 20, &[0xff; 4], ErrorKind::Truncated, 16);
    assert_edit(Tensors, 24, &[1], ErrorKind::Shape, 0); // query rows of a table
    assert_edit(Tensors, 6, &[1], ErrorKind::Shape, 0); // head of a table
    assert_edit(Tensors, RECORD_BYTES, &[1], ErrorKind::Order, RECORD_BYTES);
    assert_edit(
        Tensors,
        RECORD_BYTES,
        &[3],
        ErrorKind::Order,
        2 * RECORD_BYTES,
    );
    assert_edit(Tensors, 4, &[1], ErrorKind::Order, RECORD_BYTES);

    let (head, _) = record(Role::Head, 0);
    let head = head * RECORD_BYTES;
    assert_edit(Tensors, head + 24, &[4], ErrorKind::Shape, head);
    assert_edit(Tensors, head + 24, &[0xff; 4], ErrorKind::Shape, head);
    assert_edit(Tensors, head + 1, &[4, 0], ErrorKind::Shape, head);
    assert_edit(Tensors, head + 12, &[7], ErrorKind::Shape, head);
    // With one value row fewer, W_O is too wide.
    let (output, _) = record(Role::AttentionOutput, 0);
    assert_refused(ErrorKind::Shape, Tensors, output * RECORD_BYTES, |parts| {
        parts.section(Tensors)[head + 24] = 3;
    });
    let (norm, _) = record(Role::EmbeddingNorm, 0);
    let norm = norm * RECORD_BYTES;
    assert_edit(Tensors, norm + 8, &[2], ErrorKind::Shape, norm);
    assert_edit(Tensors, norm + 12, &[5], ErrorKind::Shape, norm);

    let (classifier, _) = record(Role::Classifier, 0);
    let classifier = classifier * RECORD_BYTES;
    assert_edit(Tensors, classifier + 8, &[4], ErrorKind::Shape, classifier);
    assert_edit(
        Tensors,
        classifier + 4,
        &[1],
        ErrorKind::Missing,
        classifier,
    );
    assert_refused(ErrorKind::Missing, Tensors, classifier, |parts| {
        let records = parts.section(Tensors);
        records.truncate(classifier);
        let end = weight_at(Role::MlpNorm, 1, 24);
        parts.section(Weights).truncate(end);
    });
    assert_refused(ErrorKind::Truncated, Tensors, classifier + 24, |parts| {
        parts.section(Tensors).truncate(classifier + 25);
    });
    // A classifier of layer 1 after that of layer 0.
    assert_refused(
        ErrorKind::Trailing,
        Tensors,
        classifier + RECORD_BYTES,
        |parts| {
            let end = u32::try_from(parts.section(Weights).len()).unwrap();
            let aligned = end.next_multiple_of(4);
            parts.section(Weights).resize(aligned as usize, 0);
            let records = parts.section(Tensors);
            let mut second = records[classifier..].to_vec();
            second[4] = 1;
            second[16..20].copy_from_slice(&aligned.to_le_bytes());
            second[20..24].fill(0);
            records.extend(second);
        },
    );
    // Another number of layers in the manifest.
    assert_refused(ErrorKind::Missing, Tensors, classifier, |parts| {
        parts.section(Section::Manifest)[10] = 3;
    });
    let (second, _) = record(Role::Head, 1);
    assert_refused(
        ErrorKind::Missing,
        Tensors,
        second * RECORD_BYTES,
        |parts| {
            parts.section(Section::Manifest)[10] = 1;
        },
    );
}

#[test]
fn weight_errors() {
    use Section::Weights;
    // Infinite, or not a number.
    for number in [[0x00, 0xfc], [0x01, 0x7e]] {
        for (role, within) in [
            (Role::AttentionOutput, 2), // bias
            (Role::EmbeddingNorm, 2),
            (Role::EmbeddingNorm, 14),
        ] {
            let at = weight_at(role, 0, within);
            assert_edit(Weights, at, &number, ErrorKind::Scale, at);
        }
    }
    for (role, within) in [
        (Role::TokenEmbedding, 13),
        (Role::SegmentEmbedding, 13),
        (Role::Classifier, 9),
        (Role::MlpOutput, 16),
    ] {
        let at = weight_at(role, 0, within);
        assert_edit(Weights, at, &[0x80], ErrorKind::Weight, at);
    }

    // Row map, after six biases: a bit beyond the rows, a row too many.
    let map = weight_at(Role::Head, 0, 12);
    assert_edit(Weights, map, &[0x65], ErrorKind::Reserved, map);
    assert_edit(Weights, map, &[0x27], ErrorKind::Truncated, map + 5);
    // One row fewer leaves weights over.
    assert_edit(Weights, map, &[0x24], ErrorKind::Trailing, map + 15);

    // Column list: outside, repeated, too long.
    let columns = weight_at(Role::MlpOutput, 0, 8);
    assert_edit(Weights, columns + 6, &[12], ErrorKind::Index, columns + 6);
    assert_edit(Weights, columns + 2, &[3], ErrorKind::Order, columns + 2);
    assert_edit(
        Weights,
        columns - 2,
        &[0xff; 2],
        ErrorKind::Truncated,
        columns,
    );
    assert_edit(
        Weights,
        columns - 2,
        &[3],
        ErrorKind::Trailing,
        columns + 24,
    );

    // Between the first head, 34 bytes long, and the second.
    let (_, head) = record(Role::Head, 0);
    let end = head.offset + head.length;
    assert_ne!(end % 4, 0);
    assert_edit(
        Weights,
        end,
        &[1],
        ErrorKind::Reserved,
        end.next_multiple_of(4),
    );
    let (_, classifier) = record(Role::Classifier, 0);
    let length = classifier.offset + classifier.length;
    assert_refused(ErrorKind::Trailing, Weights, length, |parts| {
        parts.section(Weights).push(0);
    });
}

#[test]
fn stream_errors() {
    use Section::Weights;
    // 3 rows: [3 | 3:5 255:0 1:-6] [3 | 7:100 255:0 37:-127] [1 | 44:1]
    assert_eq!(
        record(Role::MlpOutput, 1).1.layout,
        Layout::matrix(Pattern::DeltaU8)
    );
    let at = |within: usize| weight_at(Role::MlpOutput, 1, 4 + within);
    assert_edit(Weights, at(0), &[200], ErrorKind::Truncated, at(0));
    assert_edit(Weights, at(14), &[0], ErrorKind::Trailing, at(15));
    assert_edit(Weights, at(14), &[255], ErrorKind::Truncated, at(14));
    assert_edit(Weights, at(5), &[0], ErrorKind::Order, at(5));
    assert_edit(Weights, at(12), &[38], ErrorKind::Index, at(12));
    assert_edit(Weights, at(2), &[0], ErrorKind::Weight, at(2));
    assert_edit(Weights, at(2), &[0x80], ErrorKind::Weight, at(2));
    // A bridge that is too short, and one that leads nowhere.
    assert_edit(Weights, at(3), &[254], ErrorKind::Weight, at(4));
    assert_edit(Weights, at(15), &[255, 0], ErrorKind::Weight, at(16));
}

#[test]
fn row_sum_errors() {
    use Pattern::{Bitmap, Blocks2, Blocks4, DeltaU8};
    // After a count of three bytes or 75 bytes of bits: the last of the 521 weights.
    for (layout, last) in [
        (DeltaU8, 3 + 521 * 2 - 1),
        (Bitmap, 75 + 521 - 1),
        (Blocks2, 3 + 260 * 3 + 1),
        (Blocks4, 1 + 130 * 5 + 1),
    ] {
        row_sum_error(layout, last);
    }
}

fn row_sum_error(layout: Pattern, last: usize) {
    // [`sources::wide`] is exactly at the limit.
    let mut source = sources::wide();
    for tensor in &mut source.tensors {
        if let TensorSource::Matrix(matrix) = tensor
            && matrix.role == Role::MlpOutput
        {
            matrix.layout = LayoutChoice::Forced(layout);
        }
    }
    let file = source.to_bytes().unwrap();
    let records = walk::encoder(&Model::open(&file).unwrap())
        .tensors()
        .records();
    let matrix = records
        .into_iter()
        .find(|record| record.role == Role::MlpOutput);
    let matrix = matrix.unwrap();
    assert_eq!(matrix.layout, Layout::matrix(layout));
    // After six scales, and six halves of a count.
    let is_counted = matches!(layout, Pattern::Blocks2 | Pattern::Blocks4);
    let stream = matrix.offset + 6 + if is_counted { 3 } else { 0 };
    let last = stream + last;
    assert_refused_of(
        &file,
        ErrorKind::RowSum,
        Section::Weights,
        stream,
        |parts| {
            let weights = parts.section(Section::Weights);
            assert_eq!(weights[last], 12);
            weights[last] = 13;
        },
    );
}

/// Number and content of a record of the model `layouts`.
fn layouts_record(role: Role, layer: u16) -> (usize, Record) {
    let bytes = sources::layouts().to_bytes().unwrap();
    let model = Model::open(&bytes).unwrap();
    let mut records = walk::encoder(&model).tensors().records().enumerate();
    let is_this = |(_, record): &(usize, Record)| (record.role, record.layer) == (role, layer);
    records.find(is_this).unwrap()
}

/// Edits of a matrix of the model `layouts`, after its scales: byte, value, error, its byte.
#[track_caller]
fn assert_row_edits(
    (role, layer): (Role, u16),
    layout: Pattern,
    rows: usize,
    edits: &[(usize, &[u8], ErrorKind, usize)],
) {
    let file = sources::layouts().to_bytes().unwrap();
    let (_, record) = layouts_record(role, layer);
    assert_eq!(record.layout, Layout::matrix(layout));
    let rows_at = record.offset + 1 + rows;
    for &(at, value, kind, offset) in edits {
        assert_refused_of(&file, kind, Section::Weights, rows_at + offset, |parts| {
            let weights = parts.section(Section::Weights);
            weights[rows_at + at..rows_at + at + value.len()].copy_from_slice(value);
        });
    }
}

#[test]
fn bitmap_errors() {
    use ErrorKind::{Reserved, Trailing, Truncated, Weight};
    // 11 columns: [80 a0 | 1 -2 127] [00 40 | -127] [01 00 | 64]
    let edits: [(_, &[u8], _, _); 8] = [
        (1, &[0xb0], Reserved, 1), // a twelfth column; byte 5 for its weight
        (6, &[0x41], Reserved, 6),
        (2, &[0], Weight, 2),
        (4, &[0x80], Weight, 4),
        (10, &[0], Weight, 10),
        // One bit more takes the next row's first byte for a weight, which is zero.
        (0, &[0xc0], Weight, 5),
        (8, &[0x81], Truncated, 8),
        (8, &[0], Trailing, 10),
    ];
    assert_row_edits((Role::AttentionOutput, 0), Pattern::Bitmap, 3, &edits);
}

#[test]
fn block_errors() {
    use ErrorKind::{Index, Order, Trailing, Truncated, Weight};
    // 300 columns: [4, 3 in halves] [2:10,-20 3:30,0 255:0,0 38:-40,50] [255:0,0 42:60,0 1:0,-127]
    let edits: [(_, &[u8], _, _); 16] = [
        (0, &[0x3e], Truncated, 1),
        (0, &[0x44], Truncated, 13),
        (0, &[0x24], Trailing, 19),
        (0, &[0x04], Truncated, 16), // row 4 begins with its count, 255 and 0
        (0, &[0x30], Order, 14),     // row 1 begins with its count, 2; row 4 is read from byte 8 on
        (4, &[0], Order, 4),         // begins where the block before begins
        (10, &[39], Index, 10),
        (10, &[255], Index, 10),
        (2, &[0x80], Weight, 2),
        (3, &[0x80], Weight, 3),
        (5, &[0], Weight, 5),     // zeros, but no bridge
        (7, &[254], Weight, 8),   // a bridge that is too short
        (0, &[0x14], Weight, 14), // a bridge that leads nowhere
        (19, &[2], Index, 19),
        (18, &[1, 1, 1], Order, 20), // column 298 twice
        (21, &[0], Weight, 20),
    ];
    assert_row_edits((Role::MlpOutput, 0), Pattern::Blocks2, 2, &edits);
    // 300 columns: [4, 2, 2 in halves] [1:1,-2,0,3 255:0,0,0,0 37:-4,0,0,0 3:0,5,0,0]
    // [255:0,0,0,0 41:0,0,0,-127] [0:7,0,0,0 255:8,0,0,0]
    let edits: [(_, &[u8], _, _); 11] = [
        (0, &[0x2e], Truncated, 2),
        (1, &[0x03], Truncated, 32),
        (1, &[0x01], Trailing, 37),
        (1, &[0x12], ErrorKind::Reserved, 1), // a half after the last row
        (17, &[0], Order, 17),
        (17, &[4], Index, 17),
        (6, &[0x80], Weight, 6),
        (20, &[0x80], Weight, 20),
        (16, &[1, 3, 9], Order, 18), // column 296 twice
        (27, &[42], Index, 27),
        (31, &[0], Weight, 28),
    ];
    assert_row_edits((Role::MlpOutput, 1), Pattern::Blocks4, 3, &edits);

    // Fewer columns than a block has.
    let file = sources::layouts().to_bytes().unwrap();
    let (classifier, _) = layouts_record(Role::Classifier, 0);
    let at = classifier * RECORD_BYTES;
    for (layout, cols) in [(Pattern::Blocks2, 1), (Pattern::Blocks4, 3)] {
        assert_refused_of(&file, ErrorKind::Shape, Section::Tensors, at + 8, |parts| {
            let records = parts.section(Section::Tensors);
            records[at + 1] = Layout::matrix(layout).tag();
            records[at + 12] = cols;
        });
    }
}

#[test]
fn flags_of_sparse_layouts() {
    let file = sources::layouts().to_bytes().unwrap();
    let (classifier, _) = layouts_record(Role::Classifier, 0);
    let at = classifier * RECORD_BYTES;
    for pattern in Pattern::ALL {
        let number = Layout::matrix(pattern).tag();
        if number == Layout::matrix(Pattern::Columns).tag() {
            continue;
        }
        assert_refused_of(&file, ErrorKind::Tag, Section::Tensors, at + 2, |parts| {
            let records = parts.section(Section::Tensors);
            records[at + 1] = number;
            records[at + 2] = 4;
        });
    }
}

/// A record that the file does not contain gets no more trust than a file.
#[test]
fn forged_records_are_checked() {
    let file = sources::pair().to_bytes().unwrap();
    let tensors = walk::encoder(&Model::open(&file).unwrap()).tensors();
    let (_, head) = record(Role::Head, 0);
    assert!(tensors.matrix(&head).is_some());
    let query_rows = usize::MAX;
    assert!(tensors.matrix(&Record { query_rows, ..head }).is_none());
    for layout in [Layout::Table(TableValues::I8), Layout::Norm] {
        let forged = Record { layout, ..head };
        assert!(tensors.matrix(&forged).is_none());
    }
    use Pattern::{Bitmap, Blocks2, Blocks4, DeltaU8};
    for layout in [DeltaU8, Bitmap, Blocks2, Blocks4] {
        assert_forged_rows_are_checked(&tensors, layout, head);
    }
}

/// Any stretch of the weights, read as three rows of a stream.
fn assert_forged_rows_are_checked(tensors: &Tensors<'_>, layout: Pattern, head: Record) {
    let mut accepted = 0;
    for offset in 0..1_000 {
        for length in [0, 1, 30, usize::MAX] {
            for cols in [0, 6, usize::MAX] {
                let forged = Record {
                    layout: Layout::matrix(layout),
                    flags: 0,
                    rows: 3,
                    cols,
                    offset,
                    length,
                    query_rows: 1,
                    ..head
                };
                let Some(matrix) = tensors.matrix(&forged) else {
                    continue;
                };
                accepted += 1;
                for row in matrix.iter() {
                    assert!(row.scale > 0.0);
                    let mut nonzeros = row.weights.nonzeros();
                    assert!(nonzeros.all(|(column, weight)| column < cols && weight != i8::MIN));
                }
            }
        }
    }
    // Chance rarely makes three good rows.
    assert!(accepted < 10, "{accepted}");
}
