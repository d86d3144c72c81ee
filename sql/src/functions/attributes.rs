//! Single attributes out of the JSON of the column `attributes`. `None` if it is not there, of another type, or not JSON.

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use std::fmt;
use waystream_domain::Timestamp;

/// As text: texts as they are, numbers and flags as written in JSON.
pub(super) fn text(json: &str, name: &str) -> Option<String> {
    match value(json, name)? {
        Value::String(text) => Some(text),
        Value::Null => None,
        other => Some(other.to_string()),
    }
}

/// A number.
pub(super) fn number(json: &str, name: &str) -> Option<f64> {
    value(json, name)?.as_f64()
}

/// A time that is written as ISO 8601, in milliseconds since the Unix epoch.
pub(super) fn time(json: &str, name: &str) -> Option<i64> {
    Timestamp::parse(value(json, name)?.as_str()?).map(Timestamp::as_millis)
}

/// Yes or no.
pub(super) fn flag(json: &str, name: &str) -> Option<bool> {
    value(json, name)?.as_bool()
}

fn value(json: &str, name: &str) -> Option<Value> {
    // Many rows don't have the attribute, and looking for its name is cheaper than parsing. A name that JSON escapes is looked for
    // by parsing.
    let plain = name.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\');
    if plain && !json.contains(name) {
        return None;
    }
    serde_json::Deserializer::from_str(json).deserialize_map(Member(name)).ok()?
}

/// The member of this name of an object; nothing else of it is kept.
struct Member<'a>(&'a str);

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(is_it) = map.next_key_seed(Is(self.0))? {
            if is_it {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// Whether a key is this one.
struct Is<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for Is<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, key: D) -> Result<bool, D::Error> {
        key.deserialize_str(self)
    }
}

impl Visitor<'_> for Is<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }
}
