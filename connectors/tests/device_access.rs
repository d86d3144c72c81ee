//! Devices that have something to show: a token with each request, or an address to speak from.
#![allow(clippy::unwrap_used)]

use crate::common;

use common::teltonika::{START_MS, Tracker, data, datagram};
use common::{System, in_time};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use waystream_domain::catalog::Device;
use waystream_domain::{Actor, CatalogEdit, CatalogEntry, CatalogKey, DeviceAddresses, DeviceToken, Timestamp};

const IMEI: &str = "356307042441013";

async fn edit(system: &System, edits: Vec<CatalogEdit>) {
    system.catalog.edit(&Actor::CommandLine, edits).await.unwrap();
}

fn device(id: &str) -> CatalogEdit {
    let (id, fleet, name) = (id.parse().unwrap(), "default".parse().unwrap(), id.to_owned());
    CatalogEdit::Put(CatalogEntry::Device(Device { id, fleet, name }))
}

fn addresses(id: &str, ranges: &[&str]) -> CatalogEdit {
    let ranges = ranges.iter().map(|range| range.parse().unwrap()).collect();
    CatalogEdit::Put(CatalogEntry::DeviceAddresses(DeviceAddresses { device: id.parse().unwrap(), ranges }))
}

/// A token for a device, and its secret.
fn token(id: &str, random: u8) -> (CatalogEdit, String) {
    let by = "anna".parse().unwrap();
    let (token, secret) = DeviceToken::issue(id.parse().unwrap(), by, Timestamp::default(), &[random; 16]);
    (CatalogEdit::Put(CatalogEntry::DeviceToken(token)), secret.as_str().to_owned())
}

/// The status of the answer to a request.
async fn post(address: SocketAddr, target: &str, headers: &str, body: &str) -> u16 {
    let head = format!("POST {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}");
    let request = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
    let mut stream = in_time(TcpStream::connect(address)).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    in_time(stream.read_to_string(&mut answer)).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    assert_eq!(status == 401, answer.to_ascii_lowercase().contains("www-authenticate: basic"), "{answer}");
    status
}

#[tokio::test]
async fn a_device_with_a_token_is_taken_only_with_it() {
    let system = System::start().await;
    let (osmand, owntracks) = (system.address("osmand"), system.address("owntracks"));
    let (phone, secret) = token("phone", 1);
    let (of_another, others) = token("another", 2);
    edit(&system, vec![device("phone"), device("another"), phone, of_another]).await;
    let at = |second: u32, more: &str| format!("/?id=phone&lat=52.1&lon=21.0&timestamp=17180000{second:02}{more}");

    assert_eq!(post(osmand, &at(0, ""), "", "").await, 401);
    assert_eq!(post(osmand, &at(0, &format!("&token={others}")), "", "").await, 401);
    assert_eq!(post(osmand, &at(0, ""), &format!("Authorization: Bearer {others}\r\n"), "").await, 401);
    assert_eq!(system.positions().await, []);
    assert_eq!(post(osmand, &at(1, &format!("&token={secret}")), "", "").await, 200);
    assert_eq!(post(osmand, &at(2, ""), &format!("Authorization: Bearer {secret}\r\n"), "").await, 200);
    let location = r#"{"_type":"location","lat":52.1,"lon":21.0,"tst":1718000003,"tid":"phone"}"#;
    assert_eq!(post(owntracks, "/", "", location).await, 401);
    assert_eq!(post(owntracks, &format!("/?token={secret}"), "", location).await, 200);
    let stored = system.positions().await;
    assert_eq!(stored.len(), 3);
    assert!(stored.iter().all(|position| !serde_json::to_string(&position.attributes).unwrap().contains("token")));

    // In a request for many each line counts for itself.
    let line = |device: &str| format!(r#"{{"device":"{device}","fix_time":1718000004000,"lat":52.5,"lon":21.5}}"#);
    let lines = [line("phone"), line("another"), line("free")].join("\n");
    assert_eq!(post(system.address("json"), &format!("/?token={secret}"), "", &lines).await, 200);
    let stored = system.positions().await;
    assert_eq!((stored.len(), stored.iter().any(|position| position.device.as_str() == "another")), (5, false));

    // Nor is it taken where it can't show anything, nor any more with a token that was replaced or revoked.
    edit(&system, vec![device(IMEI), token(IMEI, 3).0]).await;
    assert!(Tracker::connect(system.address("teltonika")).await.try_login(IMEI).await.is_err());
    let (replaced, next) = token("phone", 4);
    edit(&system, vec![replaced]).await;
    assert_eq!(post(osmand, &at(5, &format!("&token={secret}")), "", "").await, 401);
    assert_eq!(post(osmand, &at(5, &format!("&token={next}")), "", "").await, 200);
    edit(&system, vec![CatalogEdit::Remove(CatalogKey::DeviceToken("phone".parse().unwrap()))]).await;
    assert_eq!(post(osmand, &at(6, ""), "", "").await, 200);
    for kept in system.stop_and_read_quarantine().await {
        assert!(!format!("{kept:?}").contains("wdev_"), "{kept:?}");
    }
}

#[tokio::test]
async fn a_device_speaks_only_from_where_it_may() {
    let system = System::start().await;
    let teltonika = system.address("teltonika");
    edit(&system, vec![device(IMEI), addresses(IMEI, &["10.20.0.0/16", "2001:db8::/32"])]).await;
    assert!(Tracker::connect(teltonika).await.try_login(IMEI).await.is_err());
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(teltonika).await.unwrap();
    socket.send(&datagram(IMEI, 1, &data(START_MS, 1))).await.unwrap();
    // Who has no rule goes on as before.
    let mut free = Tracker::login(teltonika, "356307042441014").await;
    assert_eq!(free.report(&data(START_MS, 1)).await.unwrap(), 1);

    edit(&system, vec![addresses(IMEI, &["10.20.0.0/16", "127.0.0.0/8"])]).await;
    let mut tracker = Tracker::login(teltonika, IMEI).await;
    assert_eq!(tracker.report(&data(START_MS + 60_000, 1)).await.unwrap(), 1);
    // It holds for connections that are open, too.
    edit(&system, vec![addresses(IMEI, &["10.20.0.0/16"])]).await;
    assert_ne!(tracker.try_report(&data(START_MS + 120_000, 1)).await.ok(), Some(1));
    let positions = system.positions().await.into_iter();
    let mut stored: Vec<_> = positions.map(|p| (p.device.to_string(), p.fix_time.as_millis())).collect();
    stored.sort();
    let (start, after) = (START_MS as i64, START_MS as i64 + 60_000);
    assert_eq!(stored, [(IMEI.to_owned(), after), ("356307042441014".to_owned(), start)]);
    system.stop().await;
}
