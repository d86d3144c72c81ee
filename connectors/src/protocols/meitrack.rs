//! Meitrack: `$$` + letter + length + `,IMEI,command,…*checksum`; positions as text (AAA) or binary (CCC, CCE), little-endian.

mod binary;

use crate::protocol::{Checksums, Context, Decoded, Decoder, Fault, FaultKind, Fix, Framing, Protocol, Said, Transport};
use crate::readers::{Fields, FixBuilder, Reader, ascii, bit, device_id, find, malformed, spoken, unsaid, ymd};
use crate::vocabulary::{self as name, alarm};
use bytes::{Buf, Bytes, BytesMut};
use smol_str::format_smolstr;
use waystream_domain::{DeviceId, Instruction};

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "meitrack",
    port: 5020,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: true,
        framing: || Box::new(MeitrackFraming),
        decoder: || Box::new(Meitrack { device: None }),
    },
};

const MAX_FRAME_BYTES: usize = 8 * 1024;
/// `$$`, a letter, at most five digits and a comma.
const MAX_HEAD_BYTES: usize = 9;

struct MeitrackFraming;

impl Framing for MeitrackFraming {
    fn next_frame(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, Fault> {
        loop {
            let start = find(buffer, b"$$").unwrap_or(buffer.len().saturating_sub(1));
            buffer.advance(start);
            if !buffer.starts_with(b"$$") {
                return Ok(None);
            }
            let head = &buffer[..buffer.len().min(MAX_HEAD_BYTES)];
            let Some(comma) = head.iter().position(|byte| *byte == b',') else {
                if head.len() < MAX_HEAD_BYTES {
                    return Ok(None);
                }
                buffer.advance(2);
                continue;
            };
            // The length counts from the comma on.
            let length = head.get(3..comma).and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<usize>().ok());
            match length {
                None => buffer.advance(2),
                Some(length) if comma + length > MAX_FRAME_BYTES => {
                    return Err(Fault::new(FaultKind::Oversized, format_smolstr!("a message of {length} bytes")));
                }
                Some(length) => return Ok((buffer.len() >= comma + length).then(|| buffer.split_to(comma + length).freeze())),
            }
        }
    }
}

struct Meitrack {
    device: Option<DeviceId>,
}

impl Decoder for Meitrack {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    fn command(&mut self, device: &DeviceId, instruction: &Instruction, _context: &Context) -> Said {
        let (letter, text) = match instruction {
            Instruction::EngineStop => (b'M', "C01,0,12222".to_owned()),
            Instruction::EngineResume => (b'M', "C01,0,02222".to_owned()),
            Instruction::RequestPosition => (b'Q', "A10".to_owned()),
            // In steps of ten seconds.
            Instruction::ReportEvery { seconds } => (b'Q', format!("A12,{}", seconds.div_ceil(10))),
            Instruction::Text { text } => (b'Q', text.clone()),
            _ => return Err(unsaid(instruction)),
        };
        Ok(answer(&[b'$', b'$', letter], device.as_str(), &text))
    }

    fn understand(&mut self, frame: &[u8], context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        let frame = frame.strip_suffix(b"\r\n").unwrap_or(frame);
        let Some((content, digits)) = frame.len().checked_sub(3).map(|at| frame.split_at(at)) else {
            return Err(malformed("a short message"));
        };
        // The sum of all bytes up to and with the star.
        let expected = frame[..content.len() + 1].iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
        let found = std::str::from_utf8(&digits[1..]).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok());
        if digits[0] != b'*' || found != Some(expected) {
            decoded.faults.push(Fault::new(FaultKind::Checksum, format_smolstr!("checksum is not {expected:02X}")));
            if context.checksums == Checksums::Refuse {
                return Ok(());
            }
        }
        let mut parts = content.splitn(4, |byte| *byte == b',');
        let (Some(head), Some(id), Some(command)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(malformed("neither IMEI nor command"));
        };
        let body = parts.next().unwrap_or_default();
        let (id, command) = (ascii(id)?, ascii(command)?);
        self.device = Some(device_id(id)?);
        match command {
            "CCC" => {
                let (count, fixes, faults) = binary::fixed_records(&mut Reader::new(body))?;
                decoded.replies.push(answer(head, id, &format!("CCC,{count}")));
                decoded.fixes = fixes;
                decoded.faults.extend(faults);
            }
            "CCE" => binary::records(&mut Reader::new(body), decoded)?,
            "AAA" => decoded.fixes.extend(text(&Fields::new(ascii(body)?, ','))?),
            // A text with a field more: how many are still kept in the device.
            "AFF" => decoded.fixes.extend(text(&Fields::new(ascii(body)?.split_once(',').unwrap_or_default().1, ','))?),
            "AAC" => decoded.replies.push(answer(head, id, "AAC,1")),
            "D03" => decoded.replies.push(picture_request(id, "camera_picture.jpg", 0)),
            "D00" => {
                decoded.unread = Some("part of a picture");
                decoded.replies.extend(next_parts(id, body));
            }
            // Answers to commands have the command's letter and number. One that asked for the place may bring it.
            _ if matches!(command.as_bytes(), [b'A'..=b'F', _, _]) => {
                decoded.answer = Some(spoken(&[command.as_bytes(), body].join(&b',')));
                if let Ok(body) = ascii(body)
                    && let fields = Fields::new(body, ',')
                    && is_report(&fields)
                {
                    decoded.fixes.extend(text(&fields)?);
                }
            }
            _ => decoded.unread = Some("a command"),
        }
        Ok(())
    }
}

/// `@@` + the device's letter + length + `,IMEI,…*checksum`.
fn answer(head: &[u8], id: &str, text: &str) -> Bytes {
    const TAIL_BYTES: usize = "*cc\r\n".len();
    let letter = head.get(2).copied().filter(u8::is_ascii).map_or('A', char::from);
    let content = format!(",{id},{text}");
    let message = format!("@@{letter}{}{content}*", content.len() + TAIL_BYTES);
    let checksum = message.bytes().fold(0u8, u8::wrapping_add);
    format!("{message}{checksum:02X}\r\n").into()
}

/// A picture was taken: asks for its parts from `index` on.
fn picture_request(id: &str, file: &str, index: u32) -> Bytes {
    answer(b"$$O", id, &format!("D00,{file},{index}"))
}

/// `file,parts,index,bytes`. The device sends eight parts and waits to be asked for more.
fn next_parts(id: &str, body: &[u8]) -> Option<Bytes> {
    const PARTS_PER_REQUEST: u32 = 8;
    let mut fields = body.splitn(4, |byte| *byte == b',').map(|field| std::str::from_utf8(field).ok());
    let (file, total, index) = (fields.next()??, fields.next()??, fields.next()??);
    let (total, index): (u32, u32) = (total.parse().ok()?, index.parse().ok()?);
    let next = index.checked_add(1)?;
    (next < total && next % PARTS_PER_REQUEST == 0).then(|| picture_request(id, file, next))
}

/// Whether a text is one of the form below: told by its time and validity.
fn is_report(fields: &Fields<'_>) -> bool {
    let time = fields.get(3);
    time.len() == 12 && time.bytes().all(|digit| digit.is_ascii_digit()) && matches!(fields.get(4), "A" | "V")
}

/// `event,lat,lon,yymmddhhmmss,A,satellites,rssi,km/h,course,hdop,altitude,odometer,runtime,cell,in/out,volts|…`.
fn text(fields: &Fields<'_>) -> Result<Option<Fix>, Fault> {
    if fields.len() < 11 {
        return Ok(None);
    }
    let mut fix = FixBuilder::valid(fields.get(4) == "A");
    fix.speed_kmh(fields.number(7).unwrap_or(-1.0)).course_deg(fields.number(8).unwrap_or(-1.0));
    if let Some(altitude) = fields.number(10) {
        fix.altitude_m(altitude);
    }
    for (at, name) in [(0, name::EVENT), (5, name::SATELLITES), (6, name::RSSI), (11, name::ODOMETER_M)] {
        if let Some(value) = fields.int(at) {
            fix.set(name, value);
        }
    }
    if let Some(hdop) = fields.number(9) {
        fix.set(name::HDOP, hdop);
    }
    if let Some(word) = fields.int(0).and_then(event_alarm) {
        fix.set(name::ALARM, word);
    }
    let volts = Fields::new(fields.get(15), '|');
    // Decimals, own battery first; or hundredths in hexadecimal behind three inputs.
    let (battery, power) = if volts.get(0).contains('.') {
        (volts.number(0), volts.number(1))
    } else {
        (volts.hex(3).map(|value| value as f64 / 100.0), volts.hex(4).map(|value| value as f64 / 100.0))
    };
    for (name, volts) in [(name::BATTERY_V, battery), (name::POWER_V, power)] {
        if let Some(volts) = volts {
            fix.set(name, volts);
        }
    }
    if !volts.get(0).contains('.') {
        // Three inputs, in the device's own steps.
        for index in 0..3 {
            if let Some(steps) = volts.hex(index) {
                fix.set(format_smolstr!("adc.{}", index + 1), steps as i64);
            }
        }
    }
    if let Some(hundredths) = fields.hex(19).filter(|_| fields.get(19).len() == 4) {
        fix.set(name::FUEL_LEVEL, hundredths as f64 / 100.0);
    }
    // Sensors by number, each of two digits; then hundredths of a degree in four, in the first version degrees and hundredths.
    for (number, celsius) in fields.get(20).split('|').take(8).filter_map(|sensor| sensor.split_at_checked(2)) {
        if let (Ok(number), Ok(word), 4) = (u8::from_str_radix(number, 16), u16::from_str_radix(celsius, 16), celsius.len()) {
            let [degrees, hundredths] = word.to_be_bytes();
            let celsius = match fields.get(18) {
                "1" => f64::from(degrees as i8) + f64::from(hundredths) / 100.0,
                _ => f64::from(word as i16) / 100.0,
            };
            fix.set(format_smolstr!("temperature_c.{number}"), celsius);
        }
    }
    if let Some(ports) = fields.hex(14) {
        for index in 0..4 {
            fix.set(format_smolstr!("in.{}", index + 1), bit(ports, index + 8));
        }
    }
    let (date, time) = fields.get(3).split_at_checked(6).ok_or_else(|| malformed("a short time"))?;
    fix.at(ymd(date, time)?, fields.needed(1)?, fields.needed(2)?).map(Some)
}

/// The events that mean the same on every model.
fn event_alarm(event: i64) -> Option<&'static str> {
    match event {
        1 => Some(alarm::SOS),
        17 => Some(alarm::LOW_BATTERY),
        18 => Some(alarm::LOW_POWER),
        19 => Some(alarm::OVERSPEED),
        20 => Some(alarm::GEOFENCE_ENTER),
        21 => Some(alarm::GEOFENCE_EXIT),
        22 => Some(alarm::POWER_RESTORED),
        23 => Some(alarm::POWER_CUT),
        36 => Some(alarm::TOW),
        44 => Some(alarm::JAMMING),
        78 => Some(alarm::ACCIDENT),
        90 | 91 => Some(alarm::HARD_CORNERING),
        129 => Some(alarm::HARD_BRAKING),
        130 => Some(alarm::HARD_ACCELERATION),
        135 => Some(alarm::FATIGUE_DRIVING),
        _ => None,
    }
}
