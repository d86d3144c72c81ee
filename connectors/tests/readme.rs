//! The table of protocols in the README is the table in the code.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use waystream_connectors::protocol::Transport;
use waystream_connectors::protocols::ALL;
use waystream_connectors::recognise::recognised_protocols;

/// By name: the port, and what it comes by.
fn documented() -> BTreeMap<String, (String, String)> {
    let rows = include_str!("../README.md").lines().filter(|line| line.starts_with("| "));
    let cells = rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>());
    let protocols = cells.filter(|cells| cells.len() == 4 && cells[0] != "protocol");
    protocols.map(|cells| (cells[0].split(' ').next().unwrap().into(), (cells[1].into(), cells[2].into()))).collect()
}

#[test]
fn every_protocol_is_listed_with_its_port_and_what_it_comes_by() {
    let by = |transport: Transport| match transport {
        Transport::Socket { tcp: true, udp: true, .. } => "TCP, UDP",
        Transport::Socket { tcp: true, .. } => "TCP",
        Transport::Socket { .. } => "UDP",
        Transport::Http { .. } => "HTTP",
    };
    let mut ours: BTreeMap<String, (String, String)> =
        ALL.iter().map(|p| (p.name.to_owned(), (p.port.to_string(), by(p.transport).to_owned()))).collect();
    // The only one that comes by the broker too.
    ours.insert("owntracks".into(), ("5144, MQTT".into(), "HTTP, MQTT".into()));
    assert_eq!(documented(), ours);
}

#[test]
fn what_the_port_for_all_does_not_recognise_as_a_stream_is_said() {
    let streams = ALL.iter().filter(|p| !matches!(p.transport, Transport::Socket { tcp: false, .. }));
    let known: Vec<&str> = recognised_protocols().map(|p| p.name).collect();
    let missing: Vec<&str> = streams.map(|p| p.name).filter(|name| !known.contains(name)).collect();
    assert_eq!(missing, ["wondex", "intellitrac"]);
    assert!(include_str!("../README.md").contains("Wondex and Intellitrac begin alike"));
}
