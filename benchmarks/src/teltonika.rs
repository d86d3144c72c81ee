//! A Teltonika tracker over TCP: codec 8, as a device sends it, answers awaited.

use anyhow::{Context, Result, ensure};
use crc::{CRC_16_ARC, Crc};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const CRC: Crc<u16> = Crc::<u16>::new(&CRC_16_ARC);

/// A connection that has signed in.
#[derive(Debug)]
pub struct Tracker {
    stream: TcpStream,
    number: u32,
    packet: Vec<u8>,
}

impl Tracker {
    /// Connects and signs in with an IMEI made from `number`.
    pub async fn connect(address: SocketAddr, number: u32) -> Result<Self> {
        let mut stream = TcpStream::connect(address).await.context("connecting")?;
        stream.set_nodelay(true)?;
        stream.write_all(&login(number)).await.context("signing in")?;
        ensure!(stream.read_u8().await.context("waiting for the answer to the login")? == 1, "the login was refused");
        Ok(Self { stream, number, packet: Vec::new() })
    }

    /// Sends one packet of `records` fixes, one a second from `first_ms` on, and waits until they are acknowledged.
    pub async fn send(&mut self, first_ms: i64, records: u8) -> Result<Duration> {
        self.packet.clear();
        write_packet(&mut self.packet, self.number, first_ms, records);
        let sent = Instant::now();
        self.stream.write_all(&self.packet).await.context("sending")?;
        let accepted = self.stream.read_u32().await.context("waiting for an answer")?;
        ensure!(accepted == u32::from(records), "{accepted} of {records} records were accepted");
        Ok(sent.elapsed())
    }

    /// Until the other side ends the connection, while nothing is asked.
    pub async fn ended(&self) {
        // A byte that nobody has asked for would be answered to what comes next: as bad as an end.
        drop(self.stream.peek(&mut [0]).await);
    }
}

/// Sends packets of `records` fixes from `first_ms` on, answered or not, until so many are sent or the time is over. How many of them
/// were answered, from the first on.
pub async fn flood(tracker: Tracker, first_ms: i64, records: u8, most: u32, time: Duration) -> u32 {
    let Tracker { stream, number, .. } = tracker;
    let (mut from, mut into) = stream.into_split();
    let write = async move {
        let (started, mut packet) = (Instant::now(), Vec::new());
        for n in 0..i64::from(most) {
            packet.clear();
            write_packet(&mut packet, number, first_ms + n * i64::from(records) * 1000, records);
            // What ends the connection is the other side's to say, and is seen below.
            if started.elapsed() > time || into.write_all(&packet).await.is_err() {
                break;
            }
        }
        drop(into.shutdown().await);
    };
    let read = async move {
        let mut answered = 0;
        while from.read_u32().await.is_ok_and(|accepted| accepted == u32::from(records)) {
            answered += 1;
        }
        answered
    };
    tokio::join!(write, read).1
}

/// `u16` length, IMEI.
fn login(number: u32) -> Vec<u8> {
    let imei = imei(number);
    let mut login = (imei.len() as u16).to_be_bytes().to_vec();
    login.extend(imei.bytes());
    login
}

/// 15 digits with a right check digit (Luhn).
pub fn imei(number: u32) -> String {
    let digits = format!("3563070{:07}", number % 10_000_000);
    let sum: u32 = digits
        .bytes()
        .enumerate()
        .map(|(i, b)| {
            let digit = u32::from(b - b'0');
            let doubled = if i % 2 == 1 { digit * 2 } else { digit };
            doubled / 10 + doubled % 10
        })
        .sum();
    format!("{digits}{}", (10 - sum % 10) % 10)
}

/// Appends a packet: four zero bytes, length, codec 8 data with the inputs and outputs that a usual car tracker reports, CRC-16/ARC.
fn write_packet(out: &mut Vec<u8>, number: u32, first_ms: i64, records: u8) {
    let start = out.len();
    out.extend([0; 8]);
    out.extend([0x08, records]);
    for n in 0..i64::from(records) {
        let at_ms = first_ms + n * 1000;
        // A drive round a small circle: every fix is another place.
        let angle = at_ms as f64 / 60_000.0 + f64::from(number);
        let lat = 48.0 + f64::from(number % 1000) / 1000.0 + angle.sin() / 100.0;
        let lon = 9.0 + f64::from(number % 777) / 777.0 + angle.cos() / 100.0;
        out.extend(at_ms.to_be_bytes());
        out.push(0);
        out.extend(((lon * 1e7) as i32).to_be_bytes());
        out.extend(((lat * 1e7) as i32).to_be_bytes());
        out.extend(350u16.to_be_bytes());
        out.extend(((angle.to_degrees() as i64).rem_euclid(360) as u16).to_be_bytes());
        out.push(12);
        out.extend(50u16.to_be_bytes());
        out.extend([0, 9]);
        // Ignition, movement, GSM signal, GNSS status.
        out.extend([4, 239, 1, 240, 1, 21, 4, 69, 1]);
        // External voltage, battery voltage, speed, HDOP: two bytes each.
        out.push(4);
        for (id, value) in [(66u8, 12_600u16), (67, 4_100), (24, 50), (182, 9)] {
            out.push(id);
            out.extend(value.to_be_bytes());
        }
        // Total odometer, four bytes.
        out.extend([1, 16]);
        out.extend(((at_ms / 100) as u32).to_be_bytes());
        out.push(0);
    }
    out.push(records);
    let crc = CRC.checksum(&out[start + 8..]);
    let length = (out.len() - start - 8) as u32;
    out[start + 4..start + 8].copy_from_slice(&length.to_be_bytes());
    out.extend(u32::from(crc).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use waystream_connectors::decode::{DecodeRequest, Input, run};
    use waystream_connectors::protocol::Checksums;
    use waystream_connectors::protocols;
    use waystream_domain::Timestamp;

    #[test]
    fn what_a_tracker_sends_is_understood() {
        let mut stream = login(7);
        write_packet(&mut stream, 7, 1_700_000_000_000, 10);
        write_packet(&mut stream, 7, 1_700_000_010_000, 1);
        let request = DecodeRequest {
            protocol: protocols::by_name("teltonika").expect("the protocol"),
            input: Input::Stream(stream),
            replies: false,
            checksums: Checksums::Refuse,
            received_at: Timestamp::from_secs(1_700_000_020).expect("a time"),
        };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let understood = run(&request, &mut out, &mut err).expect("writes");
        let (out, err) = (String::from_utf8_lossy(&out), String::from_utf8_lossy(&err));
        assert!(understood, "{err}");
        assert_eq!(out.lines().count(), 11);
        assert!(out.lines().all(|l| l.contains(&imei(7)) && l.contains(r#""valid":true"#)), "{out}");
        assert!(out.contains("2023-11-14T22:13:29.000Z") && out.contains("2023-11-14T22:13:30.000Z"));
    }
}
