//! Queclink (GL200, GV, GB and later families): `+RESP:GTxxx,…$` texts with many layouts, and their binary form.
//!
//! The layouts differ between some hundred models and versions, but a fix always looks the same: accuracy, km/h, course,
//! altitude, longitude, latitude, time. So fixes are found by that, not by counting from the front.

mod binary;

use crate::protocol::{Context, Decoded, Decoder, Fault, FaultKind, Fix, Framing, Protocol, Transport};
use crate::readers::{Fields, FixBuilder, ascii, civil, device_id, malformed, number, pairs};
use crate::vocabulary::{self as name, alarm};
use bytes::{Buf, Bytes, BytesMut};
use smol_str::format_smolstr;
use std::ops::Range;
use waystream_domain::{DeviceId, Timestamp};

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "gl200",
    port: 5004,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: true,
        framing: || Box::new(Gl200Framing::default()),
        decoder: || Box::new(Gl200 { device: None }),
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
}

impl Decoder for Gl200 {
    fn device(&self) -> Option<&DeviceId> {
        self.device.as_ref()
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
            }
            return Ok(());
        }
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
    if let Some(kilometres) = odometer.and_then(number) {
        fix.set(name::ODOMETER_M, (kilometres * 1000.0).round());
    }
    if let "FRI" | "ERI" = kind
        && let Some(millivolts) = (4..7).filter(|at| matches!(fields.get(*at).len(), 4 | 5)).find_map(|at| fields.int(at))
    {
        fix.set(name::POWER_V, millivolts as f64 / 1e3);
    }
    if let "FRI" | "ERI" | "RTL" | "NMR" = kind
        && last
    {
        state(fields, behind, &mut fix);
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
    } else if fields.get(behind.end - 2).len() == 14
        && let Some(percent) = percent(fields.get(behind.end - 3))
    {
        fix.set(name::BATTERY_LEVEL, percent);
    }
}

/// What the kind of message tells.
fn name_kind(fields: &Fields<'_>, kind: &str, fix: &mut FixBuilder) {
    match kind {
        "IGN" | "VGN" => fix.set(name::IGNITION, true),
        "IGF" | "VGF" => fix.set(name::IGNITION, false),
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
