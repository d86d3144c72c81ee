//! Digital Matter: `02 55`, kind, length, little-endian. A login, then records of fields that tell their lengths; times count from 2013.

use crate::protocol::{Context, Decoded, Decoder, Fault, FaultKind, Fix, Framing, Protocol, Transport};
use crate::readers::{FixBuilder, Reader, bit, civil, from_unix_secs, imei, malformed};
use crate::vocabulary as name;
use bytes::{Bytes, BytesMut};
use smol_str::format_smolstr;
use waystream_domain::{DeviceId, Timestamp};

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "dmt",
    port: 5137,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: false,
        framing: || Box::new(DmtFraming),
        decoder: || Box::new(Dmt { device: None }),
    },
};

const MARK: [u8; 2] = [0x02, 0x55];
/// Mark, kind, length.
const HEAD_BYTES: usize = 5;
const MAX_FRAME_BYTES: usize = HEAD_BYTES + u16::MAX as usize;
/// 2013-01-01, seconds since 1970.
const EPOCH_SECS: i64 = 1_356_998_400;

const LOGIN: u8 = 0x00;
const RECORDS: u8 = 0x04;
/// Asks whether the records are kept.
const COMMIT: u8 = 0x05;
const COMPACT: u8 = 0x10;
/// Of the parts of the device. Later makes wait for an answer.
const VERSIONS: u8 = 0x14;
/// Asks whether we have anything to say.
const ALIVE: u8 = 0x22;
const CLOSING: u8 = 0x26;
const TIME_REQUEST: u8 = 0x30;
/// A login of this length comes from makes that do not take the time from us.
const LOGIN_WITHOUT_TIME: usize = 51;

struct DmtFraming;

impl Framing for DmtFraming {
    fn next_frame(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, Fault> {
        if !MARK.starts_with(&buffer[..buffer.len().min(MARK.len())]) {
            return Err(malformed("a message begins with 02 55"));
        }
        let Some(&[low, high]) = buffer.get(3..5) else { return Ok(None) };
        let length = HEAD_BYTES + usize::from(u16::from_le_bytes([low, high]));
        Ok((buffer.len() >= length).then(|| buffer.split_to(length).freeze()))
    }
}

struct Dmt {
    device: Option<DeviceId>,
}

impl Decoder for Dmt {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    fn understand(&mut self, frame: &[u8], context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        let mut reader = Reader::new(frame);
        reader.skip(MARK.len())?;
        let kind = reader.u8()?;
        let length = usize::from(reader.u16_le()?);
        let mut body = reader.part(length)?;
        match kind {
            LOGIN => {
                body.skip(4)?; // its serial number
                self.device = Some(imei(String::from_utf8_lossy(body.take(16)?).trim_end_matches('\0'))?);
                let answer = if length == LOGIN_WITHOUT_TIME { vec![0; 5] } else { [now(context), [0; 4]].concat() };
                decoded.replies.push(message(0x01, &answer));
            }
            _ if self.device.is_none() => return Err(Fault::new(FaultKind::NoDevice, "records before a login")),
            RECORDS => records(&mut body, decoded)?,
            COMPACT => decoded.fixes.push(compact(&mut body)?),
            COMMIT => decoded.replies.push(message(0x06, &[1])),
            VERSIONS => decoded.replies.push(message(0x15, &[])),
            ALIVE => decoded.replies.push(message(0x23, &[])),
            TIME_REQUEST => decoded.replies.push(message(0x31, &now(context))),
            CLOSING => {}
            other => return Err(Fault::new(FaultKind::UnknownMessage, format_smolstr!("message {other:02x}"))),
        }
        Ok(())
    }
}

/// Seconds since 2013.
fn now(context: &Context) -> [u8; 4] {
    ((context.received_at.as_millis() / 1000 - EPOCH_SECS) as u32).to_le_bytes()
}

fn message(kind: u8, body: &[u8]) -> Bytes {
    [&MARK[..], &[kind], &(body.len() as u16).to_le_bytes(), body].concat().into()
}

fn records(body: &mut Reader<'_>, decoded: &mut Decoded) -> Result<(), Fault> {
    while body.left() >= 2 {
        let length = usize::from(body.u16_le()?);
        let mut record = body.part(length.saturating_sub(2))?;
        match position(&mut record) {
            Ok(fix) => decoded.fixes.extend(fix),
            Err(fault) => decoded.faults.push(fault),
        }
    }
    Ok(())
}

/// Number, time, reason, then fields of a kind, a length (two bytes behind ff) and a value. `None`: without a place.
fn position(record: &mut Reader<'_>) -> Result<Option<Fix>, Fault> {
    record.skip(4 + 4)?;
    let mut fix = FixBuilder::default();
    let event = record.u8()?;
    fix.set(name::EVENT, i64::from(event));
    let mut place = None;
    while record.left() >= 2 {
        let kind = record.u8()?;
        let length = match record.u8()? {
            0xff => usize::from(record.u16_le()?),
            length => length.into(),
        };
        let mut value = record.part(length)?;
        match kind {
            0 => {
                let time = value.u32_le()?;
                place = Some((time, value.i32_le()?, value.i32_le()?));
                fix.altitude_m(value.i16_le()?.into()).speed_mps(f64::from(value.u16_le()?) / 100.0);
                value.skip(1)?; // how exact the speed is
                fix.course_deg(f64::from(value.u8()?) * 2.0);
                fix.set(name::PDOP, f64::from(value.u8()?) / 10.0);
                let accuracy_m = value.u8()?;
                if accuracy_m > 0 {
                    fix.accuracy_m(accuracy_m.into());
                }
                fix.valid = bit(value.u8()?, 0);
            }
            2 => {
                let inputs = value.u32_le()?;
                fix.set(name::IGNITION, bit(inputs, 0)).set("input", i64::from(inputs));
                fix.set("output", i64::from(value.u16_le()?)).set(name::STATUS, i64::from(value.u16_le()?));
            }
            6 => readings(&mut value, &mut fix)?,
            _ => {}
        }
    }
    match place {
        // A receiver that never had a fix.
        None | Some((0, 0, 0)) => Ok(None),
        Some((time, lat, lon)) => {
            fix.at(from_unix_secs(EPOCH_SECS + i64::from(time))?, f64::from(lat) / 1e7, f64::from(lon) / 1e7).map(Some)
        }
    }
}

/// What is measured: a kind and a number of 16 bits each.
fn readings(value: &mut Reader<'_>, fix: &mut FixBuilder) -> Result<(), Fault> {
    while value.left() >= 3 {
        let (kind, reading) = (value.u8()?, value.i16_le()?);
        match kind {
            1 => fix.set(name::BATTERY_V, f64::from(reading) / 1e3),
            2 => fix.set(name::POWER_V, f64::from(reading) / 100.0),
            3 => fix.set("device_temperature_c", f64::from(reading) / 100.0),
            4 => fix.set(name::RSSI, i64::from(reading)),
            other => fix.set(format_smolstr!("io.{other}"), i64::from(reading)),
        };
    }
    Ok(())
}

/// The form of the oldest makes. The unit of its speed is not known.
fn compact(body: &mut Reader<'_>) -> Result<Fix, Fault> {
    body.skip(1 + 4)?; // a length, its number
    let time = packed_time(body.u32_le()?);
    let (lon, lat) = (body.i32_le()?, body.i32_le()?);
    let mut fix = FixBuilder::valid(true);
    body.skip(2)?;
    fix.course_deg(f64::from(body.u8()?) * 2.0).altitude_m(body.i16_le()?.into());
    fix.at(time?, f64::from(lat) / 1e7, f64::from(lon) / 1e7)
}

/// From the lowest bit on: six of year, four of month, five of day, five of hour, six of minute, six of second.
fn packed_time(bits: u32) -> Result<Timestamp, Fault> {
    let part = |from: u32, count: u32| bits >> from & ((1 << count) - 1);
    civil([part(0, 6), part(6, 4), part(10, 5)], [part(15, 5), part(20, 6), part(26, 6)])
}
