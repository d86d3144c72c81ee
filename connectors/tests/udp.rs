//! Datagrams: what a sender has told once counts for what it sends next, on the ports of protocols and on the one for all.
#![allow(clippy::unwrap_used)]

use crate::common;

use common::teltonika::{START_MS, data, datagram};
use common::{System, in_time};
use std::net::SocketAddr;
use tokio::net::UdpSocket;
use waystream_connectors::{ConnectorsConfig, Limits};

const IMEI: &str = "356307042441013";

async fn tracker(system: &System, listener: &str) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(system.address(listener)).await.unwrap();
    socket
}

/// Sends, and gives what is answered.
async fn ask(socket: &UdpSocket, datagram: &[u8]) -> Vec<u8> {
    socket.send(datagram).await.unwrap();
    let mut answer = [0; 256];
    let bytes = in_time(socket.recv(&mut answer)).await.unwrap();
    answer[..bytes].to_vec()
}

async fn stored(system: &System) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> =
        system.positions().await.iter().map(|p| (p.protocol.to_string(), p.device.to_string())).collect();
    all.sort_unstable();
    all
}

#[tokio::test]
async fn a_login_counts_for_the_next_datagrams_of_its_sender_only() {
    let system = System::start().await;
    let place = b"#SD#100625;060000;5206.0000;N;02100.0000;E;10;90;100;8\r\n";
    for listener in ["wialon", "any"] {
        let (first, second) = (tracker(&system, listener).await, tracker(&system, listener).await);
        assert_eq!(ask(&first, format!("#L#{listener}-1;NA\r\n").as_bytes()).await, b"#AL#1\r\n");
        assert_eq!(ask(&second, format!("#L#{listener}-2;NA\r\n").as_bytes()).await, b"#AL#1\r\n");
        assert_eq!(ask(&first, place).await, b"#AD#1\r\n");
        assert_eq!(ask(&second, place).await, b"#AD#1\r\n");
        // Who has not logged in is nobody.
        let stranger = tracker(&system, listener).await;
        stranger.send(place).await.unwrap();
        ask(&first, b"#P#\r\n").await;
        assert!(stranger.try_recv(&mut [0; 16]).is_err());
    }
    let devices: Vec<String> = stored(&system).await.into_iter().map(|(_, device)| device).collect();
    assert_eq!(devices, ["any-1", "any-2", "wialon-1", "wialon-2"]);
    system.stop().await;
}

#[tokio::test]
async fn each_sender_is_served_in_its_own_protocol_on_the_port_for_all() {
    let system = System::start().await;
    let (teltonika, h02, xexun) = (tracker(&system, "any").await, tracker(&system, "any").await, tracker(&system, "any").await);
    assert_eq!(ask(&teltonika, &datagram(IMEI, 5, &data(START_MS, 2))).await, [0, 5, 0, 0, 1, 5, 2]);
    let answer = ask(&h02, b"*HQ,135790246811220,V1,060000,A,5206.0000,N,02100.0000,E,10.00,90,100625,FFFFFFFF#").await;
    assert!(answer.starts_with(b"*HQ,135790246811220,V4,V1,"), "{}", String::from_utf8_lossy(&answer));
    // One that usually comes as a stream: its datagrams are pieces of one.
    let place = "GPRMC,060000.000,A,5206.0000,N,02100.0000,E,0.00,90.0,100625,,,A*7B,F,,imei:135790246811221,";
    xexun.send(format!("{place}\r\n{}\r\n", place.replace("060000", "060100")).as_bytes()).await.unwrap();
    system.wait_for_positions(|positions| positions.len() >= 5).await;
    let of = |protocol: &str, device: &str| (protocol.to_owned(), device.to_owned());
    let xexun = of("xexun", "135790246811221");
    let teltonika = of("teltonika", IMEI);
    assert_eq!(stored(&system).await, [of("h02", "135790246811220"), teltonika.clone(), teltonika, xexun.clone(), xexun]);
    system.stop().await;
}

#[tokio::test]
async fn noise_is_not_answered_and_stops_nothing() {
    let system = System::start().await;
    let socket = tracker(&system, "any").await;
    for noise in [&b""[..], b"\0", b"hello", &[0xff; 1400], b"GET / HTTP/1.1\r\n\r\n", b"##"] {
        socket.send(noise).await.unwrap();
    }
    assert_eq!(ask(&socket, &datagram(IMEI, 6, &data(START_MS, 1))).await, [0, 5, 0, 0, 1, 6, 1]);
    system.stop().await;
}

#[tokio::test]
async fn a_sender_that_others_have_pushed_out_has_to_log_in_again() {
    let limits = Limits { max_udp_senders: 1, ..Limits::default() };
    let system = System::start_with(ConnectorsConfig { limits, ..ConnectorsConfig::default() }).await;
    let senders: [UdpSocket; 3] =
        [tracker(&system, "wialon").await, tracker(&system, "wialon").await, tracker(&system, "wialon").await];
    let addresses: Vec<SocketAddr> = senders.iter().map(|socket| socket.local_addr().unwrap()).collect();
    assert!(addresses.windows(2).all(|pair| pair[0] != pair[1]));
    for (n, socket) in senders.iter().enumerate() {
        assert_eq!(ask(socket, format!("#L#van-{n};NA\r\n").as_bytes()).await, b"#AL#1\r\n");
    }
    let place = b"#SD#100625;060000;5206.0000;N;02100.0000;E;10;90;100;8\r\n";
    senders[0].send(place).await.unwrap();
    assert_eq!(ask(&senders[2], place).await, b"#AD#1\r\n");
    assert!(senders[0].try_recv(&mut [0; 16]).is_err());
    assert_eq!(stored(&system).await, [("wialon".to_owned(), "van-2".to_owned())]);
    system.stop().await;
}
