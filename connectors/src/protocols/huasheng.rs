//! HuaSheng (OBD dongles): `c0` + head + tagged values + `c0`, `c0` and `db` inside escaped as in SLIP; the login tells the IMEI.

use crate::protocol::{Context, Decoded, Decoder, Fault, FaultKind, Fix, Framing, Protocol, Said, Transport};
use crate::readers::{FixBuilder, Reader, ascii, bit, imei, unsaid, ymd};
use crate::vocabulary::{self as name, alarm};
use bytes::{Buf, Bytes, BytesMut};
use waystream_domain::{DeviceId, Instruction};

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "huasheng",
    port: 5111,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: false,
        framing: || Box::new(HuaShengFraming),
        decoder: || Box::new(HuaSheng { device: None }),
    },
};

const MAX_FRAME_BYTES: usize = 4096;
const MARK: u8 = 0xc0;
const ESCAPE: u8 = 0xdb;

const POSITION: u16 = 0xaa00;
const POSITION_ANSWER: u16 = 0xff01;
const LOGIN: u16 = 0xaa02;
const LOGIN_ANSWER: u16 = 0xff03;
const REPORT: u16 = 0x0002;
const REPORT_ANSWER: u16 = 0x0003;

struct HuaShengFraming;

impl Framing for HuaShengFraming {
    fn next_frame(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, Fault> {
        let start = buffer.iter().position(|byte| *byte == MARK).unwrap_or(buffer.len());
        buffer.advance(start);
        // Two marks in a row are an end and a beginning.
        while buffer.starts_with(&[MARK, MARK]) {
            buffer.advance(1);
        }
        let Some(end) = buffer.iter().skip(1).position(|byte| *byte == MARK) else {
            if buffer.len() > MAX_FRAME_BYTES {
                return Err(Fault::new(FaultKind::Oversized, "no end within the largest message"));
            }
            return Ok(None);
        };
        let frame = buffer.split_to(end + 2);
        let mut plain = Vec::with_capacity(frame.len());
        let mut bytes = frame.iter();
        while let Some(byte) = bytes.next() {
            match byte {
                &ESCAPE => match bytes.next() {
                    Some(0xdc) => plain.push(MARK),
                    Some(0xdd) => plain.push(ESCAPE),
                    _ => {}
                },
                byte => plain.push(*byte),
            }
        }
        Ok(Some(plain.into()))
    }
}

struct HuaSheng {
    device: Option<DeviceId>,
}

impl Decoder for HuaSheng {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    fn command(&mut self, _device: &DeviceId, instruction: &Instruction, _context: &Context) -> Said {
        // How many values follow, then what: each parameter has its number, its length and its value.
        let (kind, content) = match instruction {
            // Odd numbers switch on, even ones off.
            Instruction::SetOutput { output, on } => {
                (0xaa16, vec![0, 1, output.saturating_sub(1).saturating_mul(2) + if *on { 1 } else { 2 }])
            }
            Instruction::ReportEvery { seconds } => {
                let seconds = u16::try_from(*seconds).unwrap_or(u16::MAX).to_be_bytes();
                (0xaa04, [&[0, 1, 0, 2, 0, 6][..], &seconds].concat())
            }
            _ => return Err(unsaid(instruction)),
        };
        let length = (10 + content.len()) as u16;
        let body = [&[0, 0][..], &length.to_be_bytes(), &u16::to_be_bytes(kind), &[0; 4], &content].concat();
        Ok(escape(&body))
    }

    fn understand(&mut self, frame: &[u8], _context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        let mut reader = Reader::new(frame.strip_suffix(&[MARK]).unwrap_or(frame));
        reader.skip(1 + 2 + 2)?; // mark, flags, length
        let kind = reader.u16()?;
        reader.skip(2)?; // a checksum that no document defines, often zero
        let number = reader.take(4)?;
        match kind {
            LOGIN => {
                while reader.left() >= 4 {
                    let (tag, mut value) = tagged(&mut reader)?;
                    if tag == 0x0003 {
                        let length = value.left();
                        self.device = Some(imei(ascii(value.take(length)?)?)?);
                        decoded.replies.push(answer(LOGIN_ANSWER, number, &[0]));
                    }
                }
            }
            REPORT => decoded.replies.push(answer(REPORT_ANSWER, number, &[])),
            POSITION if self.device.is_none() => {
                return Err(Fault::new(FaultKind::NoDevice, "a position before the login"));
            }
            POSITION => {
                decoded.replies.push(answer(POSITION_ANSWER, number, &[]));
                decoded.fixes.push(position(&mut reader)?);
            }
            // Trouble codes, answers to commands.
            _ => {}
        }
        Ok(())
    }
}

fn answer(kind: u16, number: &[u8], content: &[u8]) -> Bytes {
    let length = (12 + content.len()) as u16;
    let head = [&[MARK, 1, 0][..], &length.to_be_bytes(), &kind.to_be_bytes(), &[0, 0], number].concat();
    [&head[..], content, &[MARK]].concat().into()
}

/// A tag, the length of it all, and the value.
fn tagged<'a>(reader: &mut Reader<'a>) -> Result<(u16, Reader<'a>), Fault> {
    let (tag, length) = (reader.u16()?, usize::from(reader.u16()?));
    Ok((tag, reader.part(length.saturating_sub(4))?))
}

/// Status, event, `yymmddhhmmss`, longitude and latitude in 1e-5 degree, km/h, course, altitude, speed of the bus; then tagged values.
fn position(reader: &mut Reader<'_>) -> Result<Fix, Fault> {
    let (status, event) = (reader.u16()?, reader.u16()?);
    let mut fix = FixBuilder::valid(bit(status, 15));
    fix.set(name::STATUS, i64::from(status)).set(name::IGNITION, bit(status, 14)).set(name::EVENT, i64::from(event));
    fix.set_some(name::ALARM, alarm_word(event));
    let (date, time) = (ascii(reader.take(6)?)?, ascii(reader.take(6)?)?);
    let (lon, lat) = (f64::from(reader.i32()?) / 1e5, f64::from(reader.i32()?) / 1e5);
    fix.speed_kmh(reader.u16()?.into()).course_deg(reader.u16()?.into()).altitude_m(reader.u16()?.into());
    fix.set(name::OBD_SPEED_KMH, i64::from(reader.u16()?));
    // A tag that is cut off is not worth the fix.
    while reader.left() >= 4 {
        let Ok((tag, value)) = tagged(reader) else { break };
        if value_of(tag, value, &mut fix).is_err() {
            break;
        }
    }
    fix.at(ymd(date, time)?, lat, lon)
}

fn value_of(tag: u16, mut value: Reader<'_>, fix: &mut FixBuilder) -> Result<(), Fault> {
    match tag {
        0x0001 => {
            // All ones: not told.
            let coolant = value.u8()?;
            fix.set_some(name::COOLANT_TEMPERATURE_C, (coolant != 0xff).then(|| i64::from(coolant) - 40));
            let rpm = value.u16()?;
            fix.set_some(name::RPM, (rpm != 0xffff).then(|| i64::from(rpm)));
            value.skip(1 + 2 + 2)?; // average speed, fuel of the interval, consumption
            fix.set(name::TRIP_ODOMETER_M, i64::from(value.u16()?)).set(name::POWER_V, f64::from(value.u16()?) / 100.0);
            let fuel = value.u8()?;
            fix.set_some(name::FUEL_LEVEL, (fuel != 0xff).then(|| f64::from(fuel) * 0.4));
        }
        0x0005 => {
            fix.set(name::RSSI, i64::from(value.u8()?)).set(name::HDOP, f64::from(value.u8()?));
        }
        0x0009 => {
            let length = value.left();
            fix.set(name::VIN, String::from_utf8_lossy(value.take(length)?).trim_matches('\0'));
        }
        0x0011 => drop(fix.set(name::ENGINE_HOURS_H, f64::from(value.u32()?) * 0.05)),
        _ => {}
    }
    Ok(())
}

fn alarm_word(event: u16) -> Option<&'static str> {
    match event {
        4 => Some(alarm::FATIGUE_DRIVING),
        6 => Some(alarm::SOS),
        7 => Some(alarm::HARD_BRAKING),
        8 => Some(alarm::HARD_ACCELERATION),
        9 => Some(alarm::HARD_CORNERING),
        10 => Some(alarm::ACCIDENT),
        16 => Some(alarm::TAMPERING),
        _ => None,
    }
}

/// A message as it goes on the wire: marks added, marks and escapes inside escaped.
fn escape(body: &[u8]) -> Bytes {
    let mut message = vec![MARK];
    for byte in body {
        match *byte {
            MARK => message.extend_from_slice(&[ESCAPE, 0xdc]),
            ESCAPE => message.extend_from_slice(&[ESCAPE, 0xdd]),
            byte => message.push(byte),
        }
    }
    message.push(MARK);
    message.into()
}
