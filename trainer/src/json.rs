//! JSON objects of files that others wrote.
//!
//! Values stay as they are written until one is asked for: whatever is in an object, it takes
//! little more memory than its text. (A tree of values takes up to fifty times as much.)

use core::fmt;
use std::borrow::Cow;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::quoted::Quoted;

/// Most keys of an object.
const KEYS: usize = u16::MAX as usize;

/// An object's keys and values, in their order. No key occurs twice.
#[derive(Default)]
pub(crate) struct Object<'t>(Vec<(Cow<'t, str>, &'t RawValue)>);

impl<'t> Object<'t> {
    /// # Errors
    /// When it is not an object, or not JSON; when a key occurs twice, or there are more than
    /// 65,535.
    pub(crate) fn parse(text: &'t str) -> serde_json::Result<Self> {
        let mut parser = serde_json::Deserializer::from_str(text);
        let object = parser.deserialize_map(Pairs)?;
        parser.end()?;
        Ok(object)
    }

    /// An object that is a value of this one. Where it is none, the message has no position: that in
    /// the value would be taken for one in the file.
    pub(crate) fn inner(&self, key: &str) -> Option<serde_json::Result<Self>> {
        let value = self.get(key)?.get();
        Some(Self::parse(value).map_err(|error| {
            let message = error.to_string();
            let message = message
                .rsplit_once(" at line ")
                .map_or(&*message, |it| it.0);
            serde_json::Error::custom(format_args!("in {}, {message}", Quoted(key)))
        }))
    }

    /// The value of a key.
    pub(crate) fn get(&self, wanted: &str) -> Option<&'t RawValue> {
        let mut pairs = self.0.iter();
        pairs
            .find(|(key, _)| key == wanted)
            .map(|(_, value)| *value)
    }

    /// Keys and values in their order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &'t RawValue)> {
        self.0.iter().map(|(key, value)| (&**key, *value))
    }
}

/// Collects the keys and values of an object.
struct Pairs;

impl<'t> Visitor<'t> for Pairs {
    type Value = Object<'t>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs: Vec<(Cow<'t, str>, &'t RawValue)> = Vec::new();
        while let Some(Text(key)) = map.next_key()? {
            if pairs.len() == KEYS {
                return Err(A::Error::custom("more than 65,535 keys"));
            }
            pairs.push((key, map.next_value()?));
        }
        let mut keys: Vec<&str> = pairs.iter().map(|(key, _)| &**key).collect();
        keys.sort_unstable();
        match keys.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(twice) => Err(A::Error::custom(format_args!(
                "the key {} occurs twice",
                Quoted(twice[0])
            ))),
            None => Ok(Object(pairs)),
        }
    }
}

/// A string, which is borrowed from the file where it has no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct Text<'t>(#[serde(borrow)] pub(crate) Cow<'t, str>);

/// What kind of value it is, in words. It is known to be JSON: its first character says it.
pub(crate) fn kind(value: &RawValue) -> &'static str {
    match value.get().as_bytes().first() {
        Some(b'n') => "null",
        Some(b't' | b'f') => "a boolean",
        Some(b'"') => "a string",
        Some(b'[') => "an array",
        Some(b'{') => "an object",
        _ => "a number",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_have_each_key_once() {
        let object = Object::parse(r#"{"a": 1, "b\u0063": [true, "x"]}"#).unwrap();
        let pairs: Vec<_> = object
            .iter()
            .map(|(key, value)| (key, value.get()))
            .collect();
        assert_eq!(pairs, [("a", "1"), ("bc", r#"[true, "x"]"#)]);
        assert_eq!(object.get("a").map(kind), Some("a number"));
        assert!(object.get("none").is_none());
        for (text, expected) in [
            (r#"{"a": 1, "\u0061": 2}"#, "the key \"a\" occurs twice"),
            ("[]", "expected an object"),
            ("{} x", "trailing characters"),
            ("{\"a\": ", "EOF"),
        ] {
            let error = Object::parse(text).err().unwrap().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn the_number_of_keys_is_bounded() {
        let with = |keys: usize| {
            let keys: Vec<String> = (0..keys).map(|key| format!("\"{key}\":0")).collect();
            format!("{{{}}}", keys.join(","))
        };
        assert!(Object::parse(&with(KEYS)).is_ok());
        let error = Object::parse(&with(KEYS + 1)).err().unwrap().to_string();
        assert!(error.starts_with("more than 65,535 keys"), "{error}");
    }
}
