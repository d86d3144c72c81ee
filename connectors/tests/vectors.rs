//! Every protocol of the table against what another server makes of the same bytes: frames, positions, answers.
//!
//! A disagreement that we mean is one line in `vector_differences.tsv`. A line that no longer holds fails the test too.
#![allow(clippy::unwrap_used)]

use crate::cases;

use bytes::{Bytes, BytesMut};
use cases::{COMMON, hex, is_comparable, lines, outcome, text};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use waystream_connectors::decode::parse_hex;
use waystream_connectors::protocol::{Fix, Framing, Protocol, Transport};
use waystream_connectors::protocols;
use waystream_domain::{Timestamp, units};

/// The protocol that nobody else speaks.
const OURS: &str = "json";

/// So much of the cases of the common protocols, and of those of the others, agrees at least, percent.
const COMMON_AGREE_PERCENT: f64 = 99.0;
const OTHERS_AGREE_PERCENT: f64 = 95.0;

/// So many cases of one protocol may differ whatever part of its cases they are: of a few cases, one is many percent.
const MEANT: usize = 4;

/// What differed: by case, the fields and how.
type Differences = BTreeMap<(String, String, &'static str), String>;

#[test]
fn frames_positions_and_answers_are_those_of_the_vectors() {
    let mut found = Differences::new();
    let mut cases: BTreeMap<&str, usize> = BTreeMap::new();
    for protocol in protocols::ALL {
        let count = cases.entry(protocol.name).or_default();
        for case in lines(&format!("{}.frames.jsonl", protocol.name)) {
            if !is_comparable(&case) {
                continue;
            }
            *count += 1;
            check_frames(protocol, &case, &mut found);
        }
        for case in lines(&format!("{}.jsonl", protocol.name)) {
            if !is_comparable(&case) {
                continue;
            }
            *count += 1;
            check_messages(protocol, &case, &mut found);
        }
        assert!(*count > 0 || protocol.name == OURS, "{} has vectors", protocol.name);
    }

    let meant: BTreeSet<(String, String, String)> = include_str!("vector_differences.tsv")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            assert!(fields.len() == 4 && !fields[3].trim().is_empty(), "protocol, case, field, reason: {line}");
            (fields[0].into(), fields[1].into(), fields[2].into())
        })
        .collect();
    let mut report = String::new();
    for ((protocol, case, field), how) in &found {
        if !meant.contains(&(protocol.clone(), case.clone(), (*field).to_owned())) {
            report += &format!("\n{protocol}\t{case}\t{field}\t{how}");
        }
    }
    for (protocol, case, field) in &meant {
        if !found.keys().any(|(p, c, f)| p == protocol && c == case && f == field) {
            report += &format!("\n{protocol}\t{case}\t{field}\tlisted as a difference, but agrees");
        }
    }
    assert!(report.is_empty(), "of {cases:?}:{report}");
    check_rates(&cases, &found);
}

/// What differs is few: of the common protocols together, of the others together, and of each one by itself. Told with `--nocapture`.
#[expect(clippy::print_stdout, reason = "the rates are for people too")]
fn check_rates(cases: &BTreeMap<&str, usize>, found: &Differences) {
    let different: BTreeSet<(&str, &str)> = found.keys().map(|(p, c, _)| (p.as_str(), c.as_str())).collect();
    let mut few = true;
    let mut groups = [("common", COMMON_AGREE_PERCENT, 0, 0), ("others", OTHERS_AGREE_PERCENT, 0, 0)];
    for (name, count) in cases.iter().filter(|(name, _)| **name != OURS) {
        let differ = different.iter().filter(|(protocol, _)| protocol == name).count();
        let group = &mut groups[usize::from(!COMMON.contains(name))];
        println!("{name}: {differ} of {count} differ, {:.2} % agree", agree_percent(differ, *count));
        if differ > MEANT && agree_percent(differ, *count) < OTHERS_AGREE_PERCENT {
            println!("{name} differs in too much");
            few = false;
        }
        group.2 += differ;
        group.3 += count;
    }
    for (name, least, differ, count) in groups {
        let agree = agree_percent(differ, count);
        println!("{name}: {differ} of {count} differ, {agree:.2} % agree, of at least {least} %");
        few &= agree >= least;
    }
    assert!(few, "more differs from the vectors than may: see the lines above");
}

fn agree_percent(differ: usize, count: usize) -> f64 {
    100.0 - 100.0 * differ as f64 / count as f64
}

fn check_frames(protocol: &Protocol, case: &Value, found: &mut Differences) {
    let Transport::Socket { framing, .. } = protocol.transport else { return };
    let input = parse_hex(text(case, "input_hex")).unwrap();
    let whole = frames(framing(), std::iter::once(&input[..]));
    let mut differ = |field, how| found.insert((protocol.name.to_owned(), text(case, "test_case_id").to_owned(), field), how);
    let digits = |list: &Value| -> Option<Vec<String>> {
        Some(list.as_array()?.iter().map(|frame| frame.as_str().unwrap().to_owned()).collect())
    };
    let ours: Vec<String> = whole.iter().map(|frame| hex(frame)).collect();
    let expected = digits(&case["frames_hex"]).unwrap();
    // Where the other server's frames depend on how they arrive it has several answers: in one piece, byte by byte, and what its own
    // tests ask of the first. Ours is the same for every way, and one of them.
    let others =
        [digits(&case["frames_hex_bytewise"]), case["upstream_first_frame_hex"].as_str().map(|first| vec![first.into()])];
    let is_one = case["chunk_stable"] == false && others.iter().flatten().any(|other| *other == ours);
    if ours != expected && !is_one {
        let at = ours.iter().zip(&expected).take_while(|(ours, theirs)| ours == theirs).count();
        let (count, theirs) = (ours.len(), expected.len());
        differ("frames", format!("{count} frames, not {theirs}; from {at}: {:?}, not {:?}", ours.get(at), expected.get(at)));
    }
    let mut same = frames(framing(), input.chunks(1)) == whole;
    same &= (1..=10u64).all(|seed| frames(framing(), random_cuts(&input, seed)) == whole);
    if !same {
        differ("frames by segments", "other frames if they come in pieces".to_owned());
    }
}

fn frames<'a>(mut framing: Box<dyn Framing>, segments: impl Iterator<Item = &'a [u8]>) -> Vec<Bytes> {
    let mut buffer = BytesMut::new();
    let mut frames = Vec::new();
    for segment in segments {
        buffer.extend_from_slice(segment);
        while let Ok(Some(frame)) = framing.next_frame(&mut buffer) {
            frames.push(frame);
        }
    }
    frames
}

/// Segments of 1 to 64 bytes, by a small generator of its own so that a failure comes back.
fn random_cuts(mut input: &[u8], seed: u64) -> impl Iterator<Item = &[u8]> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    std::iter::from_fn(move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (segment, rest) = input.split_at(((state >> 33) as usize % 64 + 1).min(input.len()));
        input = rest;
        (!segment.is_empty()).then_some(segment)
    })
}

fn check_messages(protocol: &Protocol, case: &Value, found: &mut Differences) {
    let outcome = outcome(protocol, case);
    let mut differ = |field, how: String| {
        found.insert((protocol.name.to_owned(), text(case, "test_case_id").to_owned(), field), how);
    };

    let expected: Vec<&Value> = case["expected"].as_array().unwrap().iter().filter(|position| has_place(position)).collect();
    if outcome.last.fixes.len() == expected.len() {
        for (fix, position) in outcome.last.fixes.iter().zip(&expected) {
            check_position(fix, position, case.get("tz_or_clock_dependent").is_some(), &mut differ);
            let device = fix.device.as_ref().or(outcome.last.device.as_ref()).map(ToString::to_string);
            let names: Vec<&str> = case["device_id_calls"]
                .as_array()
                .unwrap()
                .iter()
                .flat_map(|call| call.as_array().unwrap())
                .filter_map(Value::as_str)
                .collect();
            let aliases = &outcome.last.aliases;
            let is_one = aliases.iter().any(|alias| names.contains(&alias.as_str()));
            if !names.contains(&device.as_deref().unwrap_or_default()) && !is_one {
                differ("device", format!("{device:?}, not {names:?}"));
            }
        }
    } else {
        differ("positions", format!("{}, not {}; {:?}", outcome.last.fixes.len(), expected.len(), outcome.last.faults));
    }

    let expected: Vec<Vec<Value>> =
        case["responses_per_frame"].as_array().unwrap().iter().map(|answers| answers.as_array().unwrap().clone()).collect();
    let clock = case.get("response_contains_clock").is_some();
    let same = if clock { outcome.answers.len() == expected.len() } else { outcome.answers == expected };
    if !same {
        differ("answers", format!("{:?}, not {:?}; {:?}", outcome.answers, expected, outcome.last.faults));
    }
}

/// A position without a time is what the other server says of answers and the like.
fn has_place(position: &Value) -> bool {
    !position["lat"].is_null() && !position["fix_time"].is_null()
}

fn check_position(fix: &Fix, expected: &Value, other_zone: bool, differ: &mut impl FnMut(&'static str, String)) {
    let number = |key: &str| expected[key].as_f64().unwrap_or_default();
    let near = |ours: f64, theirs: f64, tolerance: f64| (ours - theirs).abs() <= tolerance;

    let time = Timestamp::parse(text(expected, "fix_time")).unwrap();
    // Zeros through a calendar that lets them be: no time.
    let zeros = time == Timestamp::parse("1999-11-30T00:00:00Z").unwrap();
    if fix.fix_time != time && !zeros && !other_zone && expected.get("time_from_server_clock").is_none() {
        differ("fix_time", format!("{}, not {time}", fix.fix_time));
    }
    let (lat, lon) = (fix.location.lat_deg(), fix.location.lon_deg());
    if !near(lat, number("lat"), 1e-6) || !near(lon, number("lon"), 1e-6) {
        differ("place", format!("{lat} {lon}, not {} {}", number("lat"), number("lon")));
    }
    // Exactly 0,0 is never valid here.
    if fix.valid != (expected["valid"].as_bool().unwrap() && !fix.location.is_null_island()) {
        differ("valid", format!("{}", fix.valid));
    }
    // The other server has zero for what the device did not tell.
    let altitude = fix.altitude_m.unwrap_or_default().into();
    if !near(altitude, number("altitude_m"), 0.01) {
        differ("altitude_m", format!("{altitude}, not {}", number("altitude_m")));
    }
    let speed = fix.speed_mps.map_or(0.0, units::kmh_from_mps);
    if !near(speed, number("speed_kmh"), 0.1) {
        differ("speed_kmh", format!("{speed}, not {}", number("speed_kmh")));
    }
    let course: f64 = fix.course_deg.unwrap_or_default().into();
    if !near(course, number("course_deg").rem_euclid(360.0), 0.1) {
        differ("course_deg", format!("{course}, not {}", number("course_deg")));
    }
}
