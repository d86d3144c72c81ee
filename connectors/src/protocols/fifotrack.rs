//! Fifotrack: texts of columns behind `$$` and their length, XOR at the end; pictures come in parts that we ask for.

use crate::protocol::{Context, Decoded, Decoder, Fault, FaultKind, Fix, Framing, Protocol, Transport};
use crate::readers::{Fields, FixBuilder, checksum_holds, device_id, find, malformed, sum, xor, ymd};
use crate::vocabulary::{self as name, alarm};
use bytes::{Buf, Bytes, BytesMut};
use chrono::DateTime;
use smol_str::format_smolstr;
use waystream_domain::DeviceId;

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "fifotrack",
    port: 5124,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: false,
        framing: || Box::new(FifotrackFraming),
        decoder: || Box::new(Fifotrack { device: None, picture: None }),
    },
};

const MAX_FRAME_BYTES: usize = 4096;
/// Behind what the length covers: a star and the checksum.
const TAIL_BYTES: usize = 3;
/// The largest part of a picture that is asked for at a time.
const PART_BYTES: usize = 1024;

struct FifotrackFraming;

impl Framing for FifotrackFraming {
    fn next_frame(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, Fault> {
        let line_end = buffer.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(buffer.len());
        buffer.advance(line_end);
        let start = find(buffer, b"$$").unwrap_or(buffer.len().saturating_sub(1));
        buffer.advance(start);
        if buffer.len() < 2 {
            return Ok(None);
        }
        let Some(comma) = buffer.iter().take(8).position(|byte| *byte == b',') else {
            return if buffer.len() < 8 { Ok(None) } else { Err(malformed("no length behind $$")) };
        };
        let length = buffer.get(2..comma).map(String::from_utf8_lossy).and_then(|digits| digits.parse::<usize>().ok());
        let length = comma + length.ok_or_else(|| malformed("no length behind $$"))? + TAIL_BYTES;
        if length > MAX_FRAME_BYTES {
            return Err(Fault::new(FaultKind::Oversized, format_smolstr!("a message of {length} bytes")));
        }
        Ok((buffer.len() >= length).then(|| buffer.split_to(length).freeze()))
    }
}

struct Fifotrack {
    device: Option<DeviceId>,
    /// A picture on its way: its name and bytes.
    picture: Option<(String, usize)>,
}

impl Decoder for Fifotrack {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    fn understand(&mut self, frame: &[u8], context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        let frame = frame.trim_ascii_end();
        let Some((covered, [b'*', digits @ ..])) = frame.len().checked_sub(TAIL_BYTES).map(|at| frame.split_at(at)) else {
            return Err(malformed("no checksum"));
        };
        let found = std::str::from_utf8(digits).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok());
        if !checksum_holds(found.ok_or_else(|| malformed("no checksum"))?, xor(covered), context, decoded) {
            return Ok(());
        }
        let text = String::from_utf8_lossy(covered);
        let fields = Fields::new(&text, ',');
        let imei = fields.get(1);
        self.device = Some(device_id(imei)?);
        match fields.get(3) {
            "A03" => {
                let now = DateTime::from_timestamp_millis(context.received_at.as_millis())
                    .ok_or_else(|| malformed("our own clock"))?;
                decoded.replies.push(answer(imei, &format!("{},A03,{}", fields.get(2), now.format("%y%m%d%H%M%S"))));
                // The place of Wi-Fi stations is none.
                if fields.get(10) == "0" {
                    decoded.fixes.push(short(&fields)?);
                }
            }
            "D05" => {
                let size = fields.int(fields.len() - 2).and_then(|size| usize::try_from(size).ok()).unwrap_or_default();
                self.picture = Some((fields.get(fields.len() - 1).to_owned(), size));
                self.ask_for_picture(imei, 0, decoded);
            }
            "D06" => {
                decoded.unread = Some("a part of a picture");
                let part = |at: usize| fields.int(at).and_then(|value| usize::try_from(value).ok()).unwrap_or_default();
                self.ask_for_picture(imei, part(5).saturating_add(part(6).max(1)), decoded);
            }
            kind if kind.starts_with('A') && matches!(fields.get(6), "A" | "V") => decoded.fixes.push(long(&fields)?),
            // What commands were answered.
            _ => {}
        }
        Ok(())
    }
}

impl Fifotrack {
    /// Asks for what is behind `offset`, if there is something.
    fn ask_for_picture(&self, imei: &str, offset: usize, decoded: &mut Decoded) {
        let Some((picture, size)) = &self.picture else { return };
        let left = size.saturating_sub(offset).min(PART_BYTES);
        if left > 0 {
            decoded.replies.push(answer(imei, &format!("1,D06,{picture},{offset},{left}")));
        }
    }
}

fn answer(imei: &str, content: &str) -> Bytes {
    let body = format!(",{imei},{content}");
    let text = format!("##{:02}{body}*", body.len());
    format!("{text}{:02X}\r\n", sum(text.as_bytes())).into()
}

/// `alarm,yymmddhhmmss,cell,V,%,status,0,A,km/h,satellites,lat,lon`.
fn short(fields: &Fields<'_>) -> Result<Fix, Fault> {
    let mut fix = FixBuilder::valid(fields.get(11) == "A");
    fix.speed_kmh(fields.number(12).unwrap_or(-1.0)).set_some(name::SATELLITES, fields.int(13));
    fix.set_some(name::BATTERY_V, fields.number(7)).set_some(name::BATTERY_LEVEL, fields.int(8));
    fix.set_some(name::STATUS, fields.hex(9).map(|status| status as i64)).set_some(name::ALARM, alarm_word(fields));
    let (date, time) = fields.get(5).split_at_checked(6).ok_or_else(|| malformed("a short time"))?;
    fix.at(ymd(date, time)?, fields.needed(14)?, fields.needed(15)?)
}

/// `alarm,yymmddhhmmss,A,lat,lon,km/h,course,altitude,metres,engine seconds,status,inputs,outputs,cell,adc|…,card`.
fn long(fields: &Fields<'_>) -> Result<Fix, Fault> {
    let mut fix = FixBuilder::valid(fields.get(6) == "A");
    fix.speed_kmh(fields.number(9).unwrap_or(-1.0)).course_deg(fields.number(10).unwrap_or(-1.0));
    if let Some(altitude) = fields.number(11) {
        fix.altitude_m(altitude);
    }
    fix.set_some(name::ALARM, alarm_word(fields)).set_some(name::ODOMETER_M, fields.int(12));
    fix.set_some(name::ENGINE_HOURS_H, fields.number(13).map(|seconds| seconds / 3600.0));
    if let Some(status) = fields.hex(14) {
        fix.set(name::STATUS, status as i64).set(name::RSSI, (status >> 3 & 0x1f) as i64);
        fix.set(name::SATELLITES, (status >> 28 & 0xf) as i64);
    }
    for (at, name) in [(15, "input"), (16, "output")] {
        fix.set_some(name, fields.hex(at).map(|value| value as i64));
    }
    for (index, value) in fields.get(18).split('|').enumerate() {
        fix.set_some(format_smolstr!("adc.{}", index + 1), i64::from_str_radix(value, 16).ok());
    }
    if !fields.get(19).is_empty() {
        fix.set(name::DRIVER_ID, fields.get(19));
    }
    let (date, time) = fields.get(5).split_at_checked(6).ok_or_else(|| malformed("a short time"))?;
    fix.at(ymd(date, time)?, fields.needed(7)?, fields.needed(8)?)
}

fn alarm_word(fields: &Fields<'_>) -> Option<&'static str> {
    match fields.int(4)? {
        2 => Some(alarm::SOS),
        14 => Some(alarm::LOW_POWER),
        15 => Some(alarm::POWER_CUT),
        16 => Some(alarm::POWER_RESTORED),
        17 => Some(alarm::LOW_BATTERY),
        18 => Some(alarm::OVERSPEED),
        20 => Some(alarm::GPS_ANTENNA_CUT),
        21 => Some(alarm::VIBRATION),
        23 => Some(alarm::HARD_ACCELERATION),
        24 => Some(alarm::HARD_BRAKING),
        27 => Some(alarm::FATIGUE_DRIVING),
        30 | 32 => Some(alarm::JAMMING),
        31 => Some(alarm::FALL_DOWN),
        33 => Some(alarm::GEOFENCE_EXIT),
        34 => Some(alarm::GEOFENCE_ENTER),
        35 => Some(alarm::IDLE),
        40 | 41 => Some(alarm::TEMPERATURE),
        53 => Some(alarm::POWER_ON),
        54 => Some(alarm::POWER_OFF),
        _ => None,
    }
}
