//! The further columns of a record: `%CI%MV%BV…` names them, their values follow in that order.

use crate::protocol::Fault;
use crate::readers::{FixBuilder, Reader, malformed, number, spoken};
use crate::vocabulary as name;
use smol_str::SmolStr;

/// How their list begins.
pub(super) const MARK: &[u8] = b"%CI";
/// No make has so many.
const MAX_COLUMNS: usize = 128;

/// Names of two letters or more, in the order of their values.
pub(super) struct Columns(Vec<SmolStr>);

/// The values of the columns.
pub(super) enum Values<'r, 'a> {
    Bytes(&'r mut Reader<'a>),
    Texts(&'r [&'a str]),
}

enum Value {
    Number(f64),
    Text(SmolStr),
}

impl Columns {
    /// A list that begins with [`MARK`].
    pub(super) fn read(list: &str) -> Result<Self, Fault> {
        let names: Vec<SmolStr> = list.split('%').skip(2).map(|name| SmolStr::new(name.trim())).collect();
        if names.len() > MAX_COLUMNS { Err(malformed("too many columns")) } else { Ok(Self(names)) }
    }

    /// Takes the values off. What is not known as text is passed over; in bytes nothing tells how long it is.
    pub(super) fn apply(&self, values: &mut Values<'_, '_>, fix: &mut FixBuilder) -> Result<(), Fault> {
        for (at, column) in self.0.iter().enumerate() {
            let value = match values {
                Values::Bytes(reader) => bytes_of(column, reader)?,
                Values::Texts(texts) => {
                    let Some(text) = texts.get(at) else { break };
                    number(text).filter(|_| !is_text(column)).map_or_else(|| Value::Text((*text).into()), Value::Number)
                }
            };
            apply(column, &value, fix);
        }
        Ok(())
    }
}

fn is_text(column: &str) -> bool {
    matches!(column, "VN" | "CD" | "GL" | "NC" | "MA" | "BC" | "DC" | "FN")
}

fn bytes_of(column: &str, reader: &mut Reader<'_>) -> Result<Value, Fault> {
    if is_text(column) {
        return super::terminated(reader).map(|text| Value::Text(spoken(text)));
    }
    let width = match column {
        "SA" | "GQ" | "GS" | "FL" | "ML" | "PD" | "EL" | "TR" | "DT" | "RL" | "IA" | "MP" | "MT" | "IN0" | "HA" | "HB"
        | "HC" | "IP" | "PF" | "EG" | "DL" => 1,
        "MV" | "BV" | "RP" | "MF" | "ET" | "SM" | "LC" | "AV1" => 2,
        "CE" | "CN" | "FC" | "AT" | "EO" | "EH" | "PC" => 4,
        "GV" => 6,
        "CM" | "ME" => 8,
        "GN" => 60,
        other if other.starts_with('Z') => 2,
        other => return Err(malformed(format_args!("column {other} has no known length"))),
    };
    match width {
        1 | 2 => reader.uint(width).map(|value| Value::Number(value as f64)),
        4 => reader.i32().map(|value| Value::Number(value.into())),
        width => reader.skip(width).map(|()| Value::Text(SmolStr::default())),
    }
}

fn apply(column: &str, value: &Value, fix: &mut FixBuilder) {
    match (column, value) {
        ("VN", Value::Text(vin)) if !vin.is_empty() => drop(fix.set(name::VIN, vin.as_str())),
        ("CD", Value::Text(iccid)) if !iccid.is_empty() => drop(fix.set(name::ICCID, iccid.as_str())),
        (_, Value::Text(_)) => {}
        ("SA", Value::Number(value)) => drop(fix.set(name::SATELLITES, *value as i64)),
        ("MV", Value::Number(value)) => drop(fix.set(name::POWER_V, value / 10.0)),
        ("BV", Value::Number(value)) => drop(fix.set(name::BATTERY_V, value / 10.0)),
        ("AT", Value::Number(value)) => drop(fix.altitude_m(*value)),
        ("GQ", Value::Number(value)) => drop(fix.set(name::RSSI, *value as i64)),
        ("FL", Value::Number(value)) => drop(fix.set(name::FUEL_LEVEL, *value as i64)),
        ("RP", Value::Number(value)) => drop(fix.set(name::RPM, *value as i64)),
        ("ET", Value::Number(value)) => drop(fix.set(name::COOLANT_TEMPERATURE_C, *value as i64)),
        ("DT", Value::Number(value)) => drop(fix.set(name::ARCHIVE, *value == 1.0)),
        ("MT", Value::Number(value)) => drop(fix.set(name::MOTION, *value > 0.0)),
        _ => {}
    }
}
