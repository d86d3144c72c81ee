//! Devices that send more than they may: they wait, lose nothing, and keep nobody else waiting.
#![allow(clippy::unwrap_used)]

use crate::common;

use common::egts::{self, relayed};
use common::teltonika::{START_MS, Tracker, data, datagram, packet};
use common::{System, in_time};
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use waystream_connectors::{ConnectorsConfig, Limits};
use waystream_domain::catalog::Device;
use waystream_domain::{Actor, CatalogEdit, CatalogEntry, DeviceAddresses};

const IMEI: &str = "356307042441013";

async fn slow(messages_per_s: u32) -> System {
    let limits = Limits { max_messages_per_device_s: messages_per_s, ..Limits::default() };
    System::start_with(ConnectorsConfig { limits, ..ConnectorsConfig::default() }).await
}

/// How many different fixes of how many devices are stored.
async fn stored(system: &System) -> (usize, usize) {
    let positions = system.positions().await;
    let fixes: BTreeSet<_> = positions.iter().map(|p| (p.device.clone(), p.fix_time)).collect();
    let devices: BTreeSet<_> = positions.iter().map(|p| p.device.clone()).collect();
    (fixes.len(), devices.len())
}

#[tokio::test]
async fn a_device_that_floods_is_slowed_down_and_loses_nothing() {
    let system = slow(20).await;
    // A second's worth more than may come at once, from a tracker and from a phone.
    let mut flood = Tracker::login(system.address("teltonika"), IMEI).await;
    let all: Vec<u8> = (0..220).flat_map(|n| packet(&data(START_MS + n * 1_000, 1))).collect();
    flood.send(&all).await;
    let mut calm = Tracker::login(system.address("teltonika"), "356307042441014").await;
    assert_eq!(calm.report(&data(START_MS, 1)).await.unwrap(), 1);
    for _ in 0..220 {
        assert_eq!(flood.acknowledged().await.unwrap(), 1);
    }

    let address = system.address("mqtt");
    let options = MqttOptions::new("phone", address.ip().to_string(), address.port());
    let (client, mut events) = AsyncClient::new(options, 400);
    for n in 0..220 {
        let location = format!(r#"{{"_type":"location","lat":52.1,"lon":21.0,"tst":{}}}"#, START_MS / 1_000 + n);
        client.publish("owntracks/jane/phone", QoS::AtLeastOnce, false, location).await.unwrap();
    }
    let mut acknowledged = 0;
    while acknowledged < 220 {
        let event = in_time(events.poll()).await.unwrap();
        acknowledged += usize::from(matches!(event, Event::Incoming(Packet::PubAck(_))));
    }
    assert_eq!(stored(&system).await, (441, 3));
    system.stop().await;
}

#[tokio::test]
async fn datagrams_that_are_too_many_come_again() {
    let system = slow(2).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(system.address("teltonika")).await.unwrap();
    for n in 0..24_u8 {
        // As a tracker does: again, until it is answered.
        loop {
            socket.send(&datagram(IMEI, n, &data(START_MS + u64::from(n) * 1_000, 1))).await.unwrap();
            let mut answer = [0; 16];
            let received = tokio::time::timeout(Duration::from_millis(250), socket.recv(&mut answer)).await;
            // Otherwise it is the answer to an earlier try, or there is none.
            if received.is_ok_and(|bytes| bytes.unwrap() > 5) && answer[5] == n {
                break;
            }
        }
    }
    assert_eq!(stored(&system).await, (24, 1));
    system.stop().await;
}

#[tokio::test]
async fn a_relay_of_devices_that_flood_is_slowed_down_also_where_it_says_nothing_of_them() {
    let system = slow(4).await;
    let mut relay = Tracker::connect(system.address("egts")).await;
    let begun = Instant::now();
    // Forty of each device may come at once, and then four a second: thirty in which all are named, and as many that name nobody.
    for _ in 0..30 {
        relay.send(&[egts::empty(), relayed()].concat()).await;
        relay.answer(egts::ANSWER_BYTES).await.unwrap();
    }
    // On no machine sooner.
    assert!(begun.elapsed() >= Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!(system.positions().await.len(), 300);
    system.stop().await;
}

#[tokio::test]
async fn datagrams_of_a_relay_that_are_too_many_come_again() {
    let system = slow(2).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(system.address("any")).await.unwrap();
    let begun = Instant::now();
    // Twenty of each device may come at once, and then two a second.
    while system.positions().await.len() < 240 {
        socket.send(&relayed()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // On no machine sooner.
    assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
    system.stop().await;
}

#[tokio::test]
async fn a_publisher_of_what_many_devices_report_is_slowed_down_by_one_that_floods() {
    let topics = r#"{"mqtt": {"topics": [{"topic": "json", "payload": "json"}]}}"#;
    let mut config: ConnectorsConfig = serde_json::from_str(topics).unwrap();
    config.limits.max_messages_per_device_s = 4;
    let system = System::start_with(config).await;
    let address = system.address("mqtt");
    let options = MqttOptions::new("relay", address.ip().to_string(), address.port());
    let (client, mut events) = AsyncClient::new(options, 100);
    let begun = Instant::now();
    // Forty of each device may come at once, and then four a second.
    for n in 0..50 {
        let place = |device: &str| format!(r#"{{"device":"{device}","fix_time":{},"lat":52.1,"lon":21.0}}"#, START_MS + n);
        let places = format!("[{},{}]", place("van-1"), place(&format!("other-{n}")));
        client.publish("json", QoS::AtLeastOnce, false, places).await.unwrap();
    }
    let mut acknowledged = 0;
    while acknowledged < 50 {
        let event = in_time(events.poll()).await.unwrap();
        acknowledged += usize::from(matches!(event, Event::Incoming(Packet::PubAck(_))));
    }
    // On no machine sooner.
    assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!(stored(&system).await, (100, 51));
    system.stop().await;
}

/// What is answered to a request.
async fn post(address: SocketAddr, body: &str) -> String {
    let mut stream = in_time(TcpStream::connect(address)).await.unwrap();
    let head = format!("POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}", body.len());
    stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await.unwrap();
    let mut answer = String::new();
    in_time(stream.read_to_string(&mut answer)).await.unwrap();
    answer
}

#[tokio::test]
async fn nobody_is_slowed_down_by_what_others_say_in_his_name() {
    let topics = r#"{"mqtt": {"topics": [{"topic": "json", "payload": "json"}]}}"#;
    let mut config: ConnectorsConfig = serde_json::from_str(topics).unwrap();
    config.limits.max_messages_per_device_s = 1;
    let system = System::start_with(config).await;
    // It speaks from one address, and nobody else may be it.
    let van = Device { id: IMEI.parse().unwrap(), fleet: "default".parse().unwrap(), name: "Van".into() };
    let rule = DeviceAddresses { device: IMEI.parse().unwrap(), ranges: vec!["127.0.0.2/32".parse().unwrap()] };
    let edits = vec![CatalogEdit::Put(CatalogEntry::Device(van)), CatalogEdit::Put(CatalogEntry::DeviceAddresses(rule))];
    system.catalog.edit(&Actor::CommandLine, edits).await.unwrap();

    // Ten of each device may come at once.
    let place = |device: &str| format!(r#"{{"device":"{device}","fix_time":{START_MS},"lat":52.1,"lon":21.0}}"#);
    let address = system.address("mqtt");
    let options = MqttOptions::new("relay", address.ip().to_string(), address.port());
    let (client, mut events) = AsyncClient::new(options, 100);
    for n in 0..12 {
        let places = format!("[{},{}]", place(IMEI), place(&format!("other-{n}")));
        client.publish("json", QoS::AtLeastOnce, false, places).await.unwrap();
    }
    let mut acknowledged = 0;
    while acknowledged < 12 {
        let event = in_time(events.poll()).await.unwrap();
        acknowledged += usize::from(matches!(event, Event::Incoming(Packet::PubAck(_))));
    }
    for n in 12..24 {
        let places = [place(IMEI), place(&format!("other-{n}"))].join("\n");
        assert!(post(system.address("json"), &places).await.starts_with("HTTP/1.1 200"));
    }
    let teltonika = system.address("teltonika");
    let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for n in 0..12 {
        stranger.send_to(&datagram(IMEI, n, &data(START_MS, 1)), teltonika).await.unwrap();
    }
    assert_eq!(stored(&system).await, (24, 24));

    let tracker = UdpSocket::bind("127.0.0.2:0").await.unwrap();
    tracker.send_to(&datagram(IMEI, 99, &data(START_MS, 1)), teltonika).await.unwrap();
    let mut answer = [0; 16];
    in_time(tracker.recv_from(&mut answer)).await.expect("it is heard at once");
    assert_eq!(stored(&system).await, (25, 25));
    system.stop().await;
}
