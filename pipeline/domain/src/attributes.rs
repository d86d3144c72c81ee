//! What a tracker reports beyond the fix: a small sorted map of typed values.

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use smol_str::SmolStr;

/// One attribute's value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AttributeValue {
    /// Yes or no: `ignition`, `motion`.
    Bool(bool),
    /// Whole numbers: `satellites`, `battery_level`, `io.N`.
    Int(i64),
    /// Measurements, in the unit of the name: `power_v`, `odometer_m`. Never NaN or infinite.
    Float(f64),
    /// Texts: `alarm`, `driver_id`.
    Text(SmolStr),
}

impl From<bool> for AttributeValue {
    fn from(v: bool) -> Self {
        Self::Bool(v)
    }
}
impl From<i64> for AttributeValue {
    fn from(v: i64) -> Self {
        Self::Int(v)
    }
}
impl From<f64> for AttributeValue {
    fn from(v: f64) -> Self {
        Self::Float(v)
    }
}
impl From<&str> for AttributeValue {
    fn from(v: &str) -> Self {
        Self::Text(SmolStr::new(v))
    }
}

/// Attributes by name, sorted by name, each name once. Names carry their unit (`power_v`, `odometer_m`).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Attributes(Vec<(SmolStr, AttributeValue)>);

impl Attributes {
    /// Sets a value; the last one wins. A float that is not finite is not a value and is left out.
    pub fn set(&mut self, name: impl Into<SmolStr>, value: impl Into<AttributeValue>) {
        let (name, value) = (name.into(), value.into());
        if matches!(value, AttributeValue::Float(v) if !v.is_finite()) {
            return;
        }
        match self.0.binary_search_by(|(n, _)| n.cmp(&name)) {
            Ok(i) => self.0[i].1 = value,
            Err(i) => self.0.insert(i, (name, value)),
        }
    }

    /// The value of this name.
    pub fn get(&self, name: &str) -> Option<&AttributeValue> {
        let i = self.0.binary_search_by(|(n, _)| n.as_str().cmp(name)).ok()?;
        Some(&self.0[i].1)
    }

    /// Sorted by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &AttributeValue)> {
        self.0.iter().map(|(n, v)| (n.as_str(), v))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<N: Into<SmolStr>, V: Into<AttributeValue>> FromIterator<(N, V)> for Attributes {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut all = Self::default();
        for (n, v) in pairs {
            all.set(n, v);
        }
        all
    }
}

impl Serialize for Attributes {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(Some(self.0.len()))?;
        for (n, v) in &self.0 {
            map.serialize_entry(n, v)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Attributes {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Ok(std::collections::BTreeMap::<SmolStr, AttributeValue>::deserialize(d)?.into_iter().collect())
    }
}
