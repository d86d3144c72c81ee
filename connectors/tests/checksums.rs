//! Checksums of every protocol that has one: refused if wrong, kept and counted if the operator says so; and dates that are none.
#![allow(clippy::unwrap_used)]

use crate::cases;

use cases::{is_comparable, lines, text};
use std::collections::BTreeSet;
use waystream_connectors::decode::parse_hex;
use waystream_connectors::protocol::{Checksums, Context, Decoded, FaultKind, Protocol, Transport};
use waystream_connectors::protocols::ALL;
use waystream_domain::Timestamp;

/// A checksum is at the end, but for end marks.
const END_BYTES: usize = 12;

fn frames(case: &serde_json::Value) -> Vec<Vec<u8>> {
    let frames = case["frames"].as_array().unwrap();
    frames.iter().filter_map(|frame| frame["hex"].as_str()).map(|digits| parse_hex(digits).unwrap()).collect()
}

/// What the last frame of a connection gives; those before are whole.
fn last(protocol: &Protocol, before: &[Vec<u8>], frame: &[u8], checksums: Checksums) -> Decoded {
    let Transport::Socket { decoder, .. } = protocol.transport else { return Decoded::default() };
    let context = Context { checksums, ..Context::stream(Timestamp::parse("2026-11-25T01:15:33Z").unwrap()) };
    let mut decoder = decoder();
    for frame in before {
        decoder.decode(frame, &context);
    }
    decoder.decode(frame, &context)
}

/// The protocols whose row in the table of the README names a checksum.
fn documented() -> BTreeSet<String> {
    let rows = include_str!("../README.md").lines().filter(|line| line.starts_with("| "));
    let cells = rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>());
    let named = cells.filter(|cells| cells.len() == 4 && !cells[3].is_empty() && cells[0] != "protocol");
    named.map(|cells| cells[0].split(' ').next().unwrap().to_owned()).collect()
}

#[test]
fn a_wrong_checksum_is_refused_or_counted_in_every_protocol_that_has_one() {
    let mut have = BTreeSet::new();
    for protocol in ALL {
        for case in lines(&format!("{}.jsonl", protocol.name)).iter().filter(|case| is_comparable(case)) {
            let frames = frames(case);
            let Some((frame, before)) = frames.split_last() else { continue };
            let whole = last(protocol, before, frame, Checksums::Refuse);
            if whole.fixes.is_empty() || !whole.faults.is_empty() {
                continue;
            }
            for at in frame.len().saturating_sub(END_BYTES)..frame.len() {
                let mut damaged = frame.clone();
                damaged[at] ^= 1;
                let refused = last(protocol, before, &damaged, Checksums::Refuse);
                if refused.faults.iter().all(|fault| fault.kind != FaultKind::Checksum) {
                    continue;
                }
                let name = text(case, "test_case_id");
                assert!(refused.fixes.is_empty() && refused.replies.is_empty(), "{name}: byte {at} is kept or answered");
                let counted = last(protocol, before, &damaged, Checksums::Count);
                assert!(counted.faults.iter().any(|fault| fault.kind == FaultKind::Checksum), "{name}: byte {at} not counted");
                // It is the checksum itself if nothing else has changed.
                if counted.fixes == whole.fixes && counted.replies == whole.replies {
                    have.insert(protocol.name.to_owned());
                }
            }
        }
    }
    assert_eq!(have, documented());
}

#[test]
fn no_recorded_message_gives_a_date_that_is_none() {
    let mut report = String::new();
    for protocol in ALL {
        for case in lines(&format!("{}.jsonl", protocol.name)) {
            let frames = frames(&case);
            let Some((frame, before)) = frames.split_last() else { continue };
            for fix in last(protocol, before, frame, Checksums::Count).fixes {
                // Zeros, as clocks from 1970, 1980, 1999 (no month, no day) and 2000 have them. A clock that counts from when it was
                // switched on is not told by that: what it says is kept, as the vectors do.
                let none = ["1970-01-01", "1980-01-06", "1999-11-30", "2000-01-01"].map(|date| format!("{date}T00:00:00Z"));
                if none.iter().any(|none| Timestamp::parse(none) == Some(fix.fix_time)) {
                    report += &format!("\n{} {} {}", protocol.name, text(&case, "test_case_id"), fix.fix_time);
                }
            }
        }
    }
    assert!(report.is_empty(), "{report}");
}
