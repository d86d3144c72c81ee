//! What `waystream decode` prints.
#![allow(clippy::unwrap_used)]

use crate::cases;

use waystream_connectors::decode::{DecodeRequest, Input, again, parse_hex, run};
use waystream_connectors::protocol::{Checksums, Context, Fix, Transport};
use waystream_connectors::protocols;
use waystream_connectors::quarantine::Kept;
use waystream_domain::{DeviceId, Timestamp};

const LOGIN: &str = "000f313233343536373839303132333435";
const PACKET: &str =
    "000000000000002b080100000140d4e3ec6e000cc661d01674a5e0fffc00000900000004020100f0000242322318000000000100007a04";

/// Whether all was understood, the lines of output, the lines of faults.
fn decode(protocol: &str, input: Input, replies: bool) -> (bool, Vec<String>, Vec<String>) {
    let request = DecodeRequest {
        protocol: protocols::by_name(protocol).unwrap(),
        input,
        replies,
        checksums: Checksums::Count,
        received_at: Timestamp::parse("2026-01-01T00:00:00Z").unwrap(),
    };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let understood = run(&request, &mut out, &mut err).unwrap();
    let lines = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect();
    (understood, lines(out), lines(err))
}

#[test]
fn a_stream_becomes_lines_of_positions_and_replies() {
    let stream = parse_hex(&[LOGIN, PACKET].concat()).unwrap();
    let (understood, out, err) = decode("teltonika", Input::Stream(stream), true);
    assert!(understood);
    assert_eq!(
        out,
        [
            r#"{"frame":0,"reply_hex":"01"}"#,
            r#"{"frame":1,"device_id":"123456789012345","fix_time":"2013-08-31T15:00:41.710Z","valid":true,"lat":37.6743392,"lon":21.432776,"altitude_m":-4.0,"speed_kmh":0.0,"course_deg":0.0,"attributes":{"event":0,"in.1":false,"io.24":0,"motion":false,"power_v":12.835,"priority":0,"satellites":9}}"#,
            r#"{"frame":1,"reply_hex":"00000001"}"#,
        ]
    );
    assert_eq!(err, [""; 0]);
}

#[test]
fn a_fault_is_told_with_its_frame() {
    let (understood, out, err) = decode("teltonika", Input::Frames(vec![parse_hex(PACKET).unwrap()]), true);
    assert!(!understood);
    assert_eq!(out, [""; 0]);
    assert_eq!(err, ["frame 0: no_device: a packet before the login"]);

    // Line ends behind the last message are no fault.
    let message = "$$N127,863071013803066,AAA,35,-1.302680,36.852135,150409211026,A,9,0,0.1,0,5,1653,4096,32648,639|02|1004|90C,0000,0|0|0|3FF|300,*7C\r\n\r\n";
    assert!(decode("meitrack", Input::Stream(message.into()), false).0);

    let (understood, _, err) = decode("teltonika", Input::Stream(parse_hex("000f3132").unwrap()), false);
    assert!(!understood);
    assert_eq!(err, ["frame 0: malformed: 4 bytes at the end are no whole frame"]);
}

#[test]
fn requests_of_http_protocols_come_whole_or_as_query_or_json() {
    let query = "id=7&lat=60.5&lon=30&timestamp=1377177267&speed=10";
    let whole = format!("GET /?{query} HTTP/1.1\r\nHost: x\r\n\r\n");
    let post = format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n{query}", query.len());
    let twice = format!("{whole}{post}");
    let position = |frame: usize| {
        format!(
            r#"{{"frame":{frame},"device_id":"7","fix_time":"2013-08-22T13:14:27.000Z","valid":true,"lat":60.5,"lon":30.0,"altitude_m":null,"speed_kmh":18.52,"course_deg":null,"attributes":{{}}}}"#
        )
    };
    for input in [query, &whole, &post] {
        assert_eq!(decode("osmand", Input::Stream(input.into()), false), (true, vec![position(0)], vec![]));
    }
    assert_eq!(decode("osmand", Input::Stream(twice.into()), false), (true, vec![position(0), position(1)], vec![]));

    let json = r#"{"_type":"location","lat":60.5,"lon":30,"tst":1377177267,"tid":"7","vel":18.52}"#;
    let (understood, out, _) = decode("owntracks", Input::Frames(vec![json.into()]), true);
    assert!(understood);
    assert_eq!(out, [position(0), r#"{"frame":0,"http_status":200,"reply_hex":"5b5d"}"#.to_owned()]);
}

#[test]
fn text_that_is_not_hexadecimal_is_refused() {
    assert_eq!(parse_hex("0A 0b\n").unwrap(), [10, 11]);
    for text in ["0", "0g", "+1"] {
        assert!(parse_hex(text).is_err(), "{text}");
    }
}

#[test]
fn a_message_of_the_quarantine_whose_login_was_not_kept_is_of_the_device_that_it_was_kept_for() {
    let packet = "000000000000003608010000016b40d8ea30010000000000000000000000000000000105021503010101425e0f01f10000601a014e0000000000000000010000c7cf";
    let kept = |device: Option<&str>| Kept {
        received_at: Timestamp::parse("2019-06-10T10:04:50Z").unwrap(),
        protocol: "teltonika".into(),
        device: device.map(|device| DeviceId::new(device).unwrap()),
        peer: None,
        reason: "an old version".into(),
        datagram: false,
        login_hex: None,
        hex: packet.into(),
    };
    let decoded = again(&kept(Some("356307042441013"))).unwrap();
    assert_eq!((decoded.device.unwrap().as_str(), decoded.fixes.len()), ("356307042441013", 1));
    assert_eq!(again(&kept(None)).unwrap().fixes.len(), 0);
}

#[test]
fn of_every_recorded_message_it_prints_what_the_decoder_makes_of_it() {
    let mut positions = 0;
    for protocol in protocols::ALL {
        let Transport::Socket { decoder, .. } = protocol.transport else { continue };
        for case in cases::lines(&format!("{}.jsonl", protocol.name)) {
            let frames = cases::frames(&case);
            let context =
                Context { checksums: Checksums::Count, ..Context::stream(Timestamp::parse("2026-01-01T00:00:00Z").unwrap()) };
            let mut decoder = decoder();
            let (mut wanted, mut good) = (Vec::new(), true);
            for frame in &frames {
                let decoded = decoder.decode(frame, &context);
                good &= decoded.faults.is_empty();
                let place = |fix: &Fix| format!("{} {:?} {:?}", fix.fix_time, fix.location.lat_deg(), fix.location.lon_deg());
                wanted.extend(decoded.fixes.iter().map(place));
            }
            let (understood, printed, _) = decode(protocol.name, Input::Frames(frames), false);
            let printed: Vec<String> = printed
                .iter()
                .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
                .map(|line| format!("{} {} {}", line["fix_time"].as_str().unwrap(), line["lat"], line["lon"]))
                .collect();
            assert_eq!((&printed, understood), (&wanted, good), "{}", case["test_case_id"]);
            positions += printed.len();
        }
    }
    assert!(positions > 1000, "{positions}");
}

#[test]
fn a_time_that_is_too_short_does_no_harm() {
    // Found by fuzzing Totem.
    let digits = "2424303439344532313233343536373839303132333432353232333934352c3131332e3932353532352c313039303036373331387c7b3436302c302c32303439342c35343030337d0a7b347a36302c302c32303935312c31393536397d0a2c30313030302e3730303030303030323234352e333931394e31303233312e36393532573030303030312b363045";
    let message = parse_hex(digits).unwrap();
    let (first, second) = message.split_at(70);
    for frames in [vec![message.clone()], vec![first.to_vec(), second.to_vec()]] {
        let (_, out, _) = decode("totem", Input::Frames(frames), false);
        assert!(out.is_empty(), "{out:?}");
    }
}

#[test]
fn a_number_that_no_vehicle_has_driven_does_no_harm() {
    // Found by fuzzing: kilometres and hundreds of metres of an odometer with all the digits that it may have.
    let text = "*ET,358155100054249,HB,A,100b06,053318,803a0b51,03d507c9,0017,0000,00400000,07,100,0000,7fffffffffffffff,63";
    let (understood, out, _) = decode("easytrack", Input::Frames(vec![text.into()]), false);
    assert!(understood && out.len() == 1);
}
