//! Aplicom: a letter for the kind of message, version, IMEI or a short id, length, a mask of what the message holds. `D` has places;
//! the others hold the tachograph, the engine and histograms. Not answered.

use crate::protocol::{Context, Decoded, Decoder, Fault, FaultKind, Fix, Framing, Protocol, Transport};
use crate::readers::{FixBuilder, Reader, bit, from_unix_secs, imei};
use crate::vocabulary as name;
use bytes::{Buf, Bytes, BytesMut};
use smol_str::format_smolstr;
use waystream_domain::DeviceId;

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "aplicom",
    port: 5049,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: false,
        framing: || Box::new(AplicomFraming),
        decoder: || Box::new(Aplicom { device: None }),
    },
};

const MAX_FRAME_BYTES: usize = 8 * 1024;
const PLACES: u8 = b'D';
const KINDS: [u8; 4] = [PLACES, b'E', b'F', b'H'];
/// Bits of the second byte; the others are the version.
const WITH_IMEI: u8 = 0x80;
const WITH_MASK: u8 = 0x40;
const MASK_BYTES: usize = 3;
/// What a message holds that does not tell it.
const DEFAULT_MASK: u64 = 0x00_02fc;

struct AplicomFraming;

impl Framing for AplicomFraming {
    fn next_frame(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, Fault> {
        let start = buffer.iter().position(|byte| KINDS.contains(byte)).unwrap_or(buffer.len());
        buffer.advance(start);
        let Some(flags) = buffer.get(1) else { return Ok(None) };
        let head = 2 + id_bytes(*flags);
        let mask = if flags & WITH_MASK == 0 { 0 } else { MASK_BYTES };
        let Some(&[high, low]) = buffer.get(head..head + 2) else { return Ok(None) };
        let length = head + 2 + mask + usize::from(u16::from_be_bytes([high, low]));
        if length > MAX_FRAME_BYTES {
            return Err(Fault::new(FaultKind::Oversized, format_smolstr!("a message of {length} bytes")));
        }
        Ok((buffer.len() >= length).then(|| buffer.split_to(length).freeze()))
    }
}

const fn id_bytes(flags: u8) -> usize {
    if flags & WITH_IMEI == 0 { 3 } else { 7 }
}

struct Aplicom {
    device: Option<DeviceId>,
}

impl Decoder for Aplicom {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    fn understand(&mut self, frame: &[u8], _context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        let mut reader = Reader::new(frame);
        let (kind, flags) = (reader.u8()?, reader.u8()?);
        self.device = Some(imei(&reader.uint(id_bytes(flags))?.to_string())?);
        reader.skip(2)?;
        let mask = if flags & WITH_MASK == 0 { DEFAULT_MASK } else { reader.uint(MASK_BYTES)? };
        match kind {
            PLACES => {
                decoded.fixes.extend(position(mask, &mut reader)?);
                Ok(())
            }
            kind if KINDS.contains(&kind) => Ok(()),
            kind => Err(Fault::new(FaultKind::UnknownMessage, format_smolstr!("message {kind:02x}"))),
        }
    }
}

/// `None`: the message has no place, or its receiver none to tell.
fn position(mask: u64, reader: &mut Reader<'_>) -> Result<Option<Fix>, Fault> {
    const TIME: u32 = 2;
    const PLACE: u32 = 3;
    const MOTION: u32 = 4;
    let mut fix = FixBuilder::default();
    fix.set(name::EVENT, i64::from(reader.u8()?));
    reader.skip(1)?; // about the event
    fix.valid = bit(reader.u8()?, 6);
    if bit(mask, TIME) {
        reader.skip(4)?; // of the report
    }
    if !bit(mask, PLACE) {
        return Ok(None);
    }
    let time = reader.u32()?;
    let (lat, lon) = (reader.i32()?, reader.i32()?);
    fix.set(name::SATELLITES, i64::from(reader.u8()?));
    if bit(mask, MOTION) {
        fix.speed_kmh(reader.u8()?.into());
        reader.skip(1)?; // the highest since the last report
        fix.course_deg(f64::from(reader.u8()?) * 2.0);
    }
    // A receiver that never had a fix.
    if time == 0 && (lat, lon) == (0, 0) {
        return Ok(None);
    }
    let fix_time = from_unix_secs(time.into())?;
    // What follows is not needed: a shorter message is still a fix.
    let _shorter = columns(mask, reader, &mut fix);
    fix.at(fix_time, f64::from(lat) / 1e6, f64::from(lon) / 1e6).map(Some)
}

fn columns(mask: u64, reader: &mut Reader<'_>, fix: &mut FixBuilder) -> Result<(), Fault> {
    const INPUTS_AND_OUTPUTS: u32 = 6;
    if bit(mask, INPUTS_AND_OUTPUTS) {
        fix.set("input", i64::from(reader.u8()?));
    }
    if bit(mask, 5) {
        for index in 1..=4 {
            fix.set(format_smolstr!("adc.{index}"), f64::from(reader.u16()?) / 1e3);
        }
    }
    if bit(mask, 15) {
        fix.set(name::POWER_V, f64::from(reader.u16()?) / 1e3).set(name::BATTERY_V, f64::from(reader.u16()?) / 1e3);
    }
    // Pulses of two counters, distances of two trips.
    for (index, bytes) in [(16, 6), (17, 6), (7, 4), (8, 4)] {
        if bit(mask, index) {
            reader.skip(bytes)?;
        }
    }
    if bit(mask, INPUTS_AND_OUTPUTS) {
        fix.set("output", i64::from(reader.u8()?));
    }
    if bit(mask, 9) {
        match reader.uint(6)? {
            0 => {}
            driver => drop(fix.set(name::DRIVER_ID, format_smolstr!("{driver:010}").as_str())),
        }
    }
    if bit(mask, 10) {
        reader.skip(1)?; // the keypad
    }
    if bit(mask, 11) {
        fix.altitude_m(reader.i16()?.into());
    }
    Ok(())
}
