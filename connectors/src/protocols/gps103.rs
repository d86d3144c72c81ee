//! GPS103, Coban: `imei:…,event,time,…;` texts, `##` logins and bare IMEIs as heartbeats.
//!
//! Speeds are in knots. The first time is local and tells the date; the second one, at the fix, is UTC.

use crate::protocol::{Context, Decoded, Decoder, Fault, FaultKind, Fix, Protocol, Said, Transport};
use crate::readers::{Delimited, Fields, FixBuilder, civil, device_id, dmy, malformed, nmea_angle, number, pairs, unsaid};
use crate::vocabulary::{self as name, alarm};
use smol_str::format_smolstr;
use waystream_domain::{DeviceId, Instruction, Timestamp};

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "gps103",
    port: 5001,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: true,
        framing: || Box::new(Delimited::keeping(&[b"\r\n", b"\n", b";", b"*"], MAX_FRAME_BYTES)),
        decoder: || Box::new(Gps103 { device: None }),
    },
};

/// Pictures come as hexadecimal texts of about 1 KiB.
const MAX_FRAME_BYTES: usize = 4096;

struct Gps103 {
    device: Option<DeviceId>,
}

impl Decoder for Gps103 {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    fn command(&mut self, device: &DeviceId, instruction: &Instruction, _context: &Context) -> Said {
        Ok(match instruction {
            Instruction::EngineStop => format!("**,imei:{device},J"),
            Instruction::EngineResume => format!("**,imei:{device},K"),
            Instruction::RequestPosition => format!("**,imei:{device},B"),
            Instruction::ReportEvery { seconds: seconds @ 0..60 } => format!("**,imei:{device},C,{seconds:02}s"),
            Instruction::ReportEvery { seconds: seconds @ 60..3600 } => format!("**,imei:{device},C,{:02}m", seconds / 60),
            Instruction::ReportEvery { seconds } => format!("**,imei:{device},C,{:02}h", seconds / 3600),
            Instruction::Text { text } if text.starts_with("**") => text.clone(),
            Instruction::Text { text } => format!("**,imei:{device},{text}"),
            _ => return Err(unsaid(instruction)),
        }
        .into())
    }

    fn understand(&mut self, frame: &[u8], _context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        self.message(&String::from_utf8_lossy(frame), decoded)
    }
}

impl Gps103 {
    fn message(&mut self, text: &str, decoded: &mut Decoded) -> Result<(), Fault> {
        let text = text.trim_matches(|c: char| c.is_whitespace() || c == ';' || c == '\0');
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        // A heartbeat is the bare IMEI; a report may follow without a separator.
        if digits >= 10 {
            self.device = Some(device_id(&text[..digits])?);
            decoded.replies.push("ON".into());
        }
        let Some(at) = text.find("imei:") else {
            return match text.get(digits..) {
                Some("") | None if self.device.is_some() => Ok(()),
                _ => Err(Fault::new(FaultKind::UnknownMessage, format_smolstr!("{text:.40}"))),
            };
        };
        let fields = Fields::new(&text[at + "imei:".len()..], ',');
        let imei = fields.get(0);
        self.device = Some(device_id(imei)?);
        let event = fields.get(1);
        if text.starts_with("##") || (event == "L" && fields.get(2).trim_end_matches('*').is_empty()) {
            decoded.replies.push("LOAD".into());
            return Ok(());
        }
        if event == "help me" {
            decoded.replies.push(format!("**,imei:{imei},E;").into());
        }
        // The letter of the command with a t: taken.
        if let "jt" | "kt" | "bt" | "ct" = event {
            decoded.answer = Some(event.into());
        }
        // `L`: only a cell is known; OBD readings have no place either.
        match fields.get(4) {
            "F" if event != "OBD" => decoded.fixes.push(report(&fields)?),
            "----" => decoded.fixes.push(second_form(&fields)?),
            _ => {}
        }
        Ok(())
    }
}

/// `imei,event,local time,driver,F,UTC time,A,lat,N,lon,E,speed,course,altitude,ignition,door,fuel,fuel,temperature`.
fn report(fields: &Fields<'_>) -> Result<Fix, Fault> {
    let event = fields.get(1);
    let mut fix = FixBuilder::valid(fields.get(6) == "A");
    fix.speed_knots(fields.number(11).unwrap_or(-1.0)).course_deg(fields.number(12).unwrap_or(-1.0));
    if let Some(altitude) = fields.number(13) {
        fix.altitude_m(altitude);
    }
    name_event(event, &mut fix);
    for (at, name) in [(14, name::IGNITION), (15, name::DOOR)] {
        if let "0" | "1" = fields.get(at) {
            fix.set(name, fields.get(at) == "1");
        }
    }
    if let Some(percent) = fields.get(16).strip_suffix('%').and_then(number) {
        fix.set(name::FUEL_LEVEL, percent);
    }
    if let Some(celsius) = fields.number(18) {
        fix.set("temperature_c.1", celsius);
    }
    // Alarms of sensors bring what the sensor says.
    if let Some(celsius) = event.strip_prefix("T:").and_then(number) {
        fix.set("temperature_c.1", celsius);
    }
    if let Some(percent) = event.strip_prefix("oil").and_then(number) {
        fix.set(name::FUEL_LEVEL, percent);
    }
    if event == "rfid" {
        fix.set(name::DRIVER_ID, fields.get(3));
    }
    let (lat, lon) = place(fields)?;
    fix.at(time(fields.get(2), fields.get(5))?, lat, lon)
}

/// Values and hemispheres, in one version the other way round. A missing hemisphere is north or east.
fn place(fields: &Fields<'_>) -> Result<(f64, f64), Fault> {
    let swapped = usize::from(matches!(fields.get(7), "N" | "S"));
    let degrees = |at: usize| {
        let text = fields.get(at + swapped);
        let angle = nmea_angle(text).ok_or_else(|| malformed(format_args!("{text:?} is not an angle")))?;
        Ok(if matches!(fields.get(at + 1 - swapped), "S" | "W") { -angle } else { angle })
    };
    Ok((degrees(7)?, degrees(9)?))
}

fn name_event(event: &str, fix: &mut FixBuilder) {
    let alarm = match event {
        "help me" => alarm::SOS,
        "low battery" => alarm::LOW_BATTERY,
        "stockade" => alarm::GEOFENCE,
        "move" => alarm::MOVEMENT,
        "speed" => alarm::OVERSPEED,
        "ac alarm" => alarm::POWER_CUT,
        "door alarm" => alarm::DOOR,
        "sensor alarm" => alarm::VIBRATION,
        "accident alarm" => alarm::ACCIDENT,
        "bonnet alarm" | "footbrake alarm" => alarm::GENERAL,
        "DTC" => alarm::FAULT,
        "tracker" | "" => return,
        _ if event.starts_with("T:") => alarm::TEMPERATURE,
        _ if event.starts_with("oil") => alarm::FUEL_LEAK,
        _ => {
            fix.set(name::EVENT, event);
            match event {
                "acc on" => fix.set(name::IGNITION, true),
                "acc off" => fix.set(name::IGNITION, false),
                _ => fix,
            };
            return;
        }
    };
    fix.set(name::ALARM, alarm).set(name::EVENT, event);
}

/// The UTC time of day belongs to the day of the local time or to the one before or after: that which makes the time zone
/// the smaller.
fn time(local: &str, utc: &str) -> Result<Timestamp, Fault> {
    const HALF_DAY_MS: i64 = 12 * 3_600_000;
    let digits: String = local.chars().filter(char::is_ascii_digit).collect();
    let [year, month, day] = pairs(&digits)?;
    let clock = digits.get(6..).unwrap_or_default();
    let [hour, minute] = pairs(clock).unwrap_or([0, 0]);
    // Some send only a second or nothing instead of the UTC time; their first time is UTC.
    let Ok([utc_hour, utc_minute, utc_second]) = pairs::<3>(utc) else {
        return civil([year, month, day], [hour, minute, 0]);
    };
    let local = civil([year, month, day], [hour, minute, 0])?;
    let fix = civil([year, month, day], [utc_hour, utc_minute, utc_second])?;
    let zone = local.millis_since(fix);
    Ok(match zone {
        _ if zone > HALF_DAY_MS => fix.plus_millis(2 * HALF_DAY_MS),
        _ if zone < -HALF_DAY_MS => fix.plus_millis(-2 * HALF_DAY_MS),
        _ => fix,
    })
}

/// `imei,name,---,------,----,time,date,rssi,valid,lat,lon,km/h,course,altitude,hdop,satellites,ignition,charge`.
fn second_form(fields: &Fields<'_>) -> Result<Fix, Fault> {
    if fields.len() < 16 {
        return Err(malformed("a short report of the second form"));
    }
    let mut fix = FixBuilder::valid(fields.get(8) == "1");
    fix.speed_kmh(fields.told(11)).course_deg(fields.told(12)).altitude_m(fields.told(13));
    fix.set_some(name::RSSI, fields.int(7));
    fix.set_some(name::HDOP, fields.number(14)).set_some(name::SATELLITES, fields.int(15));
    fix.set(name::IGNITION, fields.get(16) == "1").set(name::CHARGE, fields.get(17) == "1");
    fix.at(dmy(fields.get(6), fields.get(5))?, fields.needed(9)?, fields.needed(10)?)
}
