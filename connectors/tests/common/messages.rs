//! Messages of every protocol to begin damage with.
#![allow(clippy::unwrap_used, dead_code, missing_docs, unreachable_pub, reason = "each test file uses a part of this")]

use std::path::Path;
use std::sync::LazyLock;
use waystream_connectors::decode::parse_hex;
use waystream_connectors::protocols::ALL;

/// Messages of each protocol in the order of the table: HTTP ones as URI, a zero byte and the body.
pub static MESSAGES: LazyLock<Vec<Vec<Vec<u8>>>> =
    LazyLock::new(|| ALL.iter().map(|protocol| messages(protocol.name)).collect());

fn messages(protocol: &str) -> Vec<Vec<u8>> {
    if protocol == "json" {
        // Ours: nobody else has recorded any.
        let full = r#"{"device":"a","fix_time":"2025-06-10T06:00:00Z","lat":52.1,"lon":21,"speed_mps":1,"course_deg":2,"accuracy_m":3}"#;
        let short =
            r#"{"device":"b","fix_time":1718000000000,"lat":-52.1,"lon":-21,"attributes":{"ignition":true,"fuel_l":4.5}}"#;
        return [full, short].map(|line| format!("/positions\0{line}\n{short}\n").into_bytes()).to_vec();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors").join(format!("{protocol}.jsonl"));
    let cases = std::fs::read_to_string(path).unwrap();
    let cases = cases.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    cases
        .flat_map(|case| case["frames"].as_array().unwrap().clone())
        .map(|frame| match frame["hex"].as_str() {
            Some(digits) => parse_hex(digits).unwrap(),
            None => {
                let part = |key: &str| frame["http"][key].as_str().unwrap_or_default().to_owned();
                [part("uri"), part("body")].join("\0").into_bytes()
            }
        })
        .collect()
}
