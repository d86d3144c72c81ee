//! A Teltonika tracker: codec 8 Extended over TCP (layout: the maker's public wiki, "Teltonika Data Sending Protocols").

use super::{ANSWER_TIMEOUT, SendError};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use waystream_connectors::protocol::Fix;
use waystream_domain::{AttributeValue, units};

/// The record count of a packet is one byte.
pub const MAX_RECORDS: usize = 255;
const CODEC_8E: u8 = 0x8e;
/// Element ids of the maker's AVL table.
const IO_ODOMETER: u16 = 16;
const IO_EXTERNAL_VOLTAGE: u16 = 66;
const IO_IGNITION: u16 = 239;

/// One device. It connects when it has something to send, and keeps the connection.
pub struct Teltonika {
    server: SocketAddr,
    imei: String,
    stream: Option<TcpStream>,
}

impl Teltonika {
    /// A device that has not connected yet.
    pub fn new(server: SocketAddr, imei: impl Into<String>) -> Self {
        Self { server, imei: imei.into(), stream: None }
    }

    /// Sends the fixes in packets of up to [`MAX_RECORDS`] and waits for the answer to each.
    pub async fn send(&mut self, fixes: &[Fix]) -> Result<(), SendError> {
        for records in fixes.chunks(MAX_RECORDS) {
            let mut stream = match self.stream.take() {
                Some(stream) => stream,
                None => log_in(self.server, &self.imei).await?,
            };
            exchange(&mut stream, records).await?;
            // Kept only after a complete exchange: a late answer must not be taken for the next packet's.
            self.stream = Some(stream);
        }
        Ok(())
    }
}

async fn log_in(server: SocketAddr, imei: &str) -> Result<TcpStream, SendError> {
    let mut stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    stream.write_all(&login(imei)).await?;
    match answer(stream.read_u8()).await? {
        1 => Ok(stream),
        other => Err(SendError::Refused(format!("login of {imei} was answered {other:#04x}"))),
    }
}

async fn exchange(stream: &mut TcpStream, records: &[Fix]) -> Result<(), SendError> {
    stream.write_all(&packet(records)).await?;
    let stored = answer(stream.read_u32()).await?;
    if stored as usize == records.len() {
        return Ok(());
    }
    Err(SendError::NoAnswer(format!("{stored} of {} records acknowledged", records.len())))
}

async fn answer<T>(read: impl Future<Output = std::io::Result<T>>) -> Result<T, SendError> {
    Ok(timeout(ANSWER_TIMEOUT, read).await.map_err(|_| SendError::NoAnswer("silence".into()))??)
}

/// The first message of a connection: who it is.
pub fn login(imei: &str) -> Vec<u8> {
    let mut out = (imei.len() as u16).to_be_bytes().to_vec();
    out.extend_from_slice(imei.as_bytes());
    out
}

/// One packet of at most [`MAX_RECORDS`] fixes.
pub fn packet(fixes: &[Fix]) -> Vec<u8> {
    let count = u8::try_from(fixes.len()).expect("callers send at most 255 records a packet");
    let mut data = Vec::with_capacity(3 + fixes.len() * 64);
    data.extend([CODEC_8E, count]);
    for fix in fixes {
        record(&mut data, fix);
    }
    data.push(count);
    let mut out = Vec::with_capacity(data.len() + 12);
    out.extend(0_u32.to_be_bytes());
    out.extend((data.len() as u32).to_be_bytes());
    let crc = crc16_ibm(&data);
    out.append(&mut data);
    out.extend(u32::from(crc).to_be_bytes());
    out
}

fn record(out: &mut Vec<u8>, fix: &Fix) {
    out.extend(fix.fix_time.as_millis().to_be_bytes());
    out.push(0); // priority: low
    out.extend(fix.location.lon_e7().to_be_bytes());
    out.extend(fix.location.lat_e7().to_be_bytes());
    out.extend((fix.altitude_m.unwrap_or(0.0).round() as i16).to_be_bytes());
    out.extend((fix.course_deg.unwrap_or(0.0).round() as u16 % 360).to_be_bytes());
    out.push(if fix.valid { 11 } else { 0 }); // satellites in use; 0 tells the server that there is no fix
    let kmh = units::kmh_from_mps(fix.speed_mps.unwrap_or(0.0));
    out.extend((kmh.round() as u16).to_be_bytes());

    let ignition = match fix.attributes.get("ignition") {
        Some(AttributeValue::Bool(on)) => Some(u8::from(*on)),
        _ => None,
    };
    let millivolts = number(fix, "power_v").map(|v| (v * 1000.0).round() as u16);
    let odometer_m = number(fix, "odometer_m").map(|m| m as u32);
    let total = u16::from(ignition.is_some()) + u16::from(millivolts.is_some()) + u16::from(odometer_m.is_some());
    out.extend(0_u16.to_be_bytes()); // no event: a periodic record
    out.extend(total.to_be_bytes());
    group(out, IO_IGNITION, ignition.map(|v| [v]));
    group(out, IO_EXTERNAL_VOLTAGE, millivolts.map(u16::to_be_bytes));
    group(out, IO_ODOMETER, odometer_m.map(u32::to_be_bytes));
    out.extend([0; 4]); // no 8-byte elements, none of variable length
}

/// The elements of one size: at most one here.
fn group<const N: usize>(out: &mut Vec<u8>, id: u16, value: Option<[u8; N]>) {
    out.extend(u16::from(value.is_some()).to_be_bytes());
    if let Some(value) = value {
        out.extend(id.to_be_bytes());
        out.extend(value);
    }
}

fn number(fix: &Fix, name: &str) -> Option<f64> {
    match fix.attributes.get(name)? {
        AttributeValue::Int(v) => Some(*v as f64),
        AttributeValue::Float(v) => Some(*v),
        AttributeValue::Bool(_) | AttributeValue::Text(_) => None,
    }
}

/// CRC-16/ARC, as the maker calls it "CRC-16-IBM".
fn crc16_ibm(data: &[u8]) -> u16 {
    const CRC: crc::Crc<u16> = crc::Crc::<u16>::new(&crc::CRC_16_ARC);
    CRC.checksum(data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use waystream_domain::{Attributes, LatLon, Timestamp};

    #[test]
    fn a_packet_has_the_makers_layout() {
        let fix = Fix {
            device: None,
            fix_time: Timestamp::from_millis(1_700_000_000_123).expect("in range"),
            location: LatLon::new(48.1, -11.5).expect("on Earth"),
            valid: true,
            altitude_m: Some(520.4),
            speed_mps: Some(10.0),
            course_deg: Some(359.6),
            accuracy_m: None,
            attributes: [("ignition", AttributeValue::Bool(true)), ("odometer_m", AttributeValue::Int(70_000))]
                .into_iter()
                .collect::<Attributes>(),
        };
        let hex: String = packet(&[fix]).iter().map(|b| format!("{b:02x}")).collect();
        let expected = concat!(
            "00000000",
            "00000032",
            "8e01",
            "0000018bcfe5687b",
            "00",
            "f9253d40",
            "1cab7a40",
            "0208",
            "0000",
            "0b",
            "0024",
            "00000002",
            "000100ef01",
            "0000",
            "0001001000011170",
            "0000",
            "0000",
            "01",
        );
        assert_eq!(hex[..hex.len() - 8], *expected);
        assert_eq!(crc16_ibm(b"123456789"), 0xbb3d, "check value of CRC-16/ARC");
        assert_eq!(login("356307042441013"), b"\x00\x0f356307042441013");
    }
}
