//! Telic: texts of fixed columns that end with a zero byte, or have their length in front.

use crate::protocol::{Context, Decoded, Decoder, Fault, FaultKind, Fix, Framing, Protocol, Transport};
use crate::readers::{Fields, FixBuilder, ascii, device_id, dmy};
use crate::vocabulary::{self as name, alarm};
use bytes::{Buf, Bytes, BytesMut};
use smol_str::format_smolstr;
use waystream_domain::DeviceId;

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "telic",
    port: 5067,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: false,
        framing: || Box::new(TelicFraming),
        decoder: || Box::new(Telic { device: None }),
    },
};

const MAX_FRAME_BYTES: usize = 1024;

struct TelicFraming;

impl Framing for TelicFraming {
    fn next_frame(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, Fault> {
        let start = buffer.iter().position(|byte| *byte != 0).unwrap_or(buffer.len());
        buffer.advance(start);
        // No text has a zero behind its first character: this is a length, lowest byte first.
        let length = match buffer[..] {
            [_, 0, 0, 0, ..] => {
                let length = usize::from(buffer[0]);
                if buffer.len() < 4 + length {
                    return Ok(None);
                }
                buffer.advance(4);
                length
            }
            [_, 0] | [_, 0, 0] | [_] | [] => return Ok(None),
            _ => match buffer.iter().position(|byte| *byte == 0) {
                Some(at) => at,
                None if buffer.len() > MAX_FRAME_BYTES => {
                    return Err(Fault::new(FaultKind::Oversized, "no end within the largest message"));
                }
                None => return Ok(None),
            },
        };
        Ok(Some(buffer.split_to(length).freeze()))
    }
}

struct Telic {
    device: Option<DeviceId>,
}

impl Decoder for Telic {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    fn understand(&mut self, frame: &[u8], _context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        let text = ascii(frame)?;
        let fields = Fields::new(text, ',');
        // Four digits, an id of 6 or 15, the event in one or two.
        let head = fields.get(0);
        let id_end = match head.len() {
            11 | 12 => 4 + 6,
            20 | 21 => 4 + 15,
            _ => head.len(),
        };
        let (Some(id), Some(event)) = (head.get(4..id_end), head.get(id_end..)) else { return Ok(()) };
        if event.is_empty() || !head.bytes().all(|byte| byte.is_ascii_digit()) {
            // Logins and what cards say: no place.
            return Ok(());
        }
        self.device = Some(device_id(id)?);
        decoded.fixes.push(position(&fields, event)?);
        Ok(())
    }
}

/// `…,time of event,…,ddmmyyhhmmss,lon,lat,validity,km/h,course,satellites,` seven more `,battery`.
fn position(fields: &Fields<'_>, event: &str) -> Result<Fix, Fault> {
    let mut fix = FixBuilder::valid(fields.get(6) != "1");
    fix.speed_kmh(fields.told(7)).course_deg(fields.told(8));
    fix.set_some(name::SATELLITES, fields.int(9)).set_some("battery", fields.int(17));
    if let Ok(event) = event.parse::<i64>() {
        fix.set(name::EVENT, event);
        match event {
            11 | 12 => drop(fix.set(name::IGNITION, event == 11)),
            _ => drop(fix.set_some(name::ALARM, alarm_word(event))),
        }
    }
    // Longer numbers are in millionths of a degree, shorter ones in ten-thousandths.
    let digits = |at: usize| fields.get(at).trim_start_matches('-').len();
    let scale = if digits(4) >= 7 && digits(5) >= 6 { 1e6 } else { 1e4 };
    let time = fields.get(3);
    let (date, time) =
        time.split_at_checked(6).ok_or_else(|| Fault::new(FaultKind::BadTime, format_smolstr!("{time:?} is no time")))?;
    fix.at(dmy(date, time)?, fields.needed(5)? / scale, fields.needed(4)? / scale)
}

fn alarm_word(event: i64) -> Option<&'static str> {
    match event {
        1 => Some(alarm::POWER_ON),
        2 => Some(alarm::SOS),
        5 => Some(alarm::POWER_OFF),
        7 => Some(alarm::GEOFENCE_ENTER),
        8 => Some(alarm::GEOFENCE_EXIT),
        22 => Some(alarm::LOW_BATTERY),
        25 => Some(alarm::MOVEMENT),
        _ => None,
    }
}
