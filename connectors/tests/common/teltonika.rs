//! A Teltonika tracker: codec 8 over TCP and UDP.

use super::in_time;
use crc::{CRC_16_ARC, Crc};
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// 2024-06-10T06:13:20Z.
pub const START_MS: u64 = 1_718_000_000_000;

/// One record of codec 8, without IO elements.
pub fn record(time_ms: u64, lat_e7: i32, lon_e7: i32) -> Vec<u8> {
    let mut record = time_ms.to_be_bytes().to_vec();
    record.push(0);
    record.extend(lon_e7.to_be_bytes());
    record.extend(lat_e7.to_be_bytes());
    // 100 m, 90 degrees, 9 satellites, 50 km/h; event 0 and no IO of 1, 2, 4, 8 bytes.
    record.extend([0, 100, 0, 90, 9, 0, 50]);
    record.extend([0; 6]);
    record
}

/// `count` records, a second apart, from `from_ms` on.
pub fn data(from_ms: u64, count: u8) -> Vec<u8> {
    let records = (0..u64::from(count)).map(|n| record(from_ms + n * 1000, 521_000_000 + n as i32, 210_000_000));
    data_of(&records.collect::<Vec<_>>())
}

/// The data field of these records.
pub fn data_of(records: &[Vec<u8>]) -> Vec<u8> {
    let count = u8::try_from(records.len()).expect("few records");
    [&[8, count][..], &records.concat(), &[count]].concat()
}

/// A TCP packet around a data field.
pub fn packet(data: &[u8]) -> Vec<u8> {
    let crc = u32::from(Crc::<u16>::new(&CRC_16_ARC).checksum(data));
    let length = u32::try_from(data.len()).expect("short");
    [&[0; 4], &length.to_be_bytes()[..], data, &crc.to_be_bytes()].concat()
}

/// What a tracker says first.
pub fn login(imei: &str) -> Vec<u8> {
    let length = u16::try_from(imei.len()).expect("short");
    [&length.to_be_bytes()[..], imei.as_bytes()].concat()
}

/// A datagram around a data field.
pub fn datagram(imei: &str, id: u8, data: &[u8]) -> Vec<u8> {
    let body = [&[0xca, 0xfe, 1, id][..], &login(imei), data].concat();
    let length = u16::try_from(body.len()).expect("short");
    [&length.to_be_bytes()[..], &body].concat()
}

/// A tracker's connection.
pub struct Tracker {
    pub stream: TcpStream,
}

impl Tracker {
    pub async fn connect(address: SocketAddr) -> Self {
        Self { stream: in_time(TcpStream::connect(address)).await.expect("the listener is up") }
    }

    /// Connected and logged in.
    pub async fn login(address: SocketAddr, imei: &str) -> Self {
        let mut tracker = Self::connect(address).await;
        tracker.try_login(imei).await.expect("the login is accepted");
        tracker
    }

    /// Says who it is; an error if the other side does not want to know.
    pub async fn try_login(&mut self, imei: &str) -> io::Result<()> {
        in_time(self.stream.write_all(&login(imei))).await?;
        let answer = self.answer(1).await?;
        if answer == [1] { Ok(()) } else { Err(io::Error::other("refused")) }
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        in_time(self.stream.write_all(bytes)).await.expect("the connection is open");
    }

    /// So many bytes of answer; an error if the connection ends before.
    pub async fn answer(&mut self, bytes: usize) -> io::Result<Vec<u8>> {
        let mut answer = vec![0; bytes];
        in_time(self.stream.read_exact(&mut answer)).await.map(|_| answer)
    }

    /// Sends one packet and gives the number of records that were acknowledged.
    pub async fn report(&mut self, data: &[u8]) -> io::Result<u32> {
        self.send(&packet(data)).await;
        self.acknowledged().await
    }

    /// Like [`Self::report`], for connections that may be gone.
    pub async fn try_report(&mut self, data: &[u8]) -> io::Result<u32> {
        in_time(self.stream.write_all(&packet(data))).await?;
        self.acknowledged().await
    }

    /// The number in the next acknowledgement.
    pub async fn acknowledged(&mut self) -> io::Result<u32> {
        Ok(u32::from_be_bytes(self.answer(4).await?.try_into().expect("4 bytes")))
    }

    /// Whether the other side closes without a further byte.
    pub async fn is_closed(&mut self) -> bool {
        matches!(in_time(self.stream.read(&mut [0; 16])).await, Ok(0) | Err(_))
    }

    /// Whether nothing has been answered so far.
    pub fn is_unanswered(&self) -> bool {
        let nothing = self.stream.try_read(&mut [0; 16]);
        nothing.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}
