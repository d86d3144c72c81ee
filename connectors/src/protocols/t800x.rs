//! Topflytech (T8xxx, TLW, TLP): a mark that tells the family, type, length, serial, packed IMEI; digits packed two to a byte.

use crate::protocol::{Context, Decoded, Decoder, Fault, FaultKind, Fix, Framing, Protocol, Transport};
use crate::readers::{FixBuilder, Reader, bit, civil, hex, malformed, packed_imei, pairs};
use crate::vocabulary::{self as name, alarm};
use bytes::{Bytes, BytesMut};
use smol_str::format_smolstr;
use waystream_domain::{DeviceId, Timestamp};

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "t800x",
    port: 5094,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: true,
        framing: || Box::new(T800xFraming),
        decoder: || Box::new(T800x { device: None }),
    },
};

const MAX_FRAME_BYTES: usize = 4096;
/// Mark, type, length, serial, IMEI.
const HEAD_BYTES: usize = 15;

/// The first trackers, those with an engine bus, and battery-powered ones, whose columns are other ones.
const OLDEST: u16 = 0x2323;
const WIRED: u16 = 0x2525;
const BUS: u16 = 0x2626;
const BATTERY: u16 = 0x2727;

const POSITION: u8 = 0x02;
const ALARM: u8 = 0x04;
const BEHAVIOUR: u8 = 0x05;
const BEHAVIOUR_LONG: u8 = 0x06;
const POSITION_2: u8 = 0x13;
const ALARM_2: u8 = 0x14;

struct T800xFraming;

impl Framing for T800xFraming {
    fn next_frame(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, Fault> {
        match buffer[..] {
            [a, b, ..] if a == b && (b'#'..=b'\'').contains(&a) => {}
            [] => return Ok(None),
            [a] if (b'#'..=b'\'').contains(&a) => return Ok(None),
            _ => return Err(malformed("a message begins with one of ## to ''")),
        }
        let [_, _, _, high, low, ..] = buffer[..] else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length > MAX_FRAME_BYTES {
            return Err(Fault::new(FaultKind::Oversized, format_smolstr!("a message of {length} bytes")));
        }
        if length < HEAD_BYTES {
            return Err(malformed(format_args!("a message of {length} bytes")));
        }
        Ok((buffer.len() >= length).then(|| buffer.split_to(length).freeze()))
    }
}

struct T800x {
    device: Option<DeviceId>,
}

impl Decoder for T800x {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    fn understand(&mut self, frame: &[u8], context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        let mut rest = frame;
        while !rest.is_empty() {
            let length = usize::from(Reader::new(rest.get(3..).unwrap_or_default()).u16()?).max(HEAD_BYTES);
            let (message, behind) = rest.split_at_checked(length).ok_or_else(|| malformed("shorter than it says"))?;
            self.message(message, decoded)?;
            // Only a datagram holds more than one.
            rest = if context.datagram { behind } else { &[] };
        }
        Ok(())
    }
}

impl T800x {
    fn message(&mut self, message: &[u8], decoded: &mut Decoded) -> Result<(), Fault> {
        let mut reader = Reader::new(message);
        let family = reader.u16()?;
        if !matches!(family, OLDEST | WIRED | BUS | BATTERY) {
            return Err(malformed("a message begins with one of ## %% && ''"));
        }
        let kind = reader.u8()?;
        reader.skip(2)?;
        let (serial, id) = (reader.u16()?, reader.take(8)?);
        self.device = Some(packed_imei(id)?);
        // The oldest family is answered with 1 whatever its serial.
        let serial = if family == OLDEST { 1 } else { serial };
        let answer = |alarm: &[u8]| -> Bytes {
            let length = (HEAD_BYTES + alarm.len()) as u16;
            let head = [&family.to_be_bytes()[..], &[kind], &length.to_be_bytes(), &serial.to_be_bytes()].concat();
            [&head[..], id, alarm].concat().into()
        };
        match kind {
            POSITION | POSITION_2 | ALARM | ALARM_2 => {
                let (code, fix) = position(family, kind, &mut reader)?;
                // Alarms are answered with their code.
                if code > 0 {
                    decoded.replies.push(answer(&[code]));
                } else if matches!(kind, ALARM | ALARM_2) {
                    decoded.replies.push(answer(&[]));
                }
                decoded.fixes.extend(fix?);
            }
            BEHAVIOUR | BEHAVIOUR_LONG if family == BUS => {
                decoded.replies.push(answer(&[]));
                behaviour(kind, &mut reader, decoded)?;
            }
            // Logins, heartbeats, networks, beacons, answers to commands.
            _ => decoded.replies.push(answer(&[])),
        }
        Ok(())
    }
}

/// The alarm's code and, if there is one, the fix: a message without one has cells instead.
fn position(family: u16, kind: u8, reader: &mut Reader<'_>) -> Result<(u8, Result<Option<Fix>, Fault>), Fault> {
    let wired = family != BATTERY;
    let second = matches!(kind, POSITION_2 | ALARM_2);
    let mut fix = FixBuilder::default();
    if wired {
        reader.skip(2 + 2 + 1 + 2)?; // intervals
        fix.set(name::RSSI, i64::from(reader.u16()? & 0x7f));
    }
    let status = reader.u8()?;
    fix.set(name::SATELLITES, i64::from(status & 0x1f));
    if wired {
        reader.skip(1 + 1 + 1 + 1 + 2)?; // motion sensor, flags, heartbeat, relay, towing
        let io = reader.u16()?;
        fix.set(name::IGNITION, bit(io, 14));
        if second {
            fix.set("output", i64::from(reader.u8()?));
            reader.skip(1)?;
        } else {
            fix.set("output", i64::from(io >> 7 & 7));
        }
        if family != BUS {
            for index in 1..=if second { 5 } else { 2 } {
                // The second form has numbers where the first has packed digits.
                let volts =
                    if second { Some(reader.u16()?).filter(|v| *v != u16::MAX).map(f64::from) } else { packed(reader, 2)? };
                if let Some(volts) = volts {
                    fix.set(format_smolstr!("adc.{index}"), volts / 100.0);
                }
            }
        }
    }
    let code = reader.u8()?;
    fix.set_some(name::ALARM, alarm_word(code));
    if wired {
        reader.skip(1)?;
        fix.set(name::ODOMETER_M, i64::from(reader.u32()?));
        battery_level(reader, &mut fix)?;
    }
    let time = time(reader)?;
    if !bit(status, 6) {
        return Ok((code, Ok(None)));
    }
    fix.valid = true;
    let (lat, lon) = place(reader, &mut fix)?;
    // What follows is not needed: a shorter message is still a fix.
    let rest = if wired { supply(second, reader, &mut fix) } else { sensors(reader, &mut fix) };
    Ok((code, rest.and_then(|()| fix.at(time?, lat, lon)).map(Some)))
}

/// Altitude, longitude, latitude, tenths of km/h in packed digits, course.
fn place(reader: &mut Reader<'_>, fix: &mut FixBuilder) -> Result<(f64, f64), Fault> {
    fix.altitude_m(reader.f32_le()?.into());
    let (lon, lat) = (f64::from(reader.f32_le()?), f64::from(reader.f32_le()?));
    fix.speed_kmh(packed(reader, 2)?.map_or(-1.0, |v| v / 10.0)).course_deg(reader.u16()?.into());
    Ok((lat, lon))
}

/// Voltages in hundredths: of the battery first in the second form.
fn supply(second: bool, reader: &mut Reader<'_>, fix: &mut FixBuilder) -> Result<(), Fault> {
    let names: &[&str] = if second { &[name::BATTERY_V, name::POWER_V] } else { &[name::POWER_V] };
    for name in names {
        if reader.left() < 2 {
            break;
        }
        if let Some(volts) = packed(reader, 2)? {
            fix.set(*name, volts / 100.0);
        }
    }
    Ok(())
}

/// Acceleration, battery, temperature, light, voltages, odometer, inputs; what follows are intervals.
fn sensors(reader: &mut Reader<'_>, fix: &mut FixBuilder) -> Result<(), Fault> {
    reader.skip(5)?;
    battery_level(reader, fix)?;
    fix.set("device_temperature_c", i64::from(reader.i8()?));
    reader.skip(1)?;
    if let Some(volts) = packed(reader, 1)? {
        fix.set(name::BATTERY_V, volts / 10.0);
    }
    reader.skip(1)?;
    fix.set(name::ODOMETER_M, i64::from(reader.u32()?));
    let inputs = reader.u16()?;
    fix.set(name::IGNITION, bit(inputs, 2)).set(name::RSSI, i64::from(inputs >> 4 & 0x7f));
    Ok(())
}

/// A packed percentage; 0 stands for 100.
fn battery_level(reader: &mut Reader<'_>, fix: &mut FixBuilder) -> Result<(), Fault> {
    if let Some(level) = packed(reader, 1)? {
        fix.set(name::BATTERY_LEVEL, if level > 0.0 { level as i64 } else { 100 });
    }
    Ok(())
}

/// How a driver behaved, at its beginning and end: time, place and engine speed. Without a place the floats are all ones.
fn behaviour(kind: u8, reader: &mut Reader<'_>, decoded: &mut Decoded) -> Result<(), Fault> {
    let word = match (reader.u8()?, kind) {
        (0 | 4, _) | (2, BEHAVIOUR) => Some(alarm::HARD_BRAKING),
        (1 | 3 | 5, _) => Some(alarm::HARD_ACCELERATION),
        (2, _) => Some(alarm::HARD_CORNERING),
        _ => None,
    };
    while reader.left() > 0 {
        let time = time(reader)?;
        let mut fix = FixBuilder::valid(true);
        if kind == BEHAVIOUR_LONG {
            fix.valid = !bit(reader.u8()?, 7);
            reader.skip(5)?; // acceleration
        }
        let no_place = reader.rest().starts_with(&[0xff; 12]);
        let (lat, lon) = place(reader, &mut fix)?;
        fix.set(name::RPM, i64::from(reader.u16()?));
        fix.set_some(name::ALARM, word.filter(|_| reader.left() == 0));
        if !no_place {
            match time.and_then(|time| fix.at(time, lat, lon)) {
                Ok(fix) => decoded.fixes.push(fix),
                Err(fault) => decoded.faults.push(fault),
            }
        }
    }
    Ok(())
}

/// Packed digits; `None`: all ones stand for nothing.
fn packed(reader: &mut Reader<'_>, bytes: usize) -> Result<Option<f64>, Fault> {
    let digits = hex(reader.take(bytes)?);
    if digits.bytes().all(|digit| digit == b'f') {
        return Ok(None);
    }
    digits.parse().map(Some).map_err(|_| malformed(format_args!("{digits} are no digits")))
}

/// `yymmddhhmmss`, packed. Whether it is a time is another matter than whether it is there.
fn time(reader: &mut Reader<'_>) -> Result<Result<Timestamp, Fault>, Fault> {
    let digits = hex(reader.take(6)?);
    Ok(pairs::<6>(&digits)
        .and_then(|[year, month, day, hour, minute, second]| civil([year, month, day], [hour, minute, second])))
}

fn alarm_word(code: u8) -> Option<&'static str> {
    match code {
        1 => Some(alarm::POWER_CUT),
        2 => Some(alarm::LOW_BATTERY),
        3 => Some(alarm::SOS),
        4 => Some(alarm::OVERSPEED),
        5 => Some(alarm::GEOFENCE_ENTER),
        6 => Some(alarm::GEOFENCE_EXIT),
        7 => Some(alarm::TOW),
        8 | 10 => Some(alarm::VIBRATION),
        21 => Some(alarm::JAMMING),
        23 => Some(alarm::POWER_RESTORED),
        24 => Some(alarm::LOW_POWER),
        _ => None,
    }
}
