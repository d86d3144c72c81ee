//! A record that is bad costs only itself: the rest of its packet is kept, and the device is answered as if it were good, or it
//! would send the same packet for ever.
#![allow(clippy::unwrap_used)]

#[path = "common/cases.rs"]
mod cases;

use cases::{is_comparable, lines, text};
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
            let frames = cases::frames(case);
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

/// A message with one field left out.
fn without(protocol: &str, message: &str, separator: char, field: usize) -> Decoded {
    let mut fields: Vec<&str> = message.split(separator).collect();
    fields[field] = "";
    let frame = fields.join(&separator.to_string()).into_bytes();
    last(protocols::by_name(protocol).unwrap(), &[frame], None)
}

#[test]
fn a_fix_without_speed_course_or_height_is_still_one() {
    let t55_id = "4711/022789000688081/";
    for (protocol, message, fields) in [
        (
            "gps103",
            "imei:861359038609986,A,---,------,----,214734,241018,26,1,-33.4,-70.6,067,229,0674,1.00,08,0,1,---,*",
            11..=15,
        ),
        (
            "telic",
            "052028495198,160917073641,0,160917073642,43879,511958,3,24,223,17,,,-3,142379,,0010,00,64,205,0,0499",
            7..=9,
        ),
        (
            "easytrack",
            "*ET,358155100054249,HB,A,100b06,053318,803a0b51,03d507c9,0017,0000,00400000,07,100,0000,1435,63",
            8..=15,
        ),
        ("t55", "QZE,868994033976700,35,28062020,113553,22.13673,114.57263,7,22,A,0", 7..=8),
        ("t55", &format!("{t55_id}$GPRMC,133343,A,5308.56325,N,1029.12850,E,0.5,0.1,290316,,"), 7..=8),
        ("wialon", "1234567890#SD#100625;060000;5206.0;N;02100.0;E;10;90;100;8", 6..=8),
        ("h02", "*HQ,135790246811220,V1,060000,A,5206.0,N,02100.0,E,10.00,90,100625,FFFFFFFF#", 9..=10),
        (
            "meitrack",
            "$$B150,353358017784062,AAA,35,22.5,114.0,100313094354,A,5,22,1,174,4,129,0,435,0|0|10133|4110,0000,149|153|173|2707|4,*00",
            9..=14,
        ),
    ] {
        let separator = if message.contains(';') { ';' } else { ',' };
        // It is one as it stands.
        assert_eq!(
            last(protocols::by_name(protocol).unwrap(), &[message.as_bytes().to_vec()], None).fixes.len(),
            1,
            "{message}"
        );
        for field in fields {
            let decoded = without(protocol, message, separator, field);
            assert_eq!(decoded.fixes.len(), 1, "{protocol} without field {field}: {:?}", decoded.faults);
            assert!(decoded.fixes[0].valid, "{protocol} without field {field}");
        }
    }
}
