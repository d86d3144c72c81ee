//! Traccar's words for attributes, as ours.

use crate::vocabulary as name;
use serde_json::Value;
use smol_str::{SmolStr, format_smolstr};
use waystream_domain::AttributeValue;

/// Their word, ours, and what a number is divided by.
const NAMES: [(&str, &str, f64); 30] = [
    ("ignition", name::IGNITION, 1.0),
    ("motion", name::MOTION, 1.0),
    ("charge", name::CHARGE, 1.0),
    ("blocked", name::BLOCKED, 1.0),
    ("door", name::DOOR, 1.0),
    ("archive", name::ARCHIVE, 1.0),
    ("battery", name::BATTERY_V, 1.0),
    ("power", name::POWER_V, 1.0),
    ("batteryLevel", name::BATTERY_LEVEL, 1.0),
    ("odometer", name::ODOMETER_M, 1.0),
    ("tripOdometer", name::TRIP_ODOMETER_M, 1.0),
    ("obdOdometer", name::OBD_ODOMETER_M, 1.0),
    // Milliseconds there.
    ("hours", name::ENGINE_HOURS_H, 3_600_000.0),
    ("fuel", name::FUEL_L, 1.0),
    ("fuelLevel", name::FUEL_LEVEL, 1.0),
    ("fuelUsed", name::FUEL_USED_L, 1.0),
    ("coolantTemp", name::COOLANT_TEMPERATURE_C, 1.0),
    ("rpm", name::RPM, 1.0),
    ("obdSpeed", name::OBD_SPEED_KMH, 1.0),
    ("hdop", name::HDOP, 1.0),
    ("pdop", name::PDOP, 1.0),
    ("vdop", name::VDOP, 1.0),
    ("sat", name::SATELLITES, 1.0),
    ("rssi", name::RSSI, 1.0),
    ("driverUniqueId", name::DRIVER_ID, 1.0),
    ("event", name::EVENT, 1.0),
    ("vin", name::VIN, 1.0),
    ("dtcs", name::DTCS, 1.0),
    ("iccid", name::ICCID, 1.0),
    ("operator", name::OPERATOR, 1.0),
];

/// Words with a number behind, and ours.
const FAMILIES: [(&str, &str); 5] =
    [("io", "io."), ("in", "in."), ("out", "out."), ("adc", "adc."), ("temp", "temperature_c.")];

/// Worked out there from other positions, or nothing that a device said.
const DERIVED: [&str; 3] = ["distance", "totalDistance", "geofenceIds"];

/// Our name and value for theirs; a word that has none here stays as it is. `None`: it says nothing of the device, or is no value.
pub(super) fn attribute(word: &str, value: &Value) -> Option<(SmolStr, AttributeValue)> {
    if DERIVED.contains(&word) {
        return None;
    }
    if word == "alarm" {
        // Several at a time there, in no order that means anything.
        let alarm = value.as_str()?.split(',').next()?;
        return Some((name::ALARM.into(), AttributeValue::Text(alarm_word(alarm).into())));
    }
    let known = NAMES.iter().find(|(theirs, _, _)| *theirs == word);
    let value = match value {
        Value::Bool(on) => AttributeValue::Bool(*on),
        Value::Number(number) => match (number.as_i64(), known.map_or(1.0, |(_, _, divisor)| *divisor)) {
            (Some(whole), 1.0) => AttributeValue::Int(whole),
            (_, divisor) => AttributeValue::Float(number.as_f64()? / divisor),
        },
        Value::String(text) => AttributeValue::Text(text.as_str().into()),
        _ => return None,
    };
    let family = || FAMILIES.iter().find_map(|(theirs, ours)| Some((word.strip_prefix(theirs)?.parse::<u32>().ok()?, ours)));
    let name = match (known, family()) {
        (Some((_, ours, _)), _) => SmolStr::new(ours),
        (None, Some((number, ours))) => format_smolstr!("{ours}{number}"),
        (None, None) => snake(word).into(),
    };
    Some((name, value))
}

fn alarm_word(word: &str) -> String {
    match word {
        "removing" => name::alarm::TAMPERING.to_owned(),
        "bonnet" | "footBrake" => name::alarm::GENERAL.to_owned(),
        word => snake(word),
    }
}

/// `lowBattery` as `low_battery`.
fn snake(word: &str) -> String {
    let mut out = String::with_capacity(word.len() + 4);
    for c in word.trim().chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}
