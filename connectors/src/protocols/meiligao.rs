//! Meiligao: `$$` + length + packed id + command + data + CRC; positions are texts in the data, much like NMEA's RMC.

use crate::protocol::{Checksums, Context, Decoded, Decoder, Fault, FaultKind, Fix, Framing, Protocol, Said, Transport};
use crate::readers::{Fields, FixBuilder, Reader, device_id, dmy, find, hex, luhn, malformed, number, unhex, unsaid};
use crate::vocabulary::{self as name, alarm};
use bytes::{Buf, Bytes, BytesMut};
use crc::{CRC_16_IBM_3740, Crc};
use smol_str::format_smolstr;
use waystream_domain::{DeviceId, Instruction};

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "meiligao",
    port: 5009,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: true,
        framing: || Box::new(MeiligaoFraming),
        decoder: || Box::new(Meiligao { device: None }),
    },
};

const MAX_FRAME_BYTES: usize = 4096;
/// Mark, length, id, command, checksum, end.
const LEAST_BYTES: usize = 2 + 2 + 7 + 2 + 2 + 2;
const CRC: Crc<u16> = Crc::<u16>::new(&CRC_16_IBM_3740);

const LOGIN: u16 = 0x5000;
const POSITION: u16 = 0x9955;
const POSITION_LOGGED: u16 = 0x9016;
const ALARM: u16 = 0x9999;
const RFID: u16 = 0x9966;
const RETRANSMISSION: u16 = 0x6688;
const PICTURE: u16 = 0x0800;
const PICTURE_PART: u16 = 0x9988;

struct MeiligaoFraming;

impl Framing for MeiligaoFraming {
    fn next_frame(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, Fault> {
        let start = [&b"$$"[..], b"@@"].iter().filter_map(|mark| find(buffer, mark)).min();
        buffer.advance(start.unwrap_or(buffer.len().saturating_sub(1)));
        let [_, _, high, low, ..] = buffer[..] else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes([high, low])).max(LEAST_BYTES);
        if length > MAX_FRAME_BYTES {
            return Err(Fault::new(FaultKind::Oversized, format_smolstr!("a message of {length} bytes")));
        }
        Ok((buffer.len() >= length).then(|| buffer.split_to(length).freeze()))
    }
}

struct Meiligao {
    device: Option<DeviceId>,
}

impl Decoder for Meiligao {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    /// The IMEI as on the label: it leaves the check digit out.
    fn aliases(&self, device: &DeviceId) -> Vec<DeviceId> {
        let id = device.as_str();
        let fourteen = id.len() == 14 && id.bytes().all(|digit| digit.is_ascii_digit());
        fourteen.then(|| DeviceId::new(format!("{id}{}", luhn(id))).ok()).flatten().into_iter().collect()
    }

    fn command(&mut self, device: &DeviceId, instruction: &Instruction, _context: &Context) -> Said {
        let (kind, body) = match instruction {
            Instruction::RequestPosition => (0x4101, Vec::new()),
            // In steps of ten seconds.
            Instruction::ReportEvery { seconds } => {
                (0x4102, u16::try_from(seconds.div_ceil(10)).unwrap_or(u16::MAX).to_be_bytes().to_vec())
            }
            Instruction::MovementAlarm { radius_m } => (0x4106, radius_m.to_be_bytes().to_vec()),
            Instruction::EngineStop => (0x4115, vec![1]),
            Instruction::EngineResume => (0x4115, vec![0]),
            Instruction::SetUtcOffset { minutes } => (0x4132, minutes.to_string().into_bytes()),
            Instruction::Restart => (0x4902, Vec::new()),
            _ => return Err(unsaid(instruction)),
        };
        // Fourteen digits, filled up with f.
        let digits: String = device.as_str().chars().chain(std::iter::repeat_n('f', 14)).take(14).collect();
        Ok(answer(&unhex(&digits), kind, &body))
    }

    fn understand(&mut self, frame: &[u8], context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        // What is behind the told length belongs to the next message.
        let length = frame.get(2..4).map_or(0, |length| usize::from(u16::from_be_bytes([length[0], length[1]])));
        let frame = frame.get(..length).filter(|frame| frame.len() >= LEAST_BYTES).unwrap_or(frame);
        let Some((covered, [high, low, ..])) = frame.len().checked_sub(4).map(|at| frame.split_at(at)) else {
            return Err(malformed("a short message"));
        };
        let (found, expected) = (u16::from_be_bytes([*high, *low]), CRC.checksum(covered));
        if found != expected {
            decoded.faults.push(Fault::new(FaultKind::Checksum, format_smolstr!("CRC is {found:04x}, not {expected:04x}")));
            if context.checksums == Checksums::Refuse {
                return Ok(());
            }
        }
        let mut reader = Reader::new(covered);
        reader.skip(4)?;
        let id = reader.take(7)?;
        self.device = Some(device_id(hex(id).trim_end_matches('f'))?);
        let command = reader.u16()?;
        match command {
            LOGIN => decoded.replies.push(answer(id, 0x4000, &[1])),
            POSITION | POSITION_LOGGED => decoded.fixes.extend(position(reader.rest())?),
            ALARM => {
                // One version leaves the code out: six digits of time stand at once.
                let coded = !reader.rest().iter().take(6).all(u8::is_ascii_digit);
                let code = if coded { reader.u8()? } else { 0 };
                let mut fix = position(reader.rest())?;
                if let (Some(fix), Some(word)) = (&mut fix, alarm_word(code)) {
                    fix.attributes.set(name::ALARM, word);
                }
                decoded.fixes.extend(fix);
            }
            PICTURE => {
                // A picture of this number is there: it is asked for.
                decoded.replies.push(answer(id, 0x8801, &[reader.u8()?]));
            }
            PICTURE_PART => decoded.unread = Some("part of a picture"),
            RFID => decoded.fixes.extend(card(reader.rest())?),
            RETRANSMISSION => {
                for record in reader.rest().split(|byte| *byte == b'\\') {
                    match position(record) {
                        Ok(fix) => decoded.fixes.extend(fix),
                        Err(fault) => decoded.faults.push(fault),
                    }
                }
            }
            // Heartbeats, answers to commands, readings of the engine.
            _ => {}
        }
        Ok(())
    }
}

/// `@@` + length + id + command + data + CRC.
fn answer(id: &[u8], command: u16, data: &[u8]) -> Bytes {
    let length = (LEAST_BYTES + data.len()) as u16;
    let mut message = [&b"@@"[..], &length.to_be_bytes(), id, &command.to_be_bytes(), data].concat();
    let checksum = CRC.checksum(&message);
    message.extend_from_slice(&checksum.to_be_bytes());
    message.extend_from_slice(b"\r\n");
    message.into()
}

/// `hhmmss.sss,A,lat,N,lon,E,knots,course,ddmmyy,,*cs|hdop|altitude|ports|ad1,ad2|…|odometer`; bytes in front of it are passed over.
fn position(data: &[u8]) -> Result<Option<Fix>, Fault> {
    let text = String::from_utf8_lossy(data);
    let Some(start) = text.bytes().position(|byte| byte.is_ascii_digit()) else { return Ok(None) };
    let mut parts = text[start..].split('|');
    let fields = Fields::new(parts.next().unwrap_or_default(), ',');
    if !matches!(fields.get(1), "A" | "V") {
        return Ok(None);
    }
    let mut fix = FixBuilder::valid(fields.get(1) == "A");
    fix.speed_knots(fields.number(6).unwrap_or(-1.0)).course_deg(fields.number(7).unwrap_or(-1.0));
    if let Some(hdop) = parts.next().and_then(number) {
        fix.set(name::HDOP, hdop);
    }
    if let Some(altitude) = parts.next().and_then(number) {
        fix.altitude_m(altitude);
    }
    let (lat, lon) = fields.nmea_place(2)?;
    let (date, time) = (fields.get(8).get(..6).unwrap_or_default(), fields.get(0));
    // A letter may stand in front of the time.
    fix.at(dmy(date, time)?, lat, lon).map(Some)
}

/// A card was read: its number, zeros, then `|hhmmss,ddmmyy,lat,N,lon,E`.
fn card(data: &[u8]) -> Result<Option<Fix>, Fault> {
    let mut reader = Reader::new(data);
    let number = reader.u32()?;
    let Some(at) = find(data, b"|") else { return Ok(None) };
    let text = String::from_utf8_lossy(&data[at + 1..]);
    let fields = Fields::new(&text, ',');
    let mut fix = FixBuilder::valid(true);
    fix.set(name::DRIVER_ID, format_smolstr!("{number:010}").as_str());
    let (lat, lon) = fields.nmea_place(2)?;
    fix.at(dmy(fields.get(1), fields.get(0))?, lat, lon).map(Some)
}

fn alarm_word(code: u8) -> Option<&'static str> {
    match code {
        0x01 => Some(alarm::SOS),
        0x10 => Some(alarm::LOW_BATTERY),
        0x11 => Some(alarm::OVERSPEED),
        0x12 => Some(alarm::MOVEMENT),
        0x13 => Some(alarm::GEOFENCE),
        0x14 => Some(alarm::ACCIDENT),
        0x50 => Some(alarm::POWER_CUT),
        0x53 => Some(alarm::GPS_ANTENNA_CUT),
        0x72 => Some(alarm::HARD_BRAKING),
        0x73 => Some(alarm::HARD_ACCELERATION),
        _ => None,
    }
}
