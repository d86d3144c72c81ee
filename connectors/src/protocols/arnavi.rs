//! Arnavi: texts `$AV,…*hh`, or packages `5b … 5d` of records with tags of five bytes, little-endian; answered by number.

use crate::protocol::{Context, Decoded, Decoder, Fault, FaultKind, Fix, Framing, Protocol, Transport};
use crate::readers::{
    Fields, FixBuilder, Reader, ascii, bit, device_id, dmy, from_unix_secs, malformed, nmea_degrees, sentence_holds, sum,
};
use crate::vocabulary as name;
use bytes::{Buf, Bytes, BytesMut};
use smol_str::format_smolstr;
use waystream_domain::DeviceId;

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "arnavi",
    port: 5100,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: false,
        framing: || Box::new(ArnaviFraming { walked: 0 }),
        decoder: || Box::new(Arnavi { device: None }),
    },
};

/// A package may hold what a device has kept for hours.
const MAX_FRAME_BYTES: usize = 32 * 1024;
const HEADER: u8 = 0xff;
/// Mark, version, id.
const HEADER_BYTES: usize = 10;
/// The version whose header has eight bytes more.
const LONG_VERSION: u8 = 0x24;
const LONG_HEADER_BYTES: usize = HEADER_BYTES + 8;
const PACKAGE: u8 = 0x5b;
const PACKAGE_END: u8 = 0x5d;
/// A package of this number is an answer of four bytes.
const CONFIRMATION: u8 = 0xfd;
/// In front of the first record: the mark and the number.
const PACKAGE_HEAD_BYTES: usize = 2;
/// Of a record, around its data: kind, length, time, sum.
const RECORD_BYTES: usize = 8;
/// The kinds of records that hold tags.
const TAGS: [u8; 2] = [0x01, 0x06];

struct ArnaviFraming {
    /// Where the next record of a package that is not yet whole begins.
    walked: usize,
}

impl Framing for ArnaviFraming {
    fn next_frame(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, Fault> {
        loop {
            let end = match buffer.first() {
                None => return Ok(None),
                Some(&HEADER) => match buffer.get(1) {
                    None => None,
                    Some(&LONG_VERSION) => Some(LONG_HEADER_BYTES),
                    Some(_) => Some(HEADER_BYTES),
                },
                Some(&PACKAGE) if buffer.get(1) == Some(&CONFIRMATION) => {
                    if buffer.len() < 4 {
                        return Ok(None);
                    }
                    buffer.advance(4);
                    continue;
                }
                Some(&PACKAGE) => self.package(buffer)?,
                Some(b'$') => match buffer.iter().position(|byte| *byte == b'\n') {
                    Some(end) => {
                        let line = buffer.split_to(end + 1).freeze();
                        return Ok(Some(line.slice(..line.trim_ascii_end().len())));
                    }
                    None if buffer.len() > MAX_FRAME_BYTES => {
                        return Err(Fault::new(FaultKind::Oversized, "no end within the largest message"));
                    }
                    None => None,
                },
                Some(_) => {
                    buffer.advance(1);
                    continue;
                }
            };
            return Ok(end.filter(|end| *end <= buffer.len()).map(|end| {
                self.walked = 0;
                buffer.split_to(end).freeze()
            }));
        }
    }
}

impl ArnaviFraming {
    /// Where the package at the front ends, as far as can be told.
    fn package(&mut self, buffer: &[u8]) -> Result<Option<usize>, Fault> {
        self.walked = self.walked.max(PACKAGE_HEAD_BYTES);
        loop {
            if self.walked > MAX_FRAME_BYTES {
                return Err(Fault::new(FaultKind::Oversized, "no end within the largest package"));
            }
            match buffer.get(self.walked..).unwrap_or_default() {
                [PACKAGE_END, ..] => return Ok(Some(self.walked + 1)),
                [_, low, high, ..] => self.walked += RECORD_BYTES + usize::from(u16::from_le_bytes([*low, *high])),
                _ => return Ok(None),
            }
        }
    }
}

struct Arnavi {
    device: Option<DeviceId>,
}

impl Decoder for Arnavi {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    fn understand(&mut self, frame: &[u8], context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        match frame.first() {
            Some(b'$') => self.text(frame, context, decoded),
            Some(&HEADER) => self.header(frame, context, decoded),
            Some(&PACKAGE) => self.package(frame, decoded),
            _ => Err(malformed("neither a text nor a package")),
        }
    }
}

impl Arnavi {
    /// The login, answered with the time in two of its versions.
    fn header(&mut self, frame: &[u8], context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        let mut reader = Reader::new(frame);
        reader.skip(1)?;
        let version = reader.u8()?;
        // An IMEI, or a number of the maker's that may have all of its bits.
        self.device = Some(device_id(&reader.i64_le()?.to_string())?);
        let answer = match version {
            0x22 => vec![0x7b, 0, 0, 0x7d],
            LONG_VERSION => vec![0x7b, 0x7d],
            _ => {
                let now = ((context.received_at.as_millis() / 1000) as u32).to_le_bytes();
                [&[0x7b, 4, 0, sum(&now)][..], &now, &[0x7d]].concat()
            }
        };
        decoded.replies.push(answer.into());
        Ok(())
    }

    fn package(&mut self, frame: &[u8], decoded: &mut Decoded) -> Result<(), Fault> {
        if self.device.is_none() {
            return Err(Fault::new(FaultKind::NoDevice, "a package before the header"));
        }
        let mut reader = Reader::new(frame);
        reader.skip(1)?;
        let number = reader.u8()?;
        decoded.replies.push(Bytes::copy_from_slice(&[0x7b, 0, number, 0x7d]));
        while reader.left() > 1 {
            let kind = reader.u8()?;
            let length = usize::from(reader.u16_le()?);
            let time = reader.u32_le()?;
            let mut data = reader.part(length)?;
            // A sum, of what the makes do not agree on.
            reader.skip(1)?;
            if TAGS.contains(&kind) {
                match record(time, &mut data) {
                    Ok(fix) => decoded.fixes.extend(fix),
                    Err(fault) => decoded.faults.push(fault),
                }
            }
        }
        Ok(())
    }

    fn text(&mut self, frame: &[u8], context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        let text = ascii(frame.trim_ascii())?;
        if !sentence_holds(text, context, decoded) {
            return Ok(());
        }
        let fields = Fields::new(text.split('*').next().unwrap_or_default(), ',');
        self.device = Some(device_id(fields.get(2))?);
        // Where the time stands; the other kinds tell of networks, cards and the like.
        let time = match fields.get(1) {
            "V2" => 14,
            "V3" => 16,
            "V4" => 18,
            _ => return Ok(()),
        };
        decoded.fixes.push(position(&fields, time)?);
        Ok(())
    }
}

/// `$AV,V4,id,number,power,battery,…,ignition,…,inputs,…,fix,satellites,metres,…,hhmmss,ddmm.mmmmN,dddmm.mmmmE,knots,course,ddmmyy`;
/// V2 and V3 have no metres.
fn position(fields: &Fields<'_>, time: usize) -> Result<Fix, Fault> {
    let mut fix = FixBuilder::valid(true);
    fix.set_some(name::POWER_V, fields.number(4).map(|value| value / 100.0));
    fix.set_some(name::BATTERY_V, fields.number(5).map(|value| value / 100.0));
    fix.set(name::IGNITION, fields.get(7) == "1").set_some("input", fields.int(9));
    let with_altitude = fields.get(1) == "V4";
    let satellites = if with_altitude { time - 3 } else { time - 1 };
    fix.set_some(name::SATELLITES, fields.int(satellites));
    if with_altitude {
        fix.altitude_m(fields.told(time - 2));
    }
    fix.speed_knots(fields.told(time + 3)).course_deg(fields.told(time + 4));
    let degrees = |at: usize| {
        let (value, hemisphere) = fields.get(at).split_at_checked(fields.get(at).len().saturating_sub(1)).unwrap_or_default();
        nmea_degrees(value, hemisphere)
    };
    fix.at(dmy(fields.get(time + 5), fields.get(time))?, degrees(time + 1)?, degrees(time + 2)?)
}

/// Tags of a number and four bytes each. Without a place it is no fix.
fn record(time: u32, data: &mut Reader<'_>) -> Result<Option<Fix>, Fault> {
    let mut fix = FixBuilder::valid(true);
    let (mut lat, mut lon) = (None, None);
    while data.left() >= 5 {
        let tag = data.u8()?;
        let value: [u8; 4] = data.array()?;
        let number = u32::from_le_bytes(value);
        let [a, b, c, d] = value;
        let halves = [u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d])];
        match tag {
            0x01 => {
                fix.set(name::BATTERY_V, f64::from(halves[0]) / 1e3).set(name::POWER_V, f64::from(halves[1]) / 1e3);
            }
            0x03 => lat = Some(f32::from_le_bytes(value)),
            0x04 => lon = Some(f32::from_le_bytes(value)),
            // Halves of degrees, tens of metres, satellites of two systems, knots.
            0x05 => {
                fix.course_deg(f64::from(a) * 2.0).altitude_m(f64::from(b) * 10.0).speed_knots(d.into());
                fix.set(name::SATELLITES, i64::from(c & 0xf) + i64::from(c >> 4));
            }
            // Of several kinds; this one has the states of the ignition and the button.
            0x06 if a == 1 => drop(fix.set(name::IGNITION, bit(b, 0))),
            0x09 => drop(fix.set(name::STATUS, i64::from(number))),
            0x34 => drop(fix.set(name::ENGINE_HOURS_H, f64::from(number) / 100.0)),
            0x35 => drop(fix.set(name::OBD_ODOMETER_M, i64::from(number) * 10)),
            0x36 => drop(fix.set(name::FUEL_USED_L, f64::from(number) / 10.0)),
            0x37 => drop(fix.set(name::FUEL_LEVEL, f64::from(number) / 10.0)),
            0x39 => drop(fix.set(name::RPM, i64::from(number))),
            0x3a => drop(fix.set(name::COOLANT_TEMPERATURE_C, i64::from(number as i32))),
            0x3b => drop(fix.set(name::OBD_SPEED_KMH, i64::from(number))),
            0x97 => drop(fix.set(name::HDOP, f64::from(number) / 100.0)),
            _ => drop(fix.set(format_smolstr!("io.{tag}"), i64::from(number))),
        }
    }
    let (Some(lat), Some(lon)) = (lat, lon) else { return Ok(None) };
    fix.at(from_unix_secs(time.into())?, lat.into(), lon.into()).map(Some)
}
