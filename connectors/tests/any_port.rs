//! The port for every protocol, and what operators can set: checksums, clocks, the quarantine.
#![allow(clippy::unwrap_used)]

use crate::common;

use common::teltonika::{START_MS, Tracker, data, data_of, login, packet, record};
use common::{System, in_time};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use waystream_connectors::ConnectorsConfig;
use waystream_connectors::decode;
use waystream_domain::{AttributeValue, Timestamp};

const IMEI: &str = "356307042441013";
const WEEKS_1024_MS: i64 = 1024 * 7 * 86_400_000;

fn now_ms() -> i64 {
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since_1970.as_millis()).unwrap()
}

fn config(json: &str) -> ConnectorsConfig {
    serde_json::from_str(json).unwrap()
}

/// Everything that is answered until the other side closes.
async fn talk(system: &System, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(system.address("any")).await.unwrap();
    in_time(stream.write_all(bytes)).await.unwrap();
    let mut answer = Vec::new();
    in_time(stream.read_to_end(&mut answer)).await.unwrap();
    answer
}

#[tokio::test]
async fn a_tracker_is_served_in_its_own_protocol_whatever_the_segments() {
    let system = System::start().await;
    let mut tracker = Tracker::connect(system.address("any")).await;
    for byte in login(IMEI) {
        tracker.send(&[byte]).await;
    }
    assert_eq!(tracker.answer(1).await.unwrap(), [1]);
    assert_eq!(tracker.report(&data(START_MS, 3)).await.unwrap(), 3);

    // Login and report in one segment.
    let mut tracker = Tracker::connect(system.address("any")).await;
    tracker.send(&[login("356307042441014"), packet(&data(START_MS, 2))].concat()).await;
    assert_eq!(tracker.answer(5).await.unwrap(), [1, 0, 0, 0, 2]);

    let positions = system.positions().await;
    assert_eq!(positions.len(), 5);
    assert!(positions.iter().all(|position| position.protocol == "teltonika"));
    system.stop().await;
}

#[tokio::test]
async fn http_is_served_on_the_same_port() {
    let system = System::start().await;
    let request = "GET /?id=phone&timestamp=1718000000&lat=52.1&lon=21.0 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answer = talk(&system, request.as_bytes()).await;
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    let body = r#"{"_type":"location","tid":"ab","tst":1718000000,"lat":52.1,"lon":21.0}"#;
    let request = format!("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    assert!(talk(&system, request.as_bytes()).await.starts_with(b"HTTP/1.1 200"));
    let mut protocols: Vec<String> = system.positions().await.iter().map(|p| p.protocol.to_string()).collect();
    protocols.sort_unstable();
    assert_eq!(protocols, ["osmand", "owntracks"]);
    system.stop().await;
}

#[tokio::test]
async fn what_is_no_protocol_is_closed_unanswered() {
    let system = System::start().await;
    assert_eq!(talk(&system, b"SSH-2.0-OpenSSH_9.9\r\n").await, b"");
    assert_eq!(talk(&system, &[0xff; 64]).await, b"");
    system.stop().await;
}

#[tokio::test]
async fn a_wrong_checksum_is_counted_only_if_the_operator_says_so() {
    let system = System::start_with(config(r#"{"checksums": {"teltonika": "count"}}"#)).await;
    let mut damaged = packet(&data(START_MS, 2));
    *damaged.last_mut().unwrap() ^= 1;
    for listener in ["teltonika", "any"] {
        let mut tracker = Tracker::login(system.address(listener), IMEI).await;
        tracker.send(&damaged).await;
        assert_eq!(tracker.acknowledged().await.unwrap(), 2);
    }
    system.stop().await;
}

#[tokio::test]
async fn a_lost_rollover_is_put_right_and_marked_and_local_time_taken_back() {
    let system = System::start_with(config(&format!(r#"{{"utc_offset_min": {{"devices": {{"{IMEI}": 120}}}}}}"#))).await;
    let now = now_ms();
    let (yesterday, local) = (now - 86_400_000, now - 60_000 + 2 * 3_600_000);
    let records = [yesterday - WEEKS_1024_MS + 2 * 3_600_000, local];
    let records: Vec<_> = records.iter().map(|time| record(u64::try_from(*time).unwrap(), 521_000_000, 210_000_000)).collect();
    let mut tracker = Tracker::login(system.address("teltonika"), IMEI).await;
    assert_eq!(tracker.report(&data_of(&records)).await.unwrap(), 2);

    let positions = system.positions().await;
    let times: Vec<i64> = positions.iter().map(|position| position.fix_time.as_millis()).collect();
    assert_eq!(times, [yesterday, now - 60_000]);
    let marks: Vec<_> = positions.iter().map(|position| position.attributes.get("clock_corrected_weeks").cloned()).collect();
    assert_eq!(marks, [Some(AttributeValue::Int(1024)), None]);
    system.stop().await;
}

#[tokio::test]
async fn a_protocols_clock_counts_for_devices_without_one_of_their_own() {
    let offsets = format!(r#"{{"utc_offset_min": {{"protocols": {{"teltonika": -60}}, "devices": {{"{IMEI}": 120}}}}}}"#);
    let system = System::start_with(config(&offsets)).await;
    let now = now_ms();
    for (imei, ahead_ms) in [(IMEI, 2 * 3_600_000), ("356307042441014", -3_600_000)] {
        let time = u64::try_from(now - 60_000 + ahead_ms).unwrap();
        let mut tracker = Tracker::login(system.address("teltonika"), imei).await;
        assert_eq!(tracker.report(&data_of(&[record(time, 521_000_000, 210_000_000)])).await.unwrap(), 1);
    }
    let positions = system.positions().await;
    assert!(positions.iter().all(|position| position.fix_time.as_millis() == now - 60_000), "{positions:?}");
    assert_eq!(positions.len(), 2);
    system.stop().await;
}

#[tokio::test]
async fn a_fix_of_the_day_after_tomorrow_is_refused_and_its_packet_answered() {
    let system = System::start().await;
    let future = u64::try_from(now_ms() + 2 * 86_400_000).unwrap();
    let records = [record(START_MS, 521_000_000, 210_000_000), record(future, 521_000_000, 210_000_000)];
    let mut tracker = Tracker::login(system.address("teltonika"), IMEI).await;
    assert_eq!(tracker.report(&data_of(&records)).await.unwrap(), 2);
    assert_eq!(system.positions().await.len(), 1);
    system.stop().await;
}

/// A JT/T 808 message of terminal 013812345678.
fn jt808(kind: u16, body: &[u8]) -> Vec<u8> {
    let head = [&kind.to_be_bytes()[..], &(body.len() as u16).to_be_bytes(), b"\x01\x38\x12\x34\x56\x78\x00\x01"].concat();
    let message = [&head, body].concat();
    let checksum = message.iter().fold(0, |sum, byte| sum ^ byte);
    [&[0x7e], &message[..], &[checksum, 0x7e]].concat()
}

#[tokio::test]
async fn an_unknown_message_is_answered_and_kept_to_be_decoded_again() {
    let system = System::start().await;
    let unknown = jt808(0x0f01, &[1, 2, 3]);
    let mut stream = TcpStream::connect(system.address("jt808")).await.unwrap();
    stream.write_all(&[jt808(0x0002, &[]), unknown.clone()].concat()).await.unwrap();
    // Both are answered: 8001 of 20 bytes each, marks and checksum included.
    let mut answers = [0; 40];
    in_time(stream.read_exact(&mut answers)).await.unwrap();
    assert_eq!(answers[20..23], [0x7e, 0x80, 0x01]);
    drop(stream);

    let kept = system.stop_and_read_quarantine().await;
    assert_eq!(kept.len(), 1, "{kept:?}");
    let kept = &kept[0];
    assert_eq!((kept.protocol.as_str(), kept.device.as_ref().unwrap().as_str()), ("jt808", "13812345678"));
    assert_eq!(decode::parse_hex(&kept.hex).unwrap(), unknown);
    assert_eq!(decode::again(kept).unwrap().not_understood().as_deref(), Some("a message type"));
    assert!(kept.received_at > Timestamp::parse("2024-01-01T00:00:00Z").unwrap());
}
