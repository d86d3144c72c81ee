//! Tracks as files: of as many devices as are named, each once, and of nobody else's.

#![allow(clippy::unwrap_used)]

use crate::system;

use reqwest::Method;
use serde_json::{Value, json};
use system::user::User;
use system::{START_MS, System, position};

/// What a format of the tests wrote: device and fix time, in this order.
fn rows(file: &Value) -> Vec<(String, i64)> {
    let text = file.as_str().unwrap();
    let (rows, end) = text.trim_end().rsplit_once('\n').unwrap_or(("", text.trim_end()));
    assert_eq!(end, "end", "{text}");
    let row = |line: &str| {
        let (device, time) = line.split_once(' ').unwrap();
        (device.to_owned(), time.parse::<i64>().unwrap())
    };
    rows.lines().map(row).collect()
}

#[tokio::test]
async fn tracks_of_more_devices_than_an_address_can_name_are_one_file() {
    let system = System::start().await;
    // Ids as long as an IMEI.
    let name = |n: usize| format!("3563070424{n:05}");
    let buses = (0..300).flat_map(|n| {
        let fleet = if n % 2 == 0 { "north" } else { "south" };
        [position(&name(n), fleet, 0, 10.0), position(&name(n), fleet, 1, 10.1), position(&name(n), fleet, 60, 10.2)]
    });
    let theirs = position("theirs-1", "their", 1, 20.0);
    system.archive(buses.chain([theirs]).collect(), Vec::new()).await;
    // Who may look may export.
    let viewer = User::sign_in(&system, "viewer").await;
    // One twice, one that is somebody else's, one that there never was.
    let mut devices: Vec<_> = (0..250).rev().map(name).collect();
    devices.extend([name(7), "theirs-1".to_owned(), "nobody".to_owned()]);
    let request = json!({ "format": "lines", "devices": devices, "from": START_MS, "to": START_MS + 1_000 });
    let (status, file) = viewer.ask(Method::POST, "/api/export", Some(&request)).await;
    assert_eq!(status, 200, "{file}");
    let expected: Vec<_> = (0..250).flat_map(|n| [(name(n), START_MS), (name(n), START_MS + 1_000)]).collect();
    assert_eq!(rows(&file), expected);

    let named = |devices: &[&str]| json!({ "format": "lines", "devices": devices, "from": START_MS, "to": START_MS + 60_000 });
    let other = User::sign_in(&system, "other").await;
    let (status, file) = other.ask(Method::POST, "/api/export", Some(&named(&[&name(0), "theirs-1"]))).await;
    assert_eq!((status.as_u16(), rows(&file)), (200, vec![("theirs-1".to_owned(), START_MS + 1_000)]));
    let (status, file) = viewer.ask(Method::POST, "/api/export", Some(&named(&[]))).await;
    assert_eq!((status.as_u16(), rows(&file)), (200, Vec::new()), "none are not all");
    // By an address: some of them.
    let file = viewer.get(&format!("/api/export?format=lines&device={},{}&to={START_MS}", name(1), name(2))).await;
    assert_eq!(rows(&file), [(name(1), START_MS), (name(2), START_MS)]);
    system.stop().await;
}
