//! H02, Sinotrack and kin: `*HQ,id,type,…#` texts and `$` messages in packed decimal digits, both in one stream.
//!
//! Speeds are in knots. The bits of the status word are active when they are zero.

use crate::protocol::{Context, Decoded, Decoder, Fault, FaultKind, Fix, Framing, Protocol, Said, Transport};
use crate::readers::{
    Fields, FixBuilder, Reader, bit, civil, device_id, dmy, find, hex, imei, malformed, nmea_angle, number, pairs, unsaid,
};
use crate::vocabulary::{self as name, alarm};
use bytes::{Buf, Bytes, BytesMut};
use chrono::{DateTime, Utc};
use smol_str::format_smolstr;
use waystream_domain::{DeviceId, Instruction, Timestamp};

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "h02",
    port: 5013,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: true,
        framing: || Box::new(H02Framing::default()),
        decoder: || Box::new(H02 { device: None }),
    },
};

const MAX_FRAME_BYTES: usize = 4096;
/// Fields behind the status that are kept.
const MAX_EXTRAS: usize = 16;
/// All that a binary message tells of the fix. Longer forms follow with 13 or, with an IMEI as id, 10 bytes more.
const BINARY_BYTES: usize = 32;
const BINARY_TAILS: [usize; 2] = [10, 13];

#[derive(Default)]
struct H02Framing {
    /// The last frame was a binary one: what follows may be its tail.
    after_binary: bool,
}

fn starts_frame(byte: u8) -> bool {
    matches!(byte, b'*' | b'$' | b'X')
}

impl Framing for H02Framing {
    fn next_frame(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, Fault> {
        if self.after_binary
            && let Some(first) = buffer.first()
        {
            // The tail may hold the bytes that start a frame: it has to be passed over by its length.
            if !starts_frame(*first) {
                let [short, long] = BINARY_TAILS;
                if buffer.len() <= short {
                    return Ok(None);
                }
                if starts_frame(buffer[short]) {
                    buffer.advance(short);
                } else if buffer.len() >= long {
                    buffer.advance(long);
                } else {
                    return Ok(None);
                }
            }
            self.after_binary = false;
        }
        let start = buffer.iter().position(|byte| starts_frame(*byte)).unwrap_or(buffer.len());
        buffer.advance(start);
        let end = match buffer.first() {
            None => return Ok(None),
            Some(b'*') => find(buffer, b"#").map(|at| at + 1),
            Some(_) => {
                self.after_binary = buffer.len() >= BINARY_BYTES;
                self.after_binary.then_some(BINARY_BYTES)
            }
        };
        match end {
            Some(end) if end <= MAX_FRAME_BYTES => Ok(Some(buffer.split_to(end).freeze())),
            None if buffer.len() <= MAX_FRAME_BYTES => Ok(None),
            _ => Err(Fault::new(FaultKind::Oversized, "no # within the largest frame")),
        }
    }
}

struct H02 {
    device: Option<DeviceId>,
}

impl Decoder for H02 {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    fn command(&mut self, device: &DeviceId, instruction: &Instruction, context: &Context) -> Said {
        let at = DateTime::<Utc>::from(context.received_at).format("%H%M%S");
        Ok(match instruction {
            Instruction::EngineStop => format!("*HQ,{device},S20,{at},1,1#"),
            Instruction::EngineResume => format!("*HQ,{device},S20,{at},1,0#"),
            // One report, after a second.
            Instruction::RequestPosition => format!("*HQ,{device},D1,{at},1,1#"),
            Instruction::ReportEvery { seconds } => format!("*HQ,{device},S71,{at},22,{seconds}#"),
            Instruction::Restart => format!("*HQ,{device},R1,{at}#"),
            Instruction::Text { text } if text.starts_with('*') => text.clone(),
            Instruction::Text { text } => format!("*HQ,{device},{text}#"),
            _ => return Err(unsaid(instruction)),
        }
        .into())
    }

    fn understand(&mut self, frame: &[u8], context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        match frame.first() {
            Some(b'*') => self.text(&String::from_utf8_lossy(frame), context, decoded),
            Some(b'$' | b'X') => self.binary(frame).map(|fix| decoded.fixes.push(fix)),
            _ => Err(malformed("a frame begins with * or $")),
        }
    }
}

impl H02 {
    /// `*maker,id,type,…#`.
    fn text(&mut self, text: &str, context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        let text = text.trim_end();
        let fields = Fields::new(text.trim_start_matches('*').trim_end_matches('#'), ',');
        let (id, kind) = (fields.get(1), fields.get(2));
        if !id.is_empty() {
            self.device = Some(device_id(id)?);
        }
        if self.device.is_none() {
            return Err(Fault::new(FaultKind::NoDevice, "a message without an id"));
        }
        if let "HTBT" | "V0" = kind {
            decoded.replies.push(format!("*{},{id},{kind}#", fields.get(0)).into());
            return Ok(());
        }
        let fix = location(&fields, context);
        // Its confirmation of a command: which, what came of it, when; some have a place behind that.
        if kind == "V4" {
            let shown = if fix.is_some() { 1 } else { fields.len() };
            decoded.answer = Some(fields.from(3).iter().take(shown).copied().collect::<Vec<_>>().join(",").into());
        }
        if !id.is_empty() && (kind == "NBR" || kind == "V1" && fix.is_some()) {
            let now = DateTime::<Utc>::from(context.received_at).format("%Y%m%d%H%M%S");
            decoded.replies.push(format!("*HQ,{id},V4,{kind},{now}#").into());
        }
        decoded.fixes.extend(fix.transpose()?);
        Ok(())
    }

    /// Packed decimal digits: id, time, date, latitude, battery, longitude and four bits, speed, course; then the status word.
    fn binary(&mut self, frame: &[u8]) -> Result<Fix, Fault> {
        let mut reader = Reader::new(frame);
        reader.skip(1)?;
        let clock = |at: usize| frame.get(at..at + 6).map(|bytes| packed_time(&hex(bytes)));
        // Five bytes of id, or an IMEI: told by where a time stands.
        self.device = Some(match (clock(6), clock(9)) {
            (Some(Err(_)), Some(Ok(_))) => imei(&hex(reader.take(8)?)[..15])?,
            _ => device_id(&hex(reader.take(5)?))?,
        });
        let time = packed_time(&hex(reader.take(6)?))?;
        let lat = packed_degrees(&hex(reader.take(4)?), 2)?;
        let battery = reader.u8()?;
        let lon_and_bits = hex(reader.take(5)?);
        let (lon, bits) = lon_and_bits.split_at(9);
        let bits = u8::from_str_radix(bits, 16).unwrap_or_default();
        let lon = packed_degrees(lon, 3)?;
        let speed_and_course = hex(reader.take(3)?);
        let (speed, course) = speed_and_course.split_at(3);

        let mut fix = FixBuilder::valid(bit(bits, 1));
        fix.speed_knots(number(speed).unwrap_or(-1.0)).course_deg(number(course).unwrap_or(-1.0));
        match battery {
            1..=3 => fix.set(name::BATTERY_LEVEL, i64::from(battery - 1) * 10),
            4..=6 => fix.set(name::BATTERY_LEVEL, i64::from(battery - 1) * 20),
            10..=100 => fix.set(name::BATTERY_LEVEL, i64::from(battery)),
            _ => &mut fix,
        };
        status(reader.u32()?, &mut fix);
        fix.at(time, if bit(bits, 2) { lat } else { -lat }, if bit(bits, 3) { lon } else { -lon })
    }
}

/// `hhmmssddmmyy`.
fn packed_time(digits: &str) -> Result<Timestamp, Fault> {
    let [hour, minute, second, day, month, year] = pairs(digits)?;
    civil([year, month, day], [hour, minute, second])
}

/// Degrees of `degree_digits`, then minutes of two digits and their decimals, without a dot.
fn packed_degrees(digits: &str, degree_digits: usize) -> Result<f64, Fault> {
    let parts = digits.split_at_checked(degree_digits).and_then(|(degrees, minutes)| {
        let decimals = minutes.len().checked_sub(2)?;
        Some(number(degrees)? + number(minutes)? / 10f64.powi(decimals as i32) / 60.0)
    });
    parts.ok_or_else(|| malformed(format_args!("{digits:?} is not an angle")))
}

/// Validity, latitude, longitude, speed, course, date, status: found by the hemispheres, since what stands before differs. The
/// time stands before the validity. `None`: no place in this message.
fn location(fields: &Fields<'_>, context: &Context) -> Option<Result<Fix, Fault>> {
    let hemisphere = |at: usize, letters: [&str; 2]| letters.contains(&fields.get(at));
    let at = (3..fields.len()).find(|at| hemisphere(at + 2, ["N", "S"]) && hemisphere(at + 4, ["E", "W"]))?;
    let lat = degrees(fields.get(at + 1), 2)? * if fields.get(at + 2) == "N" { 1.0 } else { -1.0 };
    let lon = degrees(fields.get(at + 3), 3)? * if fields.get(at + 4) == "E" { 1.0 } else { -1.0 };

    let mut fix = FixBuilder::valid(fields.get(at) == "A");
    fix.speed_knots(fields.number(at + 5).unwrap_or(-1.0)).course_deg(fields.number(at + 6).unwrap_or(-1.0));
    // One model has a field more before the date.
    let date_at = if fields.get(at + 7).len() < 6 && fields.get(at + 8).len() == 6 { at + 8 } else { at + 7 };
    let (date, time) = (fields.get(date_at), fields.get(at - 1));
    let time = match (date, time) {
        ("", _) => Ok(context.received_at),
        (date, time) if time.len() == 6 => dmy(date, time),
        (date, _) => dmy(date, "000000"),
    };
    if let Some(word) = fields.hex(date_at + 1).filter(|_| fields.get(date_at + 1).len() == 8) {
        status(word as u32, &mut fix);
    }
    // Odometer, temperature, fuel, altitude and the cell.
    if let [odometer, celsius, fuel, altitude, _, _] = fields.from(date_at + 2)
        && fuel.contains('.')
    {
        if let Some(celsius) = number(celsius) {
            fix.set("temperature_c.1", celsius);
        }
        if let Some(metres) = number(odometer) {
            fix.set(name::ODOMETER_M, metres);
        }
        if let Some(fuel) = number(fuel) {
            fix.set(name::FUEL_LEVEL, fuel);
        }
        if let Some(altitude) = number(altitude) {
            fix.altitude_m(altitude);
        }
    } else {
        // The cell and, in some versions, the battery and the SIM: what they are differs.
        for (index, text) in fields.from(date_at + 2).iter().take(MAX_EXTRAS).enumerate().filter(|(_, text)| !text.is_empty()) {
            fix.set(format_smolstr!("io.{}", index + 1), *text);
        }
    }
    Some(time.and_then(|time| fix.at(time, lat, lon)))
}

/// `ddmm.mmmm`, also without the dot, or with a dash before and between (`-23-35.3408`).
fn degrees(text: &str, degree_digits: usize) -> Option<f64> {
    let text = text.trim_start_matches('-');
    if let Some((degrees, minutes)) = text.split_once('-') {
        return Some(number(degrees)? + number(minutes)? / 60.0);
    }
    if !text.contains('.') {
        return packed_degrees(text, degree_digits).ok();
    }
    nmea_angle(text)
}

fn status(word: u32, fix: &mut FixBuilder) {
    let active = |index| !bit(word, index);
    fix.set(name::STATUS, i64::from(word)).set(name::IGNITION, bit(word, 10));
    let alarm = match () {
        () if active(0) => alarm::VIBRATION,
        () if active(1) || active(18) => alarm::SOS,
        () if active(2) => alarm::OVERSPEED,
        () if active(19) => alarm::POWER_CUT,
        () => return,
    };
    fix.set(name::ALARM, alarm);
}
