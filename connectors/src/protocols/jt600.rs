//! JT600 and the locks and trailers of Jointech: packed records behind `$`, texts in brackets.

use crate::protocol::{Context, Decoded, Decoder, Fault, FaultKind, Fix, Framing, Protocol, Transport};
use crate::readers::{
    Fields, FixBuilder, Reader, bit, bracketed, device_id, dmy, hex, malformed, nmea_degrees, packed, packed_dmy, packed_place,
};
use crate::vocabulary::{self as name, alarm};
use bytes::{Buf, Bytes, BytesMut};
use smol_str::format_smolstr;
use waystream_domain::{DeviceId, Timestamp};

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "jt600",
    port: 5014,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: false,
        framing: || Box::new(Jt600Framing),
        decoder: || Box::new(Jt600 { device: None }),
    },
};

const MAX_FRAME_BYTES: usize = 4096;
const MPS_PER_MPH: f64 = 0.44704;

struct Jt600Framing;

impl Framing for Jt600Framing {
    fn next_frame(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, Fault> {
        let start = buffer.iter().position(|byte| matches!(byte, b'(' | b'$')).unwrap_or(buffer.len());
        buffer.advance(start);
        if buffer.first() == Some(&b'$') {
            let Some(head) = buffer.get(..10) else { return Ok(None) };
            let [high, low] = if is_long(head) { [head[8], head[9]] } else { [head[7], head[8]] };
            // The short form has a number behind what its length covers.
            let length = 10 + usize::from(u16::from_be_bytes([high, low]));
            if length > MAX_FRAME_BYTES {
                return Err(Fault::new(FaultKind::Oversized, format_smolstr!("a message of {length} bytes")));
            }
            return Ok((buffer.len() >= length).then(|| buffer.split_to(length).freeze()));
        }
        bracketed(buffer, MAX_FRAME_BYTES)
    }
}

/// Behind mark and id the short form has a type and the length, the long one a version, a type and the length: no message is so long
/// that its length's first byte looks like a type.
fn is_long(message: &[u8]) -> bool {
    message.get(7).is_some_and(|byte| *byte >= 0x10)
}

struct Jt600 {
    device: Option<DeviceId>,
}

impl Decoder for Jt600 {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    fn understand(&mut self, frame: &[u8], _context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        if frame.first() == Some(&b'$') {
            return self.packed(frame, decoded);
        }
        let inner = frame.strip_prefix(b"(").ok_or_else(|| malformed("neither $ nor a bracket"))?;
        let inner = inner.strip_suffix(b")").unwrap_or(inner);
        let text = String::from_utf8_lossy(inner);
        let fields = Fields::new(&text, ',');
        self.device = Some(device_id(fields.get(0))?);
        match fields.get(1) {
            kind @ ("U01" | "U02" | "U03") => reported(kind, &fields, decoded),
            kind @ "U06" => reported(kind, &fields, decoded),
            "W01" => {
                decoded.fixes.push(alerted(&fields)?);
                Ok(())
            }
            "P45" => locked(&fields, decoded),
            _ if fields.get(3) == "WLNET" => {
                // Six commas, then bytes: the place first, then what the sensors say.
                let mut parts = inner.splitn(7, |byte| *byte == b',');
                if fields.get(4) == "5" {
                    let mut reader = Reader::new(parts.nth(6).unwrap_or_default());
                    decoded.fixes.push(place(&mut reader)?.fix()?);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Jt600 {
    /// Mark, packed id, perhaps a version, type, length; records; a number.
    fn packed(&mut self, frame: &[u8], decoded: &mut Decoded) -> Result<(), Fault> {
        let long = is_long(frame);
        let mut reader = Reader::new(frame);
        reader.skip(1)?;
        let digits = hex(reader.take(5)?);
        let id = digits.trim_start_matches('0');
        self.device = Some(device_id(id)?);
        let version = if long { reader.u8()? } else { 0 };
        let form = reader.u8()? >> 4;
        // The same in both forms: the head and a number behind the records, or a longer head.
        if usize::from(reader.u16()?) + 10 != frame.len() {
            return Err(malformed("the length is another"));
        }
        let mut answer = false;
        while reader.left() > 1 {
            let mut place = place(&mut reader)?;
            if long {
                answer |= long_states(&mut reader, &mut place.fix)?;
            } else {
                short_states(form, &mut reader, &mut place.fix)?;
            }
            match place.fix() {
                Ok(fix) => decoded.fixes.push(fix),
                Err(fault) => decoded.faults.push(fault),
            }
            // Newer versions have states of their own behind their only record.
            let behind = reader.left().saturating_sub(1);
            if long && !behind.is_multiple_of(LONG_RECORD_BYTES) {
                reader.skip(behind)?;
            }
        }
        let number = reader.u8().unwrap_or_default();
        if answer {
            decoded.replies.push(if version < 0x19 { "(P35)".into() } else { format!("(P69,0,{number})").into() });
        }
        Ok(())
    }
}

/// Place and states of the long form.
const LONG_RECORD_BYTES: usize = 17 + 17;

struct Place {
    fix: FixBuilder,
    time: Result<Timestamp, Fault>,
    lat_deg: f64,
    lon_deg: f64,
}

impl Place {
    fn fix(self) -> Result<Fix, Fault> {
        self.fix.at(self.time?, self.lat_deg, self.lon_deg)
    }
}

/// Time, place with its flags, knots, course in two degrees.
fn place(reader: &mut Reader<'_>) -> Result<Place, Fault> {
    let time = packed_dmy(reader)?;
    let (valid, lat_deg, lon_deg) = packed_place(reader)?;
    let mut fix = FixBuilder::valid(valid);
    fix.speed_knots(packed(reader.u8()?).into()).course_deg(f64::from(reader.u8()?) * 2.0);
    Ok(Place { fix, time, lat_deg, lon_deg })
}

/// Odometer, satellites, vehicle, status, battery, cell; gives whether the device wants an answer.
fn long_states(reader: &mut Reader<'_>, fix: &mut FixBuilder) -> Result<bool, Fault> {
    fix.set(name::ODOMETER_M, i64::from(reader.u32()?) * 1000).set(name::SATELLITES, i64::from(reader.u8()?));
    reader.skip(4)?;
    let status = reader.u16()?;
    fix.set(name::STATUS, i64::from(status)).set(name::BLOCKED, bit(status, 7));
    for (index, word) in [
        (1, alarm::GEOFENCE_ENTER),
        (2, alarm::GEOFENCE_EXIT),
        (3, alarm::POWER_CUT),
        (4, alarm::VIBRATION),
        (11, alarm::LOW_BATTERY),
        (14, alarm::FAULT),
    ] {
        if bit(status, index) {
            fix.set(name::ALARM, word);
        }
    }
    match reader.u8()? {
        0xff => drop(fix.set(name::CHARGE, true)),
        level => drop(fix.set(name::BATTERY_LEVEL, i64::from(level))),
    }
    reader.skip(2 + 2)?;
    fix.set(name::RSSI, i64::from(reader.u8()?));
    Ok(bit(status, 5))
}

fn short_states(form: u8, reader: &mut Reader<'_>, fix: &mut FixBuilder) -> Result<(), Fault> {
    match form {
        1 => {
            fix.set(name::SATELLITES, i64::from(reader.u8()?)).set("power", i64::from(reader.u8()?));
            reader.skip(1)?;
            fix.altitude_m(reader.u16()?.into());
            reader.skip(2 + 2)?;
            fix.set(name::RSSI, i64::from(reader.u8()?));
        }
        2 => {
            let fuel_high = reader.u8()?;
            let [doors, states, alarms, _] = reader.array()?;
            fix.set(name::IGNITION, bit(doors, 0)).set(name::DOOR, bit(doors, 6));
            fix.set(name::CHARGE, bit(states, 0)).set(name::BLOCKED, bit(states, 1));
            for (on, word) in [
                (bit(states, 3), alarm::GPS_ANTENNA_CUT),
                (bit(states, 4), alarm::OVERSPEED),
                (bit(alarms, 2), alarm::FATIGUE_DRIVING),
                (bit(alarms, 3), alarm::TOW),
                (bit(states, 2), alarm::SOS),
            ] {
                if on {
                    fix.set(name::ALARM, word);
                }
            }
            fix.set(name::ODOMETER_M, i64::from(reader.u32()?) * 1000);
            fix.set("fuel", i64::from(u16::from_be_bytes([fuel_high, reader.u8()?])));
        }
        3 => {
            // Three sensors of 12 bits, an odometer of 20, states of 24.
            let bits = reader.uint(7)?;
            for (index, shift) in [(1, 44), (2, 32), (3, 20)] {
                fix.set(format_smolstr!("fuel.{index}"), (bits >> shift & 0xfff) as i64);
            }
            fix.set(name::ODOMETER_M, (bits & 0xf_ffff) as i64 * 1000);
            let status = reader.uint(3)?;
            fix.set(name::STATUS, status as i64).set(name::IGNITION, bit(status, 0));
        }
        _ => {}
    }
    Ok(())
}

/// `id,U01,[alarm,]ddmmyy,hhmmss,T,lat,N,lon,E,mph,course,satellites,battery%,states,cell,area,signal,km,…`.
fn reported(kind: &str, fields: &Fields<'_>, decoded: &mut Decoded) -> Result<(), Fault> {
    let at = if matches!(fields.get(4), "T" | "F") { 2 } else { 3 };
    if !matches!(fields.get(at + 2), "T" | "F") {
        return Ok(());
    }
    decoded.replies.push(if kind == "U06" { "(S20)" } else { "(S39)" }.into());
    let mut fix = FixBuilder::valid(fields.get(at + 2) == "T");
    fix.speed_mps(fields.number(at + 7).unwrap_or(-1.0) * MPS_PER_MPH).course_deg(fields.number(at + 8).unwrap_or(-1.0));
    fix.set_some(name::SATELLITES, fields.int(at + 9));
    fix.set_some(name::BATTERY_LEVEL, fields.get(at + 10).trim_end_matches('%').parse::<i64>().ok());
    fix.set_some(name::STATUS, i64::from_str_radix(fields.get(at + 11), 2).ok());
    fix.set_some(name::RSSI, fields.int(at + 14))
        .set_some(name::ODOMETER_M, fields.int(at + 15).map(|km| km.saturating_mul(1000)));
    let (lat, lon) = (signed(fields, at + 3)?, signed(fields, at + 5)?);
    decoded.fixes.push(fix.at(dmy(fields.get(at), fields.get(at + 1))?, lat, lon)?);
    Ok(())
}

/// `id,W01,lon,E,lat,N,A,ddmmyy,hhmmss,km/h,course,power,gps,signal,alert,…`.
fn alerted(fields: &Fields<'_>) -> Result<Fix, Fault> {
    let mut fix = FixBuilder::valid(fields.get(6) == "A");
    fix.speed_kmh(fields.number(9).unwrap_or(-1.0)).course_deg(fields.number(10).unwrap_or(-1.0));
    fix.set_some(name::BATTERY_LEVEL, fields.int(11))
        .set_some(name::RSSI, fields.int(13))
        .set_some(name::EVENT, fields.int(14));
    let lon = nmea_degrees(fields.get(2), fields.get(3))?;
    let lat = nmea_degrees(fields.get(4), fields.get(5))?;
    fix.at(dmy(fields.get(7), fields.get(8))?, lat, lon)
}

/// `id,P45,ddmmyy,hhmmss,lat,N,lon,E,A,mph,course,source,unlocked,card,password,mistakes,number,…`: what a lock did.
fn locked(fields: &Fields<'_>, decoded: &mut Decoded) -> Result<(), Fault> {
    decoded.replies.push(format!("(P69,0,{})", fields.get(16)).into());
    let mut fix = FixBuilder::valid(fields.get(8) == "A");
    fix.speed_mps(fields.number(9).unwrap_or(-1.0) * MPS_PER_MPH).course_deg(fields.number(10).unwrap_or(-1.0));
    fix.set_some(name::EVENT, fields.int(11));
    if fields.get(13).bytes().any(|byte| byte != b'0') {
        fix.set(name::DRIVER_ID, fields.get(13));
    }
    let (lat, lon) = (signed(fields, 4)?, signed(fields, 6)?);
    decoded.fixes.push(fix.at(dmy(fields.get(2), fields.get(3))?, lat, lon)?);
    Ok(())
}

/// Degrees and a hemisphere behind them.
fn signed(fields: &Fields<'_>, at: usize) -> Result<f64, Fault> {
    let degrees = fields.needed(at)?;
    match fields.get(at + 1) {
        "N" | "E" => Ok(degrees),
        "S" | "W" => Ok(-degrees),
        other => Err(malformed(format_args!("{other:?} is not a hemisphere"))),
    }
}
