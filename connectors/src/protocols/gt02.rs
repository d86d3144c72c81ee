//! GT02: `6868` + length + battery + signal + packed IMEI + serial + type; only heartbeats are answered.

use crate::protocol::{Context, Decoded, Decoder, Fault, FaultKind, Fix, Framing, Protocol, Transport};
use crate::readers::{FixBuilder, Reader, bit, civil, find, malformed, packed_imei};
use bytes::{Buf, Bytes, BytesMut};

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "gt02",
    port: 5022,
    max_frame_bytes: 5 + u8::MAX as usize,
    transport: Transport::Socket { tcp: true, udp: false, framing: || Box::new(Gt02Framing), decoder: || Box::new(Gt02) },
};

const MARK: &[u8] = b"hh";
/// Coordinates are in 1/1,800,000 degree.
const UNITS_PER_DEGREE: f64 = 1_800_000.0;
const POSITION: u8 = 0x10;
const HEARTBEAT: u8 = 0x1a;

struct Gt02Framing;

impl Framing for Gt02Framing {
    fn next_frame(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, Fault> {
        let start = find(buffer, MARK).unwrap_or(buffer.len().saturating_sub(1));
        buffer.advance(start);
        let [_, _, length, ..] = buffer[..] else { return Ok(None) };
        let length = 5 + usize::from(length);
        Ok((buffer.len() >= length).then(|| buffer.split_to(length).freeze()))
    }
}

/// Every message holds the IMEI: nothing is kept between them.
struct Gt02;

impl Decoder for Gt02 {
    fn understand(&mut self, frame: &[u8], _context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        understand(frame, decoded)
    }
}

fn understand(frame: &[u8], decoded: &mut Decoded) -> Result<(), Fault> {
    let mut reader = Reader::new(frame);
    if reader.take(2)? != MARK {
        return Err(malformed("a message begins with 6868"));
    }
    reader.skip(1 + 2)?; // length, battery, signal
    decoded.device = Some(packed_imei(reader.take(8)?)?);
    reader.skip(2)?;
    match reader.u8()? {
        HEARTBEAT => decoded.replies.push(Bytes::from_static(b"Th\x1a\r\n")),
        POSITION => decoded.fixes.push(position(&mut reader)?),
        // Texts of errors and answers.
        0x1c => {}
        other => return Err(Fault::new(FaultKind::UnknownMessage, format!("type {other:02x}"))),
    }
    Ok(())
}

/// Time, latitude, longitude, km/h, course, three bytes, and flags: valid, north, east.
fn position(reader: &mut Reader<'_>) -> Result<Fix, Fault> {
    let [year, month, day, hour, minute, second] = reader.array()?.map(u32::from);
    let (lat, lon) = (f64::from(reader.u32()?) / UNITS_PER_DEGREE, f64::from(reader.u32()?) / UNITS_PER_DEGREE);
    let (speed, course) = (reader.u8()?, reader.u16()?);
    reader.skip(3)?;
    let flags = reader.u32()?;
    let mut fix = FixBuilder::valid(bit(flags, 0));
    fix.speed_kmh(speed.into()).course_deg(course.into());
    let (lat, lon) = (if bit(flags, 1) { lat } else { -lat }, if bit(flags, 2) { lon } else { -lon });
    fix.at(civil([year, month, day], [hour, minute, second])?, lat, lon)
}
