//! GoSafe: texts `*GSnn,IMEI,…#` of named parts, several positions joined by `$`; and a binary form between two bytes `f8`.

use crate::protocol::{Context, Decoded, Decoder, Fault, Fix, Framing, Protocol, Transport};
use crate::readers::{Fields, FixBuilder, Marked, Reader, ascii, bit, device_id, dmy, from_unix_secs, imei, malformed, number};
use crate::vocabulary as name;
use bytes::{Bytes, BytesMut};
use smol_str::format_smolstr;
use waystream_domain::DeviceId;

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "gosafe",
    port: 5078,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: true,
        framing: || Box::new(GoSafeFraming),
        decoder: || Box::new(GoSafe { device: None }),
    },
};

const MAX_FRAME_BYTES: usize = 8 * 1024;
/// First and last byte of a binary message.
const MARK: u8 = 0xf8;
const MARKED: Marked = Marked { mark: MARK, escape: 0x1b, for_mark: 0xe3 };
/// 2000-01-01, seconds since 1970: the epoch of the binary form.
const EPOCH_SECS: i64 = 946_684_800;
/// What every message is answered with.
const ANSWER: &str = "1234";

struct GoSafeFraming;

impl Framing for GoSafeFraming {
    fn next_frame(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, Fault> {
        MARKED.next(buffer, MAX_FRAME_BYTES)
    }
}

struct GoSafe {
    device: Option<DeviceId>,
}

impl Decoder for GoSafe {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    fn understand(&mut self, frame: &[u8], _context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        decoded.replies.push(ANSWER.into());
        if frame.first() == Some(&MARK) {
            return self.binary(frame, decoded);
        }
        let text = ascii(frame.trim_ascii())?;
        let text = text.strip_suffix('#').unwrap_or(text);
        let mut parts = text.splitn(3, ',');
        let (version, id, body) =
            (parts.next().unwrap_or_default(), parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        if !version.starts_with("*GS") {
            return Err(malformed("a message begins with *GS"));
        }
        self.device = Some(device_id(id)?);
        if version == "*GS02" {
            if !body.is_empty() {
                decoded.fixes.push(old(body)?);
            }
            return Ok(());
        }
        for record in body.split('$') {
            match position(record) {
                Ok(fix) => decoded.fixes.extend(fix),
                Err(fault) => decoded.faults.push(fault),
            }
        }
        Ok(())
    }
}

impl GoSafe {
    /// Mark, version, type, IMEI in 7 bytes, time, event, a mask of parts: the system's (with its length) and the receiver's come first.
    fn binary(&mut self, frame: &[u8], decoded: &mut Decoded) -> Result<(), Fault> {
        let mut reader = Reader::new(frame.strip_suffix(&[MARK]).unwrap_or(frame));
        reader.skip(1 + 1 + 1)?;
        self.device = Some(imei(&reader.uint(7)?.to_string())?);
        let time = from_unix_secs(i64::from(reader.u32()?) + EPOCH_SECS);
        let mut fix = FixBuilder::default();
        let event = reader.u8()?;
        if event > 0 {
            fix.set(name::EVENT, i64::from(event));
        }
        let mask = reader.u16()?;
        if bit(mask, 0) {
            let length = reader.u8()?;
            reader.skip(length.into())?;
        }
        if !bit(mask, 1) {
            return Ok(());
        }
        let has = reader.u8()?;
        if bit(has, 0) {
            let flags = reader.u8()?;
            fix.valid = bit(flags, 6);
            fix.set(name::SATELLITES, i64::from(flags & 0x1f));
        }
        if !bit(has, 1) {
            return Ok(());
        }
        let (lat, lon) = (f64::from(reader.i32()?) / 1e6, f64::from(reader.i32()?) / 1e6);
        if bit(has, 2) {
            fix.speed_kmh(reader.u16()?.into()).course_deg(reader.u16()?.into());
        }
        if bit(has, 3) {
            fix.altitude_m(reader.i16()?.into());
        }
        for (index, name) in [(4, name::HDOP), (5, name::VDOP)] {
            if bit(has, index) {
                fix.set(name, f64::from(reader.u16()?) / 100.0);
            }
        }
        decoded.fixes.push(fix.at(time?, lat, lon)?);
        Ok(())
    }
}

/// `GPS:hhmmss;…;A;S1.1;E36.9;km/h;course;…;ddmmyy,…`: the fix type and HDOP may be left out.
fn old(body: &str) -> Result<Fix, Fault> {
    let gps = body.split(',').find_map(|part| part.strip_prefix("GPS:")).ok_or_else(|| malformed("no GPS part"))?;
    let fields = Fields::new(gps, ';');
    let at = if matches!(fields.get(1), "A" | "V") { 1 } else { 2 };
    let mut fix = FixBuilder::valid(fields.get(at) == "A");
    fix.speed_kmh(fields.number(at + 3).unwrap_or(-1.0)).course_deg(fields.number(at + 4).unwrap_or(-1.0));
    if fields.len() > at + 6 {
        fix.set_some(name::HDOP, fields.number(at + 5));
    }
    let (lat, lon) = (degrees(fields.get(at + 1))?, degrees(fields.get(at + 2))?);
    fix.at(dmy(fields.get(fields.len() - 1), fields.get(0))?, lat, lon)
}

/// `hhmmssddmmyy,event,SYS:…,GPS:…,…`. Without a time or a place it is no fix.
fn position(record: &str) -> Result<Option<Fix>, Fault> {
    let mut parts = record.split(',');
    let time = parts.next().unwrap_or_default();
    if time.len() != 12 || time == "000000000000" || !time.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    let mut fix = FixBuilder::default();
    let mut place = None;
    for part in parts {
        match part.split_once(':') {
            Some(("GPS", values)) => place = Some(gps(values, &mut fix)?),
            Some((key, values)) => attributes(key, &Fields::new(values, ';'), &mut fix),
            None => {
                if let Ok(event) = i64::from_str_radix(part, 16) {
                    fix.set(name::EVENT, event);
                }
            }
        }
    }
    let Some((lat, lon)) = place else { return Ok(None) };
    let (time, date) = time.split_at_checked(6).ok_or_else(|| malformed("a short time"))?;
    fix.at(dmy(date, time)?, lat, lon).map(Some)
}

/// `A;satellites;N31.5;E74.3;km/h;course;altitude;hdop;vdop`.
fn gps(values: &str, fix: &mut FixBuilder) -> Result<(f64, f64), Fault> {
    let fields = Fields::new(values, ';');
    fix.valid = fields.get(0) == "A";
    fix.speed_kmh(fields.number(4).unwrap_or(0.0)).course_deg(fields.number(5).unwrap_or(-1.0));
    if let Some(altitude) = fields.number(6) {
        fix.altitude_m(altitude);
    }
    fix.set_some(name::SATELLITES, fields.int(1)).set_some(name::HDOP, fields.number(7)).set_some(name::VDOP, fields.number(8));
    Ok((degrees(fields.get(2))?, degrees(fields.get(3))?))
}

/// `N31.551856`.
fn degrees(text: &str) -> Result<f64, Fault> {
    let value = text.get(1..).and_then(number).ok_or_else(|| malformed(format_args!("{text:?} is no angle")))?;
    Ok(if text.starts_with(['S', 'W']) { -value } else { value })
}

fn attributes(key: &str, values: &Fields<'_>, fix: &mut FixBuilder) {
    match key {
        "COT" => {
            fix.set_some(name::ODOMETER_M, values.int(0));
            // Hours, minutes, seconds; minutes and seconds may be left out.
            let parts: Vec<f64> = values.get(1).split('-').map_while(number).collect();
            let hours = parts.iter().rev().fold(0.0, |sum, part| sum / 60.0 + part);
            fix.set_some(name::ENGINE_HOURS_H, Some(hours).filter(|_| !parts.is_empty()));
        }
        "ADC" => {
            for (at, name) in [(0, name::POWER_V), (1, name::BATTERY_V), (2, "adc.1"), (3, "adc.2")] {
                fix.set_some(name, values.number(at));
            }
        }
        "DTT" => {
            fix.set_some(name::STATUS, values.hex(0).map(|status| status as i64));
            if let Some(io) = values.hex(1) {
                fix.set(name::IGNITION, bit(io, 0)).set("input", (io >> 1 & 0xf) as i64).set("output", (io >> 5 & 7) as i64);
            }
        }
        "IWD" => {
            // Number, kind, then a card's number, or a sensor's number and temperature.
            let mut at = 0;
            while at < values.len() {
                match values.get(at + 1) {
                    "0" => {
                        fix.set(name::DRIVER_ID, values.get(at + 2));
                        at += 3;
                    }
                    "1" => {
                        fix.set_some(format_smolstr!("temperature_c.{}", values.get(at)), values.number(at + 3));
                        at += 4;
                    }
                    _ => break,
                }
            }
        }
        _ => {}
    }
}
