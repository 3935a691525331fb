//! Files with one JSON object per line.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::error::{Located, Problem};
use super::{Columns, ResolvedColumns, Row, Table};

type Object = Map<String, Value>;

/// Reads a file. The keys of all its objects together are the columns to choose from,
/// so one odd line does not decide what the file holds.
pub(super) fn table(bytes: &[u8], columns: &Columns) -> Result<Table, Located> {
    let lines = (1..).zip(bytes.split(|byte| *byte == b'\n'));
    let filled = lines.filter(|(_, content)| !content.trim_ascii().is_empty());
    let mut objects: Vec<(usize, Result<Object, Problem>)> = filled
        .map(|(line, content)| (line, object(content)))
        .collect();
    if objects.is_empty() {
        let expected = "one JSON object on each line";
        return Err(Located::file(Problem::Empty { expected }));
    }

    let mut names = Vec::new();
    let mut met = HashSet::new();
    for name in objects
        .iter()
        .filter_map(|(_, object)| object.as_ref().ok())
        .flat_map(Map::keys)
    {
        if met.insert(name) {
            names.push(name.clone());
        }
    }
    if names.is_empty()
        && let Some(bad) = objects.iter().position(|(_, object)| object.is_err())
        && let (line, Err(problem)) = objects.swap_remove(bad)
    {
        // Not a single key: what is wrong with the first bad line says more than a missing column.
        return Err(Located::line(line, problem));
    }
    let mut columns = columns.resolve(&names).map_err(Located::file)?;
    names.retain(|name| !columns.used().any(|used| used == name));
    columns.note_unused(names.into_iter().map(|name| {
        let whole = objects
            .iter()
            .filter_map(|(_, object)| object.as_ref().ok());
        let values = whole.filter_map({
            let name = name.clone();
            move |object| object.get(&name)?.as_str()
        });
        (name, values)
    }));
    let rows = objects.into_iter().map(|(line, object)| {
        object
            .and_then(|object| row(line, &object, &columns))
            .map_err(|p| Located::line(line, p))
    });
    Ok(Table {
        rows: rows.collect(),
        columns,
    })
}

fn object(content: &[u8]) -> Result<Object, Problem> {
    let content = core::str::from_utf8(content).map_err(|error| Problem::NotUtf8 {
        column: error.valid_up_to() + 1,
    })?;
    let value = serde_json::from_str(content).map_err(|error| {
        let message = error.to_string();
        // Its line is always 1 here; the true one is added later.
        let message = message
            .rsplit_once(" at line ")
            .map_or(message.as_str(), |(text, _)| text);
        Problem::Json {
            column: error.column(),
            message: message.to_owned(),
        }
    })?;
    let found = kind(&value);
    if let Value::Object(object) = value {
        return Ok(object);
    }
    Err(Problem::NotAnObject { found })
}

fn row(line: usize, object: &Object, columns: &ResolvedColumns) -> Result<Row, Problem> {
    let value = |key: &str| {
        object.get(key).ok_or_else(|| Problem::MissingKey {
            key: key.to_owned(),
            present: object.keys().cloned().collect(),
        })
    };
    let text_of = |key: &str| text(key, value(key)?);
    Ok(Row {
        line,
        text: text_of(&columns.text)?,
        pair: columns.pair.as_deref().map(text_of).transpose()?,
        label: label(&columns.label, value(&columns.label)?)?,
    })
}

fn text(key: &str, value: &Value) -> Result<String, Problem> {
    let text = value.as_str().map(str::to_owned);
    text.ok_or_else(|| wrong_type(key, "a string", value))
}

/// Numbers and booleans are names of classes too.
fn label(key: &str, value: &Value) -> Result<String, Problem> {
    match value {
        Value::String(name) => Ok(name.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(flag) => Ok(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            Err(wrong_type(key, "a string, a number or a boolean", value))
        }
    }
}

fn wrong_type(key: &str, expected: &'static str, value: &Value) -> Problem {
    Problem::WrongType {
        key: key.to_owned(),
        expected,
        found: kind(value),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
