//! TAIP (Trimble's ASCII interface) and what Virloc and others made of it: `>RXX…;ID=…;#n;*cs<`.

use crate::protocol::{Context, Decoded, Decoder, Fault, Fix, Protocol, Transport};
use crate::readers::{
    Delimited, Fields, FixBuilder, bit, checksum_holds, civil, device_id, dmy, malformed, nmea_angle, number, xor,
};
use crate::vocabulary::{self as name, alarm};
use waystream_domain::{DeviceId, Timestamp};

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "taip",
    port: 5031,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: true,
        framing: || Box::new(Delimited::stripping(&[b"<"], MAX_FRAME_BYTES)),
        decoder: || Box::new(Taip { device: None }),
    },
};

const MAX_FRAME_BYTES: usize = 1024;
const DAY_SECS: i64 = 86_400;
const MPS_PER_MPH: f64 = 0.44704;

struct Taip {
    device: Option<DeviceId>,
}

impl Decoder for Taip {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    fn understand(&mut self, frame: &[u8], context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        let text = String::from_utf8_lossy(frame);
        let text = text.find('>').map_or(&*text, |at| &text[at..]);
        let text = text.split('<').next().unwrap_or_default();
        // The checksum is of everything in front of it, its star included.
        if let Some((covered, digits)) = text.rsplit_once(";*").filter(|(_, digits)| digits.len() == 2)
            && let Ok(found) = u8::from_str_radix(digits, 16)
            && !checksum_holds(found, xor(covered.as_bytes()) ^ b';' ^ b'*', context, decoded)
        {
            return Ok(());
        }
        let mut parts = text.trim_start_matches('>').split(';');
        let message = parts.next().unwrap_or_default();
        let parts: Vec<&str> = parts.collect();
        let known = ["RPV", "REV", "RGP", "RCQ", "RCV", "RBR", "RUS00", "RUV"].iter().any(|kind| message.starts_with(kind));
        if !known {
            // Other reports have no place and are not confirmed.
            return Ok(());
        }
        let id = parts.iter().find_map(|part| part.strip_prefix("ID=")).ok_or_else(|| malformed("no id"))?;
        self.device = Some(device_id(id)?);
        decoded.replies.push(answer(id, &parts).into());
        let mut fix = FixBuilder::valid(true);
        for part in &parts {
            if let Some((key, value)) = part.split_once('=') {
                attribute(key, value, &mut fix);
            }
        }
        let fix = match message.get(..3) {
            Some("RPV" | "REV") => weekly(message, fix, context.received_at).map(Some),
            Some("RUV") => joined(message, fix),
            _ => dated(message, fix).map(Some),
        };
        decoded.fixes.extend(fix?);
        Ok(())
    }
}

/// Number and id come back in their order; without a number the id alone.
fn answer(id: &str, parts: &[&str]) -> String {
    let is_number = |part: &&&str| part.starts_with('#');
    let Some(number) = parts.iter().find(is_number) else { return id.to_owned() };
    if number.starts_with("#IP") {
        return format!(">SAK;ID={id};{number}<");
    }
    let number_first =
        parts.iter().position(|part| part.starts_with('#')) < parts.iter().position(|part| part.starts_with("ID="));
    let body = if number_first { format!(">ACK;{number};ID={id};*") } else { format!(">ACK;ID={id};{number};*") };
    format!("{body}{:02X}<", xor(body.as_bytes()))
}

/// `RPV` + second of the day, or `REV` + event + GPS week + day + second; then place, mph, course.
fn weekly(message: &str, mut fix: FixBuilder, now: Timestamp) -> Result<Fix, Fault> {
    let part = |from: usize, to: usize| message.get(from..to).unwrap_or_default();
    let value = |from: usize, to: usize| {
        part(from, to).parse::<i64>().map_err(|_| malformed(format_args!("{:?} is no number", part(from, to))))
    };
    let (time, place) = if message.starts_with("REV") {
        let event = value(3, 5)?;
        fix.set(name::EVENT, event);
        fix.set_some(name::ALARM, event_alarm(event));
        let secs = (value(5, 9)? * 7 + value(9, 10)?) * DAY_SECS + value(10, 15)?;
        (civil([1980, 1, 6], [0, 0, 0])?.plus_millis(secs * 1000), 15)
    } else {
        // The day is the one that makes it nearest to now.
        let now_secs = now.as_millis().div_euclid(1000);
        let behind = (now_secs - value(3, 8)?).rem_euclid(DAY_SECS);
        let behind = if behind > DAY_SECS / 2 { behind - DAY_SECS } else { behind };
        (Timestamp::from_millis((now_secs - behind) * 1000).ok_or_else(|| malformed("our own clock"))?, 8)
    };
    let rest = message.get(place..).unwrap_or_default();
    let (lat, lon, rest) = split_place(rest)?;
    motion(rest, MPS_PER_MPH, &mut fix);
    fix.at(time, lat, lon)
}

/// `RGP`, `RCQ`, `RCV`, `RBR`, `RUS00`: perhaps an event, then `ddmmyyhhmmss`, place, mph, course and one of two tails.
fn dated(message: &str, mut fix: FixBuilder) -> Result<Fix, Fault> {
    let rest = message.strip_prefix("RUS00").or_else(|| message.get(3..)).unwrap_or_default().trim_start_matches(',');
    let sign = rest.find(['+', '-']).ok_or_else(|| malformed("no place"))?;
    let (front, rest) = rest.split_at(sign);
    let (event, time) = front.split_at_checked(front.len().saturating_sub(12)).ok_or_else(|| malformed("no time"))?;
    let (date, time) = time.split_at_checked(6).ok_or_else(|| malformed("a short time"))?;
    let (lat, lon, rest) = split_place(rest)?;
    motion(rest, MPS_PER_MPH, &mut fix);
    let tail = rest.get(6..).unwrap_or_default();
    if let Ok(event) = event.parse::<i64>() {
        fix.set(name::EVENT, event);
    }
    if matches!(message.get(..3), Some("RCQ" | "RCV" | "RBR")) {
        long_tail(tail, &mut fix);
    } else {
        short_tail(tail, &mut fix);
    }
    fix.at(dmy(date, time)?, lat, lon)
}

/// `RUV` + kind + event + model + `ddmmyyhhmmss`, place, km/h, course, tail; then fields by kind. Some kinds have no place.
fn joined(message: &str, mut fix: FixBuilder) -> Result<Option<Fix>, Fault> {
    let fields = Fields::new(message, ',');
    let Some((front, rest)) = fields.get(2).split_once(['+', '-']).map(|(front, _)| fields.get(2).split_at(front.len())) else {
        return Ok(None);
    };
    let (date, time) = front.split_at_checked(6).ok_or_else(|| malformed("a short time"))?;
    let (lat, lon, rest) = split_place(rest)?;
    motion(rest, 1.0 / 3.6, &mut fix);
    short_tail(rest.get(6..).unwrap_or_default(), &mut fix);
    let kind = fields.get(0);
    if let Some(event) = kind.get(5..).and_then(|event| event.parse::<i64>().ok()) {
        fix.set(name::EVENT, event);
        match event {
            111 => drop(fix.set(name::ALARM, alarm::IDLE)),
            120 => drop(fix.set(name::ALARM, alarm::HARD_ACCELERATION)),
            _ => {}
        }
    }
    if kind.starts_with("RUV01") {
        // Hundredths of a volt, battery and supply.
        for (name, volts) in [(name::BATTERY_V, fields.get(3).get(..4)), (name::POWER_V, fields.get(3).get(4..8))] {
            if let Some(value) = volts.and_then(number) {
                fix.set(name, value / 100.0);
            }
        }
        if let Some(minutes) = fields.number(7) {
            fix.set(name::ENGINE_HOURS_H, minutes / 60.0);
        }
        for (at, name) in [(8, name::ODOMETER_M), (9, name::RPM), (10, name::COOLANT_TEMPERATURE_C), (12, name::FUEL_LEVEL)] {
            fix.set_some(name, fields.int(at));
        }
        if !fields.get(16).is_empty() {
            fix.set(name::DRIVER_ID, fields.get(16));
        }
    }
    fix.at(dmy(date, time)?, lat, lon).map(Some)
}

/// `±ddddddd±dddddddd` in 1e-5 degree, or `±ddmm.mmmm±dddmm.mmmm`; gives what is behind it too.
fn split_place(text: &str) -> Result<(f64, f64, &str), Fault> {
    let read = |digits: usize, degrees: fn(&str) -> Option<f64>| {
        let (lat, rest) = text.split_at_checked(1 + digits)?;
        let (lon, rest) = rest.split_at_checked(1 + digits + 1)?;
        Some((degrees(lat)?, degrees(lon)?, rest))
    };
    let place = if text.get(5..6) == Some(".") { read(9, nmea_angle) } else { read(7, |text| number(text).map(|v| v / 1e5)) };
    place.filter(|_| text.starts_with(['+', '-'])).ok_or_else(|| malformed(format_args!("{text:.40?} is no place")))
}

/// Three digits of speed, three of course.
fn motion(text: &str, mps_per_unit: f64, fix: &mut FixBuilder) {
    let part = |from: usize, to: usize| text.get(from..to).and_then(number).unwrap_or(-1.0);
    fix.speed_mps(part(0, 3) * mps_per_unit).course_deg(part(3, 6));
}

/// Fix mode, age, inputs; then event and HDOP, or engine data behind commas.
fn short_tail(tail: &str, fix: &mut FixBuilder) {
    let part = |from: usize, to: usize| tail.get(from..to).unwrap_or_default();
    // 0: none, 9: not told.
    match part(0, 1) {
        "" => {}
        mode => fix.valid = matches!(mode, "1" | "2" | "3"),
    }
    if let Ok(inputs) = u8::from_str_radix(part(3, 5), 16) {
        fix.set("input", i64::from(inputs)).set(name::IGNITION, bit(inputs, 7));
    }
    if part(5, 6) == "," {
        let fields = Fields::new(tail, ',');
        fix.set_some(name::ODOMETER_M, fields.int(2));
        for (name, volts) in [(name::POWER_V, fields.get(3).get(..4)), (name::BATTERY_V, fields.get(3).get(4..8))] {
            if let Some(value) = volts.and_then(number) {
                fix.set(name, value / 100.0);
            }
        }
        fix.set_some(name::RPM, fields.int(4));
    } else if let Ok(event) = part(5, 7).parse::<i64>() {
        fix.set(name::EVENT, event);
        fix.set_some(name::ALARM, event_alarm(event));
        fix.set_some(name::HDOP, number(part(7, 9)));
    }
}

/// Inputs, satellites, battery, odometer, receiver on; perhaps fix mode, PDOP, satellites, age, modem, network, signal.
fn long_tail(tail: &str, fix: &mut FixBuilder) {
    let part = |from: usize, to: usize| tail.get(from..to).unwrap_or_default();
    if let Ok(inputs) = u8::from_str_radix(part(0, 2), 16) {
        fix.set("input", i64::from(inputs)).set(name::IGNITION, bit(inputs, 7));
    }
    if let Ok(odometer) = u32::from_str_radix(part(7, 15), 16) {
        fix.set(name::ODOMETER_M, i64::from(odometer));
    }
    match part(16, 17) {
        "" => {}
        mode => fix.valid = matches!(mode, "1" | "2" | "3"),
    }
    for (name, value) in [(name::PDOP, part(17, 19)), (name::SATELLITES, part(19, 21)), (name::RSSI, part(27, 29))] {
        if let Ok(value) = value.parse::<i64>() {
            fix.set(name, value);
        }
    }
}

fn attribute(key: &str, value: &str, fix: &mut FixBuilder) {
    let digit = |at: usize| value.get(at..at + 1).and_then(|digit| digit.parse::<u8>().ok());
    match key {
        "IO" => {
            if let (Some(state), Some(output), Some(input)) = (digit(0), digit(1), digit(2)) {
                fix.set(name::IGNITION, bit(state, 0)).set(name::CHARGE, bit(state, 1));
                fix.set("output", i64::from(output)).set("input", i64::from(input));
            }
        }
        "SV" => drop(fix.set_some(name::SATELLITES, number(value).map(|v| v as i64))),
        "BL" => drop(fix.set_some(name::BATTERY_V, number(value).map(|millivolts| millivolts / 1e3))),
        "AD" => drop(fix.set_some("adc.1", number(value).map(|v| v as i64))),
        "VO" => drop(fix.set_some(name::ODOMETER_M, number(value).map(|v| v as i64))),
        _ => {}
    }
}

fn event_alarm(event: i64) -> Option<&'static str> {
    match event {
        1 => Some(alarm::SOS),
        2 => Some(alarm::POWER_CUT),
        _ => None,
    }
}
