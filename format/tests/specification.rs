//! `docs/format.md` and the code agree about tensors.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use neuroprune_format::schema::{Count, SCHEMA};
use neuroprune_format::tensor::{Form, Layout, Pattern, TableValues};

const SPECIFICATION: &str = include_str!("../../docs/format.md");

/// The numbers of the layouts that a form can have, ascending.
fn layouts(form: Form) -> String {
    let tables = [TableValues::I8, TableValues::I4];
    let mut numbers: Vec<u8> = match form {
        Form::Matrix => Pattern::ALL.map(|it| Layout::matrix(it).tag()).to_vec(),
        Form::Table => tables.map(|it| Layout::Table(it).tag()).to_vec(),
        Form::Norm => vec![Layout::Norm.tag()],
    };
    numbers.sort_unstable();
    numbers.dedup();
    let numbers: Vec<String> = numbers.iter().map(u8::to_string).collect();
    numbers.join(", ")
}

#[test]
fn the_table_of_roles_is_the_schema() {
    let mut lines = String::new();
    for slot in &SCHEMA {
        let count = match slot.count {
            Count::One => "1",
            Count::AtMostOne => "0 or 1",
            Count::AnyNumber => "any",
        };
        lines += &format!(
            "| {} | {} | {} | {} | {} × {} |\n",
            slot.role.tag(),
            slot.role.name(),
            count,
            layouts(slot.form),
            slot.rows.name(),
            slot.cols.name(),
        );
    }
    assert!(
        SPECIFICATION.contains(&lines),
        "docs/format.md should have:\n{lines}"
    );
}
