//! JSON of messages that are made of objects with plain values: what lies deeper is passed over, and of a list one object is looked at
//! after the other, so that no text takes much more memory than its own length.

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

/// More than any object has.
const MAX_NAMES: usize = 256;

/// A text's object with its texts, numbers, yes and no; null, if it is something else.
pub(crate) fn flat(text: &[u8]) -> Result<Value, serde_json::Error> {
    read(text, Flat { depth: 1 })
}

/// Reads a whole text.
pub(crate) fn read<'de, T: DeserializeSeed<'de>>(text: &'de [u8], what: T) -> Result<T::Value, serde_json::Error> {
    let mut input = serde_json::Deserializer::from_slice(text);
    let value = what.deserialize(&mut input)?;
    input.end()?;
    Ok(value)
}

/// An object, with the objects in it down to this depth. Lists are passed over.
#[derive(Clone, Copy)]
pub(crate) struct Flat {
    /// 0: a plain value. 1: an object of plain values.
    pub(crate) depth: u8,
}

impl<'de> DeserializeSeed<'de> for Flat {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Value, D::Error> {
        input.deserialize_any(self)
    }
}

/// One object, or each of a list of them, as [`Flat`] has it. What is neither counts as null.
pub(crate) struct Each<F> {
    pub(crate) depth: u8,
    pub(crate) then: F,
}

impl<'de, F: FnMut(Value)> DeserializeSeed<'de> for Each<F> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<(), D::Error> {
        input.deserialize_any(self)
    }
}

impl<'de, F: FnMut(Value)> Visitor<'de> for Each<F> {
    type Value = ();
    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object or a list of objects")
    }
    fn visit_unit<E>(mut self) -> Result<(), E> {
        (self.then)(Value::Null);
        Ok(())
    }
    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.visit_unit()
    }
    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.visit_unit()
    }
    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.visit_unit()
    }
    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.visit_unit()
    }
    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        self.visit_unit()
    }
    fn visit_seq<A: SeqAccess<'de>>(mut self, mut values: A) -> Result<(), A::Error> {
        while let Some(value) = values.next_element_seed(Flat { depth: self.depth })? {
            (self.then)(value);
        }
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(mut self, entries: A) -> Result<(), A::Error> {
        (self.then)(Flat { depth: self.depth }.visit_map(entries)?);
        Ok(())
    }
}

impl<'de> Visitor<'de> for Flat {
    type Value = Value;
    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Value, A::Error> {
        while values.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Null)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        if let Some(depth) = self.depth.checked_sub(1) {
            while object.len() < MAX_NAMES {
                let Some(name) = entries.next_key::<String>()? else { return Ok(Value::Object(object)) };
                object.insert(name, entries.next_value_seed(Self { depth })?);
            }
        }
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(if self.depth > 0 { Value::Object(object) } else { Value::Null })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn plain_values_are_kept_and_deeper_ones_passed_over() {
        let value = flat(br#"{"a":[{"b":1},[2]],"c":-3,"d":{"e":{}},"f":"g","h":1.5,"i":true,"j":null} "#).unwrap();
        assert_eq!(value, serde_json::json!({"a":null,"c":-3,"d":null,"f":"g","h":1.5,"i":true,"j":null}));
        assert_eq!(flat(b"[1,{}]").unwrap(), Value::Null);
        assert_eq!(flat(b"7").unwrap(), 7);
        assert!(flat(b"{\"a\":[}").is_err() && flat(b"{} 1").is_err() && flat(b"").is_err());
    }

    #[test]
    fn one_object_is_looked_at_after_the_other() {
        let each = |text: &str| {
            let mut all = Vec::new();
            read(text.as_bytes(), Each { depth: 2, then: |value: Value| all.push(value.to_string()) }).map(|()| all)
        };
        assert_eq!(each(r#"{"a":{"b":1,"c":{}}}"#).unwrap(), [r#"{"a":{"b":1,"c":null}}"#]);
        assert_eq!(each(r#"[{"a":1},2,[3],{}]"#).unwrap(), [r#"{"a":1}"#, "2", "null", "{}"]);
        assert_eq!((each("7").unwrap(), each("null").unwrap()), (vec!["null".to_owned()], vec!["null".to_owned()]));
        assert!(each("[{]").is_err());
    }

    #[test]
    fn names_without_end_take_no_memory_without_end() {
        let names: Vec<String> = (0..10_000).map(|n| format!("\"{n}\":{n}")).collect();
        let value = flat(format!("{{{}}}", names.join(",")).as_bytes()).unwrap();
        assert_eq!(value.as_object().unwrap().len(), MAX_NAMES);
    }
}
