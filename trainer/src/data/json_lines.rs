//! Files with one JSON object per line.

use core::fmt;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::error::{Located, Problem};
use super::{Columns, ResolvedColumns, Row, Rows};

/// An object's keys and values as they are written, in their order: whatever is in it, it takes
/// little more memory than its line.
struct Object<'l>(Vec<(Cow<'l, str>, &'l RawValue)>);

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
                for (name, _) in object.0 {
                    if !met.contains(&*name) {
                        met.insert(name.clone().into_owned());
                        names.push(name.into_owned());
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
            for (name, value) in &object.0 {
                let place = places.get(&**name).filter(|_| value.get().starts_with('"'));
                if let Some(&place) = place {
                    columns.note_unused(place, value.get());
                }
            }
            row(line, &object, &columns)
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
        let value: &RawValue = serde_json::from_str(content).map_err(|error| not_json(&error))?;
        let found = kind(value);
        return Err(Problem::NotAnObject { found });
    }
    let mut parser = serde_json::Deserializer::from_str(content);
    let object = parser.deserialize_map(Keys);
    let object = object.and_then(|object| parser.end().map(|()| object));
    object.map_err(|error| not_json(&error))
}

fn not_json(error: &serde_json::Error) -> Problem {
    let message = error.to_string();
    // Its line is always 1 here; the true one is added later.
    let message = message
        .rsplit_once(" at line ")
        .map_or(message.as_str(), |(text, _)| text);
    Problem::Json {
        column: error.column(),
        message: message.to_owned(),
    }
}

/// Collects the keys and values of an object.
struct Keys;

impl<'l> Visitor<'l> for Keys {
    type Value = Object<'l>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'l>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs: Vec<(Cow<'l, str>, &'l RawValue)> = Vec::new();
        while let Some(Key(key)) = map.next_key()? {
            pairs.push((key, map.next_value()?));
        }
        let mut keys: Vec<&str> = pairs.iter().map(|(key, _)| &**key).collect();
        keys.sort_unstable();
        match keys.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(twice) => Err(A::Error::custom(format_args!(
                "the key {:?} occurs twice",
                twice[0]
            ))),
            None => Ok(Object(pairs)),
        }
    }
}

/// A key, which is borrowed from the line where it has no escapes.
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Key<'l>(#[serde(borrow)] Cow<'l, str>);

impl Object<'_> {
    fn get(&self, wanted: &str) -> Option<&RawValue> {
        let mut pairs = self.0.iter();
        pairs
            .find(|(key, _)| key == wanted)
            .map(|(_, value)| *value)
    }
}

fn row(line: usize, object: &Object<'_>, columns: &ResolvedColumns) -> Result<Row, Problem> {
    let value = |key: &str| {
        object.get(key).ok_or_else(|| Problem::MissingKey {
            key: key.to_owned(),
            present: object
                .0
                .iter()
                .map(|(key, _)| key.clone().into_owned())
                .collect(),
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

fn text(key: &str, value: &RawValue) -> Result<String, Problem> {
    if !value.get().starts_with('"') {
        return Err(wrong_type(key, "a string", value));
    }
    serde_json::from_str(value.get()).map_err(|error| not_json(&error))
}

/// Numbers and booleans are names of classes too.
fn label(key: &str, value: &RawValue) -> Result<String, Problem> {
    match kind(value) {
        "a string" => text(key, value),
        "a number" | "a boolean" => Ok(value.get().to_owned()),
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

/// By its first character: it is known to be JSON.
fn kind(value: &RawValue) -> &'static str {
    match value.get().as_bytes().first() {
        Some(b'n') => "null",
        Some(b't' | b'f') => "a boolean",
        Some(b'"') => "a string",
        Some(b'[') => "an array",
        Some(b'{') => "an object",
        _ => "a number",
    }
}
