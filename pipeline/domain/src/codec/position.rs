//! Positions read straight from the bytes of a [`PositionMessage`](super::PositionMessage) and written straight to them: a million a
//! second are, and the message's own texts would each be allocated only to be copied.

use super::CodecError;
use crate::{AttributeValue, Attributes, DeviceId, FleetId, LatLon, LivePosition, Position, Timestamp};
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, encode_key, encode_varint, skip_field};
use smol_str::SmolStr;

/// A field's value as it stands in the bytes.
enum Value<'a> {
    Number(u64),
    Fixed32([u8; 4]),
    Fixed64([u8; 8]),
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    fn take(wire: WireType, tag: u32, bytes: &mut &'a [u8]) -> Result<Option<Self>, CodecError> {
        Ok(Some(match wire {
            WireType::Varint => Self::Number(decode_varint(bytes)?),
            WireType::ThirtyTwoBit => Self::Fixed32(fixed(bytes)?),
            WireType::SixtyFourBit => Self::Fixed64(fixed(bytes)?),
            WireType::LengthDelimited => {
                let length = usize::try_from(decode_varint(bytes)?).map_err(|_| torn())?;
                let (value, rest) = bytes.split_at_checked(length).ok_or_else(torn)?;
                *bytes = rest;
                Self::Bytes(value)
            }
            WireType::StartGroup | WireType::EndGroup => {
                skip_field(wire, tag, bytes, DecodeContext::default())?;
                return Ok(None);
            }
        }))
    }

    fn text(&self) -> Result<&'a str, CodecError> {
        match self {
            Self::Bytes(bytes) => std::str::from_utf8(bytes).map_err(|_| CodecError::OutOfRange("text")),
            _ => Err(CodecError::OutOfRange("wire type")),
        }
    }

    fn number(&self) -> Result<u64, CodecError> {
        match self {
            Self::Number(n) => Ok(*n),
            _ => Err(CodecError::OutOfRange("wire type")),
        }
    }

    fn signed(&self) -> Result<i64, CodecError> {
        let n = self.number()?;
        Ok((n >> 1) as i64 ^ -((n & 1) as i64))
    }

    fn fixed32(&self) -> Result<[u8; 4], CodecError> {
        match self {
            Self::Fixed32(bytes) => Ok(*bytes),
            _ => Err(CodecError::OutOfRange("wire type")),
        }
    }
}

fn torn() -> CodecError {
    CodecError::OutOfRange("length")
}

fn fixed<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], CodecError> {
    let (value, rest) = bytes.split_first_chunk::<N>().ok_or_else(torn)?;
    *bytes = rest;
    Ok(*value)
}

/// Appends a field of some bytes.
pub(super) fn put_bytes(out: &mut Vec<u8>, tag: u32, bytes: &[u8]) {
    encode_key(tag, WireType::LengthDelimited, out);
    encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

fn put_text(out: &mut Vec<u8>, tag: u32, text: &str) {
    if !text.is_empty() {
        put_bytes(out, tag, text.as_bytes());
    }
}

fn put_number(out: &mut Vec<u8>, tag: u32, number: u64) {
    if number != 0 {
        encode_key(tag, WireType::Varint, out);
        encode_varint(number, out);
    }
}

fn put_signed(out: &mut Vec<u8>, tag: u32, number: i64) {
    put_number(out, tag, ((number << 1) ^ (number >> 63)) as u64);
}

fn put_fixed32(out: &mut Vec<u8>, tag: u32, bytes: [u8; 4]) {
    encode_key(tag, WireType::ThirtyTwoBit, out);
    out.extend_from_slice(&bytes);
}

/// Appends a message whose length is known when it has been written; it begins behind one byte that is made more if need be.
fn put_message(out: &mut Vec<u8>, tag: u32, write: impl FnOnce(&mut Vec<u8>)) {
    encode_key(tag, WireType::LengthDelimited, out);
    let from = out.len();
    out.push(0);
    write(out);
    let length = out.len() - from - 1;
    if length < 0x80 {
        out[from] = length as u8;
    } else {
        let mut varint = Vec::with_capacity(5);
        encode_varint(length as u64, &mut varint);
        out.splice(from..=from, varint);
    }
}

/// Appends the fields of a position, byte by byte what its message would write.
pub(super) fn encode(out: &mut Vec<u8>, p: &Position) {
    put_text(out, 1, p.device.as_str());
    put_text(out, 2, p.fleet.as_str());
    put_signed(out, 3, p.fix_time.as_millis());
    put_signed(out, 4, p.received_at.as_millis());
    for (tag, degrees) in [(5, p.location.lat_e7()), (6, p.location.lon_e7())] {
        if degrees != 0 {
            put_fixed32(out, tag, degrees.to_le_bytes());
        }
    }
    put_number(out, 7, u64::from(!p.valid));
    for (tag, known) in [(8, p.altitude_m), (9, p.speed_mps), (10, p.course_deg), (11, p.accuracy_m)] {
        if let Some(number) = known {
            put_fixed32(out, tag, number.to_le_bytes());
        }
    }
    put_text(out, 12, &p.protocol);
    for (name, value) in p.attributes.iter() {
        put_message(out, 13, |out| put_attribute(out, name, value));
    }
}

/// A value is one of several: it is written though it is zero.
fn put_attribute(out: &mut Vec<u8>, name: &str, value: &AttributeValue) {
    put_text(out, 1, name);
    match value {
        AttributeValue::Bool(v) => {
            encode_key(2, WireType::Varint, out);
            out.push(u8::from(*v));
        }
        AttributeValue::Int(v) => {
            encode_key(3, WireType::Varint, out);
            encode_varint(((v << 1) ^ (v >> 63)) as u64, out);
        }
        AttributeValue::Float(v) => {
            encode_key(4, WireType::SixtyFourBit, out);
            out.extend_from_slice(&v.to_le_bytes());
        }
        AttributeValue::Text(v) => put_bytes(out, 5, v.as_bytes()),
    }
}

/// Appends the fields of a newest position.
pub(super) fn encode_live(out: &mut Vec<u8>, live: &LivePosition) {
    put_number(out, 1, live.seq);
    put_message(out, 2, |out| encode(out, &live.position));
}

/// A newest position, every field checked.
pub(super) fn decode_live(bytes: &[u8]) -> Result<LivePosition, CodecError> {
    let (mut seq, mut position) = (0, None);
    fields(bytes, |tag, value| {
        match (tag, value) {
            (1, value) => seq = value.number()?,
            (2, Value::Bytes(bytes)) => position = Some(bytes),
            (2, _) => return Err(CodecError::OutOfRange("wire type")),
            _ => {}
        }
        Ok(())
    })?;
    Ok(LivePosition { seq, position: decode(position.unwrap_or_default())? })
}

/// Calls `field` for every field with its tag; groups are skipped.
fn fields<'a>(mut bytes: &'a [u8], mut field: impl FnMut(u32, Value<'a>) -> Result<(), CodecError>) -> Result<(), CodecError> {
    while !bytes.is_empty() {
        let (tag, wire) = decode_key(&mut bytes)?;
        if let Some(value) = Value::take(wire, tag, &mut bytes)? {
            field(tag, value)?;
        }
    }
    Ok(())
}

/// The last field of this tag, if it is one of bytes, and the others as they stand.
pub(super) fn split(mut bytes: &[u8], tag: u32) -> Result<(Option<&[u8]>, Vec<u8>), CodecError> {
    let (mut found, mut rest) = (None, Vec::with_capacity(bytes.len()));
    while !bytes.is_empty() {
        let from = bytes;
        let (at, wire) = decode_key(&mut bytes)?;
        match Value::take(wire, at, &mut bytes)? {
            Some(Value::Bytes(value)) if at == tag => found = Some(value),
            _ => rest.extend_from_slice(&from[..from.len() - bytes.len()]),
        }
    }
    Ok((found, rest))
}

/// A position, every field checked.
pub(super) fn decode(bytes: &[u8]) -> Result<Position, CodecError> {
    let (mut device, mut fleet, mut protocol) = ("", "", "");
    let (mut fix_time, mut received_at) = (0, 0);
    let (mut lat_e7, mut lon_e7) = (0, 0);
    let mut invalid = false;
    let [mut altitude_m, mut speed_mps, mut course_deg, mut accuracy_m] = [None; 4];
    let mut attributes = Vec::new();
    fields(bytes, |tag, value| {
        match tag {
            1 => device = value.text()?,
            2 => fleet = value.text()?,
            3 => fix_time = value.signed()?,
            4 => received_at = value.signed()?,
            5 => lat_e7 = i32::from_le_bytes(value.fixed32()?),
            6 => lon_e7 = i32::from_le_bytes(value.fixed32()?),
            7 => invalid = value.number()? != 0,
            8 => altitude_m = Some(f32::from_le_bytes(value.fixed32()?)),
            9 => speed_mps = Some(f32::from_le_bytes(value.fixed32()?)),
            10 => course_deg = Some(f32::from_le_bytes(value.fixed32()?)),
            11 => accuracy_m = Some(f32::from_le_bytes(value.fixed32()?)),
            12 => protocol = value.text()?,
            13 => match value {
                Value::Bytes(bytes) => attributes.extend(attribute(bytes)?),
                _ => return Err(CodecError::OutOfRange("wire type")),
            },
            _ => {}
        }
        Ok(())
    })?;
    let time = |ms, field| Timestamp::from_millis(ms).ok_or(CodecError::OutOfRange(field));
    Ok(Position {
        device: DeviceId::new(device)?,
        fleet: FleetId::new(fleet)?,
        fix_time: time(fix_time, "fix_time_ms")?,
        received_at: time(received_at, "received_at_ms")?,
        location: LatLon::from_e7(lat_e7, lon_e7).ok_or(CodecError::OutOfRange("location"))?,
        valid: !invalid,
        altitude_m,
        speed_mps,
        course_deg,
        accuracy_m,
        protocol: SmolStr::new(protocol),
        attributes: attributes.into_iter().collect::<Attributes>(),
    })
}

/// One without a value is left out.
fn attribute(bytes: &[u8]) -> Result<Option<(SmolStr, AttributeValue)>, CodecError> {
    let (mut name, mut known) = ("", None);
    fields(bytes, |tag, value| {
        match tag {
            1 => name = value.text()?,
            2 => known = Some(AttributeValue::Bool(value.number()? != 0)),
            3 => known = Some(AttributeValue::Int(value.signed()?)),
            4 => match value {
                Value::Fixed64(bytes) => known = Some(AttributeValue::Float(f64::from_le_bytes(bytes))),
                _ => return Err(CodecError::OutOfRange("wire type")),
            },
            5 => known = Some(AttributeValue::Text(SmolStr::new(value.text()?))),
            _ => {}
        }
        Ok(())
    })?;
    Ok(known.map(|value| (SmolStr::new(name), value)))
}

#[cfg(test)]
mod tests {
    use super::super::tests::position;
    use super::super::{LivePositionMessage, PositionMessage, encode_position, position_from_message, position_to_message};
    use super::*;
    use prost::Message;

    /// What the message's own decoder says.
    fn by_message(bytes: &[u8]) -> Option<Position> {
        position_from_message(PositionMessage::decode(bytes).ok()?).ok()
    }

    #[test]
    fn positions_are_read_as_their_message_would_be() {
        let mut full = position();
        full.accuracy_m = Some(4.5);
        full.speed_mps = Some(0.0);
        full.valid = false;
        full.attributes.set("alarm", "sos");
        full.attributes.set("rssi", -77);
        full.attributes.set("zero", 0.0);
        full.attributes.set("text", "x".repeat(300).as_str());
        let nowhere = Position { location: LatLon::NULL_ISLAND, fix_time: Timestamp::default(), ..position() };
        for p in [position(), full, nowhere] {
            let bytes = &encode_position(&p)[1..];
            assert_eq!(bytes, position_to_message(&p).encode_to_vec());
            let (mut out, seq) = (Vec::new(), 1 << 40);
            encode_live(&mut out, &LivePosition { seq, position: p.clone() });
            assert_eq!(out, LivePositionMessage { seq, position: position_to_message(&p) }.encode_to_vec());
            assert_eq!(decode_live(&out).expect("decodes"), LivePosition { seq, position: p.clone() });
            assert_eq!(decode(bytes).expect("decodes"), p);
            assert_eq!(by_message(bytes), Some(p));
        }
    }

    #[test]
    fn fields_of_later_versions_are_skipped_and_rubbish_is_an_error() {
        let p = position();
        let mut bytes = encode_position(&p)[1..].to_vec();
        // Tags 100 to 103: a number, a text, eight bytes, a group.
        bytes.extend([0xa0, 6, 5, 0xaa, 6, 1, 9, 0xb1, 6, 1, 2, 3, 4, 5, 6, 7, 8, 0xbb, 6, 0xbc, 6]);
        assert_eq!(decode(&bytes).expect("decodes"), p);
        let good = encode_position(&p)[1..].to_vec();
        for at in 0..good.len() {
            for flip in [1, 0x40, 0x80, 0xff] {
                let mut bytes = good.clone();
                bytes[at] ^= flip;
                assert_eq!(decode(&bytes).ok(), by_message(&bytes), "byte {at} ^ {flip}");
            }
            assert_eq!(decode(&good[..at]).ok(), by_message(&good[..at]), "cut at {at}");
        }
    }
}
