//! Castel (OBD dongles and PT trackers): `@@` or `$$` + length + version + id + type + data + CRC; three families by version.

use crate::protocol::{Context, Decoded, Decoder, Fault, FaultKind, Fix, Framing, Protocol, Said, Transport};
use crate::readers::{FixBuilder, Reader, bit, checksum_holds, civil, device_id, malformed, unsaid};
use crate::vocabulary::{self as name, alarm};
use bytes::{Bytes, BytesMut};
use crc::{CRC_16_IBM_SDLC, Crc};
use smol_str::format_smolstr;
use waystream_domain::{DeviceId, Instruction};

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "castel",
    port: 5086,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: true,
        framing: || Box::new(CastelFraming),
        decoder: || Box::new(Castel { device: None }),
    },
};

const MAX_FRAME_BYTES: usize = 4096;
const CRC: Crc<u16> = Crc::<u16>::new(&CRC_16_IBM_SDLC);
const ID_BYTES: usize = 20;
/// Coordinates are in milliseconds of arc.
const UNITS_PER_DEGREE: f64 = 3_600_000.0;

struct CastelFraming;

impl Framing for CastelFraming {
    fn next_frame(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, Fault> {
        let length = match buffer[..] {
            [b'@', b'@', low, high, ..] | [b'$', b'$', low, high, ..] => usize::from(u16::from_le_bytes([low, high])),
            [] | [b'@' | b'$'] | [b'@', b'@', ..] | [b'$', b'$', ..] => return Ok(None),
            _ => return Err(malformed("a message begins with @@ or $$")),
        };
        if length > MAX_FRAME_BYTES {
            return Err(Fault::new(FaultKind::Oversized, format_smolstr!("a message of {length} bytes")));
        }
        if length < 2 + 2 + ID_BYTES + 2 + 4 {
            return Err(malformed(format_args!("a message of {length} bytes")));
        }
        Ok((buffer.len() >= length).then(|| buffer.split_to(length).freeze()))
    }
}

struct Castel {
    device: Option<DeviceId>,
}

/// What an answer repeats of its message.
struct Head<'a> {
    /// Missing in the oldest family.
    version: Option<u8>,
    id: &'a [u8],
}

impl Decoder for Castel {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    fn command(&mut self, device: &DeviceId, instruction: &Instruction, _context: &Context) -> Said {
        let on = match instruction {
            Instruction::EngineStop => 1,
            Instruction::EngineResume => 0,
            _ => return Err(unsaid(instruction)),
        };
        let mut id = device.as_str().as_bytes().to_vec();
        id.resize(ID_BYTES, 0);
        Ok(Head { version: Some(1), id: &id }.answer(0x4583, &[on]))
    }

    fn understand(&mut self, frame: &[u8], context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        let mut rest = frame;
        while !rest.is_empty() {
            let length = Reader::new(rest.get(2..).unwrap_or_default()).u16_le()?;
            let (message, behind) = rest.split_at_checked(length.into()).ok_or_else(|| malformed("shorter than it says"))?;
            self.message(message, context, decoded)?;
            // Only a datagram holds more than one.
            rest = if context.datagram && length > 0 { behind } else { &[] };
        }
        Ok(())
    }
}

impl Castel {
    fn message(&mut self, message: &[u8], context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        let Some((covered, [low, high, ..])) = message.len().checked_sub(4).map(|at| message.split_at(at)) else {
            return Err(malformed("a short message"));
        };
        if !checksum_holds(u16::from_le_bytes([*low, *high]), CRC.checksum(covered), context, decoded) {
            return Ok(());
        }
        let mut reader = Reader::new(covered);
        let mark = reader.take(2)?;
        reader.skip(2)?;
        let version = if mark == b"@@" { Some(reader.u8()?) } else { None };
        let id = reader.take(ID_BYTES)?;
        let kind = reader.u16()?;
        self.device = Some(device_id(String::from_utf8_lossy(id).trim_matches(['\0', ' ']))?);
        let head = Head { version, id };
        match version {
            None => oldest(&head, kind, &mut reader, decoded),
            Some(3 | 4) => dongle(&head, kind, &mut reader, context, decoded),
            Some(5..=0x1f) => tracker(&head, kind, &mut reader, decoded),
            Some(version) => Err(malformed(format_args!("version {version}"))),
        }
    }
}

impl Head<'_> {
    fn answer(&self, kind: u16, content: &[u8]) -> Bytes {
        // The oldest family is answered with a version all the same.
        let version = [self.version.unwrap_or(0xff)];
        framed(&[&version[..], self.id, &kind.to_be_bytes(), content].concat())
    }
}

fn framed(body: &[u8]) -> Bytes {
    let length = (2 + 2 + body.len() + 2 + 2) as u16;
    let mut message = [&b"@@"[..], &length.to_le_bytes(), body].concat();
    let checksum = CRC.checksum(&message);
    message.extend_from_slice(&checksum.to_le_bytes());
    message.extend_from_slice(b"\r\n");
    message.into()
}

/// OBD dongles (IDD-213 and kin).
fn dongle(head: &Head<'_>, kind: u16, reader: &mut Reader<'_>, context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
    let mut alarms = false;
    match kind {
        0x1001 => {
            let now = (context.received_at.as_millis() / 1000) as u32;
            decoded.replies.push(head.answer(0x9001, &[&[0xff, 0xff, 0xff, 0xff, 0, 0][..], &now.to_le_bytes()].concat()));
        }
        0x1003 => {
            decoded.replies.push(head.answer(0x9003, &[]));
            return Ok(());
        }
        0x1002 | 0x400e => {}
        0x4001 => reader.skip(1)?,     // whether it is from the memory
        0x401f => reader.skip(1 + 4)?, // the same, and a number
        0x4007 => {
            let number = reader.take(4)?;
            decoded.replies.push(head.answer(0xc007, number));
            alarms = true;
        }
        0xb001 => reader.skip(2)?,
        0x4009 => {
            reader.skip(4)?;
            decoded.fixes.push(place(reader, FixBuilder::default())?);
            return Ok(());
        }
        0x5101 => {
            decoded.fixes.push(place(reader, FixBuilder::default())?);
            return Ok(());
        }
        // Readings of the engine, acceleration, codes, cells, answers to questions: no place.
        _ => return Ok(()),
    }
    let mut common = FixBuilder::default();
    status(reader, &mut common)?;
    let count = reader.u8()?;
    let first = decoded.fixes.len();
    for _ in 0..count {
        let mut fix = FixBuilder::default();
        fix.merge(common.clone());
        match place(reader, fix) {
            Ok(fix) => decoded.fixes.push(fix),
            Err(fault) if fault.kind == FaultKind::Malformed => return Err(fault),
            Err(fault) => decoded.faults.push(fault),
        }
    }
    let fixes = &mut decoded.fixes[first..];
    if alarms {
        for _ in 0..reader.u8()? {
            // New, kind, description, threshold.
            let new = reader.u8()? != 0;
            if !new {
                continue;
            }
            let code = reader.u8()?;
            reader.skip(2 + 2)?;
            fixes.iter_mut().for_each(|fix| set_alarm(code, fix));
        }
    } else if kind == 0x401f {
        // Tags with their length.
        while reader.left() >= 4 {
            let (tag, length) = (reader.u16_le()?, reader.u16_le()?);
            let mut value = reader.part(length.into())?;
            let (name, scale) = match tag {
                0x10 => ("device_temperature_c", 10.0),
                0x21 => (name::BATTERY_V, 100.0),
                _ => continue,
            };
            let value = f64::from(value.u16_le()?) / scale;
            fixes.iter_mut().for_each(|fix| fix.attributes.set(name, value));
        }
    } else if kind == 0x400e {
        for fix in fixes {
            fix.attributes.set("adc.1", i64::from(reader.u16_le()?));
        }
    }
    Ok(())
}

/// Times, odometers, fuel, a word of states.
fn status(reader: &mut Reader<'_>, fix: &mut FixBuilder) -> Result<(), Fault> {
    reader.skip(4 + 4)?; // ignition on since, now
    fix.set(name::ODOMETER_M, i64::from(reader.u32_le()?)).set(name::TRIP_ODOMETER_M, i64::from(reader.u32_le()?));
    // Hundredths of a litre since the engine was started.
    fix.set("fuel_used_l", f64::from(reader.u32_le()?) / 100.0);
    reader.skip(2)?;
    let state = reader.u32_le()?;
    fix.set(name::STATUS, i64::from(state)).set(name::IGNITION, bit(state, 18));
    for (index, word) in [(4, alarm::HARD_ACCELERATION), (5, alarm::HARD_BRAKING), (6, alarm::IDLE)] {
        if bit(state, index) {
            fix.set(name::ALARM, word);
        }
    }
    reader.skip(8)
}

/// Day, month, year, time, latitude, longitude, cm/s, tenths of a degree, flags.
fn place(reader: &mut Reader<'_>, mut fix: FixBuilder) -> Result<Fix, Fault> {
    let [day, month, year, hour, minute, second] = reader.array()?.map(u32::from);
    let (lat, lon) = (f64::from(reader.u32_le()?) / UNITS_PER_DEGREE, f64::from(reader.u32_le()?) / UNITS_PER_DEGREE);
    fix.speed_mps(f64::from(reader.u16_le()?) / 100.0).course_deg(f64::from(reader.u16_le()?) / 10.0);
    let flags = reader.u8()?;
    fix.valid = flags & 0x0c != 0;
    fix.set(name::SATELLITES, i64::from(flags >> 4));
    let lat = if bit(flags, 1) { lat } else { -lat };
    let lon = if bit(flags, 0) { lon } else { -lon };
    fix.at(civil([year, month, day], [hour, minute, second])?, lat, lon)
}

fn set_alarm(code: u8, fix: &mut Fix) {
    let word = match code {
        0x01 => alarm::OVERSPEED,
        0x02 => alarm::LOW_POWER,
        0x03 => alarm::TEMPERATURE,
        0x04 => alarm::HARD_ACCELERATION,
        0x05 => alarm::HARD_BRAKING,
        0x06 => alarm::IDLE,
        0x07 => alarm::TOW,
        0x09 => alarm::POWER_ON,
        0x0c => alarm::HARD_CORNERING,
        0x0e => alarm::POWER_OFF,
        0x16 | 0x17 => {
            fix.attributes.set(name::IGNITION, code == 0x16);
            return;
        }
        _ => alarm::GENERAL,
    };
    fix.attributes.set(name::ALARM, word);
}

/// Trackers (PT-690 and kin).
fn tracker(head: &Head<'_>, kind: u16, reader: &mut Reader<'_>, decoded: &mut Decoded) -> Result<(), Fault> {
    let count = match kind {
        0x4001 => {
            decoded.replies.push(head.answer(0x8001, &[]));
            1
        }
        0x4206 => {
            decoded.replies.push(head.answer(0x8206, &[]));
            reader.skip(1)?; // whether it is from the memory
            reader.u8()?
        }
        _ => return Ok(()),
    };
    for _ in 0..count {
        let fix = place(reader, FixBuilder::default());
        let state = reader.u32_le()?;
        let battery = reader.u8()?;
        let odometer = reader.u32_le()?;
        reader.skip(3)?; // fences
        if kind == 0x4206 {
            reader.skip(2 + 2)?; // the cell
        }
        match fix {
            Ok(mut fix) => {
                fix.attributes.set(name::STATUS, i64::from(state));
                fix.attributes.set(name::ODOMETER_M, i64::from(odometer));
                if battery <= 100 {
                    fix.attributes.set(name::BATTERY_LEVEL, i64::from(battery));
                }
                decoded.fixes.push(fix);
            }
            Err(fault) => decoded.faults.push(fault),
        }
    }
    Ok(())
}

/// The family without a version.
fn oldest(head: &Head<'_>, kind: u16, reader: &mut Reader<'_>, decoded: &mut Decoded) -> Result<(), Fault> {
    let (count, behind) = match kind {
        0x4001 => {
            decoded.replies.push(head.answer(kind, &[]));
            (1, 0)
        }
        0x2001 => {
            decoded.replies.push(framed(&[head.id, &[0x10, 0x01, 0, 0, 0, 0], &[0xff; 8]].concat()));
            reader.skip(4 + 4 + 1)?; // number, time
            (1, 0)
        }
        0x4201 | 0x4202 | 0x4206 => (1, 0),
        0x4204 => (8, 31),
        _ => return Ok(()),
    };
    for _ in 0..count {
        let fix = place(reader, FixBuilder::default());
        match fix {
            Ok(fix) => decoded.fixes.push(fix),
            Err(fault) if fault.kind == FaultKind::Malformed => return Err(fault),
            Err(fault) => decoded.faults.push(fault),
        }
        reader.skip(behind)?;
    }
    Ok(())
}
