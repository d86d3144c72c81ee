//! KHD (KG100, KG200, KG300): `2929` + type + length + id + packed place and states + XOR + `0d`.

use crate::protocol::{Context, Decoded, Decoder, Fault, FaultKind, Fix, Framing, Protocol, Said, Transport};
use crate::readers::{
    FixBuilder, Reader, bit, checksum_holds, civil, device_id, find, hex, malformed, packed, unhex, unsaid, xor,
};
use crate::vocabulary::{self as name, alarm};
use bytes::{Buf, Bytes, BytesMut};
use smol_str::{SmolStr, format_smolstr};
use waystream_domain::{DeviceId, Instruction};

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "khd",
    port: 5058,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: false,
        framing: || Box::new(KhdFraming),
        decoder: || Box::new(Khd { device: None }),
    },
};

const MAX_FRAME_BYTES: usize = 2048;
const LOGIN: u8 = 0xb1;
const CONFIRMED: u8 = 0x8e;
const ALARM: u8 = 0x82;

struct KhdFraming;

impl Framing for KhdFraming {
    fn next_frame(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, Fault> {
        let start = find(buffer, b"))").unwrap_or(buffer.len().saturating_sub(1));
        buffer.advance(start);
        let [_, _, _, high, low, ..] = buffer[..] else { return Ok(None) };
        let length = 5 + usize::from(u16::from_be_bytes([high, low]));
        if length > MAX_FRAME_BYTES {
            return Err(Fault::new(FaultKind::Oversized, format_smolstr!("a message of {length} bytes")));
        }
        Ok((buffer.len() >= length).then(|| buffer.split_to(length).freeze()))
    }
}

struct Khd {
    device: Option<DeviceId>,
}

impl Decoder for Khd {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    fn command(&mut self, device: &DeviceId, instruction: &Instruction, _context: &Context) -> Said {
        let kind = match instruction {
            Instruction::EngineStop => 0x39,
            Instruction::EngineResume => 0x38,
            Instruction::RequestPosition => 0x30,
            _ => return Err(unsaid(instruction)),
        };
        let mut message = vec![b')', b')', kind, 0, 6];
        message.extend_from_slice(&terminal(device.as_str()).ok_or_else(|| SmolStr::new_static("the id is no number"))?);
        message.push(xor(&message));
        message.push(0x0d);
        Ok(message.into())
    }

    fn understand(&mut self, frame: &[u8], context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        let Some((covered, [found, ..])) = frame.len().checked_sub(2).map(|at| frame.split_at(at)) else {
            return Err(malformed("a short message"));
        };
        if !checksum_holds(*found, xor(covered), context, decoded) {
            return Ok(());
        }
        let mut reader = Reader::new(covered);
        reader.skip(2)?;
        let kind = reader.u8()?;
        reader.skip(2)?;
        self.device = Some(device_id(&hex(reader.take(4)?))?);
        if matches!(kind, LOGIN | CONFIRMED) {
            // Checksum and type of the message, and its byte behind the id.
            let mut answer = vec![b')', b')', 0x21, 0, 5, *found, kind, frame.get(9).copied().unwrap_or_default()];
            answer.push(xor(&answer));
            answer.push(0x0d);
            decoded.replies.push(answer.into());
        }
        if matches!(kind, 0x80..=0x8e | 0xa3) {
            decoded.fixes.push(position(kind, &mut reader)?);
        }
        Ok(())
    }
}

/// `yymmddhhmmss`, `dddmmmmm` twice (thousandths of a minute, the highest bit is the sign), km/h, course: all packed; then states.
fn position(kind: u8, reader: &mut Reader<'_>) -> Result<Fix, Fault> {
    let [year, month, day, hour, minute, second] = reader.array()?.map(packed);
    let (lat, lon) = (degrees(reader)?, degrees(reader)?);
    let number = |[high, low]: [u8; 2]| f64::from(packed(high) * 100 + packed(low));
    let mut fix = FixBuilder::default();
    fix.speed_kmh(number(reader.array()?)).course_deg(number(reader.array()?));
    let flags = reader.u8()?;
    fix.valid = bit(flags, 7);
    if kind == ALARM {
        let alarms = reader.u32()?;
        for (index, word) in [(0, alarm::SOS), (1, alarm::OVERSPEED)] {
            if bit(alarms, index) {
                fix.set(name::ALARM, word);
            }
        }
    } else {
        let odometer = reader.uint(3)?;
        // Without one the first byte is a fuel sensor's, all ones if that is missing too.
        if odometer >> 16 != 0xff {
            fix.set(name::ODOMETER_M, odometer as i64);
        }
        let status = reader.u32()?;
        fix.set(name::STATUS, i64::from(status)).set(name::IGNITION, !bit(status, 31));
    }
    fix.at(civil([year, month, day], [hour, minute, second])?, lat, lon)
}

fn degrees(reader: &mut Reader<'_>) -> Result<f64, Fault> {
    let [first, rest @ ..] = reader.array::<4>()?;
    let value = rest.into_iter().fold(packed(first & 0x7f), |value, byte| value * 100 + packed(byte));
    let degrees = f64::from(value / 100_000) + f64::from(value % 100_000) / 60_000.0;
    Ok(if bit(first, 7) { -degrees } else { degrees })
}

/// The four bytes of an id: as they came from the device, or made of the last eight digits of the number of its card.
fn terminal(id: &str) -> Option<[u8; 4]> {
    if id.len() == 8 {
        return unhex(id).try_into().ok();
    }
    let digits = format!("{id:0>8}");
    let pair = |index: usize| digits.get(digits.len() - 8 + 2 * index..)?.get(..2)?.parse::<u8>().ok();
    Some([pair(0)?, pair(1)? + 0x80, pair(2)? + 0x80, pair(3)?])
}
