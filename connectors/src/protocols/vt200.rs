//! VT200: packed messages between brackets, `3d` in front of a byte that was XORed with it.

use crate::protocol::{Context, Decoded, Decoder, Fault, Framing, Protocol, Transport};
use crate::readers::{FixBuilder, Reader, bracketed, checksum_holds, device_id, hex, malformed, packed_dmy, packed_place, xor};
use crate::vocabulary as name;
use bytes::{Buf, Bytes, BytesMut};
use waystream_domain::DeviceId;

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "vt200",
    port: 5143,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: false,
        framing: || Box::new(Vt200Framing),
        decoder: || Box::new(Vt200 { device: None }),
    },
};

const MAX_FRAME_BYTES: usize = 2048;

const POSITIONS: [u16; 3] = [0x2082, 0x2084, 0x2086];
const IGNITION: u16 = 0x3089;

struct Vt200Framing;

impl Framing for Vt200Framing {
    fn next_frame(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, Fault> {
        let start = buffer.iter().position(|byte| *byte == b'(').unwrap_or(buffer.len());
        buffer.advance(start);
        bracketed(buffer, MAX_FRAME_BYTES)
    }
}

struct Vt200 {
    device: Option<DeviceId>,
}

impl Decoder for Vt200 {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    fn understand(&mut self, frame: &[u8], context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        let inner = frame.strip_prefix(b"(").and_then(|frame| frame.strip_suffix(b")")).unwrap_or_default();
        let Some((found, covered)) = inner.split_last() else { return Err(malformed("no brackets")) };
        if !checksum_holds(*found, xor(covered), context, decoded) {
            return Ok(());
        }
        let mut reader = Reader::new(covered);
        self.device = Some(device_id(&hex(reader.take(6)?))?);
        let kind = reader.u16()?;
        reader.skip(2)?;
        if POSITIONS.contains(&kind) {
            reader.skip(1 + 2)?; // way of sending, number
            let time = packed_dmy(&mut reader)?;
            let (valid, lat, lon) = packed_place(&mut reader)?;
            let mut fix = FixBuilder::valid(valid);
            fix.speed_kmh(reader.u8()?.into()).course_deg(f64::from(reader.u8()?) * 2.0);
            fix.set(name::SATELLITES, i64::from(reader.u8()?)).set(name::RSSI, i64::from(reader.u8()?));
            fix.set(name::ODOMETER_M, i64::from(reader.u32()?) * 1000).set(name::STATUS, i64::from(reader.u32()?));
            decoded.fixes.push(fix.at(time?, lat, lon)?);
        } else if kind == IGNITION {
            let on = reader.u8()? > 0;
            reader.skip(2)?;
            let time = packed_dmy(&mut reader)?;
            // The place may be missing.
            if reader.left() > 0 {
                let (valid, lat, lon) = packed_place(&mut reader)?;
                let mut fix = FixBuilder::valid(valid);
                fix.set(name::IGNITION, on);
                decoded.fixes.push(fix.at(time?, lat, lon)?);
            }
        }
        // Trips, states, heartbeats: no place.
        Ok(())
    }
}
