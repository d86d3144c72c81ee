//! One identifier, two senders: over real sockets from two addresses of this machine.
#![allow(clippy::unwrap_used)]

use crate::common;

use common::teltonika::{START_MS, Tracker, data, datagram};
use common::{System, in_time};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use waystream_domain::{AttributeValue, Event, EventKind, LatLon, codec};
use waystream_log::{Log, Topic};

const IMEI: &str = "356307042441013";

/// A port of the first or the second of two addresses.
fn place(n: u8) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1 + n % 2], 0))
}

async fn connect(system: &System, listener: &str, n: u8) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(place(n)).unwrap();
    in_time(socket.connect(system.address(listener))).await.unwrap()
}

async fn login(system: &System, n: u8) -> Tracker {
    let mut tracker = Tracker { stream: connect(system, "teltonika", n).await };
    tracker.try_login(IMEI).await.unwrap();
    tracker
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

/// That it was told once, by the message from the first address that came after one from the second.
fn assert_told(events: &[Event], device: &str, protocol: &str) {
    let [event] = events else { panic!("{events:?}") };
    assert_eq!((event.kind, event.device.as_str(), event.fleet.as_str()), (EventKind::DeviceContested, device, "default"));
    for (name, value) in [("address", "127.0.0.1"), ("other_address", "127.0.0.2"), ("protocol", protocol)] {
        assert_eq!(event.attributes.get(name), Some(&AttributeValue::from(value)), "{name}");
    }
}

#[tokio::test]
async fn two_senders_that_take_a_device_from_each_other_are_told_of_once() {
    let system = System::start().await;
    let mut open = Vec::new();
    for n in 0..10 {
        open.push(login(&system, n).await);
        // Before the login is answered it is in the log.
        assert_eq!(events(&system).await.len(), usize::from(n >= 4), "after {n}");
    }
    assert_told(&events(&system).await, IMEI, "teltonika");
    // The newest speaks for the device nevertheless.
    assert_eq!(open.last_mut().unwrap().report(&data(START_MS, 1)).await.unwrap(), 1);
    system.stop().await;
}

#[tokio::test]
async fn datagrams_of_two_senders_are_told_too() {
    let system = System::start().await;
    let senders = [UdpSocket::bind(place(0)).await.unwrap(), UdpSocket::bind(place(1)).await.unwrap()];
    for n in 0..5u8 {
        let socket = &senders[usize::from(n % 2)];
        let report = datagram(IMEI, n, &data(START_MS + 1_000 * u64::from(n), 1));
        socket.send_to(&report, system.address("teltonika")).await.unwrap();
        let mut answer = [0; 16];
        let bytes = in_time(socket.recv(&mut answer)).await.unwrap();
        assert_eq!(answer[..bytes], [0, 5, 0, 0, 1, n, 1]);
    }
    let events = events(&system).await;
    assert_told(&events, IMEI, "teltonika");
    assert_eq!(Some(events[0].location), LatLon::new(52.1, 21.0));
    system.stop().await;
}

#[tokio::test]
async fn requests_of_two_senders_are_told_too() {
    let system = System::start().await;
    for n in 0..5 {
        let mut stream = connect(&system, "osmand", n).await;
        let head = "Host: localhost\r\nConnection: close\r\n";
        let request = format!("GET /?id=phone&lat=52.1&lon=21.0&timestamp=171800000{n} HTTP/1.1\r\n{head}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        in_time(stream.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    assert_told(&events(&system).await, "phone", "osmand");
    system.stop().await;
}

#[tokio::test]
async fn a_tracker_that_changes_its_network_and_many_connections_from_one_are_not_told() {
    let system = System::start().await;
    // Forth, back and forth again, as a phone between Wi-Fi and mobile data, with several connections in each.
    for n in [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1] {
        drop(login(&system, n).await);
    }
    assert!(events(&system).await.is_empty());
    system.stop().await;
}
