//! Queclink (GL200, GV, GB and later families): `+RESP:GTxxx,…$` texts with many layouts, and their binary form.
//!
//! The layouts differ between some hundred models and versions, but a fix always looks the same: accuracy, km/h, course,
//! altitude, longitude, latitude, time. So fixes are found by that, not by counting from the front.

mod binary;

use crate::protocol::{Context, Decoded, Decoder, Fault, FaultKind, Fix, Framing, Protocol, Said, Transport};
use crate::readers::{Fields, FixBuilder, ascii, bit, civil, device_id, malformed, number, pairs, spoken, unsaid};
use crate::vocabulary::{self as name, alarm};
use bytes::{Buf, Bytes, BytesMut};
use smol_str::{SmolStr, format_smolstr};
use std::ops::Range;
use waystream_domain::{DeviceId, Instruction, Timestamp};

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "gl200",
    port: 5004,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: true,
        framing: || Box::new(Gl200Framing::default()),
        decoder: || Box::new(Gl200 { device: None, model: None }),
    },
};

/// Reports of fifteen fixes with their cells have about 1.5 KB.
const MAX_FRAME_BYTES: usize = 8 * 1024;

#[derive(Default)]
struct Gl200Framing {
    /// How far the buffer is known to hold no delimiter.
    searched: usize,
}

impl Framing for Gl200Framing {
    fn next_frame(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, Fault> {
        if self.searched == 0 {
            // What stands before a message is noise: line ends, mostly.
            let start = buffer.iter().position(|byte| *byte == b'+').unwrap_or(buffer.len());
            buffer.advance(start);
        }
        match binary::frame_length(buffer) {
            binary::Length::Known(length) if length > MAX_FRAME_BYTES => {
                return Err(Fault::new(FaultKind::Oversized, format_smolstr!("a message of {length} bytes")));
            }
            binary::Length::Known(length) => return Ok((buffer.len() >= length).then(|| buffer.split_to(length).freeze())),
            binary::Length::Open => return Ok(None),
            binary::Length::Text => {}
        }
        let Some(at) = buffer[self.searched..].iter().position(|byte| matches!(byte, b'$' | 0)) else {
            self.searched = buffer.len();
            if self.searched > MAX_FRAME_BYTES {
                return Err(Fault::new(FaultKind::Oversized, "no $ within the largest message"));
            }
            return Ok(None);
        };
        let frame = buffer.split_to(self.searched + at).freeze();
        buffer.advance(1);
        self.searched = 0;
        Ok(Some(frame))
    }
}

struct Gl200 {
    device: Option<DeviceId>,
    /// Its model in small letters: the password of commands, unless somebody has changed it.
    model: Option<SmolStr>,
}

impl Decoder for Gl200 {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    fn aliases(&self, device: &DeviceId) -> Vec<DeviceId> {
        binary::as_number(device).and_then(|number| DeviceId::new(number.to_string()).ok()).into_iter().collect()
    }

    fn command(&mut self, _device: &DeviceId, instruction: &Instruction, _context: &Context) -> Said {
        let password = self.model.as_deref().unwrap_or_default();
        Ok(match instruction {
            Instruction::EngineStop => format!("AT+GTOUT={password},1,,,0,0,0,0,0,0,0,,,,,,,FFFF$"),
            Instruction::EngineResume => format!("AT+GTOUT={password},0,,,0,0,0,0,0,0,0,,,,,,,FFFF$"),
            Instruction::RequestPosition => format!("AT+GTRTO={password},1,,,,,,FFFF$"),
            Instruction::Restart => format!("AT+GTRTO={password},3,,,,,,FFFF$"),
            Instruction::Text { text } => format!("{}$", text.trim_end_matches('$')),
            Instruction::ReportEvery { .. } => {
                return Err(SmolStr::new_static("the fields of GTFRI differ by model: send it as text"));
            }
            _ => return Err(unsaid(instruction)),
        }
        .into())
    }

    fn understand(&mut self, frame: &[u8], _context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        let understood = match binary::frame_length(frame) {
            binary::Length::Text => self.text(frame, decoded),
            _ => binary::message(frame, decoded),
        };
        // Confirmations have no id.
        self.device = decoded.device.take().or(self.device.take());
        understood
    }
}

impl Gl200 {
    /// `+RESP:GTFRI,version,IMEI,…`; `+BUFF` repeats what was kept while there was no network; `+ACK:GTHBD` is the heartbeat.
    fn text(&mut self, frame: &[u8], decoded: &mut Decoded) -> Result<(), Fault> {
        let text = ascii(frame.trim_ascii()).or_else(|fault| std::str::from_utf8(frame).map_err(|_| fault))?;
        let text = text.trim_end_matches(['$', '\0']);
        let fields = Fields::new(text, ',');
        let (head, kind) =
            fields.get(0).split_once(":GT").ok_or_else(|| malformed(format_args!("{text:.20?} is no message")))?;
        // Early models leave the version out.
        let is_imei = |text: &str| text.len() == 15 && text.bytes().all(|b| b.is_ascii_digit());
        let id = if is_imei(fields.get(1)) && !is_imei(fields.get(2)) { fields.get(1) } else { fields.get(2) };
        decoded.device = Some(device_id(id)?);
        if head == "+ACK" {
            if kind == "HBD" {
                let count = fields.get(fields.len() - 1);
                decoded.replies.push(format!("+SACK:GTHBD,{},{count}$", fields.get(1)).into());
            } else {
                decoded.answer = Some(spoken(text.as_bytes()));
            }
            return Ok(());
        }
        self.model = model(fields.get(3)).or(self.model.take());
        let groups: Vec<usize> = (9..fields.len()).filter(|at| is_fix(&fields, *at)).collect();
        for (index, at) in groups.iter().enumerate() {
            let end = groups.get(index + 1).map_or(fields.len(), |next| next - 6);
            match report(&fields, kind, *at, at + 1..end) {
                Ok(mut fix) => {
                    if head == "+BUFF" {
                        fix.attributes.set(name::ARCHIVE, true);
                    }
                    decoded.fixes.push(fix);
                }
                Err(fault) => decoded.faults.push(fault),
            }
        }
        Ok(())
    }
}

/// The model of a name that is one: two letters, then digits and perhaps letters.
fn model(name: &str) -> Option<SmolStr> {
    let (family, rest) = name.split_at_checked(2)?;
    let is_model = name.len() <= 10
        && family.bytes().all(|letter| letter.is_ascii_alphabetic())
        && rest.starts_with(|first: char| first.is_ascii_digit())
        && rest.bytes().all(|letter| letter.is_ascii_alphanumeric());
    is_model.then(|| name.to_ascii_lowercase().into())
}

/// Whether a time stands here and in front of it longitude and latitude.
fn is_fix(fields: &Fields<'_>, at: usize) -> bool {
    let degrees = |text: &str| {
        text.split_once('.').is_some_and(|(whole, decimals)| {
            decimals.len() >= 4
                && decimals.bytes().all(|b| b.is_ascii_digit())
                && (1..=3).contains(&whole.trim_start_matches('-').len())
        }) && number(text).is_some()
    };
    let time = fields.get(at);
    time.len() == 14 && time.bytes().all(|b| b.is_ascii_digit()) && degrees(fields.get(at - 1)) && degrees(fields.get(at - 2))
}

/// `yyyymmddhhmmss`.
fn time(text: &str) -> Result<Timestamp, Fault> {
    let [century, year, month, day, hour, minute, second] = pairs(text)?;
    civil([century * 100 + year, month, day], [hour, minute, second])
}

/// The fix whose time is field `at`; `behind` are the fields up to the next fix or the end.
fn report(fields: &Fields<'_>, kind: &str, at: usize, behind: Range<usize>) -> Result<Fix, Fault> {
    let accuracy = fields.number(at - 6);
    // Bus reports tell by an accuracy of zero that the fix is an old one.
    let mut fix = FixBuilder::valid(kind != "CAN" || accuracy.is_some_and(|accuracy| accuracy > 0.0));
    fix.speed_kmh(fields.number(at - 5).unwrap_or(-1.0)).course_deg(fields.number(at - 4).unwrap_or(-1.0));
    if let Some(altitude) = fields.number(at - 3) {
        fix.altitude_m(altitude);
    }
    if let Some(hdop) = accuracy {
        fix.set(name::HDOP, hdop);
    }
    fix.set(name::EVENT, kind);
    let last = behind.end == fields.len();
    // Four fields of the cell, one or two more, then kilometres with one decimal.
    let odometer = (at + 5..(at + 9).min(behind.end))
        .map(|at| fields.get(at))
        .find(|text| text.split_once('.').is_some_and(|(_, decimals)| decimals.len() == 1) && number(text).is_some());
    // With the lowest bit of this mask the satellites follow.
    if matches!(fields.get(at + 5), "01" | "03")
        && let Some(satellites) = fields.int(at + 6)
    {
        fix.set(name::SATELLITES, satellites);
    }
    if let Some(kilometres) = odometer.and_then(number) {
        fix.set(name::ODOMETER_M, (kilometres * 1000.0).round());
    }
    if let Some(hours) = (at + 5..(at + 11).min(behind.end)).find_map(|at| hours(fields.get(at))) {
        fix.set(name::ENGINE_HOURS_H, hours);
    }
    let is_vin = |text: &str| text.len() == 17 && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_vin(fields.get(3)) {
        fix.set(name::VIN, fields.get(3));
    }
    if let "FRI" | "ERI" = kind
        && let Some(millivolts) = (4..7).filter(|at| matches!(fields.get(*at).len(), 4 | 5)).find_map(|at| fields.int(at))
    {
        fix.set(name::POWER_V, millivolts as f64 / 1e3);
    }
    if kind == "ERI" && fields.get(5) == "0" {
        fix.set(name::POWER_V, 0.0);
    }
    if let "FRI" | "ERI" | "RTL" | "NMR" | "TMP" = kind
        && last
    {
        state(fields, behind, &mut fix);
    }
    match kind {
        // The battery stands in front of the fix.
        "CTN" | "STR" => {
            if let Some(percent @ 0..=100) = fields.int(at - 7) {
                fix.set(name::BATTERY_LEVEL, percent);
            }
        }
        "CAN" => vehicle_bus(fields, &mut fix),
        "OBD" => vehicle_computer(fields, &mut fix),
        _ => {}
    }
    name_kind(fields, kind, &mut fix);
    let (lon, lat) = (fields.needed(at - 2)?, fields.needed(at - 1)?);
    fix.at(time(fields.get(at))?, lat, lon)
}

/// Battery, then six digits of state of which the first two tell ignition and motion. Where there is no state, the battery stands
/// in front of the time of sending.
fn state(fields: &Fields<'_>, behind: Range<usize>, fix: &mut FixBuilder) {
    let is_state = |text: &str| {
        text.len() == 6 && text.bytes().all(|b| b.is_ascii_hexdigit()) && matches!(text.as_bytes()[0], b'1' | b'2' | b'4')
    };
    let percent = |text: &str| text.parse::<i64>().ok().filter(|percent| (0..=100).contains(percent));
    if let Some(at) = (behind.start + 5..behind.end).find(|at| is_state(fields.get(*at))) {
        match fields.get(at).as_bytes()[0] {
            b'1' => fix.set(name::IGNITION, false),
            b'2' => fix.set(name::IGNITION, true),
            _ => fix,
        };
        if let Some(percent) = percent(fields.get(at - 1)) {
            fix.set(name::BATTERY_LEVEL, percent);
        }
        let port = |from: usize| u8::from_str_radix(&fields.get(at)[from..from + 2], 16).unwrap_or_default();
        let (inputs, outputs) = (port(2), port(4));
        // The lowest input is the ignition.
        fix.set("in.1", bit(inputs, 1)).set("in.2", bit(inputs, 2)).set("out.1", bit(outputs, 0)).set("out.2", bit(outputs, 1));
        // Those that sit in the socket of the vehicle's computer name the vehicle.
        if fields.get(3).len() == 17 && fields.get(0).ends_with("FRI") {
            if let Some(rpm) = fields.int(at + 1) {
                fix.set(name::RPM, rpm);
            }
            if let Some(percent) = fields.int(at + 3) {
                fix.set(name::FUEL_LEVEL, percent);
            }
        }
        sensors(fields, at + 1..behind.end, fix);
    } else if fields.get(behind.end - 2).len() == 14 {
        let at = |index: usize| fields.get(behind.start + index);
        // Behind four fields of the cell: signal, temperature and nothing; or nothing; or just in front of the time of sending.
        let text = match (at(4), at(6)) {
            (signal, "") if !signal.is_empty() && percent(at(7)).is_some() => at(7),
            ("", _) if percent(at(5)).is_some() => at(5),
            _ => fields.get(behind.end - 3),
        };
        if let Some(percent) = percent(text) {
            fix.set(name::BATTERY_LEVEL, percent);
        }
    }
}

/// `hhhhh:mm:ss` in hours.
fn hours(text: &str) -> Option<f64> {
    let mut parts = text.splitn(3, ':').map(number);
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    Some(hours + minutes / 60.0 + seconds / 3600.0)
}

/// One-wire thermometers: the id, `1`, sixteenths of a degree in hexadecimal.
fn sensors(fields: &Fields<'_>, within: Range<usize>, fix: &mut FixBuilder) {
    let is_thermometer = |at: &usize| {
        let id = fields.get(*at);
        id.len() >= 15 && id.starts_with("28") && id.bytes().all(|byte| byte.is_ascii_hexdigit()) && fields.get(*at + 1) == "1"
    };
    for (index, at) in within.filter(is_thermometer).enumerate() {
        if let Ok(sixteenths) = u16::from_str_radix(fields.get(at + 2), 16) {
            fix.set(format_smolstr!("temperature_c.{}", index + 1), f64::from(sixteenths as i16) / 16.0);
        }
    }
}

/// Readings of the vehicle's bus (`CAN`), of which a mask tells which there are.
fn vehicle_bus(fields: &Fields<'_>, fix: &mut FixBuilder) {
    let Some(mask) = fields.hex(6) else { return };
    for (index, at) in (0..12).filter(|index| bit(mask, *index)).zip(7..) {
        let text = fields.get(at);
        let value = number(text);
        match (index, value) {
            (0, _) if text.len() == 17 => fix.set(name::VIN, text),
            // 0: off, 1: on, 2: the engine runs.
            (1, Some(key)) => fix.set(name::IGNITION, key > 0.0),
            (2, _) => match text.strip_prefix('H').and_then(number) {
                Some(hectometres) => fix.set(name::OBD_ODOMETER_M, hectometres * 100.0),
                None => fix,
            },
            (3, Some(litres)) => fix.set(name::FUEL_USED_L, litres),
            (4, Some(rpm)) => fix.set(name::RPM, rpm),
            (5, Some(kmh)) => fix.set(name::OBD_SPEED_KMH, kmh),
            (6, Some(celsius)) => fix.set(name::COOLANT_TEMPERATURE_C, celsius),
            (8, _) => match (text.strip_prefix('P').and_then(number), text.strip_prefix('L').and_then(number)) {
                (Some(percent), _) => fix.set(name::FUEL_LEVEL, percent),
                (_, Some(litres)) => fix.set(name::FUEL_L, litres),
                _ => fix,
            },
            (11, Some(hours)) => fix.set(name::ENGINE_HOURS_H, hours),
            _ => fix,
        };
    }
}

/// Readings of the socket of the vehicle's computer (`OBD`): the mask, the vehicle, whether it is connected, mV, what it knows, rpm, …
fn vehicle_computer(fields: &Fields<'_>, fix: &mut FixBuilder) {
    // Other masks leave fields out.
    if fields.hex(6).is_none_or(|mask| mask & 0xff != 0xff) {
        return;
    }
    if fields.get(7).len() == 17 {
        fix.set(name::VIN, fields.get(7));
    }
    for (at, name, factor) in
        [(9, name::POWER_V, 1e-3), (11, name::RPM, 1.0), (12, name::OBD_SPEED_KMH, 1.0), (13, name::COOLANT_TEMPERATURE_C, 1.0)]
    {
        if let Some(value) = fields.number(at) {
            fix.set(name, value * factor);
        }
    }
}

/// What the kind of message tells.
fn name_kind(fields: &Fields<'_>, kind: &str, fix: &mut FixBuilder) {
    match kind {
        "IGN" | "VGN" => fix.set(name::IGNITION, true),
        "IGF" | "VGF" => fix.set(name::IGNITION, false),
        // What the digital inputs say.
        "DIS" => match fields.get(5).as_bytes() {
            [port @ (b'1' | b'2'), on @ (b'0' | b'1')] => fix.set(format_smolstr!("in.{}", char::from(*port)), *on == b'1'),
            _ => fix,
        },
        "LSW" => fix.set("in.1", fields.get(5) == "1"),
        "TSW" => fix.set("in.2", fields.get(5) == "1"),
        "IGL" => fix.set(name::IGNITION, fields.get(5) == "01"),
        "NMR" => fix.set(name::MOTION, fields.get(5) == "1"),
        "IDA" => fix.set(name::DRIVER_ID, fields.get(5)),
        "SOS" => fix.set(name::ALARM, alarm::SOS),
        "SPD" => fix.set(name::ALARM, alarm::OVERSPEED),
        "IDN" => fix.set(name::ALARM, alarm::IDLE),
        "TOW" => fix.set(name::ALARM, alarm::TOW),
        "STT" => fix.set(name::ALARM, alarm::MOVEMENT),
        "BPL" => fix.set(name::ALARM, alarm::LOW_BATTERY),
        "MPN" => fix.set(name::ALARM, alarm::POWER_RESTORED),
        "MPF" => fix.set(name::ALARM, alarm::POWER_CUT),
        "JDR" | "JDS" => fix.set(name::ALARM, alarm::JAMMING),
        "TMP" | "TEM" => fix.set(name::ALARM, alarm::TEMPERATURE),
        "SWG" | "GEO" | "GIN" | "GOT" => fix.set(name::ALARM, alarm::GEOFENCE),
        "CRA" => fix.set(name::ALARM, alarm::ACCIDENT),
        "HBM" => fix.set(
            name::ALARM,
            match fields.get(5).as_bytes() {
                [.., b'0' | b'3'] => alarm::HARD_BRAKING,
                [.., b'1' | b'4'] => alarm::HARD_ACCELERATION,
                _ => alarm::HARD_CORNERING,
            },
        ),
        _ => fix,
    };
}
