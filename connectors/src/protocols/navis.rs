//! Navtelecom (Signal, Smart): `@NTC` with numbers, length and two XORs around texts and records of fixed forms; once agreed on, `~`
//! messages (FLEX) of the columns that a device asked for, with a CRC-8. All answered by number.

mod flex;

use crate::protocol::{Context, Decoded, Decoder, Fault, FaultKind, Fix, Framing, Protocol, Said, Transport};
use crate::readers::{FixBuilder, Reader, bit, checksum_holds, civil, device_id, malformed, spoken, unsaid, xor};
use crate::vocabulary as name;
use bytes::{Buf, Bytes, BytesMut};
use flex::Flex;
use smol_str::format_smolstr;
use waystream_domain::{DeviceId, Instruction};

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "navis",
    port: 5019,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: false,
        framing: || Box::new(NavisFraming { flex: None }),
        decoder: || Box::new(Navis { device: None, flex: None, server: 1, unit: 0 }),
    },
};

const MAX_FRAME_BYTES: usize = 64 * 1024;
const MARK: &[u8] = b"@NTC";
/// Mark, to whom, from whom, length, XOR of the body, XOR of the head.
const HEAD_BYTES: usize = 16;
/// One byte that keeps a connection open.
const PING: u8 = 0x7f;
const FLEX_MARK: u8 = b'~';
const AGREEMENT: &[u8] = b"*>FLEX";

struct NavisFraming {
    flex: Option<Flex>,
}

impl Framing for NavisFraming {
    fn next_frame(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, Fault> {
        let start = buffer.iter().position(|byte| matches!(*byte, b'@' | FLEX_MARK)).unwrap_or(buffer.len());
        if buffer[..start].iter().any(|byte| *byte != PING) {
            return Err(malformed("a message begins with @NTC or ~"));
        }
        buffer.advance(start);
        if buffer.first() == Some(&FLEX_MARK) {
            let flex = self.flex.as_ref().ok_or_else(|| malformed("columns that nobody agreed on"))?;
            let Some(length) = flex.message_bytes(buffer)? else { return Ok(None) };
            return cut(buffer, length);
        }
        if !MARK.starts_with(&buffer[..buffer.len().min(MARK.len())]) {
            return Err(malformed("a message begins with @NTC or ~"));
        }
        let Some(&[low, high]) = buffer.get(12..14) else { return Ok(None) };
        let frame = cut(buffer, HEAD_BYTES + usize::from(u16::from_le_bytes([low, high])))?;
        if let Some(agreement) = frame.as_deref().and_then(|frame| frame[HEAD_BYTES..].strip_prefix(AGREEMENT)) {
            self.flex = Flex::read(agreement).ok();
        }
        Ok(frame)
    }
}

fn cut(buffer: &mut BytesMut, length: usize) -> Result<Option<Bytes>, Fault> {
    if length > MAX_FRAME_BYTES {
        return Err(Fault::new(FaultKind::Oversized, format_smolstr!("a message of {length} bytes")));
    }
    Ok((buffer.len() >= length).then(|| buffer.split_to(length).freeze()))
}

struct Navis {
    device: Option<DeviceId>,
    flex: Option<Flex>,
    /// The numbers of the two sides, as its last message had them.
    server: u32,
    unit: u32,
}

impl Decoder for Navis {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    fn command(&mut self, _device: &DeviceId, instruction: &Instruction, _context: &Context) -> Said {
        match instruction {
            Instruction::Text { text } => Ok(self.message(text.as_bytes())),
            Instruction::SetOutput { output, on } => {
                Ok(self.message(format!("*!SETOUT {output}{}", if *on { 'Y' } else { 'N' }).as_bytes()))
            }
            _ => Err(unsaid(instruction)),
        }
    }

    fn understand(&mut self, frame: &[u8], context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        if frame.first() == Some(&FLEX_MARK) {
            let flex = self.flex.as_ref().ok_or_else(|| malformed("columns that nobody agreed on"))?;
            if self.device.is_none() {
                return Err(Fault::new(FaultKind::NoDevice, "columns before a login"));
            }
            return flex.understand(frame, context, decoded);
        }
        let mut reader = Reader::new(frame);
        reader.skip(MARK.len())?;
        (self.server, self.unit) = (reader.u32_le()?, reader.u32_le()?);
        let length = usize::from(reader.u16_le()?);
        let (of_body, of_head) = (reader.u8()?, reader.u8()?);
        let body = reader.take(length)?;
        if !checksum_holds(of_body, xor(body), context, decoded)
            || !checksum_holds(of_head, xor(&frame[..HEAD_BYTES - 1]), context, decoded)
        {
            return Ok(());
        }
        self.body(body, decoded)
    }
}

impl Navis {
    /// A message to the unit.
    fn message(&self, body: &[u8]) -> Bytes {
        let numbers = [self.unit.to_le_bytes(), self.server.to_le_bytes()].concat();
        let mut message = [MARK, &numbers, &(body.len() as u16).to_le_bytes(), &[xor(body)]].concat();
        message.push(xor(&message));
        message.extend_from_slice(body);
        message.into()
    }

    fn body(&mut self, body: &[u8], decoded: &mut Decoded) -> Result<(), Fault> {
        match body {
            [b'*', b'>', b'S', b':', id @ ..] => {
                self.device = Some(device_id(&String::from_utf8_lossy(id))?);
                decoded.replies.push(self.message(b"*<S"));
            }
            [b'*', b'>', b'F', b'L', b'E', b'X', agreement @ ..] => {
                let flex = Flex::read(agreement)?;
                decoded.replies.push(self.message(&[b"*<FLEX", &flex.versions[..]].concat()));
                self.flex = Some(flex);
            }
            [b'*', b'>', kind @ (b'A' | b'T'), records @ ..] => {
                if self.device.is_none() {
                    return Err(Fault::new(FaultKind::NoDevice, "records before a login"));
                }
                let count = if *kind == b'A' { Reader::new(records).u8()? } else { 1 };
                let records = if *kind == b'A' { &records[1..] } else { records };
                let number = if *kind == b'A' {
                    vec![count]
                } else {
                    Reader::new(records.get(1..).unwrap_or_default()).take(4)?.to_vec()
                };
                decoded.replies.push(self.message(&[b"*<", &[*kind][..], &number].concat()));
                // All are of one form, so of one length.
                let length = records.len() / usize::from(count.max(1));
                for record in records.chunks_exact(length.max(1)).take(count.into()) {
                    match position(record) {
                        Ok(fix) => decoded.fixes.push(fix),
                        Err(fault) => decoded.faults.push(fault),
                    }
                }
            }
            // Answers to commands.
            other => decoded.answer = Some(spoken(other)),
        }
        Ok(())
    }
}

/// The fixed forms of which recorded messages tell where their place is: the oldest of radians, and that of the later makes.
const RADIANS: u8 = 0x25;
const LATER: u8 = 0x06;

fn position(record: &[u8]) -> Result<Fix, Fault> {
    let mut reader = Reader::new(record);
    let form = reader.u8()?;
    if !matches!(form, RADIANS | LATER) {
        return Err(Fault::new(FaultKind::UnknownMessage, format_smolstr!("a record of form {form:02x}")));
    }
    reader.skip(4)?; // its number
    let mut fix = FixBuilder::default();
    fix.set(name::EVENT, i64::from(reader.u16_le()?));
    reader.skip(6 + 1)?; // the time of the event, alarms
    fix.set(name::STATUS, i64::from(reader.u8()?)).set(name::RSSI, i64::from(reader.u8()?));
    fix.set("output", i64::from(reader.u8()?)).set("input", i64::from(reader.u8()?));
    fix.set(name::POWER_V, f64::from(reader.u16_le()?) / 1e3).set(name::BATTERY_V, f64::from(reader.u16_le()?) / 1e3);
    let inputs = if form == RADIANS { 2 } else { 3 };
    for index in 1..=inputs {
        fix.set(format_smolstr!("adc.{index}"), f64::from(reader.u16_le()?) / 1e3);
    }
    reader.skip(8)?; // counters
    if form == LATER {
        reader.skip(38)?; // fuel and engine
    }
    let state = reader.u8()?;
    fix.valid = bit(state, 1);
    let [hour, minute, second, day, month, year] = reader.array()?.map(u32::from);
    // January is 0.
    let time = civil([year, month + 1, day], [hour, minute, second]);
    let (lat, lon) = if form == RADIANS {
        (f64::from(reader.f32_le()?).to_degrees(), f64::from(reader.f32_le()?).to_degrees())
    } else {
        fix.set(name::SATELLITES, i64::from(state >> 2));
        let place = (f64::from(reader.i32_le()?) / 600_000.0, f64::from(reader.i32_le()?) / 600_000.0);
        fix.altitude_m(f64::from(reader.i32_le()?) / 10.0);
        place
    };
    fix.speed_kmh(reader.f32_le()?.into()).course_deg(reader.u16_le()?.into());
    fix.set(name::ODOMETER_M, f64::from(reader.f32_le()?) * 1e3);
    fix.at(time?, lat, lon)
}
