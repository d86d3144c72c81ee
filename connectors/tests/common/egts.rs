//! An EGTS relay: it sends what many devices report, and is none of them.

use crc::{CRC_8_NRSC_5, Crc};
use waystream_connectors::decode::parse_hex;

/// Bytes of the answer to a packet that is [`relayed`]: ten records, each confirmed.
pub const ANSWER_BYTES: usize = 10 * 29;

/// A packet of ten records of eight devices.
pub fn relayed() -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/vectors/egts.jsonl");
    let lines = std::fs::read_to_string(path).unwrap();
    let case = lines.lines().find(|line| line.contains("testDecodeWithObjectId#2\"")).unwrap();
    let case: serde_json::Value = serde_json::from_str(case).unwrap();
    parse_hex(case["frames"][0]["hex"].as_str().unwrap()).unwrap()
}

/// A packet without records, which nothing answers.
pub fn empty() -> Vec<u8> {
    // Version, key, flags, length of the header, encoding, length of the data, number, application data.
    let mut packet = vec![1, 0, 0, 11, 0, 0, 0, 0, 0, 1];
    packet.push(Crc::<u8>::new(&CRC_8_NRSC_5).checksum(&packet));
    packet
}
