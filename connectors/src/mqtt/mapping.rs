//! Messages of others in JSON: a mapping says which part of a message is which field of a position.
//!
//! A path is names with dots between them, `gps.position.0` (a number counts in a list), or a JSON pointer, `/gps/position/0`.

use crate::protocol::{Fault, FaultKind, Fix};
use crate::readers::{FixBuilder, device_id, from_unix_millis, malformed};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use smol_str::{SmolStr, format_smolstr};
use std::collections::BTreeMap;
use waystream_domain::{AttributeValue, Timestamp, units};

/// Numbers below are seconds, others milliseconds: the one is in the year 5138, the other in 1973.
const FIRST_MILLIS: f64 = 1e11;
/// Positions in one message.
const MAX_POSITIONS: usize = 10_000;

/// Where a part of a message is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub(super) struct Path {
    text: String,
    steps: Vec<SmolStr>,
}

impl From<String> for Path {
    fn from(text: String) -> Self {
        let steps = match text.strip_prefix('/') {
            Some(pointer) => pointer.split('/').map(|step| step.replace("~1", "/").replace("~0", "~").into()).collect(),
            None => text.split('.').map(SmolStr::from).collect(),
        };
        Self { text, steps }
    }
}

impl From<Path> for String {
    fn from(path: Path) -> Self {
        path.text
    }
}

impl Path {
    /// The part that is there, unless it is null.
    fn find<'a>(&self, message: &'a Value) -> Option<&'a Value> {
        let found = self.steps.iter().try_fold(message, |at, step| match at {
            Value::Object(names) => names.get(step.as_str()),
            Value::Array(list) => list.get(step.parse::<usize>().ok()?),
            _ => None,
        });
        found.filter(|value| !value.is_null())
    }
}

/// A field of a position, and the unit in which the message has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Field(SmolStr);

const FIELDS: &[&str] = &[
    "device",
    "fix_time",
    "lat",
    "lon",
    "valid",
    "altitude_m",
    "altitude_ft",
    "speed_mps",
    "speed_kmh",
    "speed_knots",
    "speed_mph",
    "course_deg",
    "accuracy_m",
];
/// What begins the name of an attribute.
const ATTRIBUTE: &str = "attributes.";

impl TryFrom<String> for Field {
    type Error = String;
    fn try_from(name: String) -> Result<Self, String> {
        let attribute = name.strip_prefix(ATTRIBUTE).is_some_and(|name| !name.is_empty() && name.len() <= 64);
        if attribute || FIELDS.contains(&name.as_str()) {
            return Ok(Self(name.into()));
        }
        Err(format!("there is no field {name:?}; there are {} and {ATTRIBUTE}NAME", FIELDS.join(", ")))
    }
}

impl From<Field> for String {
    fn from(field: Field) -> Self {
        field.0.into()
    }
}

/// Which part of a message is which field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mapping {
    /// Where the list of positions is, if a message has one: what an entry doesn't have is looked for in the whole message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) positions: Option<Path>,
    /// Of each field, where it is.
    pub(super) fields: BTreeMap<Field, Path>,
}

impl Mapping {
    /// Whether the fields make a position.
    pub(super) fn check(&self) -> Result<(), String> {
        match ["lat", "lon"].into_iter().find(|name| !self.fields.contains_key(&Field((*name).into()))) {
            Some(name) => Err(format!("a mapping needs {name}")),
            None => Ok(()),
        }
    }

    /// The positions of a message: each stands for itself, so one that is wrong costs no other.
    pub(super) fn read(&self, message: &Value, received_at: Timestamp) -> Vec<Result<Fix, Fault>> {
        let list = match &self.positions {
            Some(path) => path.find(message),
            None => Some(message),
        };
        match list {
            Some(Value::Array(entries)) => {
                entries.iter().take(MAX_POSITIONS).map(|entry| self.position(entry, message, received_at)).collect()
            }
            Some(one) => vec![self.position(one, message, received_at)],
            // A message of another kind on the same topic.
            None => Vec::new(),
        }
    }

    fn position(&self, entry: &Value, message: &Value, received_at: Timestamp) -> Result<Fix, Fault> {
        let find = |name: &str| {
            let path = self.fields.get(&Field(name.into()))?;
            path.find(entry).or_else(|| path.find(message))
        };
        let needed =
            |name: &str| find(name).and_then(number).ok_or_else(|| malformed(format_args!("no {name}, or it is no number")));
        let mut fix = FixBuilder::valid(find("valid").is_none_or(is_true));
        let told = |name: &str| find(name).and_then(number);
        told("altitude_m").map(|value| fix.altitude_m(value));
        told("altitude_ft").map(|value| fix.altitude_m(value * 0.3048));
        told("speed_mps").map(|value| fix.speed_mps(value));
        told("speed_kmh").map(|value| fix.speed_kmh(value));
        told("speed_knots").map(|value| fix.speed_mps(value * units::KNOT_MPS));
        told("speed_mph").map(|value| fix.speed_kmh(value * 1.609_344));
        told("course_deg").map(|value| fix.course_deg(value));
        told("accuracy_m").map(|value| fix.accuracy_m(value));
        for (field, path) in &self.fields {
            if let Some(name) = field.0.strip_prefix(ATTRIBUTE)
                && let Some(value) = path.find(entry).or_else(|| path.find(message)).and_then(attribute)
            {
                fix.set(name, value);
            }
        }
        // A message that tells no time is of now; one whose time makes no sense is not.
        let time = find("fix_time").map_or(Ok(received_at), time)?;
        let mut fix = fix.at(time, needed("lat")?, needed("lon")?)?;
        if let Some(id) = find("device") {
            let id = id.as_str().map_or_else(|| format_smolstr!("{id}"), SmolStr::from);
            fix.device = Some(device_id(&id)?);
        }
        Ok(fix)
    }
}

/// Numbers stand in quotes too.
fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.trim().parse().ok()).filter(|number| number.is_finite())
}

fn is_true(value: &Value) -> bool {
    match value {
        Value::Bool(valid) => *valid,
        Value::String(text) => matches!(text.as_str(), "true" | "1" | "A" | "valid"),
        other => other.as_f64().is_some_and(|number| number > 0.0),
    }
}

/// Seconds or milliseconds since 1970, or ISO 8601.
fn time(value: &Value) -> Result<Timestamp, Fault> {
    match number(value) {
        Some(secs) if secs < FIRST_MILLIS => from_unix_millis((secs * 1000.0) as i64),
        Some(millis) => from_unix_millis(millis as i64),
        None => value
            .as_str()
            .and_then(Timestamp::parse)
            .ok_or_else(|| Fault::new(FaultKind::BadTime, format_smolstr!("{value:.40} is no time"))),
    }
}

fn attribute(value: &Value) -> Option<AttributeValue> {
    match value {
        Value::Bool(value) => Some((*value).into()),
        Value::Number(number) => number.as_i64().map(AttributeValue::from).or_else(|| number.as_f64().map(Into::into)),
        Value::String(text) if text.len() <= 256 => Some(text.as_str().into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn mapping(json: Value) -> Result<Mapping, String> {
        let mapping: Mapping = serde_json::from_value(json).map_err(|error| error.to_string())?;
        mapping.check().map(|()| mapping)
    }

    fn now() -> Timestamp {
        Timestamp::parse("2026-11-25T12:00:00Z").unwrap()
    }

    #[test]
    fn every_field_is_found_and_converted() {
        let fields = json!({"device": "id", "fix_time": "gps.at", "lat": "gps.place.1", "lon": "/gps/place/0",
            "speed_mph": "v", "altitude_ft": "h", "course_deg": "c", "valid": "gps.fix", "attributes.ignition": "on"});
        let mapping = mapping(json!({ "fields": fields })).unwrap();
        let message = json!({"id": 4711, "gps": {"at": 1_718_000_000, "place": ["21.5", 52.25], "fix": "A"},
            "v": 60, "h": 100, "c": 90, "on": true});
        let fix = mapping.read(&message, now()).remove(0).unwrap();
        assert_eq!(fix.device.as_ref().unwrap().as_str(), "4711");
        assert_eq!(fix.fix_time, Timestamp::from_secs(1_718_000_000).unwrap());
        assert_eq!((fix.location.lat_deg(), fix.location.lon_deg(), fix.valid), (52.25, 21.5, true));
        assert!((fix.speed_mps.unwrap() - 26.8224).abs() < 1e-4 && (fix.altitude_m.unwrap() - 30.48).abs() < 1e-4);
        assert_eq!(fix.attributes.get("ignition"), Some(&true.into()));
    }

    #[test]
    fn a_list_of_positions_shares_what_stands_above_it_and_one_that_is_wrong_costs_no_other() {
        let fields = json!({"device": "imei", "fix_time": "t", "lat": "lat", "lon": "lon"});
        let mapping = mapping(json!({ "positions": "data.points", "fields": fields })).unwrap();
        let point = |t: Value, lat: f64| json!({"t": t, "lat": lat, "lon": 21.0});
        let points = [
            point(json!(1_718_000_000_123_i64), 1.0),
            point(json!("2024-06-10T06:13:21Z"), 2.0),
            point(json!("then"), 3.0),
            point(json!(0), 4.0),
            point(json!(1_718_000_000), 91.0),
            json!({"t": 1_718_000_002, "lat": 5.0}),
        ];
        let read = mapping.read(&json!({"imei": "a", "data": {"points": points}}), now());
        let kinds: Vec<Option<FaultKind>> = read.iter().map(|one| one.as_ref().err().map(|fault| fault.kind)).collect();
        let (time, place) = (Some(FaultKind::BadTime), Some(FaultKind::OutOfRange));
        assert_eq!(kinds, [None, None, time, time, place, Some(FaultKind::Malformed)]);
        assert!(read.iter().flatten().all(|fix| fix.device.as_ref().unwrap().as_str() == "a"));
        assert!(mapping.read(&json!({"status": "ok"}), now()).is_empty());
    }

    #[test]
    fn a_mapping_that_makes_no_position_is_refused_with_what_there_is() {
        assert!(mapping(json!({"fields": {"lat": "a"}})).unwrap_err().contains("lon"));
        assert!(mapping(json!({"fields": {"lat": "a", "lon": "b", "speed": "c"}})).unwrap_err().contains("speed_kmh"));
    }
}
