//! Eelink: packages `6767` + type + length + serial; UDP puts several behind one `EL` header with the IMEI.

use crate::protocol::{Context, Decoded, Decoder, Fault, FaultKind, Fix, Framing, Protocol, Said, Transport};
use crate::readers::{FixBuilder, Reader, bit, from_unix_secs, malformed, packed_imei, spoken_place, unhex, unsaid};
use crate::vocabulary::{self as name, alarm};
use bytes::{Bytes, BytesMut};
use smol_str::format_smolstr;
use waystream_domain::{DeviceId, Instruction};

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "eelink",
    port: 5064,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: true,
        framing: || Box::new(EelinkFraming),
        decoder: || Box::new(Eelink { device: None }),
    },
};

const MAX_FRAME_BYTES: usize = 8 * 1024;
/// Coordinates are in 1/1,800,000 degree.
const UNITS_PER_DEGREE: f64 = 1_800_000.0;

const LOGIN: u8 = 0x01;
const POSITION: u8 = 0x02;
const ALARM: u8 = 0x04;
const STATE: u8 = 0x05;
const NORMAL: u8 = 0x12;
const WARNING: u8 = 0x14;
const REPORT: u8 = 0x15;
const TEXT: u8 = 0x80;

struct EelinkFraming;

impl Framing for EelinkFraming {
    fn next_frame(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, Fault> {
        let length = match buffer[..] {
            [b'g', b'g', _, high, low, ..] => 5 + usize::from(u16::from_be_bytes([high, low])),
            [b'E', b'L', high, low, ..] => 6 + usize::from(u16::from_be_bytes([high, low])),
            [] | [b'g'] | [b'E'] | [b'g', b'g', ..] | [b'E', b'L', ..] => return Ok(None),
            _ => return Err(malformed("a package begins with 6767 or EL")),
        };
        if length > MAX_FRAME_BYTES {
            return Err(Fault::new(FaultKind::Oversized, format_smolstr!("a package of {length} bytes")));
        }
        Ok((buffer.len() >= length).then(|| buffer.split_to(length).freeze()))
    }
}

struct Eelink {
    device: Option<DeviceId>,
}

impl Decoder for Eelink {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    fn command(&mut self, device: &DeviceId, instruction: &Instruction, context: &Context) -> Said {
        let text = match instruction {
            Instruction::EngineStop => "RELAY,1#".to_owned(),
            Instruction::EngineResume => "RELAY,0#".to_owned(),
            Instruction::RequestPosition => "WHERE#".to_owned(),
            Instruction::Restart => "RESET#".to_owned(),
            Instruction::ReportEvery { seconds } => format!("TIMER,{seconds}#"),
            Instruction::Text { text } => text.clone(),
            _ => return Err(unsaid(instruction)),
        };
        // A command, and a number that its answer repeats.
        let package = answer(TEXT, 0, &[&[1, 0, 0, 0, 0], text.as_bytes()].concat());
        if !context.datagram {
            return Ok(package);
        }
        let body = [&packed_id(device), &package[..]].concat();
        let length = (2 + body.len()) as u16;
        Ok([&b"EL"[..], &length.to_be_bytes(), &header_sum(&body).to_be_bytes(), &body].concat().into())
    }

    fn understand(&mut self, frame: &[u8], context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        self.packages(frame, context, decoded)
    }
}

impl Eelink {
    fn packages(&mut self, frame: &[u8], context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        let mut reader = Reader::new(frame);
        if frame.starts_with(b"EL") {
            reader.skip(2 + 2 + 2)?; // mark, length, a checksum over what follows that no document defines
            self.login(reader.take(8)?)?;
        }
        while reader.left() > 0 {
            reader.skip(2)?;
            let kind = reader.u8()?;
            let length = usize::from(reader.u16()?);
            let mut package = reader.part(length)?;
            let serial = package.u16()?;
            if kind == LOGIN {
                self.login(package.take(8)?)?;
                let now = (context.received_at.as_millis() / 1000) as u32;
                decoded.replies.push(answer(kind, serial, &[&now.to_be_bytes()[..], &[0, 1, 0]].concat()));
                continue;
            }
            if self.device.is_none() {
                return Err(Fault::new(FaultKind::NoDevice, format_smolstr!("package {kind:02x} before the login")));
            }
            if kind != POSITION {
                decoded.replies.push(answer(kind, serial, &[]));
            }
            let fix = match kind {
                POSITION | ALARM | STATE => old(kind, &mut package).map(Some),
                NORMAL | WARNING | REPORT => new(kind, &mut package),
                TEXT => spoken_place(&String::from_utf8_lossy(package.rest()), 0).transpose(),
                _ => Ok(None),
            };
            match fix {
                Ok(fix) => decoded.fixes.extend(fix),
                Err(fault) => decoded.faults.push(fault),
            }
        }
        Ok(())
    }

    fn login(&mut self, id: &[u8]) -> Result<(), Fault> {
        self.device = Some(packed_imei(id)?);
        Ok(())
    }
}

fn answer(kind: u8, serial: u16, content: &[u8]) -> Bytes {
    let length = (2 + content.len()) as u16;
    [&[b'g', b'g', kind][..], &length.to_be_bytes(), &serial.to_be_bytes(), content].concat().into()
}

/// Time, latitude, longitude, speed, course, cell, valid; then what the kind has.
fn old(kind: u8, package: &mut Reader<'_>) -> Result<Fix, Fault> {
    // Some models have a cell number of four bytes, which only the length tells.
    let cell_bytes = if matches!((kind, package.left()), (POSITION, 26) | (STATE, 31)) { 10 } else { 9 };
    let time = from_unix_secs(package.u32()?.into())?;
    let (lat, lon) = (f64::from(package.i32()?) / UNITS_PER_DEGREE, f64::from(package.i32()?) / UNITS_PER_DEGREE);
    let mut fix = FixBuilder::default();
    fix.speed_kmh(package.u8()?.into()).course_deg(package.u16()?.into());
    package.skip(cell_bytes)?;
    fix.valid = bit(package.u8()?, 0);
    match kind {
        ALARM => alarm(package.u8().unwrap_or(0), &mut fix),
        STATE => {
            if let Ok(event) = package.u8() {
                fix.set(name::EVENT, i64::from(event));
            }
            if package.left() >= 6 {
                package.skip(4)?;
                status(package.u16()?, &mut fix);
            }
        }
        _ if package.left() >= 4 => {
            status(package.u16()?, &mut fix);
            fix.set(name::BATTERY_V, f64::from(package.u16()?) / 1e3);
        }
        _ => {}
    }
    fix.at(time, lat, lon)
}

/// Time, then a mask of what follows: place, cells, Wi-Fi stations; then what the kind has. Without a place it is no fix.
fn new(kind: u8, package: &mut Reader<'_>) -> Result<Option<Fix>, Fault> {
    let time = package.u32()?;
    let mask = package.u8()?;
    if !bit(mask, 0) {
        return Ok(None);
    }
    let (lat, lon) = (f64::from(package.i32()?) / UNITS_PER_DEGREE, f64::from(package.i32()?) / UNITS_PER_DEGREE);
    let mut fix = FixBuilder::valid(true);
    fix.altitude_m(package.i16()?.into()).speed_kmh(package.u16()?.into()).course_deg(package.u16()?.into());
    fix.set(name::SATELLITES, i64::from(package.u8()?));
    for (index, bytes) in [(1, 11), (2, 7), (3, 7), (4, 7), (5, 7), (6, 7)] {
        if bit(mask, index) {
            package.skip(bytes)?;
        }
    }
    match kind {
        WARNING => alarm(package.u8().unwrap_or(0), &mut fix),
        REPORT => package.skip(1)?,
        _ => {}
    }
    if package.left() >= 2 {
        status(package.u16()?, &mut fix);
    }
    if kind == NORMAL && package.left() >= 10 {
        fix.set(name::BATTERY_V, f64::from(package.u16()?) / 1e3);
        package.skip(2 + 2)?;
        fix.set(name::ODOMETER_M, i64::from(package.u32()?));
    }
    fix.at(from_unix_secs(time.into())?, lat, lon).map(Some)
}

fn status(word: u16, fix: &mut FixBuilder) {
    fix.set(name::STATUS, i64::from(word));
    // Whether the ignition is wired, and whether it is on.
    if bit(word, 1) {
        fix.set(name::IGNITION, bit(word, 2));
    }
}

fn alarm(code: u8, fix: &mut FixBuilder) {
    let word = match code {
        0x01 | 0x15 => alarm::POWER_CUT,
        0x02 => alarm::SOS,
        0x03 => alarm::LOW_BATTERY,
        0x04 => alarm::VIBRATION,
        0x08 | 0x09 => alarm::GPS_ANTENNA_CUT,
        0x25 => alarm::TAMPERING,
        0x81 => alarm::OVERSPEED,
        0x83 => alarm::GEOFENCE_ENTER,
        0x84 => alarm::GEOFENCE_EXIT,
        0x85 => alarm::ACCIDENT,
        0x86 => alarm::FALL_DOWN,
        _ => alarm::GENERAL,
    };
    fix.set(name::ALARM, word);
}

/// The checksum of the header: each byte is added to the sum so far, rotated by one bit.
fn header_sum(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0u16, |sum, byte| sum.rotate_left(1).wrapping_add(u16::from(*byte)))
}

/// The IMEI's 15 digits as eight bytes.
fn packed_id(device: &DeviceId) -> Vec<u8> {
    unhex(&format!("{:0>16}", device.as_str()))
}
