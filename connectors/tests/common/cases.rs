//! The recorded cases of `../shared/vectors`, and what our decoders make of them.
#![allow(clippy::unwrap_used, dead_code, missing_docs, unreachable_pub, reason = "each test file uses a part of this")]

use serde_json::Value;
use std::path::{Path, PathBuf};
use waystream_connectors::decode::parse_hex;
use waystream_connectors::protocol::{Checksums, Context, Decoded, FaultKind, HttpDecoded, HttpRequest, Protocol, Transport};
use waystream_domain::Timestamp;

/// The protocols that most installers have.
pub const COMMON: [&str; 13] = [
    "teltonika",
    "gt06",
    "gl200",
    "h02",
    "gps103",
    "tk103",
    "ruptela",
    "meitrack",
    "jt808",
    "suntech",
    "wialon",
    "osmand",
    "owntracks",
];

pub fn lines(file: &str) -> Vec<Value> {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors").join(file);
    // Some protocols have no stream vectors: HTTP ones and those of datagrams only.
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap()
}

/// The bytes of a case's frames, of those that are bytes.
pub fn frames(case: &Value) -> Vec<Vec<u8>> {
    let frames = case["frames"].as_array().unwrap().iter().filter_map(|frame| frame["hex"].as_str());
    frames.map(|digits| parse_hex(digits).unwrap()).collect()
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a case says what its bytes mean: not if the other server threw, or was set up by hand in a way that the bytes do not tell.
pub fn is_comparable(case: &Value) -> bool {
    case.get("error").is_none() && case.get("decoder_options").is_none_or(|options| told_by_bytes(case, options))
}

/// Atrack names its further columns in the message, if it was not set up to leave that out.
fn told_by_bytes(case: &Value, options: &Value) -> bool {
    case["protocol"] == "atrack" && options.get("form").is_none()
}

/// What a case's frames gave: the last frame's positions, and every frame's answers.
pub struct Outcome {
    pub last: Decoded,
    pub answers: Vec<Vec<Value>>,
    pub bad_checksum: bool,
}

/// Decodes a case. One whose checksum was broken by editing (ids, places) is refused when live: it is compared in what it says.
pub fn outcome(protocol: &Protocol, case: &Value) -> Outcome {
    let outcome = decode(protocol, case, Checksums::Refuse);
    if outcome.bad_checksum { decode(protocol, case, Checksums::Count) } else { outcome }
}

fn decode(protocol: &Protocol, case: &Value, checksums: Checksums) -> Outcome {
    let received_at = Timestamp::parse("2026-11-25T01:15:33Z").unwrap();
    let context = Context { received_at, datagram: false, checksums };
    let mut outcome = Outcome { last: Decoded::default(), answers: Vec::new(), bad_checksum: false };
    let frames = case["frames"].as_array().unwrap();
    match protocol.transport {
        Transport::Socket { decoder, .. } => {
            let mut decoder = decoder();
            for frame in frames {
                let decoded = decoder.decode(&parse_hex(text(frame, "hex")).unwrap(), &context);
                outcome.answers.push(decoded.replies.iter().map(|reply| hex(reply).into()).collect());
                outcome.bad_checksum |= decoded.faults.iter().any(|fault| fault.kind == FaultKind::Checksum);
                outcome.last = decoded;
            }
        }
        Transport::Http { decode } => {
            for frame in frames {
                let http = &frame["http"];
                let headers: Vec<(&str, &str)> = http["headers"]
                    .as_object()
                    .unwrap()
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
                    .collect();
                let body = match (http["body"].as_str(), http["body_hex"].as_str()) {
                    (Some(body), _) => body.as_bytes().to_vec(),
                    (None, Some(digits)) => parse_hex(digits).unwrap(),
                    (None, None) => Vec::new(),
                };
                let request =
                    HttpRequest { method: text(http, "method"), uri: text(http, "uri"), headers: &headers, body: &body };
                let HttpDecoded { decoded, answer, .. } = decode(&request, &context);
                outcome.answers.push(vec![serde_json::json!({ "http_status": answer.status })]);
                outcome.last = decoded;
            }
        }
    }
    outcome
}
