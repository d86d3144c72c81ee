//! Recorded byte streams of real devices, through sockets: the connection answers and stores what the decoder understands.
#![allow(clippy::unwrap_used)]

use crate::common;

use common::{System, in_time};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use waystream_connectors::clocks::without_rollover;
use waystream_connectors::protocol::{Context, Fix, Protocol, Transport};
use waystream_connectors::protocols;
use waystream_domain::Timestamp;

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect()
}

fn recorded(protocol: &str) -> Vec<Vec<u8>> {
    let path = format!("{}/../../shared/vectors/{protocol}.frames.jsonl", env!("CARGO_MANIFEST_DIR"));
    let Ok(lines) = std::fs::read_to_string(path) else { return Vec::new() };
    lines
        .lines()
        .map(|line| bytes(serde_json::from_str::<serde_json::Value>(line).unwrap()["input_hex"].as_str().unwrap()))
        .collect()
}

/// Devices and times of fixes, in milliseconds.
type Fixes = BTreeSet<(String, i64)>;

/// What the decoder alone makes of a stream: answers, and (device, fix_time) of what is to be stored. `None` if there is a fault
/// in it, or an answer that depends on the time: then it is the connection's rules that count.
fn understood(protocol: &Protocol, stream: &[u8]) -> Option<(Vec<u8>, Fixes)> {
    let decode_at = |received_at_ms: i64| {
        let Transport::Socket { framing, decoder, .. } = protocol.transport else { return None };
        let (mut framing, mut decoder) = (framing(), decoder());
        let now = Timestamp::from_millis(SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_millis() as i64)?;
        let mut buffer = stream.into();
        let (mut answers, mut fixes) = (Vec::new(), Fixes::new());
        while let Some(frame) = framing.next_frame(&mut buffer).ok()? {
            let decoded = decoder.decode(&frame, &Context::stream(Timestamp::from_millis(received_at_ms)?));
            if !decoded.faults.is_empty() {
                return None;
            }
            answers.extend(decoded.replies.concat());
            let device = |fix: &Fix| fix.device.as_ref().or(decoded.device.as_ref()).map(ToString::to_string);
            // Those from the future are left out.
            let past = decoded.fixes.iter().filter(|fix| fix.fix_time < now);
            fixes.extend(past.filter_map(|fix| Some((device(fix)?, fix.fix_time.as_millis()))));
        }
        Some((answers, fixes))
    };
    let (a, b) = (decode_at(1_700_000_000_000)?, decode_at(1_710_000_000_000)?);
    (a == b).then_some(a)
}

/// A time as it is stored: what was recorded 1,024 weeks ago cannot be told from a rollover.
fn put_right(time_ms: i64) -> i64 {
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = Timestamp::from_millis(since_1970.as_millis() as i64).unwrap();
    without_rollover(Timestamp::from_millis(time_ms).unwrap(), now).map_or(time_ms, Timestamp::as_millis)
}

#[tokio::test]
async fn recorded_streams_are_answered_and_stored_as_they_are_understood() {
    let system = System::start().await;
    let (mut compared, mut expected) = (0, Fixes::new());
    let streams = |protocol: &&Protocol| matches!(protocol.transport, Transport::Socket { tcp: true, .. });
    for protocol in protocols::ALL.iter().filter(streams) {
        for stream in recorded(protocol.name) {
            let mut connection = TcpStream::connect(system.address(protocol.name)).await.unwrap();
            let (mut reading, mut writing) = connection.split();
            let mut answers = Vec::new();
            // A connection may be closed, or reset, before everything is written.
            let (read, _) = tokio::join!(in_time(reading.read_to_end(&mut answers)), async {
                writing.write_all(&stream).await?;
                writing.shutdown().await
            });
            let Some((wanted, fixes)) = understood(protocol, &stream) else { continue };
            read.unwrap();
            assert_eq!(answers, wanted, "{} {stream:02x?}", protocol.name);
            compared += 1;
            expected.extend(fixes.into_iter().map(|(device, time_ms)| (device, put_right(time_ms))));
        }
    }
    let stored: Fixes = system.positions().await.iter().map(|p| (p.device.to_string(), p.fix_time.as_millis())).collect();
    // Those of streams with faults are stored too.
    assert!(stored.is_superset(&expected), "{:?}", expected.difference(&stored).collect::<Vec<_>>());
    assert!(compared > 50, "{compared} streams");
    system.stop().await;
}

/// Frames or HTTP.
fn speaks_tcp(protocol: &Protocol) -> bool {
    !matches!(protocol.transport, Transport::Socket { tcp: false, .. })
}

#[tokio::test]
async fn random_bytes_harm_no_listener() {
    let system = System::start().await;
    let mut runner = TestRunner::deterministic();
    let noise = proptest::collection::vec(proptest::num::u8::ANY, 1..3000);
    let datagrams = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for protocol in protocols::ALL {
        let recorded = recorded(protocol.name);
        for n in 0..30 {
            let mut bytes = noise.new_tree(&mut runner).unwrap().current();
            // Every other time a real stream with a few bytes changed, which goes further than noise.
            if let Some(stream) = recorded.get(n % recorded.len().max(1)).filter(|_| n % 2 == 0) {
                let changed =
                    bytes.iter().zip(bytes.iter().skip(1)).take(5).map(|(at, to)| (usize::from(*at) % stream.len(), *to));
                let mut stream = stream.clone();
                changed.for_each(|(at, to)| stream[at] = to);
                bytes = stream;
            }
            if speaks_tcp(protocol) {
                let mut connection = TcpStream::connect(system.address(protocol.name)).await.unwrap();
                let (mut reading, mut writing) = connection.split();
                let mut answers = Vec::new();
                let (_, _) = tokio::join!(in_time(reading.read_to_end(&mut answers)), async {
                    writing.write_all(&bytes).await?;
                    writing.shutdown().await
                });
            }
            if matches!(protocol.transport, Transport::Socket { udp: true, .. }) {
                datagrams.send_to(&bytes[..bytes.len().min(1400)], system.address(protocol.name)).await.unwrap();
            }
        }
    }
    // Every listener still accepts, and the connectors still run.
    for protocol in protocols::ALL.iter().filter(|protocol| speaks_tcp(protocol)) {
        TcpStream::connect(system.address(protocol.name)).await.unwrap();
    }
    system.stop().await;
}
