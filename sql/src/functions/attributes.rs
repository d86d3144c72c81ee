//! Single attributes out of the JSON of the column `attributes`. `None` if it is not there, of another type, or not JSON.
//!
//! Objects of plain values, as trackers report, are not parsed as a whole: the name is looked for, and what stands behind it is parsed.

use memchr::memmem::Finder;
use memchr::{memchr, memchr2, memchr3};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use std::fmt;
use waystream_domain::Timestamp;

/// One attribute of any number of objects.
pub(super) struct Attribute<'a> {
    name: &'a str,
    /// Its name in quotation marks, if between any two of them nothing but a text can be this name.
    quoted: Option<Finder<'static>>,
}

impl<'a> Attribute<'a> {
    pub(super) fn new(name: &'a str) -> Self {
        let is_word = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
        let quoted = is_word.then(|| Finder::new(&format!("\"{name}\"")).into_owned());
        Self { name, quoted }
    }

    /// As text: texts as they are, numbers and flags as written in JSON.
    pub(super) fn text(&self, json: &str) -> Option<String> {
        match self.value(json)? {
            Value::String(text) => Some(text),
            Value::Null => None,
            other => Some(other.to_string()),
        }
    }

    /// A number.
    pub(super) fn number(&self, json: &str) -> Option<f64> {
        self.value(json)?.as_f64()
    }

    /// A time that is written as ISO 8601, in milliseconds since the Unix epoch.
    pub(super) fn time(&self, json: &str) -> Option<i64> {
        Timestamp::parse(self.value(json)?.as_str()?).map(Timestamp::as_millis)
    }

    /// Yes or no.
    pub(super) fn flag(&self, json: &str) -> Option<bool> {
        self.value(json)?.as_bool()
    }

    fn value(&self, json: &str) -> Option<Value> {
        let Some(quoted) = &self.quoted else { return parsed(json, self.name) };
        let bytes = json.as_bytes();
        let mut ends = quoted.find_iter(bytes).map(|at| at + quoted.needle().len()).peekable();
        // Many rows don't have the attribute.
        if ends.peek().is_none() && memchr(b'\\', bytes).is_none() {
            return None;
        }
        if !is_plain(bytes) {
            return parsed(json, self.name);
        }
        // Of several of one name the last counts, as when all is parsed.
        serde_json::from_slice(ends.filter_map(|end| value_behind(&bytes[end..])).last()?).ok()
    }
}

/// Whether it looks like an object of numbers, flags and texts in which nothing is escaped: each quotation mark begins or ends a text.
fn is_plain(json: &[u8]) -> bool {
    let inside = json.trim_ascii().strip_prefix(b"{").and_then(|rest| rest.strip_suffix(b"}"));
    inside.is_some_and(|inside| memchr3(b'{', b'[', b'\\', inside).is_none())
}

/// What stands behind a key in a plain object; `None` if it was no key.
fn value_behind(rest: &[u8]) -> Option<&[u8]> {
    let value = rest.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
    let end = match value.strip_prefix(b"\"") {
        Some(text) => memchr(b'"', text)? + 2,
        None => memchr2(b',', b'}', value)?,
    };
    Some(&value[..end])
}

fn parsed(json: &str, name: &str) -> Option<Value> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Names and texts that are easily taken for each other, and for what stands between them.
    fn word() -> impl Strategy<Value = String> {
        prop_oneof!["[ab_]{0,2}", Just("\"".to_owned()), "[a:,{}\\[\\]\\\\ 1\"é]{0,4}"]
    }

    fn member() -> impl Strategy<Value = Value> {
        let plain = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            word().prop_map(Value::from),
        ];
        plain.prop_recursive(2, 6, 3, |inner| {
            prop_oneof![
                1 => prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                1 => prop::collection::vec((word(), inner), 0..3).prop_map(|members| members.into_iter().collect()),
            ]
        })
    }

    /// An object as others may write it: with blanks anywhere, and names that come twice.
    fn object() -> impl Strategy<Value = String> {
        let blank = || prop::sample::select(vec!["", "", " ", "\n\t"]);
        let pair = (blank(), word(), blank(), blank(), member(), blank());
        let pair = pair.prop_map(|(a, name, b, c, value, d)| format!("{a}{}{b}:{c}{value}{d}", Value::from(name)));
        (blank(), prop::collection::vec(pair, 0..5), blank()).prop_map(|(a, pairs, b)| format!("{a}{{{}}}{b}", pairs.join(",")))
    }

    proptest! {
        #[test]
        fn what_is_found_is_what_parsing_all_of_it_finds(json in object(), name in word()) {
            prop_assert_eq!(Attribute::new(&name).value(&json), parsed(&json, &name), "{} of {}", name, json);
        }

        #[test]
        fn any_text_has_an_answer(json in "[\"a:,{}\\[\\]\\\\ 1é]{0,12}", name in word()) {
            Attribute::new(&name).text(&json);
        }
    }

    #[test]
    fn an_attribute_is_found_by_its_name_alone() {
        let json = r#"{"alarm":"fuel_l","fuel_l":12.5,"fuel":7,"ignition":true,"t":"2026-03-04T10:00:00Z"}"#;
        assert_eq!(Attribute::new("fuel_l").number(json), Some(12.5));
        assert_eq!(Attribute::new("fuel").text(json).as_deref(), Some("7"));
        assert_eq!(Attribute::new("alarm").text(json).as_deref(), Some("fuel_l"));
        assert_eq!(Attribute::new("alarm").number(json), None);
        assert_eq!(Attribute::new("ignition").flag(json), Some(true));
        assert_eq!(Attribute::new("t").time(json), Some(1_772_618_400_000));
        assert_eq!(Attribute::new("fue").text(json), None);
        assert_eq!(Attribute::new("a").number(r#"{"a":1"#), None, "it has no end");
        assert_eq!(Attribute::new("a").number(r#"{"\u0061":1}"#), Some(1.0), "an escaped name is the same name");
    }
}
