//! Attributes by their meaning against what another server makes of the same bytes, for the protocols of most of the market.
//!
//! A disagreement that we mean is one line in `attribute_differences.tsv`. A line that no longer holds fails the test too.
#![allow(clippy::unwrap_used)]

use crate::cases;

use cases::{COMMON, is_comparable, lines, outcome};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use waystream_connectors::protocol::Protocol;
use waystream_connectors::protocols;
use waystream_domain::AttributeValue;

/// Their name, ours, and what their number is multiplied by.
const NAMES: [(&str, &str, f64); 29] = [
    ("ignition", "ignition", 1.0),
    ("motion", "motion", 1.0),
    ("charge", "charge", 1.0),
    ("blocked", "blocked", 1.0),
    ("door", "door", 1.0),
    ("archive", "archive", 1.0),
    ("battery", "battery_v", 1.0),
    ("power", "power_v", 1.0),
    ("batteryLevel", "battery_level", 1.0),
    ("odometer", "odometer_m", 1.0),
    ("tripOdometer", "trip_odometer_m", 1.0),
    ("obdOdometer", "obd_odometer_m", 1.0),
    ("hours", "engine_hours_h", 1.0 / 3_600_000.0),
    ("fuel", "fuel_l", 1.0),
    ("fuelLevel", "fuel_level", 1.0),
    ("fuelUsed", "fuel_used_l", 1.0),
    ("rpm", "rpm", 1.0),
    ("obdSpeed", "obd_speed_kmh", 1.0),
    ("coolantTemp", "coolant_temperature_c", 1.0),
    ("hdop", "hdop", 1.0),
    ("pdop", "pdop", 1.0),
    ("vdop", "vdop", 1.0),
    ("sat", "satellites", 1.0),
    ("rssi", "rssi", 1.0),
    ("alarm", "alarm", 1.0),
    ("driverUniqueId", "driver_id", 1.0),
    ("vin", "vin", 1.0),
    ("iccid", "iccid", 1.0),
    ("operator", "operator", 1.0),
];
/// Families: their prefix and ours, with a number behind.
const FAMILIES: [(&str, &str); 5] =
    [("io", "io."), ("in", "in."), ("out", "out."), ("adc", "adc."), ("temp", "temperature_c.")];

/// Our name and value for theirs; `None`: there is no word for it here.
fn ours(name: &str, value: &Value) -> Option<(String, Value)> {
    if let Some((_, ours, factor)) = NAMES.iter().find(|(theirs, _, _)| *theirs == name) {
        let value = match (value, name) {
            (Value::Number(number), _) => (number.as_f64()? * factor).into(),
            // Several at a time there, the gravest here.
            (Value::String(words), "alarm") => words.split(',').map(alarm).collect::<Vec<_>>().into(),
            _ => value.clone(),
        };
        return Some(((*ours).to_owned(), value));
    }
    FAMILIES.iter().find_map(|(theirs, ours)| {
        let number = name.strip_prefix(theirs)?;
        number.parse::<u32>().ok()?;
        Some((format!("{ours}{number}"), value.clone()))
    })
}

/// Their words for alarms that have another here.
fn alarm(word: &str) -> String {
    match word {
        "removing" => "tampering".to_owned(),
        "bonnet" | "footBrake" => "general".to_owned(),
        word => snake(word),
    }
}

/// `lowBattery` as `low_battery`.
fn snake(word: &str) -> String {
    word.chars().flat_map(|c| if c.is_ascii_uppercase() { vec!['_', c.to_ascii_lowercase()] } else { vec![c] }).collect()
}

fn same(ours: Option<&AttributeValue>, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Some(AttributeValue::Bool(ours)), Value::Bool(theirs)) => ours == theirs,
        (Some(AttributeValue::Bool(ours)), Value::Number(theirs)) => f64::from(u8::from(*ours)) == theirs.as_f64().unwrap(),
        (Some(AttributeValue::Int(ours)), Value::Number(theirs)) => near(*ours as f64, theirs.as_f64().unwrap()),
        (Some(AttributeValue::Float(ours)), Value::Number(theirs)) => near(*ours, theirs.as_f64().unwrap()),
        (Some(AttributeValue::Text(ours)), Value::Array(theirs)) => theirs.iter().any(|word| word.as_str() == Some(ours)),
        (Some(AttributeValue::Text(ours)), Value::String(theirs)) => ours.eq_ignore_ascii_case(theirs),
        (Some(AttributeValue::Int(ours)), Value::String(theirs)) => *theirs == ours.to_string(),
        (Some(AttributeValue::Float(ours)), Value::String(theirs)) => theirs.parse().is_ok_and(|theirs| near(*ours, theirs)),
        _ => false,
    }
}

fn near(ours: f64, theirs: f64) -> bool {
    (ours - theirs).abs() <= 1e-6 + theirs.abs() * 1e-6
}

/// What `docs/attributes.md` says, made from what the decoders do with the vectors.
fn documentation(protocols: impl Iterator<Item = &'static Protocol>) -> String {
    let mut text = String::from(
        "# Attributes\n\nWhat trackers report beyond the fix, under the same names whatever protocol brought it. Units are in the names. Made by\n\
         `WAYSTREAM_WRITE_DOCS=1 cargo test -p waystream-connectors --test all attributes::`, which also checks it.\n\n\
         ## Names\n\n| name | meaning |\n|---|---|\n",
    );
    let mut meaning = Vec::new();
    for line in include_str!("../src/vocabulary.rs").split("\n/// Values of").next().unwrap().lines() {
        match (line.strip_prefix("/// "), line.strip_prefix("pub const ").and_then(|line| line.split('"').nth(1))) {
            (Some(doc), _) => meaning.push(doc),
            (_, Some(name)) => {
                let meaning = std::mem::take(&mut meaning).join(" ").replace("[`alarm`]", "the alarms below");
                text += &format!("| `{name}` | {} |\n", meaning.replace(['[', ']'], ""));
            }
            _ => meaning.clear(),
        }
    }
    text += "| `in.N`, `out.N` | Digital input and output N (bool). |\n| `adc.N` | Analogue input N, V or the device's own steps. |\n\
             | `temperature_c.N` | Temperature of sensor N, °C. |\n| `io.N` | What has no name here, under the device's own number. |\n";
    text += "\nAlarms: ";
    let words = include_str!("../src/vocabulary.rs").split("pub mod alarm").nth(1).unwrap();
    let words: Vec<String> = words
        .lines()
        .filter_map(|line| Some(format!("`{}`", line.trim().strip_prefix("pub const ")?.split('"').nth(1)?)))
        .collect();
    text += &words.join(", ");
    text += ".\n\n## Names in Traccar\n\n| there | here | |\n|---|---|---|\n";
    for (theirs, ours, factor) in NAMES {
        text += &format!("| `{theirs}` | `{ours}` | {} |\n", if factor == 1.0 { "" } else { "ms there, h here" });
    }
    for (theirs, ours) in FAMILIES {
        text += &format!("| `{theirs}N` | `{ours}N` | |\n");
    }
    text += "\n## By protocol\n\nIn brackets: how many of the recorded positions bear it.\n\n| protocol | attributes |\n|---|---|\n";
    for protocol in protocols {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for case in lines(&format!("{}.jsonl", protocol.name)).iter().filter(|case| is_comparable(case)) {
            for fix in outcome(protocol, case).last.fixes {
                let names: BTreeSet<String> = fix.attributes.iter().map(|(name, _)| family(name)).collect();
                names.into_iter().for_each(|name| *counts.entry(name).or_default() += 1);
            }
        }
        let list: Vec<String> = counts.iter().map(|(name, count)| format!("`{name}` ({count})")).collect();
        text += &format!("| {} | {} |\n", protocol.name, list.join(", "));
    }
    text
}

/// `io.66` as `io.N`.
fn family(name: &str) -> String {
    match name.split_once('.') {
        Some((head, number)) if number.parse::<u32>().is_ok() => format!("{head}.N"),
        _ => name.to_owned(),
    }
}

#[test]
fn the_documentation_tells_what_the_decoders_do() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/attributes.md");
    if std::env::var_os("WAYSTREAM_WRITE_DOCS").is_some() {
        std::fs::write(&path, documentation(protocols::ALL.iter())).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap();
    // A protocol that is not told yet makes nothing wrong that is.
    let told = protocols::ALL.iter().filter(|protocol| written.contains(&format!("\n| {} | ", protocol.name)));
    assert!(written == documentation(told), "docs/attributes.md is stale: run this test with WAYSTREAM_WRITE_DOCS=1");
    assert!(COMMON.iter().all(|name| written.contains(&format!("\n| {name} | "))));
}

#[test]
fn attributes_mean_what_those_of_the_vectors_mean() {
    let mut found: BTreeMap<(String, String, String), String> = BTreeMap::new();
    let mut compared = 0;
    for name in COMMON {
        let protocol = protocols::by_name(name).unwrap();
        for case in lines(&format!("{name}.jsonl")).iter().filter(|case| is_comparable(case)) {
            let outcome = outcome(protocol, case);
            let expected: Vec<&Value> =
                case["expected"].as_array().unwrap().iter().filter(|position| !position["lat"].is_null()).collect();
            if expected.len() != outcome.last.fixes.len() {
                continue; // a difference of positions, which the test of those knows
            }
            for (fix, position) in outcome.last.fixes.iter().zip(expected) {
                for (theirs, value) in position["attributes"].as_object().unwrap() {
                    let Some((name, wanted)) = ours(theirs, value) else { continue };
                    compared += 1;
                    if !same(fix.attributes.get(&name), &wanted) {
                        let key = (protocol.name.to_owned(), case["test_case_id"].as_str().unwrap().to_owned(), name.clone());
                        found.entry(key).or_insert(format!("{:?}, not {wanted}", fix.attributes.get(&name)));
                    }
                }
            }
        }
    }
    let meant: BTreeSet<(String, String, String)> = include_str!("attribute_differences.tsv")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            assert!(fields.len() == 4 && !fields[3].trim().is_empty(), "protocol, case or *, attribute, reason: {line}");
            (fields[0].into(), fields[1].into(), fields[2].into())
        })
        .collect();
    let covers = |line: &(String, String, String), key: &(String, String, String)| {
        line.0 == key.0 && (line.1 == "*" || line.1 == key.1) && (line.2 == key.2)
    };
    let mut report = String::new();
    for (key, how) in found.iter().filter(|(key, _)| !meant.iter().any(|line| covers(line, key))) {
        report += &format!("\n{}\t{}\t{}\t{how}", key.0, key.1, key.2);
    }
    for line in meant.iter().filter(|line| !found.keys().any(|key| covers(line, key))) {
        report += &format!("\n{}\t{}\t{}\tlisted as a difference, but agrees", line.0, line.1, line.2);
    }
    assert!(report.is_empty(), "of {compared}:{report}");
}
