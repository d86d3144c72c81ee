//! Positions read straight from the bytes of a [`PositionMessage`](super::PositionMessage): a million a second are read, and the
//! message's own texts would each be allocated only to be copied.

use super::CodecError;
use crate::{AttributeValue, Attributes, DeviceId, FleetId, LatLon, Position, Timestamp};
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
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
    use super::super::{PositionMessage, encode_position, position_from_message};
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
        for p in [position(), full] {
            let bytes = &encode_position(&p)[1..];
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
