//! Messages of every protocol to begin damage with.
#![allow(clippy::unwrap_used, dead_code, missing_docs, unreachable_pub, reason = "each test file uses a part of this")]

use std::path::Path;
use std::sync::LazyLock;
use waystream_connectors::decode::parse_hex;
use waystream_connectors::protocols::ALL;

/// Messages of each protocol in the order of the table: HTTP ones as URI, a zero byte and the body.
pub static MESSAGES: LazyLock<Vec<Vec<Vec<u8>>>> =
    LazyLock::new(|| ALL.iter().map(|protocol| messages(protocol.name)).collect());

/// Messages of one protocol.
pub fn messages(protocol: &str) -> Vec<Vec<u8>> {
    if protocol == "json" {
        // Ours: nobody else has recorded any.
        let full = r#"{"device":"a","fix_time":"2025-06-10T06:00:00Z","lat":52.1,"lon":21,"speed_mps":1,"course_deg":2,"accuracy_m":3}"#;
        let short =
            r#"{"device":"b","fix_time":1718000000000,"lat":-52.1,"lon":-21,"attributes":{"ignition":true,"fuel_l":4.5}}"#;
        return [full, short].map(|line| format!("/positions\0{line}\n{short}\n").into_bytes()).to_vec();
    }
    cases(&format!("{protocol}.jsonl"))
        .iter()
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

/// Recorded streams of one protocol: none, if it has none.
pub fn streams(protocol: &str) -> Vec<Vec<u8>> {
    let cases = cases(&format!("{protocol}.frames.jsonl"));
    cases.iter().map(|case| parse_hex(case["input_hex"].as_str().unwrap()).unwrap()).collect()
}

/// The cases of a file in the folder beside the checkout.
fn cases(file: &str) -> Vec<serde_json::Value> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|folder| folder.join("shared/vectors"));
    let folder = beside.into_iter().find(|folder| folder.is_dir()).unwrap();
    let text = std::fs::read_to_string(folder.join(file)).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
