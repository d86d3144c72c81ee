//! Wondex (VT-10, VT-300) and TK-5000: lines of columns that begin with the id, and packed keep-alives.

use crate::protocol::{Context, Decoded, Decoder, Fault, FaultKind, Fix, Framing, Protocol, Transport};
use crate::readers::{Delimited, Fields, FixBuilder, Reader, civil, device_id, malformed, pairs};
use crate::vocabulary as name;
use bytes::{Bytes, BytesMut};
use waystream_domain::DeviceId;

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "wondex",
    port: 5032,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: true,
        framing: || Box::new(WondexFraming(Delimited::stripping(&[b"\r\n"], MAX_FRAME_BYTES))),
        decoder: || Box::new(Wondex { device: None }),
    },
};

const MAX_FRAME_BYTES: usize = 1024;
/// What a keep-alive begins with, and how long it is.
const KEEP_ALIVE: [u8; 2] = [0xd0, 0xd7];
const KEEP_ALIVE_BYTES: usize = 8;

struct WondexFraming(Delimited);

impl Framing for WondexFraming {
    fn next_frame(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, Fault> {
        if buffer.first() != Some(&KEEP_ALIVE[0]) {
            return self.0.next_frame(buffer);
        }
        if buffer.get(1).is_some_and(|byte| *byte != KEEP_ALIVE[1]) {
            return Err(malformed("neither a line nor a keep-alive"));
        }
        Ok((buffer.len() >= KEEP_ALIVE_BYTES).then(|| buffer.split_to(KEEP_ALIVE_BYTES).freeze()))
    }
}

struct Wondex {
    device: Option<DeviceId>,
}

impl Decoder for Wondex {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    fn understand(&mut self, frame: &[u8], _context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        if frame.starts_with(&KEEP_ALIVE) {
            // Mark, serial, id.
            let mut reader = Reader::new(frame);
            reader.skip(4)?;
            self.device = Some(device_id(&reader.u32_le()?.to_string())?);
            return Ok(());
        }
        let text = String::from_utf8_lossy(frame);
        let text = text.trim();
        // What a command was answered.
        if text.starts_with("$OK:") || text.starts_with("$ERR:") || text.starts_with("$MSG:") {
            return Ok(());
        }
        let fields = Fields::new(text.trim_start_matches('$'), ',');
        if fields.len() < 9 {
            return Err(Fault::new(FaultKind::UnknownMessage, "fewer columns than a position has"));
        }
        self.device = Some(device_id(fields.get(0))?);
        decoded.fixes.push(position(&fields)?);
        Ok(())
    }
}

/// `id,yyyymmddhhmmss,lon,lat,km/h,course,altitude,satellites,event,[km,][inputs,][adc1,adc2,][outputs]`.
fn position(fields: &Fields<'_>) -> Result<Fix, Fault> {
    // Without satellites it is the last known place.
    let mut fix = FixBuilder::valid(fields.int(7).is_some_and(|satellites| satellites > 0));
    fix.speed_kmh(fields.number(4).unwrap_or(-1.0)).course_deg(fields.number(5).unwrap_or(-1.0));
    if let Some(altitude) = fields.number(6) {
        fix.altitude_m(altitude);
    }
    fix.set_some(name::SATELLITES, fields.int(7)).set_some(name::EVENT, fields.int(8));
    // Only an odometer has decimals there.
    let inputs = if fields.get(9).contains('.') { 10 } else { 9 };
    if inputs == 10 {
        fix.set_some(name::ODOMETER_M, fields.number(9).map(|km| km * 1e3));
    }
    fix.set_some("input", fields.int(inputs)).set_some("adc.1", fields.number(inputs + 1));
    fix.set_some("adc.2", fields.number(inputs + 2)).set_some("output", fields.int(inputs + 3));
    let [century, year, month, day, hour, minute, second] = pairs(fields.get(1))?;
    fix.at(civil([century * 100 + year, month, day], [hour, minute, second])?, fields.needed(3)?, fields.needed(2)?)
}
