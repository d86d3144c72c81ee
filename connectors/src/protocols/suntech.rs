//! Suntech: `;` texts that end with `\r` (ST300, ST600, ST910, SA200, universal), and binary messages with packed digits.
//!
//! The texts differ by family and by the mask that chooses columns, but a fix always has date, time, then latitude and longitude
//! with a sign, km/h, course, satellites and whether it is valid.

use crate::protocol::{Context, Decoded, Decoder, Fault, FaultKind, Fix, Framing, Protocol, Said, Transport};
use crate::readers::{Fields, FixBuilder, Reader, bit, civil, device_id, find, hex, malformed, number, pairs, spoken, unsaid};
use crate::vocabulary::{self as name, alarm};
use bytes::{Buf, Bytes, BytesMut};
use smol_str::{SmolStr, format_smolstr};
use waystream_domain::{DeviceId, Instruction};

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "suntech",
    port: 5011,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: false,
        framing: || Box::new(SuntechFraming),
        decoder: || Box::new(Suntech { device: None, family: None }),
    },
};

const MAX_FRAME_BYTES: usize = 4096;
/// Position reports and alerts as binary messages; a compressed text.
const REPORT: u8 = 0x81;
const ALERT: u8 = 0x82;
const COMPRESSED: u8 = 0x02;
/// The family that has no name in its heads, and the one that is meant if nothing was told.
const UNIVERSAL: &str = "";
const OLDEST: &str = "SA200";
const MAX_FAMILY_BYTES: usize = 8;

struct SuntechFraming;

impl Framing for SuntechFraming {
    fn next_frame(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, Fault> {
        let noise = buffer.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        buffer.advance(noise);
        let length = match buffer[..] {
            [REPORT | ALERT, high, low, ..] => Some(3 + usize::from(u16::from_be_bytes([high, low]))),
            [COMPRESSED, high, low, ..] => Some(4 + usize::from(u16::from_be_bytes([high, low]))),
            [] | [REPORT | ALERT | COMPRESSED] | [REPORT | ALERT | COMPRESSED, _] => return Ok(None),
            _ => text_end(buffer),
        };
        match length {
            Some(length) if length > MAX_FRAME_BYTES => {
                Err(Fault::new(FaultKind::Oversized, format_smolstr!("a message of {length} bytes")))
            }
            Some(length) => Ok((buffer.len() >= length).then(|| buffer.split_to(length).freeze())),
            None if buffer.len() > MAX_FRAME_BYTES => {
                Err(Fault::new(FaultKind::Oversized, "no \\r within the largest message"))
            }
            None => Ok(None),
        }
    }
}

/// Where a text ends: at the first `\r` that does not lie within the payload of a serial port (`UEX`), whose length is told.
fn text_end(buffer: &[u8]) -> Option<usize> {
    let first = find(buffer, b"\r")?;
    let head = &buffer[..buffer.iter().position(|byte| *byte == b';').unwrap_or(0)];
    if !head.ends_with(b"UEX") {
        return Some(first);
    }
    // The length stands behind the bits of the ports: six or eight of `0` and `1`.
    let mut at = 0;
    let mut ports = false;
    for field in buffer.split(|byte| *byte == b';') {
        let start = at;
        at += field.len() + 1;
        if ports && let Some(length) = std::str::from_utf8(field).ok().and_then(|digits| digits.parse::<usize>().ok()) {
            if start > first {
                break;
            }
            let payload_end = at.saturating_add(length);
            return match buffer.get(payload_end..) {
                Some(rest) => find(rest, b"\r").map(|cr| payload_end + cr),
                None if payload_end > MAX_FRAME_BYTES => Some(first),
                None => None,
            };
        }
        ports = matches!(field.len(), 6 | 8) && field.iter().all(|byte| matches!(byte, b'0' | b'1'));
    }
    Some(first)
}

struct Suntech {
    device: Option<DeviceId>,
    /// What heads of its messages begin with, as those of commands do.
    family: Option<SmolStr>,
}

impl Decoder for Suntech {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    fn command(&mut self, device: &DeviceId, instruction: &Instruction, _context: &Context) -> Said {
        let universal = self.family.as_deref() == Some(UNIVERSAL);
        let text = match (instruction, universal) {
            (Instruction::EngineStop, false) => "02;Enable1",
            (Instruction::EngineResume, false) => "02;Disable1",
            (Instruction::RequestPosition, false) => "02;StatusReq",
            (Instruction::Restart, false) => "02;Reboot",
            (Instruction::SetOutput { output: 1, on: true }, false) => "02;Enable1",
            (Instruction::SetOutput { output: 1, on: false }, false) => "02;Disable1",
            (Instruction::SetOutput { output: 2, on: true }, false) => "02;Enable2",
            (Instruction::SetOutput { output: 2, on: false }, false) => "02;Disable2",
            (Instruction::EngineStop | Instruction::SetOutput { output: 1, on: true }, true) => "04;01",
            (Instruction::EngineResume | Instruction::SetOutput { output: 1, on: false }, true) => "04;02",
            (Instruction::SetOutput { output: 2, on: true }, true) => "04;03",
            (Instruction::SetOutput { output: 2, on: false }, true) => "04;04",
            (Instruction::RequestPosition, true) => "03;01",
            (Instruction::Restart, true) => "03;03",
            (Instruction::Text { text }, _) => text,
            _ => return Err(unsaid(instruction)),
        };
        let head = self.family.as_deref().unwrap_or(OLDEST);
        Ok(format!("{head}CMD;{device};{text}\r").into())
    }

    fn understand(&mut self, frame: &[u8], _context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        let fix = match frame.first() {
            Some(&(REPORT | ALERT)) => Some(self.binary(frame)?),
            Some(&COMPRESSED) => return Err(Fault::new(FaultKind::UnknownMessage, "a compressed message")),
            _ => {
                let text = String::from_utf8_lossy(frame);
                let head = text.split(';').next().unwrap_or_default();
                if let Some((family, kind)) = head.len().checked_sub(3).and_then(|at| head.split_at_checked(at))
                    && family.len() <= MAX_FAMILY_BYTES
                    && kind.bytes().all(|letter| letter.is_ascii_uppercase())
                {
                    self.family = Some(family.into());
                    if let "CMD" | "RES" = kind {
                        decoded.answer = Some(spoken(text.as_bytes()));
                    }
                }
                self.text(&text)?
            }
        };
        decoded.fixes.extend(fix);
        Ok(())
    }
}

impl Suntech {
    fn text(&mut self, text: &str) -> Result<Option<Fix>, Fault> {
        let fields = Fields::new(text, ';');
        if fields.len() < 2 {
            // Answers to commands.
            return if self.device.is_some() { Ok(None) } else { Err(Fault::new(FaultKind::NoDevice, "a text without an id")) };
        }
        let head = fields.get(0);
        // `ST910;Location;id` and answers `ST300CMD;Res;id` have a word in front of the id.
        let id_at = if fields.get(1).bytes().all(|byte| byte.is_ascii_digit()) { 1 } else { 2 };
        self.device = Some(device_id(fields.get(id_at))?);
        // Trip summaries have two places and no fix.
        if head.ends_with("HTE") {
            return Ok(None);
        }
        let is_date = |text: &str| text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit());
        let is_time = |text: &str| text.len() == 8 && text.as_bytes()[2] == b':' && text.as_bytes()[5] == b':';
        let Some(date_at) = (id_at + 1..fields.len()).find(|at| is_date(fields.get(*at)) && is_time(fields.get(at + 1))) else {
            return Ok(None);
        };
        let is_degrees = |text: &str| text.starts_with(['+', '-']) && text.contains('.') && number(text).is_some();
        let Some(at) = (date_at + 2..fields.len()).find(|at| is_degrees(fields.get(*at)) && is_degrees(fields.get(at + 1)))
        else {
            return Ok(None);
        };
        let time = {
            let [century, year, month, day] = pairs(fields.get(date_at))?;
            let clock: String = fields.get(date_at + 1).chars().filter(char::is_ascii_digit).collect();
            civil([century * 100 + year, month, day], pairs(&clock)?)?
        };
        let (lat, lon) = (fields.needed(at)?, fields.needed(at + 1)?);
        if matches!(head, "BLE" | "BSA") {
            return FixBuilder::valid(true).at(time, lat, lon).map(Some);
        }
        let st910 = head == "ST910";
        let mut fix = FixBuilder::valid(fields.get(if st910 { at + 4 } else { at + 5 }) == "1");
        fix.speed_kmh(fields.number(at + 2).unwrap_or(-1.0)).course_deg(fields.number(at + 3).unwrap_or(-1.0));
        if st910 {
            name_kind(fields.get(1), &mut fix);
        } else {
            if let Some(satellites) = fields.int(at + 4) {
                fix.set(name::SATELLITES, satellites);
            }
            name_kind(head.get(head.len().saturating_sub(3)..).unwrap_or_default(), &mut fix);
            // A card reader on the serial port.
            if let Some(card) =
                fields.from(at).iter().find(|field| field.starts_with("GTSL|")).and_then(|card| card.split('|').nth(4))
            {
                fix.set(name::DRIVER_ID, card);
            }
            if head.len() == 3 {
                if fields.get(date_at - 1) == "0" {
                    fix.set(name::ARCHIVE, true);
                }
                if let Some(rssi) = fields.int(at - 1) {
                    fix.set(name::RSSI, rssi);
                }
                universal(&fields, at + 6, &mut fix);
            } else if matches!(head.get(..5), Some("ST410" | "ST419")) {
                // Cells stand in front of the battery, which has decimals as only it has.
                let volts = (id_at + 1..date_at).find(|at| fields.get(*at).contains('.')).and_then(|at| fields.number(at));
                if let Some(volts) = volts {
                    fix.set(name::BATTERY_V, volts);
                }
            } else {
                vehicle(&fields, at + 6, &mut fix);
            }
        }
        fix.at(time, lat, lon).map(Some)
    }

    /// Length, id, mask of columns, model, version, fresh or kept, time, cell, place, speed, course, satellites, valid, ports.
    fn binary(&mut self, frame: &[u8]) -> Result<Fix, Fault> {
        let mut reader = Reader::new(frame);
        reader.skip(3)?;
        self.device = Some(device_id(&hex(reader.take(5)?))?);
        let mask = reader.uint(3)?;
        let skip =
            |column: u32, bytes: usize, reader: &mut Reader<'_>| if bit(mask, column) { reader.skip(bytes) } else { Ok(()) };
        skip(1, 1, &mut reader)?;
        skip(2, 3, &mut reader)?;
        let kept = bit(mask, 3) && reader.u8()? == 0;
        if !(bit(mask, 4) && bit(mask, 5) && bit(mask, 11) && bit(mask, 12)) {
            return Err(malformed(format_args!("mask {mask:06x} leaves out time or place")));
        }
        let [year, month, day, hour, minute, second] = reader.array()?.map(u32::from);
        for (column, bytes) in [(6, 4), (7, 2), (8, 2), (9, 2)] {
            skip(column, bytes, &mut reader)?;
        }
        let rssi = if bit(mask, 10) { Some(reader.u8()?) } else { None };
        let (lat, lon) = (signed_degrees(reader.u32()?), signed_degrees(reader.u32()?));
        let mut fix = FixBuilder::default();
        if bit(mask, 13) {
            fix.speed_kmh(f64::from(reader.u16()?) / 100.0);
        }
        if bit(mask, 14) {
            fix.course_deg(f64::from(reader.u16()?) / 100.0);
        }
        if bit(mask, 15) {
            fix.set(name::SATELLITES, i64::from(reader.u8()?));
        }
        fix.valid = bit(mask, 16) && reader.u8()? == 1;
        if bit(mask, 17) {
            fix.set(name::IGNITION, bit(reader.u8()?, 0));
        }
        if kept {
            fix.set(name::ARCHIVE, true);
        }
        if let Some(rssi) = rssi {
            fix.set(name::RSSI, i64::from(rssi));
        }
        if frame[0] == ALERT {
            alert(&mut reader, mask, &mut fix).ok(); // what is cut off here costs no fix
        }
        fix.at(civil([year, month, day], [hour, minute, second])?, lat, lon)
    }
}

/// Outputs, alert, its modifier, its data with their length.
fn alert(reader: &mut Reader<'_>, mask: u64, fix: &mut FixBuilder) -> Result<(), Fault> {
    /// The card or key of a driver.
    const DRIVER: u8 = 59;
    if bit(mask, 18) {
        reader.skip(1)?;
    }
    let alert = if bit(mask, 19) { reader.u8()? } else { 0 };
    if bit(mask, 20) {
        reader.skip(1)?;
    }
    let length = if bit(mask, 21) { reader.u8()? } else { 0 };
    let data = reader.take(length.into())?;
    if alert == DRIVER && !data.is_empty() {
        fix.set(name::DRIVER_ID, hex(data).as_str());
    }
    Ok(())
}

/// 1e-6 degree, the top bit is the sign.
fn signed_degrees(word: u32) -> f64 {
    let degrees = f64::from(word & 0x7fff_ffff) / 1e6;
    if bit(word, 31) { -degrees } else { degrees }
}

fn name_kind(kind: &str, fix: &mut FixBuilder) {
    fix.set(name::EVENT, kind);
    match kind {
        "EMG" | "Emergency" => fix.set(name::ALARM, alarm::SOS),
        "Alert" => fix.set(name::ALARM, alarm::GENERAL),
        _ => fix,
    };
}

/// Odometer, volts, ports of which the first is the ignition.
fn vehicle(fields: &Fields<'_>, at: usize, fix: &mut FixBuilder) {
    if let Some(metres) = fields.int(at) {
        fix.set(name::ODOMETER_M, metres);
    }
    if let Some(volts) = fields.number(at + 1) {
        fix.set(name::POWER_V, volts);
    }
    let ports = fields.get(at + 2);
    if matches!(ports.len(), 6 | 8) {
        let names = [name::IGNITION, "in.1", "in.2", "in.3", "out.1", "out.2"];
        for (name, port) in names.into_iter().zip(ports.bytes()) {
            fix.set(name, port == b'1');
        }
    }
}

/// Ports as eight binary digits, the last one is the ignition.
fn universal(fields: &Fields<'_>, at: usize, fix: &mut FixBuilder) {
    let ports = fields.get(at);
    if ports.len() == 8 {
        fix.set(name::IGNITION, ports.ends_with('1'));
    }
    // Behind the ports and a few fields stands a mask of 8 digits; for each of its bits a value follows.
    let is_mask = |at: &usize| fields.get(*at).len() == 8 && fields.hex(*at).is_some();
    let Some(mask_at) = (at + 2..at + 8).find(is_mask) else { return };
    let bits = (0..32).filter(|index| bit(fields.hex(mask_at).unwrap_or_default(), *index));
    for (value_at, index) in (mask_at + 1..fields.len()).zip(bits) {
        match fields.number(value_at) {
            Some(value) => fix.set(format_smolstr!("io.{}", index + 1), value),
            None if fields.get(value_at).is_empty() => fix,
            None => fix.set(format_smolstr!("io.{}", index + 1), fields.get(value_at)),
        };
    }
}
