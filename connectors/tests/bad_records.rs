//! A record that is bad costs only itself: the rest of its packet is kept, and the device is answered as if it were good, or it
//! would send the same packet for ever.
#![allow(clippy::unwrap_used)]

#[path = "common/cases.rs"]
mod cases;

use cases::{is_comparable, lines, text};
use waystream_connectors::decode::parse_hex;
use waystream_connectors::protocol::{Checksums, Context, Decoded, FaultKind, Protocol, Transport};
use waystream_connectors::protocols;
use waystream_domain::Timestamp;

/// Longer packets repeat what shorter ones show.
const MAX_FRAME_BYTES: usize = 800;

/// The last frame of a case, decoded after those before it; with the byte at `change` replaced.
fn last(protocol: &Protocol, frames: &[Vec<u8>], change: Option<(usize, u8)>) -> Decoded {
    let Transport::Socket { decoder, .. } = protocol.transport else { return Decoded::default() };
    let received_at = Timestamp::parse("2026-11-25T01:15:33Z").unwrap();
    let context = Context { checksums: Checksums::Count, ..Context::stream(received_at) };
    let mut decoder = decoder();
    let (last, before) = frames.split_last().unwrap();
    for frame in before {
        decoder.decode(frame, &context);
    }
    let mut last = last.clone();
    if let Some((at, byte)) = change {
        last[at] = byte;
    }
    decoder.decode(&last, &context)
}

fn is_bad_record(kind: FaultKind) -> bool {
    matches!(kind, FaultKind::OutOfRange | FaultKind::BadTime)
}

#[test]
fn a_bad_record_leaves_the_others_and_the_answer() {
    let mut report = String::new();
    let (mut tried, mut kept_others) = (0, 0);
    for protocol in protocols::ALL {
        for case in lines(&format!("{}.jsonl", protocol.name)).iter().filter(|case| is_comparable(case)) {
            let frames: Vec<Vec<u8>> = case["frames"]
                .as_array()
                .unwrap()
                .iter()
                .filter_map(|frame| frame["hex"].as_str())
                .map(|digits| parse_hex(digits).unwrap())
                .collect();
            let Some(frame) = frames.last() else { continue };
            if frame.len() > MAX_FRAME_BYTES {
                continue;
            }
            let whole = last(protocol, &frames, None);
            if whole.fixes.is_empty() || whole.faults.iter().any(|fault| fault.kind != FaultKind::Checksum) {
                continue;
            }
            // A byte of latitude or time that turns it into nonsense: every one is tried, as nothing here knows where they are.
            for at in 0..frame.len() {
                for byte in [0xff, 0x7f, b'9'] {
                    let damaged = last(protocol, &frames, Some((at, byte)));
                    let mut faults = damaged.faults.iter().filter(|fault| fault.kind != FaultKind::Checksum).peekable();
                    if faults.peek().is_none() || !faults.clone().all(|fault| is_bad_record(fault.kind)) {
                        continue;
                    }
                    tried += 1;
                    let lost = faults.count();
                    kept_others += damaged.fixes.len();
                    let lengths = |decoded: &Decoded| decoded.replies.iter().map(|reply| reply.len()).collect::<Vec<_>>();
                    // Records that are parts of one fix may lose one part and keep the fix.
                    if damaged.fixes.len() + lost < whole.fixes.len() || lengths(&damaged) != lengths(&whole) {
                        report += &format!(
                            "\n{} {} byte {at} = {byte:02x}: {} fixes and {lost} faults of {}, answers {:02x?}, not {:02x?}; {:?}",
                            protocol.name,
                            text(case, "test_case_id"),
                            damaged.fixes.len(),
                            whole.fixes.len(),
                            damaged.replies,
                            whole.replies,
                            damaged.faults
                        );
                    }
                }
            }
        }
    }
    assert!(tried > 1000 && kept_others > 1000, "{tried} damaged records, {kept_others} others kept");
    assert!(report.is_empty(), "{report}");
}
