//! Files with one JSON object per line.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use serde_json::value::RawValue;

use super::error::{Located, Problem};
use super::{Columns, MOST_COLUMNS, ResolvedColumns, Row, Rows};
use crate::json::{Object, Text, kind};

/// Reads a file, a line at a time. The keys of all its objects together are the columns to choose
/// from, so one odd line does not decide what the file holds.
pub(super) fn read(
    bytes: &[u8],
    columns: &Columns,
    rows: &mut Rows<'_>,
) -> Result<ResolvedColumns, Located> {
    let lines = (1..).zip(bytes.split(|byte| *byte == b'\n'));
    let filled = lines.filter(|(_, content)| !content.trim_ascii().is_empty());
    let mut names = Vec::new();
    let mut met = HashSet::new();
    let mut first_bad = None;
    let mut is_empty = true;
    for (line, content) in filled.clone() {
        is_empty = false;
        match object(content) {
            Ok(object) => {
                for (name, _) in object.iter() {
                    if !met.contains(name) {
                        if names.len() == MOST_COLUMNS {
                            let problem = Problem::TooManyColumns { most: MOST_COLUMNS };
                            return Err(Located::file(problem));
                        }
                        met.insert(name.to_owned());
                        names.push(name.to_owned());
                    }
                }
            }
            Err(problem) => first_bad = first_bad.or(Some((line, problem))),
        }
    }
    drop(met);
    if is_empty {
        let expected = "one JSON object on each line";
        return Err(Located::file(Problem::Empty { expected }));
    }
    if let (true, Some((line, problem))) = (names.is_empty(), first_bad) {
        // Not a single key: what is wrong with the first bad line says more than a missing column.
        return Err(Located::line(line, problem));
    }
    let mut columns = columns.resolve(&names).map_err(Located::file)?;
    names.retain(|name| !columns.used().any(|used| used == name));
    let places = names.iter().cloned().zip(0..);
    let places: HashMap<String, usize> = places.collect();
    columns.begin_unused(names);
    for (line, content) in filled {
        let row = object(content).and_then(|object| {
            for (name, value) in object.iter() {
                let place = places.get(name).filter(|_| value.get().starts_with('"'));
                if let Some(&place) = place {
                    columns.note_unused(place, value.get());
                }
            }
            row(line, content, &object, &columns)
        });
        rows(row.map_err(|problem| Located::line(line, problem)))?;
    }
    columns.end_unused();
    Ok(columns)
}

fn object(content: &[u8]) -> Result<Object<'_>, Problem> {
    let content = core::str::from_utf8(content).map_err(|error| Problem::NotUtf8 {
        column: error.valid_up_to() + 1,
    })?;
    if !content.trim_start().starts_with('{') {
        // Whether it is JSON at all comes first.
        let value: &RawValue =
            serde_json::from_str(content).map_err(|error| not_json(&error, 0))?;
        let found = kind(value);
        return Err(Problem::NotAnObject { found });
    }
    Object::parse(content).map_err(|error| not_json(&error, 0))
}

/// What is wrong with the JSON that begins behind `offset` bytes of a line.
fn not_json(error: &serde_json::Error, offset: usize) -> Problem {
    let message = error.to_string();
    // Its line is always 1 here; the true one is added later.
    let message = message
        .rsplit_once(" at line ")
        .map_or(message.as_str(), |(text, _)| text);
    Problem::Json {
        column: offset + error.column(),
        message: message.to_owned(),
    }
}

fn row<'f>(
    line: usize,
    content: &[u8],
    object: &Object<'f>,
    columns: &ResolvedColumns,
) -> Result<Row<'f>, Problem> {
    let value = |key: &str| {
        object.get(key).ok_or_else(|| Problem::MissingKey {
            key: key.to_owned(),
            present: object.iter().map(|(key, _)| key.to_owned()).collect(),
        })
    };
    let text_of = |key: &str| text(key, value(key)?, content);
    Ok(Row {
        line,
        text: text_of(&columns.text)?,
        pair: columns.pair.as_deref().map(text_of).transpose()?,
        label: label(&columns.label, value(&columns.label)?, content)?,
    })
}

/// The text of a value of this line.
fn text<'f>(key: &str, value: &'f RawValue, line: &[u8]) -> Result<Cow<'f, str>, Problem> {
    if !value.get().starts_with('"') {
        return Err(wrong_type(key, "a string", value));
    }
    let text = serde_json::from_str(value.get());
    text.map(|Text(text)| text).map_err(|error| {
        let begin = value.get().as_ptr().addr() - line.as_ptr().addr();
        not_json(&error, begin)
    })
}

/// Numbers and booleans are names of classes too.
fn label<'f>(key: &str, value: &'f RawValue, line: &[u8]) -> Result<Cow<'f, str>, Problem> {
    match kind(value) {
        "a string" => text(key, value, line),
        "a number" | "a boolean" => Ok(value.get().into()),
        _ => Err(wrong_type(key, "a string, a number or a boolean", value)),
    }
}

fn wrong_type(key: &str, expected: &'static str, value: &RawValue) -> Problem {
    Problem::WrongType {
        key: key.to_owned(),
        expected,
        found: kind(value),
    }
}
