//! Messages that no vector shows: as the makers' documents have them, and of types that are not known yet.
#![allow(clippy::unwrap_used)]

use bytes::{Bytes, BytesMut};
use waystream_connectors::decode::parse_hex;
use waystream_connectors::protocol::{Checksums, Context, Decoded, Transport};
use waystream_connectors::protocols::by_name;
use waystream_domain::{AttributeValue, Timestamp};

/// The frames of a stream that comes in segments of so many bytes, and what each means.
fn stream(protocol: &str, bytes: &[u8], segment: usize) -> Vec<(Bytes, Decoded)> {
    let Transport::Socket { framing, decoder, .. } = by_name(protocol).unwrap().transport else {
        panic!("{protocol} is no stream")
    };
    let (mut framing, mut decoder, mut buffer) = (framing(), decoder(), BytesMut::new());
    let context = Context { checksums: Checksums::Count, ..Context::stream(time("2026-11-25T01:15:33Z")) };
    let mut frames = Vec::new();
    for segment in bytes.chunks(segment) {
        buffer.extend_from_slice(segment);
        while let Some(frame) = framing.next_frame(&mut buffer).unwrap() {
            let decoded = decoder.decode(&frame, &context);
            frames.push((frame, decoded));
        }
    }
    frames
}

/// What the last of some messages of one connection means. Checksums only count: messages here are written by hand.
fn last(protocol: &str, messages: &[&[u8]]) -> Decoded {
    let Transport::Socket { decoder, .. } = by_name(protocol).unwrap().transport else { panic!("{protocol} has no messages") };
    let received_at = time("2026-11-25T01:15:33Z");
    let context = Context { checksums: Checksums::Count, ..Context::stream(received_at) };
    let mut decoder = decoder();
    let mut decoded = Decoded::default();
    for message in messages {
        decoded = decoder.decode(message, &context);
    }
    decoded
}

fn time(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

/// Its one fix: device, time, latitude, longitude.
fn fix(decoded: &Decoded) -> (&str, Timestamp, f64, f64) {
    let [fix] = &decoded.fixes[..] else { panic!("{} fixes, faults {:?}", decoded.fixes.len(), decoded.faults) };
    let device = decoded.device.as_ref().unwrap().as_str();
    (device, fix.fix_time, fix.location.lat_deg(), fix.location.lon_deg())
}

fn attribute<'a>(decoded: &'a Decoded, name: &str) -> Option<&'a AttributeValue> {
    decoded.fixes[0].attributes.get(name)
}

#[test]
fn gt06_finds_the_fix_in_a_type_that_a_make_has_added() {
    let login = b"xx\x0d\x01\x08\x64\x71\x70\x03\x28\x35\x81\x00\x01\x00\x00\r\n";
    // 2024-03-05 06:07:08, 12 satellites, 22.5 N, 114 E, 50 km/h, 90 degrees, valid.
    let place = b"\x18\x03\x05\x06\x07\x08\xcc\x02\x69\xfb\x20\x0c\x3b\x1a\x80\x32\x14\x5a\x01\xcc\x00\x28\x7d";
    for (head, kind) in [(&b"xx\x1c"[..], 0x3b), (b"yy\x00\x1c", 0x5c)] {
        let message = [head, &[kind], place, b"\x00\x02\x00\x00\r\n"].concat();
        let decoded = last("gt06", &[login, &message]);
        let (device, fix_time, lat, lon) = fix(&decoded);
        assert_eq!((device, fix_time), ("864717003283581", time("2024-03-05T06:07:08Z")));
        assert!((lat - 22.5).abs() < 1e-6 && (lon - 114.0).abs() < 1e-6, "{lat} {lon}");
        assert!(decoded.fixes[0].valid && attribute(&decoded, "satellites") == Some(&12.into()));
    }
    // What does not begin so is none, and is kept for another version.
    let decoded = last("gt06", &[login, b"xx\x08\x3b\x01\x02\x03\x00\x02\x00\x00\r\n"]);
    assert!(decoded.fixes.is_empty() && decoded.unread.is_some());
}

/// The example of Navtelecom's own pages: 30 of 255 columns, up to those that the owner names.
#[test]
fn navis_agrees_on_columns_of_the_third_version_and_finds_the_ends_of_their_messages() {
    let login = "404e544301000000000000001300464d2a3e533a383636373935303333333233383634";
    let columns = "404e544301000000000000002a0046742a3e464c4558b01e1efffffe300a0800000002000000002000380020000000000000\
                   0104000000060000";
    let agreed = "404e544300000000010000000900b1a02a3c464c4558b01e1e";
    let record = "6e480000a111a7e6eb668023201b01dac77e6600000000000000000000000000000000000000000000120038080000837a02\
                  00000038ffedffdefd280401110e01360000001600000003000000";
    let packet = format!("7e4102{record}{record}00");
    let frames = stream("navis", &parse_hex(&[login, columns, &packet, &packet].concat()).unwrap(), 1);
    let lengths: Vec<usize> = frames.iter().map(|(frame, _)| frame.len()).collect();
    assert_eq!(lengths, [login.len() / 2, columns.len() / 2, packet.len() / 2, packet.len() / 2]);
    assert_eq!(frames[1].1.replies, [parse_hex(agreed).unwrap()]);
    let decoded = &frames[2].1;
    assert_eq!(decoded.device.as_ref().unwrap().as_str(), "866795033323864");
    // A receiver that has not found a place.
    assert_eq!(decoded.fixes.len(), 2);
    assert!(decoded.fixes.iter().all(|fix| !fix.valid && fix.fix_time == time("2024-06-28T14:25:30Z")), "{:?}", decoded.fixes);
    assert_eq!(attribute(decoded, "battery_v"), Some(&2.104.into()));
}

#[test]
fn dmt_is_told_that_its_records_are_kept_and_what_time_it_is() {
    let login = [&b"\x02U\0\x31\0"[..], &[0; 4], b"353323081669730\0", &[0; 29]].concat();
    let answer = |message: &[u8]| last("dmt", &[&login, message]).replies.concat();
    assert_eq!(answer(b"\x02U\x05\0\0"), b"\x02U\x06\x01\0\x01");
    assert_eq!(answer(b"\x02U\x14\0\0"), b"\x02U\x15\0\0");
    assert_eq!(answer(b"\x02U\x26\0\0"), b"");
    let secs_since_2013 = (time("2026-11-25T01:15:33Z").as_millis() - time("2013-01-01T00:00:00Z").as_millis()) / 1000;
    assert_eq!(answer(b"\x02U\x30\0\0"), [b"\x02U\x31\x04\0", &(secs_since_2013 as u32).to_le_bytes()[..]].concat());
}

#[test]
fn jt808_answers_every_part_of_a_picture_however_many_there_are() {
    // Kind, the bit of parts and a length of 4, id, serial number, 90 parts of which this is the 77th, and what stands for the sum.
    let part = b"\x7e\x08\x01\x20\x04\x01\x38\x12\x34\x56\x78\x00\x4c\x00\x5a\x00\x4d\xff\xd8\xff\xe0\x00\x7e";
    let decoded = last("jt808", &[part]);
    assert_eq!(decoded.device.as_ref().unwrap().as_str(), "13812345678");
    // The general answer: its serial number and kind.
    assert_eq!(decoded.replies.len(), 1);
    assert!(decoded.replies[0].windows(5).any(|window| window == b"\x00\x4c\x08\x01\x00"), "{:02x?}", decoded.replies[0]);
    assert!(decoded.unread.is_some() && decoded.fixes.is_empty());
}

#[test]
fn wialon_takes_the_parts_of_a_picture_for_what_they_are() {
    // Line ends and what looks like a message stand in it; the numbers of the parts end with that of the last.
    let messages = [
        &b"#L#imei;NA\r\n#I#11;0;1;100625;060000;photo.jpg\r\n"[..],
        b"\xff\xd8\r\n#P#\r\n\xff\xff",
        b"#I#5;1;1;100625;060000;photo.jpg\r\n\r\n#\xff\xd9#P#\r\n",
    ];
    for segment in [1, 7, 4096] {
        let frames = stream("wialon", &messages.concat(), segment);
        let replies: Vec<Bytes> = frames.iter().flat_map(|(_, decoded)| decoded.replies.clone()).collect();
        assert_eq!(replies, ["#AL#1\r\n", "#AI#0;1\r\n", "#AI#1;1\r\n", "#AI#1\r\n", "#AP#\r\n"], "segments of {segment}");
        assert!(frames.iter().all(|(_, decoded)| decoded.faults.is_empty()));
    }
}

#[test]
fn meitrack_answers_a_question_for_the_place_with_it() {
    let place = "35,22.540113,114.076141,100313094354,A,5,22,1,174,4,129,0,435,0|0|10133|4110,0000,149|153|173|2707|4";
    let decoded = last("meitrack", &[format!("$$B150,353358017784062,A10,{place},*00\r\n").as_bytes()]);
    assert_eq!(fix(&decoded), ("353358017784062", time("2010-03-13T09:43:54Z"), 22.540_113, 114.076_141));
    assert!(decoded.answer.is_some());
    // Other answers have none.
    let decoded = last("meitrack", &[b"$$B28,353358017784062,A12,OK*00\r\n"]);
    assert!(decoded.fixes.is_empty() && decoded.answer.is_some());
}
