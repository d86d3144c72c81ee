//! Commands to devices: in the bytes that other servers and the makers write, once, and told what became of them.
#![allow(clippy::unwrap_used)]

use crate::cases;
use crate::common;

use cases::{hex, lines, text};
use common::teltonika::{START_MS, Tracker, data, datagram, login, packet};
use common::{System, in_time};
use serde_json::Value;
use std::collections::BTreeSet;
use tokio::net::UdpSocket;
use waystream_connectors::decode::parse_hex;
use waystream_connectors::protocol::{Checksums, Context, Said, Transport};
use waystream_connectors::protocols;
use waystream_domain::{
    AttributeValue, CatalogEdit, CatalogEntry, Command, DeviceId, Event, EventKind, Instruction, LatLon, Progress, Timestamp,
    codec,
};
use waystream_log::{Log, Topic};

const IMEI: &str = "356307042441013";

fn said(protocol: &str, device: &str, instruction: &Instruction, datagram: bool, before: &[&str]) -> Said {
    let Transport::Socket { decoder, .. } = protocols::by_name(protocol).unwrap().transport else { unreachable!() };
    let mut decoder = decoder();
    let received_at = Timestamp::parse("2026-11-25T01:02:03Z").unwrap();
    for frame in before {
        decoder.decode(&parse_hex(frame).unwrap(), &Context::stream(received_at));
    }
    let context = if datagram { Context::datagram(received_at) } else { Context::stream(received_at) };
    decoder.say(&device.parse().unwrap(), instruction, &context)
}

/// What a vector's type and attributes mean.
fn instruction(case: &Value) -> Instruction {
    let attributes = &case["attributes"];
    let number = |key: &str| attributes[key].as_u64().unwrap();
    match text(case, "type") {
        "engineStop" => Instruction::EngineStop,
        "engineResume" => Instruction::EngineResume,
        "positionSingle" => Instruction::RequestPosition,
        "positionPeriodic" => Instruction::ReportEvery { seconds: number("frequency") as u32 },
        "outputControl" => {
            Instruction::SetOutput { output: number("index") as u8, on: attributes["data"].as_str().unwrap() == "1" }
        }
        "rebootDevice" => Instruction::Restart,
        "setTimezone" => {
            let hours: i16 = attributes["timezone"].as_str().unwrap().strip_prefix("GMT").unwrap().parse().unwrap();
            Instruction::SetUtcOffset { minutes: hours * 60 }
        }
        "alarmGeofence" => Instruction::MovementAlarm { radius_m: number("radius") as u16 },
        "firmwareUpdate" => Instruction::UpdateFirmware { url: text(attributes, "data").to_owned() },
        "custom" => {
            let data = text(attributes, "data").to_owned();
            if data.len().is_multiple_of(2) && data.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                Instruction::Bytes { hex: data }
            } else {
                Instruction::Text { text: data }
            }
        }
        other => panic!("no instruction for {other}"),
    }
}

#[test]
fn commands_are_those_of_the_vectors() {
    let meant: BTreeSet<(String, usize)> = include_str!("command_differences.tsv")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            assert!(fields.len() == 3 && !fields[2].is_empty(), "{line}");
            (fields[0].to_owned(), fields[1].parse().unwrap())
        })
        .collect();
    let (mut cases, mut found) = (0, BTreeSet::new());
    let mut report = String::new();
    for protocol in protocols::ALL {
        for (number, case) in (1..).zip(lines(&format!("{}.commands.jsonl", protocol.name))) {
            cases += 1;
            let datagram = text(&case, "test").ends_with("Udp");
            let ours = said(protocol.name, text(&case, "device_unique_id"), &instruction(&case), datagram, &[]);
            let ours = ours.map_or_else(|reason| reason.to_string(), |bytes| hex(&bytes));
            if ours != text(&case, "expected_hex") {
                found.insert((protocol.name.to_owned(), number));
                report += &format!("\n{} {number}: {ours}, not {}", protocol.name, text(&case, "expected_hex"));
            }
        }
    }
    assert!(cases >= 20, "{cases} cases");
    assert_eq!(found, meant, "{report}");
}

/// What the makers' manuals have: no vectors have been recorded for these.
#[test]
fn commands_without_vectors_are_those_of_the_manuals() {
    use Instruction::{EngineResume, EngineStop, ReportEvery, RequestPosition, Restart};
    let every = |seconds| ReportEvery { seconds };
    let text = |text: &str| Instruction::Text { text: text.into() };
    let cases: [(&str, Instruction, &str); 23] = [
        ("h02", EngineStop, "*HQ,356307042441013,S20,010203,1,1#"),
        ("h02", EngineResume, "*HQ,356307042441013,S20,010203,1,0#"),
        ("h02", every(60), "*HQ,356307042441013,S71,010203,22,60#"),
        ("h02", text("S26,010203"), "*HQ,356307042441013,S26,010203#"),
        ("gps103", EngineStop, "**,imei:356307042441013,J"),
        ("gps103", EngineResume, "**,imei:356307042441013,K"),
        ("gps103", RequestPosition, "**,imei:356307042441013,B"),
        ("gps103", every(20), "**,imei:356307042441013,C,20s"),
        ("gps103", every(300), "**,imei:356307042441013,C,05m"),
        ("gps103", every(7200), "**,imei:356307042441013,C,02h"),
        ("meitrack", RequestPosition, "@@Q25,356307042441013,A10*57\r\n"),
        ("meitrack", EngineStop, "@@M33,356307042441013,C01,0,12222*D5\r\n"),
        ("meitrack", every(60), "@@Q27,356307042441013,A12,6*BD\r\n"),
        ("suntech", EngineStop, "SA200CMD;356307042441013;02;Enable1\r"),
        ("suntech", EngineResume, "SA200CMD;356307042441013;02;Disable1\r"),
        ("suntech", RequestPosition, "SA200CMD;356307042441013;02;StatusReq\r"),
        ("suntech", Restart, "SA200CMD;356307042441013;02;Reboot\r"),
        ("gl200", EngineStop, "AT+GTOUT=,1,,,0,0,0,0,0,0,0,,,,,,,FFFF$"),
        ("gl200", EngineResume, "AT+GTOUT=,0,,,0,0,0,0,0,0,0,,,,,,,FFFF$"),
        ("gl200", RequestPosition, "AT+GTRTO=,1,,,,,,FFFF$"),
        ("gl200", Restart, "AT+GTRTO=,3,,,,,,FFFF$"),
        ("gl200", text("AT+GTRTO=gv300,B,,,,,,0001"), "AT+GTRTO=gv300,B,,,,,,0001$"),
        ("ulbotech", text("PSW"), "*TS01,PSW#"),
    ];
    for (protocol, instruction, expected) in cases {
        let bytes = said(protocol, IMEI, &instruction, false, &[]).unwrap();
        assert_eq!(String::from_utf8_lossy(&bytes), expected, "{protocol} {instruction:?}");
    }
}

#[test]
fn commands_are_headed_as_the_device_heads_its_messages() {
    // A terminal of edition 2019 has ten bytes of id and a version, which are repeated.
    let heartbeat = "7e0002400001000000000160000200130001327e";
    let stop = said("jt808", "16000020013", &Instruction::EngineStop, false, &[heartbeat]).unwrap();
    assert_eq!(hex(&stop), "7e8105400101000000000160000200130001f0457e");
    // Without a message it is taken for one of the older editions.
    let every = said("jt808", "16000020013", &Instruction::ReportEvery { seconds: 30 }, false, &[]).unwrap();
    assert_eq!(hex(&every), "7e8103000a01600002001300010100000029040000001ecb7e");

    let report = hex(b"ST300STT;205027329;04;374;20140909;14:04:22;0;-03.1;-060.0;0;0;0;0;0;12;000000;1;1");
    let restart = said("suntech", "205027329", &Instruction::Restart, false, &[&report]).unwrap();
    assert_eq!(&restart[..], b"ST300CMD;205027329;02;Reboot\r");
    let report = hex(b"STT;0560000186;3FFFFF;52;1.0.14;0;20161117;08:37:39;0000004F;450;0;0014;20;+22.6;+114.0");
    let stop = said("suntech", "0560000186", &Instruction::EngineStop, false, &[&report]).unwrap();
    assert_eq!(&stop[..], b"CMD;0560000186;04;01\r");

    let report =
        hex(b"+RESP:GTFRI,270100,356307042441013,gv300,,00,1,1,4.3,92,70.0,121.354335,31.222073,20090214013254,0,11F0$");
    let resume = said("gl200", IMEI, &Instruction::EngineResume, false, &[&report]).unwrap();
    assert!(resume.starts_with(b"AT+GTOUT=gv300,0,"));
}

#[test]
fn what_a_protocol_cannot_say_is_told_and_bytes_go_as_they_are() {
    let reason = said("xexun", IMEI, &Instruction::EngineStop, false, &[]).unwrap_err();
    assert_eq!(reason, "nothing but bytes can be said in this protocol");
    let reason = said("castel", IMEI, &Instruction::Restart, false, &[]).unwrap_err();
    assert_eq!(reason, "the protocol has no restart");
    let bytes = Instruction::Bytes { hex: "0aFf".into() };
    assert_eq!(&said("xexun", IMEI, &bytes, false, &[]).unwrap()[..], [0x0a, 0xff]);
    assert_eq!(&said("castel", IMEI, &bytes, false, &[]).unwrap()[..], [0x0a, 0xff]);
}

#[test]
fn the_answers_of_devices_are_understood() {
    let answer = |protocol: &str, frames: &[&[u8]]| {
        let Transport::Socket { decoder, .. } = protocols::by_name(protocol).unwrap().transport else { unreachable!() };
        let mut decoder = decoder();
        let context = Context { checksums: Checksums::Count, ..Context::stream(Timestamp::default()) };
        let answers: Vec<_> = frames.iter().filter_map(|frame| decoder.decode(frame, &context).answer).collect();
        answers.last().cloned().unwrap_or_default().to_string()
    };
    let login = parse_hex("78780d01035865704312345600012e310d0a").unwrap();
    let short = parse_hex("787816150e0000000052656c6179204f4b3a3100020002acdc0d0a").unwrap();
    assert_eq!(answer("gt06", &[&login, &short]), "Relay OK:1");
    let long = parse_hex("7979001421000000000152656c6179204f4b3a31000347940d0a").unwrap();
    assert_eq!(answer("gt06", &[&login, &long]), "Relay OK:1");
    assert_eq!(answer("h02", &[b"*HQ,4106000000,V4,S20,DONE,130305,050316,160704#"]), "S20,DONE,130305,050316,160704");
    assert_eq!(
        answer("gl200", &[b"+ACK:GTOUT,270100,356307042441013,,0000,20090214093254,11F0"]).split(',').next(),
        Some("+ACK:GTOUT")
    );
    assert_eq!(answer("suntech", &[b"ST300CMD;Res;205027329;04;374;Reboot"]), "ST300CMD;Res;205027329;04;374;Reboot");
    assert_eq!(answer("meitrack", &[b"$$M28,356307042441013,C01,OK*00\r\n"]), "C01,OK");
    assert_eq!(
        answer("gps103", &[b"imei:356307042441013,jt,0809231429,13554900601,F,062947.294,A,2234.4026,N,11354.3277,E,0.00,"]),
        "jt"
    );
    let confirmed = parse_hex("7e0001000501600002001300020001810500f37e").unwrap();
    assert_eq!(answer("jt808", &[&confirmed]), "done");
    let codec_12 = parse_hex("00000000000000370c01060000002f4449313a31204449323a30204449333a302041494e313a302041494e323a313639323420444f313a3020444f323a3101000066e3").unwrap();
    assert_eq!(
        answer("teltonika", &[&common::teltonika::login(IMEI), &codec_12]),
        "DI1:1 DI2:0 DI3:0 AIN1:0 AIN2:16924 DO1:0 DO2:1"
    );
}

fn command(id: &str, instruction: Instruction) -> Command {
    let now = now();
    Command {
        id: id.parse().unwrap(),
        device: IMEI.parse().unwrap(),
        instruction,
        by: "jane".parse().unwrap(),
        queued_at: now,
        expires_at: now.plus_millis(3_600_000),
        place: LatLon::new(52.0, 21.0),
        progress: Progress::Queued,
    }
}

fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::from_millis(since.as_millis() as i64).unwrap()
}

async fn queue(system: &System, command: Command) {
    system
        .catalog
        .edit(&waystream_domain::Actor::CommandLine, vec![CatalogEdit::Put(CatalogEntry::Command(command))])
        .await
        .unwrap();
}

/// Returns when this command has come so far.
async fn reached(system: &System, id: &str, state: &str) -> Progress {
    let device: DeviceId = IMEI.parse().unwrap();
    let mut edits = system.catalog.subscribe();
    loop {
        let found = {
            let catalog = system.catalog.shared();
            let catalog = catalog.read().unwrap();
            catalog.commands_of(&device).find(|command| command.id.as_str() == id).map(|command| command.progress.clone())
        };
        if let Some(progress) = found.filter(|progress| progress.name() == state) {
            return progress;
        }
        in_time(edits.recv()).await.unwrap();
    }
}

async fn events(system: &System) -> Vec<Event> {
    let from = (0..system.gate.partitions(Topic::Events)).map(|partition| ((Topic::Events, partition), 0)).collect();
    let mut reader = system.gate.read(Topic::Events, &from).await.unwrap();
    let mut all = Vec::new();
    while let Some(batch) = reader.try_next(1000).await.unwrap() {
        all.extend(batch.entries.iter().map(|entry| codec::decode_event(entry.value.as_ref().unwrap()).unwrap()));
    }
    all
}

fn attribute(event: &Event, name: &str) -> String {
    match event.attributes.get(name) {
        Some(AttributeValue::Text(text)) => text.to_string(),
        other => panic!("{name} is {other:?}"),
    }
}

/// The codec 12 packet that says a text: the kind is 5 from us, 6 from the device.
fn codec_12(kind: u8, text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).unwrap();
    packet(&[&[0x0c, 1, kind], &length.to_be_bytes()[..], text.as_bytes(), &[1]].concat())
}

#[tokio::test]
async fn a_command_waits_for_its_device_is_sent_once_and_its_answer_is_an_event() {
    let system = System::start().await;
    // The device is known, but not there.
    drop(Tracker::login(system.address("teltonika"), IMEI).await);
    queue(&system, command("1", Instruction::EngineStop)).await;

    let mut tracker = Tracker::login(system.address("teltonika"), IMEI).await;
    let expected = codec_12(5, "setdigout 1");
    assert_eq!(tracker.answer(expected.len()).await.unwrap(), expected);
    reached(&system, "1", "sent").await;
    tracker.send(&codec_12(6, "DOUTS are set to:1")).await;
    let Progress::Answered { answer, .. } = reached(&system, "1", "answered").await else { unreachable!() };
    assert_eq!(answer, "DOUTS are set to:1");

    let events = events(&system).await;
    let told: Vec<(EventKind, &str)> = events.iter().map(|event| (event.kind, event.device.as_str())).collect();
    assert_eq!(told, [(EventKind::CommandSent, IMEI), (EventKind::CommandAnswered, IMEI)]);
    assert_eq!(attribute(&events[0], "instruction"), "engine_stop");
    assert_eq!(attribute(&events[0], "by"), "jane");
    assert_eq!(attribute(&events[1], "answer"), "DOUTS are set to:1");
    assert_eq!(Some(events[0].location), LatLon::new(52.0, 21.0));

    // It has been said: no further connection hears it again.
    let mut again = Tracker::login(system.address("teltonika"), IMEI).await;
    assert_eq!(again.report(&data(START_MS, 1)).await.unwrap(), 1);
    assert!(again.is_unanswered());
    // One that is there is told at once, and where it is is known now.
    queue(&system, command("2", Instruction::RequestPosition)).await;
    let expected = codec_12(5, "getgps");
    assert_eq!(again.answer(expected.len()).await.unwrap(), expected);
    reached(&system, "2", "sent").await;
    assert_eq!(self::events(&system).await[2].location, LatLon::new(52.1, 21.0).unwrap());
    system.stop().await;
}

#[tokio::test]
async fn a_command_that_may_have_been_sent_is_told_so_and_not_sent_again() {
    let system = System::start().await;
    drop(Tracker::login(system.address("teltonika"), IMEI).await);
    queue(&system, command("1", Instruction::EngineStop)).await;
    // An earlier run has claimed it, and then died.
    let claimed = Progress::Sending { at: now(), by: "an earlier run/0".into() };
    queue(&system, Command { progress: claimed, ..command("1", Instruction::EngineStop) }).await;
    let mut tracker = Tracker::login(system.address("teltonika"), IMEI).await;
    reached(&system, "1", "uncertain").await;
    assert_eq!(tracker.report(&data(START_MS, 1)).await.unwrap(), 1);
    assert!(tracker.is_unanswered());
    let events = events(&system).await;
    assert_eq!((events.len(), events[0].kind), (1, EventKind::CommandFailed));
    assert_eq!(attribute(&events[0], "reason"), "uncertain");
    system.stop().await;
}

#[tokio::test]
async fn what_is_too_late_or_cannot_be_said_is_told_and_what_is_behind_it_sent() {
    let system = System::start().await;
    drop(Tracker::login(system.address("teltonika"), IMEI).await);
    queue(&system, Command { expires_at: now(), ..command("1", Instruction::EngineStop) }).await;
    queue(&system, command("2", Instruction::SetUtcOffset { minutes: 60 })).await;
    queue(&system, command("3", Instruction::Text { text: "getver".into() })).await;
    let mut tracker = Tracker::login(system.address("teltonika"), IMEI).await;
    let expected = codec_12(5, "getver");
    assert_eq!(tracker.answer(expected.len()).await.unwrap(), expected);
    reached(&system, "3", "sent").await;
    let events = events(&system).await;
    let told: Vec<(EventKind, String)> = events.iter().map(|event| (event.kind, attribute(event, "command"))).collect();
    let failed = EventKind::CommandFailed;
    assert_eq!(told, [(failed, "1".into()), (failed, "2".into()), (EventKind::CommandSent, "3".into())]);
    assert_eq!(attribute(&events[0], "reason"), "expired");
    assert_eq!(attribute(&events[1], "reason"), "the protocol has no set_utc_offset");
    system.stop().await;
}

#[tokio::test]
async fn one_that_sends_datagrams_is_told_when_it_has_sent_one() {
    let system = System::start().await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(system.address("teltonika")).await.unwrap();
    let mut buffer = [0; 256];
    socket.send(&datagram(IMEI, 1, &data(START_MS, 1))).await.unwrap();
    assert_eq!(in_time(socket.recv(&mut buffer)).await.unwrap(), 7);
    queue(&system, command("1", Instruction::EngineStop)).await;
    socket.send(&datagram(IMEI, 2, &data(START_MS + 1000, 1))).await.unwrap();
    assert_eq!(in_time(socket.recv(&mut buffer)).await.unwrap(), 7);
    let length = in_time(socket.recv(&mut buffer)).await.unwrap();
    assert_eq!(buffer[..length], codec_12(5, "setdigout 1"));
    reached(&system, "1", "sent").await;
    system.stop().await;
}

#[tokio::test]
async fn of_two_connections_that_come_at_once_one_hears_the_command() {
    let system = System::start().await;
    drop(Tracker::login(system.address("teltonika"), IMEI).await);
    for number in 0..20 {
        queue(&system, command(&format!("{number:02}"), Instruction::Text { text: format!("text {number:02}") })).await;
    }
    let expected = codec_12(5, "text 00").len();
    let mut heard = Vec::new();
    let mut trackers = Vec::new();
    for _ in 0..4 {
        // Each one replaces the one before it, in the middle of what that is told.
        let mut tracker = Tracker::connect(system.address("teltonika")).await;
        tracker.send(&login(IMEI)).await;
        trackers.push(tracker);
    }
    reached(&system, "19", "sent").await;
    for tracker in &mut trackers {
        if tracker.answer(1).await.is_ok() {
            let mut bytes = vec![0; expected];
            while let Ok(length) = tracker.stream.try_read(&mut bytes) {
                if length == 0 {
                    break;
                }
                heard.extend_from_slice(&bytes[..length]);
            }
        }
    }
    let said: Vec<String> = (0..20).map(|number| format!("text {number:02}")).collect();
    let heard = String::from_utf8_lossy(&heard).into_owned();
    for text in said {
        assert_eq!(heard.matches(&text).count(), 1, "{text} in {heard:?}");
    }
    system.stop().await;
}
