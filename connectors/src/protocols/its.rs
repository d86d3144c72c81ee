//! ITS (the Indian standard AIS-140): lines of columns behind `$`; makers differ in what stands in front, between and behind.

use crate::protocol::{Context, Decoded, Decoder, Fault, FaultKind, Fix, Framing, Protocol, Transport};
use crate::readers::{Fields, FixBuilder, device_id, dmy, malformed};
use crate::vocabulary::{self as name, alarm};
use bytes::{Buf, Bytes, BytesMut};
use chrono::DateTime;
use waystream_domain::{DeviceId, Timestamp};

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "its",
    port: 5179,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: false,
        framing: || Box::new(ItsFraming),
        decoder: || Box::new(Its { device: None }),
    },
};

const MAX_FRAME_BYTES: usize = 2048;
/// No message is shorter, and a `$` within it is none's beginning.
const LEAST_BYTES: usize = 20;

/// Messages end with a line end, with the `$` of the next one, or with `*`.
struct ItsFraming;

impl Framing for ItsFraming {
    fn next_frame(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, Fault> {
        let start = buffer.iter().position(|byte| *byte == b'$').unwrap_or(buffer.len());
        buffer.advance(start);
        for at in 1..buffer.len() {
            let end = match buffer[at] {
                b'\n' if buffer[at - 1] == b'\r' => Some((at - 1, at + 1)),
                b'$' if at >= LEAST_BYTES => Some((at, at)),
                b'*' => Some(star(buffer, at)),
                _ => None,
            };
            if let Some((end, next)) = end {
                let mut frame = buffer.split_to(next);
                frame.truncate(end);
                return Ok(Some(frame.freeze()));
            }
        }
        if buffer.len() > MAX_FRAME_BYTES {
            return Err(Fault::new(FaultKind::Oversized, "no end within the largest message"));
        }
        Ok(None)
    }
}

/// Where a message with a `*` at `at` ends, and the next may begin. What is behind it (a checksum in some makes) is passed over: nothing
/// tells how long it is, and who waits for more waits for the next message.
fn star(buffer: &[u8], at: usize) -> (usize, usize) {
    let mut fields = buffer[..at].rsplit(|byte| *byte == b',');
    let (last, before) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
    match last {
        // One byte of any value is a checksum, unless it is the hemisphere behind a coordinate.
        [byte] if !(matches!(byte, b'E' | b'W') && before.contains(&b'.')) => (at - 1, at + 1),
        _ => (at, at + 1),
    }
}

struct Its {
    device: Option<DeviceId>,
}

impl Decoder for Its {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    fn understand(&mut self, frame: &[u8], context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        let text = String::from_utf8_lossy(frame);
        let text = text.find('$').map_or("", |at| &text[at..]);
        let answer = match () {
            () if text.starts_with("$,01,") => Some("$,1,*".into()),
            () if text.starts_with("$,LGN,") => {
                let now = DateTime::from_timestamp_millis(context.received_at.as_millis())
                    .ok_or_else(|| malformed("our own clock"))?;
                Some(format!("$LGN{}*", now.format("%d%m%Y%H%M%S")))
            }
            () if text.starts_with("$,HBT,") => Some("$HBT*".into()),
            () => None,
        };
        decoded.replies.extend(answer.map(Into::into));
        let text = text.trim_end_matches(['*', '\r', '\n']);
        let fields = Fields::new(text.split('*').next().unwrap_or_default(), ',');
        let Some(imei) = (0..fields.len()).find(|at| is_imei(fields.get(*at))) else { return Ok(()) };
        self.device = Some(device_id(fields.get(imei))?);
        decoded.fixes.extend(position(&fields, imei, context.received_at)?);
        Ok(())
    }
}

fn is_imei(field: &str) -> bool {
    field.len() == 15 && field.bytes().all(|byte| byte.is_ascii_digit())
}

/// `…status,event,L,IMEI,registration,valid,date,time,lat,N,lon,E,km/h,course,satellites,…`; an emergency has
/// `…kind,IMEI,status,date and time,A,lat,N,lon,E,…`.
fn position(fields: &Fields<'_>, imei: usize, received_at: Timestamp) -> Result<Option<Fix>, Fault> {
    let is_hemisphere = |at: &usize| matches!(fields.get(*at), "N" | "S") && matches!(fields.get(at + 2), "E" | "W");
    let Some(hemisphere) = (imei + 2..fields.len()).find(is_hemisphere) else { return Ok(None) };
    // From the latitude back: perhaps a validity, then 12 or 14 digits of time in one to six fields.
    let mut at = hemisphere - 1;
    let mut valid = None;
    if matches!(fields.get(at - 1), "0" | "1" | "A" | "V") {
        at -= 1;
        valid = Some(matches!(fields.get(at), "1" | "A"));
    }
    let is_number = |at: usize| !fields.get(at).is_empty() && fields.get(at).bytes().all(|byte| byte.is_ascii_digit());
    let time_fields = match fields.get(at - 1).len() {
        2 => 6,
        6 => 2,
        _ => 1,
    };
    let first = at.saturating_sub(time_fields).max(imei + 1);
    let digits: String = (first..at).filter(|at| is_number(*at)).map(|at| fields.get(at)).collect();
    at = first;
    // Without a time in front of the place it is a login, which repeats the last place.
    if !matches!(digits.len(), 12 | 14) {
        return Ok(None);
    }
    let (day_month, rest) = digits.split_at(4);
    let (year, time) = rest.split_at(rest.len() - 6);
    let never_set = digits.bytes().all(|digit| digit == b'0');
    let time = dmy(&format!("{day_month}{}", year.get(year.len() - 2..).unwrap_or_default()), time);

    let between = &fields.from(imei + 1)[..at - imei - 1];
    let mut status = fields.from(0)[..imei].iter().copied().find(|field| is_status(field)).unwrap_or_default();
    match between {
        [word] if is_status(word) => status = word,
        [_, validity @ ("0" | "1")] => valid = Some(*validity == "1"),
        _ => {}
    }
    let mut fix = FixBuilder::valid(valid.unwrap_or(false));
    if fields.from(0)[..imei].contains(&"EMR") {
        fix.set(name::ALARM, alarm::SOS);
    }
    match status {
        "IN" | "IF" => drop(fix.set(name::IGNITION, status == "IN")),
        _ => {
            fix.set_some(name::ALARM, alarm_word(status));
        }
    }
    // Between the status and the IMEI: number of the event, live or from history.
    if matches!(fields.get(imei - 1), "L" | "H") {
        fix.set(name::ARCHIVE, fields.get(imei - 1) == "H");
        fix.set_some(name::EVENT, fields.int(imei.saturating_sub(2)));
        columns(fields, hemisphere + 3, &mut fix);
    }
    let (lat, lon) = (fields.needed(hemisphere - 1)?, fields.needed(hemisphere + 1)?);
    let lat = if fields.get(hemisphere) == "S" { -lat } else { lat };
    let lon = if fields.get(hemisphere + 2) == "W" { -lon } else { lon };
    // An alarm from before the first fix is now: it must not be lost for want of a date.
    let fix = match time {
        Err(_) if never_set && !fix.valid && fix.has_alarm() => fix.at(received_at, lat, lon),
        time => fix.at(time?, lat, lon),
    };
    fix.map(Some)
}

/// Two letters.
fn is_status(field: &str) -> bool {
    field.len() == 2 && field.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// km/h, course, satellites; then, if they are the standard's: altitude, PDOP, HDOP, operator, ignition, power on, V, V, emergency, tamper,
/// cells, inputs, outputs and what a maker adds.
fn columns(fields: &Fields<'_>, at: usize, fix: &mut FixBuilder) {
    fix.speed_kmh(fields.number(at).unwrap_or(-1.0)).course_deg(fields.number(at + 1).unwrap_or(-1.0));
    fix.set_some(name::SATELLITES, fields.int(at + 2));
    let is_bit = |at: usize| matches!(fields.get(at), "0" | "1");
    let standard =
        is_bit(at + 7) && is_bit(at + 8) && is_bit(at + 11) && matches!(fields.get(at + 12), "" | "C" | "O" | "Y" | "N");
    if !standard {
        return;
    }
    if let Some(altitude) = fields.number(at + 3) {
        fix.altitude_m(altitude);
    }
    for (offset, name) in [(4, name::PDOP), (5, name::HDOP), (9, name::POWER_V), (10, name::BATTERY_V)] {
        fix.set_some(name, fields.number(at + offset));
    }
    if !fields.get(at + 6).is_empty() {
        fix.set(name::OPERATOR, fields.get(at + 6));
    }
    fix.set(name::IGNITION, fields.get(at + 7) == "1").set(name::CHARGE, fields.get(at + 8) == "1");
    let inputs = (at + 13..fields.len()).rev().find(|at| {
        let of =
            |field: &str, digits: &[u8], length: usize| field.len() == length && field.bytes().all(|b| digits.contains(&b));
        of(fields.get(*at), b"012", 4) && of(fields.get(at + 1), b"01", 2)
    });
    let Some(inputs) = inputs else { return };
    // An unconnected input is a 2.
    let bits = |at: usize| i64::from_str_radix(&fields.get(at).replace('2', "0"), 2).unwrap_or_default();
    fix.set("input", bits(inputs)).set("output", bits(inputs + 1));
    // Number of the frame, then odometer in kilometres, or two voltages if a list in brackets follows.
    let behind = inputs + 3;
    if fields.from(behind).iter().any(|field| field.starts_with('(')) {
        for (offset, name) in [(0, "adc.1"), (1, "adc.2")] {
            fix.set_some(name, fields.number(behind + offset));
        }
    } else if let Some(km) = fields.number(behind).filter(|_| fields.get(behind).contains('.')) {
        fix.set(name::ODOMETER_M, km * 1e3);
    }
}

fn alarm_word(status: &str) -> Option<&'static str> {
    match status {
        "WD" | "EA" => Some(alarm::SOS),
        "BL" => Some(alarm::LOW_BATTERY),
        "HB" => Some(alarm::HARD_BRAKING),
        "HA" => Some(alarm::HARD_ACCELERATION),
        "RT" => Some(alarm::HARD_CORNERING),
        "OS" => Some(alarm::OVERSPEED),
        "TA" => Some(alarm::TAMPERING),
        "BD" => Some(alarm::POWER_CUT),
        "BR" => Some(alarm::POWER_RESTORED),
        _ => None,
    }
}
