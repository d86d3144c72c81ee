//! Queclink's binary messages: header, mask, length, device, and fixes of which only the first has to be found.

use crate::protocol::{Decoded, Fault, FaultKind, Fix};
use crate::readers::{FixBuilder, Reader, ascii, civil, device_id, from_unix_secs, imei, malformed, packed_imei};
use crate::vocabulary as name;
use smol_str::format_smolstr;
use waystream_domain::DeviceId;

/// What the beginning of a message says of its length.
pub(super) enum Length {
    /// Of the whole message.
    Known(usize),
    /// Not enough bytes yet.
    Open,
    /// It is a text.
    Text,
}

/// The length of a binary message stands at a place that depends on its header.
pub(super) fn frame_length(bytes: &[u8]) -> Length {
    let (at, width) = match bytes {
        [] => return Length::Open,
        [b'+', 0, ..] => (2, 2),
        [b'+', a, b, c, ..] => match &[*a, *b, *c] {
            // `+ACK:` is a text.
            b"ACK" => match bytes.get(4) {
                None => return Length::Open,
                Some(b':') => return Length::Text,
                Some(_) => (6, 1),
            },
            b"HBD" => (5, 1),
            b"CRD" | b"BRD" | b"LGN" => (6, 2),
            b"INF" | b"BNF" => (7, 2),
            b"RSP" | b"BSP" | b"EVT" | b"BVT" => (9, 2),
            _ => return Length::Text,
        },
        [b'+', ..] => return Length::Open,
        _ => return Length::Text,
    };
    match bytes.get(at..at + width) {
        Some(length) => Length::Known(length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)).max(at + width)),
        None => Length::Open,
    }
}

/// Header, kind, mask, length, device type, two versions, id.
const BODY_AT: usize = 4 + 1 + 4 + 2 + 1 + 2 + 2 + 8;
/// From the count of fixes to the time: count, accuracy, speed of 3, course and altitude of 2, longitude and latitude of 4.
const TIME_AT: usize = 1 + 1 + 3 + 2 + 2 + 4 + 4;
/// Accuracy to time.
const FIX_BYTES: usize = TIME_AT - 1 + 7;
/// Stands behind each fix.
const CELL_BYTES: usize = 11;
/// A kind whose fixes, one a second, are packed as differences of bits.
const COMPRESSED: u8 = 0x64;

/// Takes the device and the fixes out of a message.
pub(super) fn message(frame: &[u8], decoded: &mut Decoded) -> Result<(), Fault> {
    let header = frame.get(1..4).ok_or_else(|| malformed("a binary message without a header"))?;
    match header {
        [0, _, _] => return newer(frame, decoded),
        b"RSP" | b"BSP" | b"EVT" | b"BVT" => {}
        b"ACK" | b"HBD" | b"CRD" | b"BRD" | b"LGN" | b"INF" | b"BNF" => return Ok(()),
        _ => return Err(Fault::new(FaultKind::UnknownMessage, format_smolstr!("binary header {header:02x?}"))),
    }
    let mut reader = Reader::new(frame);
    reader.skip(4)?;
    let kind = reader.u8()?;
    reader.skip(BODY_AT - 5 - 8)?;
    decoded.device = Some(identity(reader.array()?)?);
    if kind == COMPRESSED {
        reader.skip(1 + 2 + 2)?; // battery, voltage, and what the first fixes of other kinds begin with too
        return compressed(&mut reader, decoded);
    }
    // What stands in front of the fixes depends on kind and mask: the first one is found by its shape.
    let Some(first) = (BODY_AT..frame.len()).find(|at| frame.get(*at..).is_some_and(begins_fixes)) else { return Ok(()) };
    // Percent, mV, state (by its upper half the ignition), satellites.
    let (battery, millivolts, state, satellites) = (reader.u8()?, reader.u16()?, reader.u8()?, reader.u8()?);
    for index in 0..usize::from(frame[first]) {
        let start = first + 1 + index * (FIX_BYTES + CELL_BYTES);
        let Some(bytes) = frame.get(start..start + FIX_BYTES) else { break };
        match fix(&mut Reader::new(bytes)) {
            Ok(mut fix) => {
                if battery <= 100 {
                    fix.attributes.set(name::BATTERY_LEVEL, i64::from(battery));
                }
                fix.attributes.set(name::POWER_V, f64::from(millivolts) / 1e3);
                fix.attributes.set(name::SATELLITES, i64::from(satellites & 0x1f));
                if let on @ (1 | 2) = state >> 4 {
                    fix.attributes.set(name::IGNITION, on == 2);
                }
                decoded.fixes.push(fix);
            }
            Err(fault) => decoded.faults.push(fault),
        }
    }
    Ok(())
}

/// The form of the 4G families: `+`, zero, length; a byte, the IMEI in packed digits, device type, two versions, length of the
/// content, the time of sending. Its elements have no public document: fixes are found by longitude, latitude and a time not far
/// from that of sending, in that order; behind them stand speed, HDOP, course, altitude and satellites.
fn newer(frame: &[u8], decoded: &mut Decoded) -> Result<(), Fault> {
    const YEAR_SECS: u32 = 366 * 86_400;
    let mut reader = Reader::new(frame);
    reader.skip(1 + 1 + 2 + 1)?;
    decoded.device = Some(packed_imei(reader.take(8)?)?);
    reader.skip(1 + 2 + 2)?;
    let length = usize::from(reader.u16()?);
    let mut content = reader.part(length)?;
    let sent = content.u32()?;
    while content.left() > 0 {
        let mut fix = content;
        let (Ok(lon), Ok(lat), Ok(time)) = (fix.i32(), fix.i32(), fix.u32()) else { break };
        if lon.unsigned_abs() > 180_000_000 || lat.unsigned_abs() > 90_000_000 || sent.abs_diff(time) > YEAR_SECS {
            content.skip(1)?;
            continue;
        }
        let mut builder = FixBuilder::valid(true);
        if let (Ok(speed), Ok(hdop), Ok(course)) = (fix.u16(), fix.u8(), fix.u16()) {
            builder.speed_kmh(f64::from(speed) / 10.0).course_deg(course.into());
            builder.valid = hdop > 0;
            builder.set(name::HDOP, f64::from(hdop) / 10.0);
        }
        if let (Ok(altitude), Ok(satellites)) = (fix.uint(3), fix.u8()) {
            // 24 bits with a sign.
            builder.altitude_m(f64::from((altitude as i32) << 8 >> 8) / 10.0);
            builder.set(name::SATELLITES, i64::from(satellites));
        }
        content = fix;
        match from_unix_secs(time.into()).and_then(|time| builder.at(time, f64::from(lat) / 1e6, f64::from(lon) / 1e6)) {
            Ok(fix) => decoded.fixes.push(fix),
            Err(fault) => decoded.faults.push(fault),
        }
    }
    Ok(())
}

/// One fix a second, as the top three bits of each record tell: whole, as differences, or none in this second.
fn compressed(reader: &mut Reader<'_>, decoded: &mut Decoded) -> Result<(), Fault> {
    let mut last = None;
    for _ in 0..reader.u16()? {
        let first = reader.u8()?;
        match (first >> 5, last) {
            (0b011, _) => {
                let word = u32::from(first & 0x1f) << 16 | u32::from(reader.u16()?);
                let (lon, lat) = (reader.i32()?, reader.i32()?);
                last = Some(Second { time: reader.u32()?, lon, lat, speed: (word >> 9) as i32, course: (word & 0x1ff) as i32 });
            }
            (0b101, Some(before)) => {
                let word = u64::from(first) << 32 | u64::from(reader.u32()?);
                // The bits from `low` on as a signed number.
                let difference = |low: u32, width: u32| ((word << (64 - low - width)) as i64 >> (64 - width)) as i32;
                last = Some(Second {
                    time: before.time.wrapping_add(1),
                    lon: before.lon.wrapping_add(difference(11, 12)),
                    lat: before.lat.wrapping_add(difference(0, 11)),
                    speed: before.speed.wrapping_add(difference(30, 7)),
                    course: before.course.wrapping_add(difference(23, 7)),
                });
            }
            (0b111, Some(before)) => {
                last = Some(Second { time: before.time.wrapping_add(1), ..before });
                continue;
            }
            (kind, _) => return Err(Fault::new(FaultKind::UnknownMessage, format_smolstr!("compressed record {kind:03b}"))),
        }
        if let Some(second) = last {
            match second.fix() {
                Ok(fix) => decoded.fixes.push(fix),
                Err(fault) => decoded.faults.push(fault),
            }
        }
    }
    Ok(())
}

/// What differences are added to: 1e-6 degree, 0.1 km/h, degrees.
#[derive(Clone, Copy)]
struct Second {
    time: u32,
    lon: i32,
    lat: i32,
    speed: i32,
    course: i32,
}

impl Second {
    fn fix(self) -> Result<Fix, Fault> {
        let mut fix = FixBuilder::valid(true);
        fix.speed_kmh(f64::from(self.speed) / 10.0).course_deg(f64::from(self.course.rem_euclid(360)));
        fix.at(from_unix_secs(self.time.into())?, f64::from(self.lat) / 1e6, f64::from(self.lon) / 1e6)
    }
}

/// Whether here stand a count, and behind it a course, a place and a time.
fn begins_fixes(bytes: &[u8]) -> bool {
    let mut reader = Reader::new(bytes);
    let mut plausible = || {
        let count = reader.u8()?;
        reader.skip(1 + 3)?;
        let course = reader.u16()?;
        reader.skip(2)?;
        let (lon, lat) = (reader.i32()?, reader.i32()?);
        let year = reader.u16()?;
        let [month, day, hour, minute, second] = reader.array()?.map(u32::from);
        Ok::<_, Fault>(
            (1..=15).contains(&count)
                && course <= 360
                && lon.unsigned_abs() <= 180_000_000
                && lat.unsigned_abs() <= 90_000_000
                && (2008..2100).contains(&year)
                && civil([year.into(), month, day], [hour, minute, second]).is_ok(),
        )
    };
    plausible().unwrap_or(false)
}

/// Eight bytes of name, or the IMEI: each byte two digits, the last one digit.
fn identity(bytes: [u8; 8]) -> Result<DeviceId, Fault> {
    if bytes[..7].iter().all(|byte| *byte <= 99) && bytes[7] <= 9 {
        let digits: String = bytes[..7].iter().map(|pair| format!("{pair:02}")).chain([bytes[7].to_string()]).collect();
        return imei(&digits);
    }
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    device_id(ascii(&bytes[..end])?)
}

/// The eight bytes of an id as one number, as some servers read them.
pub(super) fn as_number(device: &DeviceId) -> Option<i64> {
    let id = device.as_str().as_bytes();
    let bytes: Vec<u8> = match id.len() {
        15 if id.iter().all(u8::is_ascii_digit) => {
            id.chunks(2).map(|pair| pair.iter().fold(0, |number, digit| number * 10 + (digit - b'0'))).collect()
        }
        _ => id.to_vec(),
    };
    Some(i64::from_be_bytes(bytes.try_into().ok()?))
}

fn fix(reader: &mut Reader<'_>) -> Result<Fix, Fault> {
    let accuracy = reader.u8()?;
    let speed = f64::from(reader.u16()?) + f64::from(reader.u8()?) / 10.0;
    let (course, altitude) = (reader.u16()?, reader.i16()?);
    let (lon, lat) = (reader.i32()?, reader.i32()?);
    let year = reader.u16()?;
    let [month, day, hour, minute, second] = reader.array()?.map(u32::from);
    let mut fix = FixBuilder::valid(accuracy > 0);
    fix.speed_kmh(speed).course_deg(course.into()).altitude_m(altitude.into()).set(name::HDOP, i64::from(accuracy));
    fix.at(civil([year.into(), month, day], [hour, minute, second])?, f64::from(lat) / 1e6, f64::from(lon) / 1e6)
}
