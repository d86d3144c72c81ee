//! OsmAnd and OwnTracks over HTTP: 200 only when the log has it.
#![allow(clippy::unwrap_used)]

use crate::common;

use common::{System, in_time, short};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use waystream_connectors::{ConnectorsConfig, Limits, UnknownDevices};

const OWNTRACKS: &str = r#"{"_type":"location","lat":52.1,"lon":21.0,"tst":1718000000,"tid":"JJ"}"#;

async fn connect(address: SocketAddr) -> TcpStream {
    in_time(TcpStream::connect(address)).await.unwrap()
}

fn request(method: &str, target: &str, body: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// The status and body of the next response on this connection.
async fn response(stream: &mut TcpStream) -> (u16, String) {
    let mut bytes = Vec::new();
    let head = loop {
        bytes.push(in_time(stream.read_u8()).await.unwrap());
        if bytes.ends_with(b"\r\n\r\n") {
            break String::from_utf8(bytes).unwrap();
        }
    };
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    in_time(stream.read_exact(&mut body)).await.unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), String::from_utf8(body).unwrap())
}

async fn ask(address: SocketAddr, request: &str) -> (u16, String) {
    let mut stream = connect(address).await;
    stream.write_all(request.as_bytes()).await.unwrap();
    response(&mut stream).await
}

#[tokio::test]
async fn osmand_is_answered_only_when_the_log_has_it() {
    let system = System::start().await;
    let mut stream = connect(system.address("osmand")).await;
    system.gate.close();
    let target = "/?id=123456&lat=52.1&lon=21.0&timestamp=1718000000&speed=10&bearing=90&batt=50";
    stream.write_all(request("GET", target, "").as_bytes()).await.unwrap();
    system.gate.held_up(1).await;
    assert!(stream.try_read(&mut [0; 16]).is_err());
    assert_eq!(system.positions().await, []);
    system.gate.open();
    assert_eq!(response(&mut stream).await.0, 200);
    let positions = system.positions().await;
    assert_eq!((positions.len(), positions[0].device.as_str(), positions[0].protocol.as_str()), (1, "123456", "osmand"));
    // The connection may be used again.
    stream.write_all(request("POST", &target.replace("1718000000", "1718000001"), "").as_bytes()).await.unwrap();
    assert_eq!(response(&mut stream).await.0, 200);
    assert_eq!(system.positions().await.len(), 2);
    system.stop().await;
}

#[tokio::test]
async fn a_device_that_floods_is_answered_more_slowly_and_loses_nothing() {
    let limits = Limits { max_messages_per_device_s: 4, ..Limits::default() };
    let system = System::start_with(ConnectorsConfig { limits, ..ConnectorsConfig::default() }).await;
    let mut flood = connect(system.address("osmand")).await;
    let begun = Instant::now();
    // Forty may come at once, and then four a second.
    for n in 0..50 {
        let target = format!("/?id=123456&lat=52.1&lon=21.0&timestamp={}", 1_718_000_000 + n);
        flood.write_all(request("GET", &target, "").as_bytes()).await.unwrap();
        assert_eq!(response(&mut flood).await.0, 200);
    }
    // On no machine sooner.
    assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!(system.positions().await.len(), 50);
    system.stop().await;
}

#[tokio::test]
async fn a_server_that_posts_too_often_of_one_device_is_answered_more_slowly() {
    let limits = Limits { max_messages_per_device_s: 4, ..Limits::default() };
    let system = System::start_with(ConnectorsConfig { limits, ..ConnectorsConfig::default() }).await;
    let mut server = connect(system.address("json")).await;
    let begun = Instant::now();
    // Forty of each device may come at once, and then four a second.
    for n in 0..50 {
        let line =
            |device: &str| format!(r#"{{"device":"{device}","fix_time":{},"lat":52.1,"lon":21.0}}"#, 1_718_000_000_000_i64 + n);
        let body = [line("van-1"), line(&format!("other-{n}"))].join("\n");
        server.write_all(request("POST", "/positions", &body).as_bytes()).await.unwrap();
        assert_eq!(response(&mut server).await.0, 200);
    }
    // On no machine sooner.
    assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!(system.positions().await.len(), 100);
    system.stop().await;
}

#[tokio::test]
async fn owntracks_is_answered_with_an_empty_list() {
    let system = System::start().await;
    assert_eq!(ask(system.address("owntracks"), &request("POST", "/", OWNTRACKS)).await, (200, "[]".into()));
    assert_eq!(system.positions().await[0].device.as_str(), "JJ");
    system.stop().await;
}

#[tokio::test]
async fn requests_that_make_no_sense_are_refused_and_harm_nobody() {
    let system = System::start().await;
    let osmand = system.address("osmand");
    let too_large = request("POST", "/?id=1", &"x".repeat(1 << 20));
    for (request, status) in [
        (request("GET", "/?lat=52.1&lon=21.0", ""), 400),
        // Sending it again would not make it better.
        (request("GET", "/?id=1&lat=91&lon=21.0&timestamp=1718000000", ""), 200),
        (too_large, 413),
        ("GARBAGE\r\n\r\n".to_owned(), 400),
    ] {
        let mut stream = connect(osmand).await;
        // The answer may come, and the connection end, before all is written.
        let (mut reading, mut writing) = stream.split();
        let mut first = [0; 12];
        let (read, _) = tokio::join!(in_time(reading.read_exact(&mut first)), writing.write_all(request.as_bytes()));
        read.unwrap();
        assert_eq!(String::from_utf8_lossy(&first), format!("HTTP/1.1 {status}"));
    }
    assert_eq!(ask(system.address("owntracks"), &request("POST", "/", "{")).await.0, 400);
    assert_eq!(ask(osmand, &request("GET", "/?id=1&lat=52.1&lon=21.0&timestamp=1718000000", "")).await.0, 200);
    assert_eq!(system.positions().await.len(), 1);
    system.stop().await;
}

#[tokio::test]
async fn an_unknown_device_is_refused_if_the_policy_says_so() {
    let config = ConnectorsConfig { unknown_devices: UnknownDevices::Refuse, ..ConnectorsConfig::default() };
    let system = System::start_with(config).await;
    let osmand = request("GET", "/?id=1&lat=52.1&lon=21.0&timestamp=1718000000", "");
    assert!((400..500).contains(&ask(system.address("osmand"), &osmand).await.0));
    assert!((400..500).contains(&ask(system.address("owntracks"), &request("POST", "/", OWNTRACKS)).await.0));
    assert_eq!(system.positions().await, []);
    system.stop().await;
}

#[tokio::test]
async fn lasting_trouble_of_the_log_is_answered_503() {
    let limits = waystream_connectors::Limits { patience_s: 0, ..Default::default() };
    let system = System::start_with(ConnectorsConfig { limits, ..ConnectorsConfig::default() }).await;
    system.gate.fail(1);
    assert_eq!(ask(system.address("owntracks"), &request("POST", "/", OWNTRACKS)).await.0, 503);
    assert_eq!(ask(system.address("owntracks"), &request("POST", "/", OWNTRACKS)).await.0, 200);
    system.stop().await;
}

#[tokio::test]
async fn who_sends_nothing_or_half_a_request_is_closed() {
    let system = System::start_with(ConnectorsConfig { limits: short(), ..ConnectorsConfig::default() }).await;
    for begun in ["", "GET /?id", "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{"] {
        let mut stream = connect(system.address("owntracks")).await;
        stream.write_all(begun.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        in_time(stream.read_to_end(&mut rest)).await.unwrap();
        assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&rest));
    }
    system.stop().await;
}

#[tokio::test]
async fn a_stop_finishes_and_answers_what_is_under_way() {
    let system = System::start().await;
    let (mut busy, mut idle) = (connect(system.address("owntracks")).await, connect(system.address("owntracks")).await);
    system.gate.close();
    busy.write_all(request("POST", "/", OWNTRACKS).as_bytes()).await.unwrap();
    system.gate.held_up(1).await;
    system.begin_stop();
    assert_eq!(in_time(idle.read(&mut [0; 16])).await.unwrap(), 0);
    system.gate.open();
    assert_eq!(response(&mut busy).await.0, 200);
    assert_eq!(system.positions().await.len(), 1);
    system.stop().await;
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

#[tokio::test]
async fn many_positions_come_in_one_request_and_each_line_is_judged_for_itself() {
    let system = System::start().await;
    let line = |n: usize| {
        format!(
            r#"{{"device":"van-{}","fix_time":"2026-06-10T06:{:02}:{:02}Z","lat":52.1,"lon":21.0}}"#,
            n % 7,
            n / 60 % 60,
            n % 60
        )
    };
    let full = r#"{"device":"van-1","fix_time":1718000000000,"lat":52.5,"lon":21.5,"valid":true,"altitude_m":-3,"speed_mps":10.5,"course_deg":359,"accuracy_m":4,"attributes":{"ignition":true,"fuel_l":40.5}}"#;
    let body = [
        full.to_owned(),
        String::new(),
        "{\"device\":".to_owned(),
        line(1).replace("\"lat\":52.1,", ""),
        line(1).replace("52.1", "91"),
        line(1).replace("2026-06-10T06:00:01Z", "yesterday"),
        line(1).replace("2026-06", "2126-06"),
        line(1).replace("\"device\":\"van-1\",", ""),
        line(1).replace("\"lat\"", "\"latitude\""),
        line(2),
    ];
    let address = system.address("json");
    let mut stream = connect(address).await;
    system.gate.close();
    stream.write_all(request("POST", "/positions", &body.join("\n")).as_bytes()).await.unwrap();
    system.gate.held_up(1).await;
    assert!(stream.try_read(&mut [0; 16]).is_err());
    system.gate.open();
    let (status, answer) = response(&mut stream).await;
    let answer = json(&answer);
    assert_eq!((status, &answer["stored"], &answer["refused"]), (200, &2.into(), &7.into()));
    let faults: Vec<(i64, &str)> = answer["faults"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| (fault["line"].as_i64().unwrap(), fault["error"].as_str().unwrap()))
        .collect();
    let expected = [
        (3, "EOF while parsing"),
        (4, "missing field `lat`"),
        (5, "latitude 91"),
        (6, "\"yesterday\" is no time"),
        (7, "in the future"),
        (8, "no device"),
        (9, "unknown field `latitude`"),
    ];
    for ((line, error), (expected_line, part)) in faults.iter().zip(expected) {
        assert!(*line == expected_line && error.contains(part), "{line}: {error}");
    }
    let mut positions = system.positions().await;
    positions.sort_by_key(|position| position.fix_time);
    assert_eq!(positions.len(), 2);
    let first = &positions[0];
    assert_eq!((first.device.as_str(), first.protocol.as_str(), first.speed_mps), ("van-1", "json", Some(10.5)));
    assert_eq!((first.altitude_m, first.course_deg, first.accuracy_m), (Some(-3.0), Some(359.0), Some(4.0)));
    assert_eq!(serde_json::to_string(&first.attributes).unwrap(), r#"{"fuel_l":40.5,"ignition":true}"#);

    let many: Vec<String> = (0..10_000).map(line).collect();
    let (status, answer) = ask(address, &request("POST", "/positions", &many.join("\n"))).await;
    assert_eq!((status, json(&answer)), (200, serde_json::json!({ "stored": 10_000, "refused": 0, "faults": [] })));
    let (status, _) = ask(address, &request("POST", "/positions", &format!("{}\n{}", many.join("\n"), line(0)))).await;
    assert_eq!(status, 413);
    assert_eq!(system.positions().await.len(), 10_002);
    // Also on the port for all.
    let (status, answer) = ask(system.address("any"), &request("POST", "/positions", full)).await;
    assert_eq!((status, json(&answer)), (200, serde_json::json!({ "stored": 1, "refused": 0, "faults": [] })));
    system.stop().await;
}

#[tokio::test]
async fn the_lines_of_devices_that_may_not_report_are_told() {
    let config = ConnectorsConfig { unknown_devices: UnknownDevices::Refuse, ..ConnectorsConfig::default() };
    let system = System::start_with(config).await;
    let line = r#"{"device":"stranger","fix_time":1718000000000,"lat":52.5,"lon":21.5}"#;
    let (status, answer) = ask(system.address("json"), &request("POST", "/positions", line)).await;
    let faults = [serde_json::json!({ "line": 1, "error": "device stranger may not report" })];
    assert_eq!((status, json(&answer)), (200, serde_json::json!({ "stored": 0, "refused": 1, "faults": faults })));
    system.stop().await;
}
