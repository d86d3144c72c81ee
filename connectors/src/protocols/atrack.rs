//! ATrack: `@P`, checksum, length, number, id and records, in bytes or as text; answered by number. Behind `%CI` a record tells which
//! further columns it has. Pictures (`@R`) are answered, not kept.

mod columns;

use crate::protocol::{Context, Decoded, Decoder, Fault, FaultKind, Fix, Framing, Protocol, Said, Transport};
use crate::readers::{
    Fields, FixBuilder, Reader, checksum_holds, civil, device_id, from_unix_secs, malformed, pairs, spoken, unsaid,
};
use crate::vocabulary as name;
use bytes::{Buf, Bytes, BytesMut};
use columns::{Columns, Values};
use smol_str::format_smolstr;
use waystream_domain::{DeviceId, Instruction, Timestamp};

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "atrack",
    port: 5044,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: true,
        framing: || Box::new(AtrackFraming),
        decoder: || Box::new(Atrack { device: None }),
    },
};

const MAX_FRAME_BYTES: usize = 16 * 1024;
/// Asks whether we are here, and is what we answer with.
const ALIVE: [u8; 2] = [0xfe, 0x02];
const ALIVE_BYTES: usize = 12;
/// Mark, checksum, length: what the length does not cover.
const HEAD_BYTES: usize = 6;
const PICTURE: &[u8] = b"@R";

struct AtrackFraming;

impl Framing for AtrackFraming {
    fn next_frame(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, Fault> {
        while let Some(b'\r' | b'\n') = buffer.first() {
            buffer.advance(1);
        }
        let length = match buffer[..] {
            [] | [_] | [_, _] => return Ok(None),
            [0xfe, 0x02, ..] => Some(ALIVE_BYTES),
            // Texts: an answer, or a report with a comma behind its mark.
            [b'$', ..] | [_, _, b','] => line(buffer),
            [_, _, b',', _, ..] => match text_length(buffer)? {
                Length::Is(length) => Some(length),
                Length::Line => line(buffer),
                Length::Open => None,
            },
            [_, _, _, _, high, low, ..] => Some(HEAD_BYTES + usize::from(u16::from_be_bytes([high, low]))),
            _ => None,
        };
        match length {
            Some(length) if length > MAX_FRAME_BYTES => {
                Err(Fault::new(FaultKind::Oversized, format_smolstr!("a message of {length} bytes")))
            }
            Some(length) => Ok((buffer.len() >= length).then(|| buffer.split_to(length).freeze())),
            None if buffer.len() > MAX_FRAME_BYTES => {
                Err(Fault::new(FaultKind::Oversized, "no end within the largest message"))
            }
            None => Ok(None),
        }
    }
}

enum Length {
    Is(usize),
    /// It does not lead to a line's end: the next line's end is the message's.
    Line,
    Open,
}

/// The length of `@P,checksum,length,…`: it counts from its own comma on, line ends between records included.
fn text_length(buffer: &[u8]) -> Result<Length, Fault> {
    let commas: Vec<usize> = (0..buffer.len().min(24)).filter(|at| buffer[*at] == b',').take(3).collect();
    let [_, second, third] = commas[..] else {
        return if buffer.len() < 24 { Ok(Length::Open) } else { Err(malformed("no length in a text")) };
    };
    let length = std::str::from_utf8(&buffer[second + 1..third]).ok().and_then(|digits| digits.parse::<usize>().ok());
    let length = third.saturating_add(length.ok_or_else(|| malformed("no length in a text"))?);
    match buffer.get(length.saturating_sub(2)..length) {
        _ if length > MAX_FRAME_BYTES => Ok(Length::Is(length)),
        None => Ok(Length::Open),
        Some(b"\r\n") => Ok(Length::Is(length)),
        Some(_) => Ok(Length::Line),
    }
}

fn line(buffer: &[u8]) -> Option<usize> {
    buffer.iter().position(|byte| *byte == b'\n').map(|end| end + 1)
}

struct Atrack {
    device: Option<DeviceId>,
}

impl Decoder for Atrack {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    fn command(&mut self, _device: &DeviceId, instruction: &Instruction, _context: &Context) -> Said {
        match instruction {
            Instruction::Text { text } => Ok(format!("{text}\r\n").into()),
            _ => Err(unsaid(instruction)),
        }
    }

    fn understand(&mut self, frame: &[u8], context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        match frame {
            [0xfe, 0x02, ..] => {
                let mut reader = Reader::new(frame);
                reader.skip(ALIVE.len())?;
                self.device = Some(device_id(&reader.u64()?.to_string())?);
                decoded.replies.push(Bytes::copy_from_slice(frame));
                Ok(())
            }
            [b'$', ..] => self.answer(frame, decoded),
            [_, _, b',', ..] => self.text(frame, decoded),
            _ => self.binary(frame, context, decoded),
        }
    }
}

impl Atrack {
    /// `$INFO=id,model,…` tells who it is; others do not.
    fn answer(&mut self, frame: &[u8], decoded: &mut Decoded) -> Result<(), Fault> {
        let text = spoken(frame);
        if let Some(id) = text.strip_prefix("$INFO=").and_then(|rest| rest.split(',').next()) {
            self.device = Some(device_id(id)?);
        }
        decoded.answer = Some(text);
        Ok(())
    }

    fn binary(&mut self, frame: &[u8], context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        const CRC: crc::Crc<u16> = crc::Crc::<u16>::new(&crc::CRC_16_ARC);
        let mut reader = Reader::new(frame);
        reader.skip(2)?;
        let found = reader.u16()?;
        if !checksum_holds(found, CRC.checksum(reader.rest()), context, decoded) {
            return Ok(());
        }
        reader.skip(2)?;
        let (number, id) = (reader.u16()?, reader.u64()?);
        self.device = Some(device_id(&id.to_string())?);
        decoded.replies.push(acknowledgement(id, number));
        if frame.starts_with(PICTURE) {
            decoded.unread = Some("a part of a picture");
            return Ok(());
        }
        while reader.left() > 2 {
            record(&mut reader, decoded)?;
        }
        Ok(())
    }

    fn text(&mut self, frame: &[u8], decoded: &mut Decoded) -> Result<(), Fault> {
        let text = String::from_utf8_lossy(frame);
        let mut head = text.splitn(6, ',').skip(2);
        let (length, number) = (head.next().unwrap_or_default(), head.next().unwrap_or_default());
        self.device = Some(device_id(head.next().unwrap_or_default())?);
        let number = number.parse::<u32>().map_err(|_| malformed("no number in a text"))?;
        // Where the answer to bytes has the id, that to texts has their length.
        decoded.replies.push(acknowledgement(length.parse().unwrap_or_default(), number as u16));
        for line in head.next().unwrap_or_default().split(['\r', '\n']).filter(|line| !line.trim().is_empty()) {
            match line_of(line) {
                Ok(fix) => decoded.fixes.push(fix),
                Err(fault) => decoded.faults.push(fault),
            }
        }
        Ok(())
    }
}

/// Three times, place, course, reason, odometer, HDOP, inputs, km/h, outputs, analogue input, driver, temperatures, text.
fn record(reader: &mut Reader<'_>, decoded: &mut Decoded) -> Result<(), Fault> {
    let time = time(reader)?;
    for _ in 0..2 {
        // Of the report and of sending.
        drop(self::time(reader)?);
    }
    let (lon, lat) = (f64::from(reader.i32()?) / 1e6, f64::from(reader.i32()?) / 1e6);
    let mut fix = FixBuilder::valid(true);
    fix.course_deg(reader.u16()?.into());
    fix.set(name::EVENT, i64::from(reader.u8()?));
    fix.set(name::ODOMETER_M, i64::from(reader.u32()?) * 100);
    fix.set(name::HDOP, f64::from(reader.u16()?) / 10.0);
    fix.set("input", i64::from(reader.u8()?));
    fix.speed_kmh(reader.u16()?.into());
    fix.set("output", i64::from(reader.u8()?));
    fix.set("adc.1", f64::from(reader.u16()?) / 1e3);
    let driver = terminated(reader)?;
    if !driver.is_empty() {
        fix.set(name::DRIVER_ID, spoken(driver).as_str());
    }
    for index in 1..=2 {
        let tenths = reader.i16()?;
        if tenths != NO_TEMPERATURE {
            fix.set(format_smolstr!("temperature_c.{index}"), f64::from(tenths) / 10.0);
        }
    }
    let mut text = terminated(reader)?;
    if text.is_empty() && reader.rest().starts_with(columns::MARK) {
        text = terminated(reader)?;
    }
    // A column of unknown length hides what follows, but not this place.
    let understood = if text.starts_with(columns::MARK) {
        Columns::read(&String::from_utf8_lossy(text)).and_then(|columns| columns.apply(&mut Values::Bytes(reader), &mut fix))
    } else {
        Ok(())
    };
    match time.and_then(|time| fix.at(time, lat, lon)) {
        Ok(fix) => decoded.fixes.push(fix),
        Err(fault) => decoded.faults.push(fault),
    }
    understood
}

/// The columns of a record in bytes, as text.
fn line_of(line: &str) -> Result<Fix, Fault> {
    let fields = Fields::new(line, ',');
    let mut fix = FixBuilder::valid(true);
    fix.course_deg(fields.told(5)).speed_kmh(fields.told(10));
    fix.set_some(name::EVENT, fields.int(6)).set_some(name::ODOMETER_M, fields.number(7).map(|value| value * 100.0));
    fix.set_some(name::HDOP, fields.number(8).map(|value| value / 10.0));
    fix.set_some("input", fields.int(9)).set_some("output", fields.int(11));
    fix.set_some("adc.1", fields.number(12).map(|value| value / 1e3));
    if !matches!(fields.get(13), "" | "0") {
        fix.set(name::DRIVER_ID, fields.get(13));
    }
    for (at, index) in [(14, 1), (15, 2)] {
        let tenths = fields.number(at).filter(|tenths| *tenths != f64::from(NO_TEMPERATURE));
        fix.set_some(format_smolstr!("temperature_c.{index}"), tenths.map(|tenths| tenths / 10.0));
    }
    let rest = fields.from(16);
    if let Some(at) = rest.iter().position(|field| field.as_bytes().starts_with(columns::MARK)) {
        let columns = Columns::read(rest[at])?;
        columns.apply(&mut Values::Texts(&rest[at + 1..]), &mut fix)?;
    }
    let time = match fields.get(0) {
        digits if digits.len() == 14 => {
            let [century, year, month, day, hour, minute, second] = pairs(digits)?;
            civil([century * 100 + year, month, day], [hour, minute, second])
        }
        seconds => from_unix_secs(seconds.parse().unwrap_or_default()),
    };
    fix.at(time?, fields.needed(4)? / 1e6, fields.needed(3)? / 1e6)
}

/// Stands for no sensor, tenths of a degree.
const NO_TEMPERATURE: i16 = 2000;

fn acknowledgement(id: u64, number: u16) -> Bytes {
    [&ALIVE[..], &id.to_be_bytes(), &number.to_be_bytes()].concat().into()
}

/// Seconds since 1970, or, if the first two bytes are a year of this century, year, month, day, hour, minute, second. Whether it is a
/// time is another matter than whether it is there.
fn time(reader: &mut Reader<'_>) -> Result<Result<Timestamp, Fault>, Fault> {
    const YEARS: std::ops::Range<u16> = 2000..2100;
    let [high, low] = *reader.rest().first_chunk().ok_or_else(|| malformed("no time"))?;
    if !YEARS.contains(&u16::from_be_bytes([high, low])) {
        return Ok(from_unix_secs(reader.u32()?.into()));
    }
    let year = reader.u16()?;
    let [month, day, hour, minute, second] = reader.array()?.map(u32::from);
    Ok(civil([year.into(), month, day], [hour, minute, second]))
}

/// What stands in front of the next zero.
fn terminated<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], Fault> {
    let end = reader.rest().iter().position(|byte| *byte == 0).ok_or_else(|| malformed("a text without an end"))?;
    let text = reader.take(end)?;
    reader.skip(1)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_year_is_told_apart_from_seconds() {
        let long = [0x07, 0xde, 1, 0x1b, 0x0b, 0x1f, 3];
        let expected = Timestamp::parse("2014-01-27T11:31:03Z").unwrap();
        assert_eq!(time(&mut Reader::new(&long)).unwrap().unwrap(), expected);
        let seconds = (expected.as_millis() / 1000) as u32;
        assert_eq!(time(&mut Reader::new(&seconds.to_be_bytes())).unwrap().unwrap(), expected);
    }
}
