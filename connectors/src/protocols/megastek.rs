//! Megastek: an old form around NMEA's RMC (`STX…`), and a new one of columns (`$MGV…`) that may have its length in front.

use crate::protocol::{Context, Decoded, Decoder, Fault, FaultKind, Fix, Framing, Protocol, Transport};
use crate::readers::{Fields, FixBuilder, Rmc, device_id, dmy, malformed, number};
use crate::vocabulary::{self as name, alarm};
use bytes::{Buf, Bytes, BytesMut};
use smol_str::format_smolstr;
use waystream_domain::DeviceId;

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "megastek",
    port: 5024,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: false,
        framing: || Box::new(MegastekFraming),
        decoder: || Box::new(Megastek { device: None }),
    },
};

const MAX_FRAME_BYTES: usize = 2048;

struct MegastekFraming;

impl Framing for MegastekFraming {
    fn next_frame(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, Fault> {
        loop {
            let start = buffer.iter().position(|byte| !matches!(byte, b'\r' | b'\n' | b'!')).unwrap_or(buffer.len());
            buffer.advance(start);
            let Some(first) = buffer.first() else { return Ok(None) };
            if first.is_ascii_digit() {
                let Some(digits) = buffer.get(..4) else { return Ok(None) };
                let length = String::from_utf8_lossy(digits).parse::<usize>().map_err(|_| malformed("no length"))? + 4;
                if length > MAX_FRAME_BYTES {
                    return Err(Fault::new(FaultKind::Oversized, format_smolstr!("a message of {length} bytes")));
                }
                return Ok((buffer.len() >= length).then(|| buffer.split_to(length).freeze()));
            }
            let Some(end) = buffer.iter().position(|byte| matches!(byte, b'\r' | b'\n' | b'!')) else {
                if buffer.len() > MAX_FRAME_BYTES {
                    return Err(Fault::new(FaultKind::Oversized, "no end within the largest message"));
                }
                return Ok(None);
            };
            let frame = buffer.split_to(end).freeze();
            buffer.advance(1);
            if !frame.is_empty() {
                return Ok(Some(frame));
            }
        }
    }
}

struct Megastek {
    device: Option<DeviceId>,
}

impl Decoder for Megastek {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    fn understand(&mut self, frame: &[u8], _context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        let text = String::from_utf8_lossy(frame);
        let text = text.trim();
        if let Some(at) = text.find("$MGV") {
            let fields = Fields::new(&text[at..], ',');
            if !fields.get(1).is_empty() {
                self.device = Some(device_id(fields.get(1))?);
            }
            decoded.fixes.extend(new(&fields)?);
        } else if let Some(body) = text.strip_prefix("LOG").unwrap_or(text).strip_prefix("STX") {
            let (id, fix) = old(body)?;
            self.device = Some(device_id(&id)?);
            decoded.fixes.extend(fix);
        } else {
            return Err(Fault::new(FaultKind::UnknownMessage, format_smolstr!("{text:.40}")));
        }
        Ok(())
    }
}

/// `$MGV002,imei,name,R,ddmmyy,hhmmss,A,lat,N,lon,E,,satellites,,hdop,knots,course,altitude,km,` cell, five of the model's own,
/// two temperatures, card, charging, battery, alert.
fn new(fields: &Fields<'_>) -> Result<Option<Fix>, Fault> {
    if fields.get(7).is_empty() {
        return Ok(None);
    }
    let mut fix = FixBuilder::valid(fields.get(6) == "A");
    fix.speed_knots(fields.number(15).unwrap_or(-1.0)).course_deg(fields.number(16).unwrap_or(-1.0));
    if let Some(altitude) = fields.number(17) {
        fix.altitude_m(altitude);
    }
    fix.set(name::ARCHIVE, fields.get(3) == "S")
        .set_some(name::SATELLITES, fields.int(12))
        .set_some(name::HDOP, fields.number(14));
    fix.set_some(name::ODOMETER_M, fields.number(18).map(|km| km * 1e3)).set_some(name::RSSI, fields.int(23));
    // Four binary digits twice are inputs and outputs.
    if fields.get(24).len() == 4 && fields.get(25).len() == 4 {
        for (at, name) in [(24, "input"), (25, "output")] {
            fix.set_some(name, i64::from_str_radix(fields.get(at), 2).ok());
        }
        for (at, name) in [(26, "adc.1"), (27, "adc.2"), (28, "adc.3")] {
            fix.set_some(name, fields.int(at));
        }
    }
    fix.set_some("temperature_c.1", fields.number(29)).set_some("temperature_c.2", fields.number(30));
    if !fields.get(31).is_empty() {
        fix.set(name::DRIVER_ID, fields.get(31));
    }
    if let Some(charging @ ("0" | "1")) = fields.get(32).get(..1) {
        fix.set(name::CHARGE, charging == "1");
    }
    fix.set_some(name::BATTERY_LEVEL, fields.int(33));
    fix.set_some(name::ALARM, alarm_word(fields.get(34).split(';').next().unwrap_or_default()));
    let (lat, lon) = fields.nmea_place(7)?;
    fix.at(dmy(fields.get(4), fields.get(5))?, lat, lon).map(Some)
}

/// Id and fix of `,id,` RMC `,F,alarm,imei:…,satellites,altitude,Battery=…%,…` or of an id in 16 columns, RMC, `,cell…,battery,…,alarm;cs`.
fn old(body: &str) -> Result<(String, Option<Fix>), Fault> {
    let (front, rest) = body.split_once("$GPRMC,").ok_or_else(|| malformed("no RMC sentence"))?;
    // Without its star the sentence runs on, and nothing behind it can be told apart.
    let (sentence, behind) = rest.split_once('*').unwrap_or((rest, ""));
    let states = Fields::new(behind.split(';').next().unwrap_or_default(), ',');
    let mut id = front.trim_matches(',').get(..16).unwrap_or(front.trim_matches(',')).trim().to_owned();
    if let Some(imei) = states.from(0).iter().find_map(|field| field.strip_prefix("imei:")) {
        imei.clone_into(&mut id);
    }
    let sentence = Fields::new(sentence, ',');
    if sentence.get(2).is_empty() {
        return Ok((id, None));
    }
    let Rmc { mut fix, time, lat_deg, lon_deg } = Rmc::read(&sentence, 0)?;
    let millis =
        sentence.get(0).split_once('.').and_then(|(_, digits)| number(&format!("0.{digits}"))).unwrap_or_default() * 1e3;
    if front.starts_with(',') {
        fix.set_some(name::ALARM, alarm_word(states.get(2)));
        fix.set_some(name::SATELLITES, states.get(4).split('/').next().and_then(|used| used.parse::<i64>().ok()));
        if let Some(altitude) = states.number(5) {
            fix.altitude_m(altitude);
        }
        let level = states.get(6).strip_prefix("Battery=").and_then(|level| number(level.trim_end_matches('%')));
        fix.set_some(name::BATTERY_LEVEL, level);
        // Some models leave a column empty in front of it.
        let charging = if states.get(7).is_empty() { states.get(8) } else { states.get(7) };
        if matches!(charging, "0" | "1") {
            fix.set(name::CHARGE, charging == "1");
        }
    } else {
        fix.set_some(name::RSSI, states.int(5)).set_some(name::BATTERY_LEVEL, states.number(6));
        fix.set_some(name::ALARM, alarm_word(states.get(states.len() - 1)));
    }
    Ok((id, Some(fix.at(time.plus_millis(millis as i64), lat_deg, lon_deg)?)))
}

fn alarm_word(alert: &str) -> Option<&'static str> {
    let alert = alert.to_ascii_lowercase();
    match &*alert {
        "pw on" | "poweron" => Some(alarm::POWER_ON),
        "pw off" | "poweroff" => Some(alarm::POWER_OFF),
        "sos" | "help" => Some(alarm::SOS),
        "over speed" | "overspeed" => Some(alarm::OVERSPEED),
        "low battery" | "lowbattery" => Some(alarm::LOW_BATTERY),
        "low extern voltage" | "low ext vol" => Some(alarm::LOW_POWER),
        "gps cut" => Some(alarm::GPS_ANTENNA_CUT),
        "vib" => Some(alarm::VIBRATION),
        "move in" => Some(alarm::MOVEMENT),
        _ if alert.starts_with("geo") && alert.ends_with("in") => Some(alarm::GEOFENCE_ENTER),
        _ if alert.starts_with("geo") && alert.ends_with("out") => Some(alarm::GEOFENCE_EXIT),
        _ => None,
    }
}
