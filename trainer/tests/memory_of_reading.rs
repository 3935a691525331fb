//! Reading a data file and splitting it takes at most four times the bytes of the file, whatever its
//! rows are like.
//!
//! Each file is read in a process of its own, which runs this test again, because the peak of a
//! process never falls. Only Linux states it in a file.
#![cfg(target_os = "linux")]

use std::path::Path;
use std::process::Command;
use std::{env, fs};

use neuroprune_trainer::data::{ReadOptions, read};

/// Bytes of each file.
const SIZE: usize = 4 << 20;
/// The most memory, in sizes of the file.
const MOST: usize = 4;
/// Bytes besides: pages of the program that are first used, and what its allocator keeps.
const SPARE: usize = 4 << 20;
/// Names the file that the process is to read.
const FILE: &str = "NEUROPRUNE_TEST_FILE";

/// The row of a number.
type RowOf<'r> = &'r dyn Fn(usize) -> String;

#[test]
fn four_times_the_file_is_enough() {
    if let Some(file) = env::var_os(FILE) {
        return measure(file.as_ref());
    }
    let folder = tempfile::tempdir().unwrap();
    let label = |row: usize| ["o", "p"][row % 2];
    let files: [(&str, &str, RowOf<'_>); 6] = [
        ("shortest.tsv", "text\tlabel\n", &|row| {
            format!(
                "{}\t{}\n",
                char::from(b"abcdefghijklmnopqrstuvwxyz"[row % 26]),
                label(row)
            )
        }),
        ("different.tsv", "text\tlabel\n", &|row| {
            format!("{row:x}\t{}\n", label(row))
        }),
        ("pairs.csv", "text_a,text_b,label\n", &|row| {
            format!("{},{},{}\n", row % 9, row % 10, label(row))
        }),
        ("labels.csv", "text,label\r\n", &|row| {
            format!("{},{}\r\n", row / 65_535 % 90, row % 65_535)
        }),
        ("short.jsonl", "", &|row| {
            format!(
                "{{\"text\":\"{}\",\"label\":\"{}\"}}\n",
                row % 90,
                label(row)
            )
        }),
        ("long.tsv", "text\tlabel\n", &|row| {
            format!("{row}{}\t{}\n", " words".repeat(10_000), label(row))
        }),
    ];
    for (name, header, row_of) in files {
        let mut file = header.to_owned();
        let mut rows = (0..).map(row_of);
        while file.len() < SIZE {
            file.extend(rows.next());
        }
        let path = folder.path().join(name);
        fs::write(&path, file).unwrap();
        let mut reader = Command::new(env::current_exe().unwrap());
        let test = ["four_times_the_file_is_enough", "--exact", "--nocapture"];
        let outcome = reader.args(test).env(FILE, &path).output().unwrap();
        let output = String::from_utf8_lossy(&outcome.stdout);
        print!("{output}");
        let errors = String::from_utf8_lossy(&outcome.stderr);
        assert!(outcome.status.success(), "{name}: {output}{errors}");
    }
}

/// Reads and splits this file, and looks at the peak.
fn measure(path: &Path) {
    let size = usize::try_from(fs::metadata(path).unwrap().len()).unwrap();
    let before = peak();
    let data = read(path, &ReadOptions::default(), None).unwrap();
    let rows = data.examples.len();
    let parts = data.split_dev(0).unwrap();
    let taken = peak() - before;
    drop(parts);
    let name = path.display();
    println!("{name}: {size} bytes, {rows} rows, {taken} bytes of memory");
    assert!(taken <= MOST * size + SPARE);
}

/// Most bytes of memory that this process has had at once.
fn peak() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = peak.unwrap().trim().trim_end_matches(" kB");
    1024 * kibibytes.parse::<usize>().unwrap()
}
