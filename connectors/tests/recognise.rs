//! What every protocol's streams begin with is recognised as that protocol, or listed as ambiguous with the reason.
#![allow(clippy::unwrap_used)]

use crate::cases;

use cases::lines;
use std::collections::{BTreeMap, BTreeSet};
use waystream_connectors::decode::parse_hex;
use waystream_connectors::protocol::Transport;
use waystream_connectors::protocols::ALL;
use waystream_connectors::recognise::{Recognised, recognise, recognise_datagram, recognised_protocols};

/// The first bytes of every recorded stream and connection of a protocol, with the case's name.
fn beginnings(protocol: &str) -> Vec<(String, Vec<u8>)> {
    let streams = lines(&format!("{protocol}.frames.jsonl")).into_iter().map(|case| (case.clone(), case["input_hex"].clone()));
    let messages = lines(&format!("{protocol}.jsonl"))
        .into_iter()
        .filter(|case| case.get("error").is_none())
        .map(|case| (case.clone(), case["frames"][0]["hex"].clone()));
    streams
        .chain(messages)
        .filter_map(|(case, hex)| Some((case["test_case_id"].as_str()?.to_owned(), parse_hex(hex.as_str()?).unwrap())))
        .collect()
}

#[test]
fn the_first_bytes_of_every_vector_tell_its_protocol() {
    let ambiguous: BTreeMap<(String, String), String> = include_str!("ambiguous_beginnings.tsv")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            assert!(fields.len() == 3 && !fields[2].trim().is_empty(), "protocol, case, reason: {line}");
            ((fields[0].into(), fields[1].into()), fields[2].into())
        })
        .collect();
    let (mut report, mut listed, mut tried) = (String::new(), BTreeSet::new(), 0);
    for protocol in recognised_protocols() {
        let Transport::Socket { .. } = protocol.transport else { continue };
        for (case, mut bytes) in beginnings(protocol.name) {
            tried += 1;
            // What stands behind the delimiter that a framer strips.
            bytes.extend_from_slice(b"\r\n");
            let whole = recognise(&bytes);
            let key = (protocol.name.to_owned(), case.clone());
            if whole == Recognised::As(protocol.name) {
                if ambiguous.contains_key(&key) {
                    report += &format!("\n{}\t{case}\tlisted, but recognised", protocol.name);
                }
            } else if ambiguous.contains_key(&key) {
                listed.insert(key);
            } else {
                let start = String::from_utf8_lossy(&bytes[..bytes.len().min(30)]).into_owned();
                report += &format!("\n{}\t{case}\t{whole:?} {start:?}", protocol.name);
            }
            // Byte by byte it is the same, as soon as it is anything.
            let first = (0..bytes.len()).map(|end| recognise(&bytes[..end])).find(|found| *found != Recognised::Undecided);
            if first.as_ref().is_some_and(|first| *first != whole) {
                report += &format!("\n{}\t{case}\tfirst {first:?}, then {whole:?}", protocol.name);
            }
        }
    }
    for (protocol, case) in ambiguous.keys().filter(|key| !listed.contains(*key)) {
        report += &format!("\n{protocol}\t{case}\tis listed, but there is no such case");
    }
    assert!(tried > 1000 && report.is_empty(), "of {tried}:{report}");
}

#[test]
fn every_datagram_of_the_vectors_tells_its_protocol() {
    // What is ambiguous as a stream is so as a datagram, but for what is one.
    let listed: BTreeSet<(String, String)> = include_str!("ambiguous_beginnings.tsv")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split_once('\t').unwrap())
        .map(|(protocol, rest)| (protocol.to_owned(), rest.split('\t').next().unwrap().to_owned()))
        .collect();
    let (mut report, mut tried) = (String::new(), 0);
    for protocol in ALL.iter().filter(|protocol| protocol.speaks_udp()) {
        let cases = lines(&format!("{}.jsonl", protocol.name)).into_iter().filter(|case| case.get("error").is_none());
        for case in cases {
            let name = case["test_case_id"].as_str().unwrap();
            let bytes = parse_hex(case["frames"][0]["hex"].as_str().unwrap()).unwrap();
            tried += 1;
            let found = recognise_datagram(&bytes);
            let is_listed = listed.contains(&(protocol.name.to_owned(), name.to_owned())) && !name.contains("Connectionless");
            if found != Recognised::As(protocol.name) && !is_listed {
                let start = String::from_utf8_lossy(&bytes[..bytes.len().min(30)]).into_owned();
                report += &format!("\n{}\t{name}\t{found:?} {start:?}", protocol.name);
            }
        }
    }
    assert!(tried > 500 && report.is_empty(), "of {tried}:{report}");
    assert_eq!(recognise_datagram(b""), Recognised::Unknown);
    assert_eq!(recognise_datagram(b"hello"), Recognised::Unknown);
    assert_eq!(recognise_datagram(b"GET /?id=1&lat=2&lon=3 HTTP/1.1\r\n\r\n"), Recognised::Unknown);
}
