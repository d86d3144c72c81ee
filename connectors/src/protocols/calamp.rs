//! CalAmp LM direct: datagrams with an options head (who), a message head (what, whether to answer), and a report.

use crate::protocol::{Context, Decoded, Decoder, Fault, FaultKind, Fix, Protocol, Transport};
use crate::readers::{Datagrams, FixBuilder, Reader, bit, device_id, from_unix_secs, hex, imei};
use crate::vocabulary as name;
use bytes::Bytes;
use smol_str::format_smolstr;
use waystream_domain::DeviceId;

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "calamp",
    port: 5082,
    max_frame_bytes: 2048,
    transport: Transport::Socket {
        tcp: false,
        udp: true,
        framing: || Box::new(Datagrams),
        decoder: || Box::new(CalAmp { device: None }),
    },
};

/// Kind of service: the device waits for an answer.
const ACKNOWLEDGED: u8 = 1;
const EVENT: u8 = 2;
const USER_DATA: u8 = 4;
const LOCATE: u8 = 8;
const MINI_EVENT: u8 = 10;
/// Type of an id. The others are of the maker's, the card's or the owner's making, and longer ones are in use.
const IMEI: u8 = 2;

struct CalAmp {
    device: Option<DeviceId>,
}

impl Decoder for CalAmp {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    fn understand(&mut self, frame: &[u8], _context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        let mut reader = Reader::new(frame);
        // An options head has the highest bit; a message head's service never has.
        if frame.first().is_some_and(|first| bit(*first, 7)) {
            let options = reader.u8()?;
            // Id, type of the id, authentication, routing, forwarding, redirection: each with its length.
            let (mut id, mut id_type) = (None, None);
            for index in (0..6).filter(|index| bit(options, *index)) {
                let length = reader.u8()?;
                let value = reader.take(length.into())?;
                match index {
                    0 => id = Some(hex(value)),
                    1 => id_type = value.first().copied(),
                    _ => {}
                }
            }
            if let Some(id) = id {
                let id = id.trim_end_matches('f');
                self.device = Some(if id_type == Some(IMEI) { imei(id)? } else { device_id(id)? });
            }
        }
        if self.device.is_none() {
            return Err(Fault::new(FaultKind::NoDevice, "a message without an id"));
        }
        let (service, kind) = (reader.u8()?, reader.u8()?);
        let number = reader.array::<2>()?;
        if service == ACKNOWLEDGED {
            decoded.replies.push(answer(kind, number));
        }
        if matches!(kind, EVENT | USER_DATA | LOCATE | MINI_EVENT) {
            decoded.fixes.push(position(kind, &mut reader)?);
        }
        Ok(())
    }
}

/// A response (2) that acknowledges (1): number, kind, result, application's version.
fn answer(kind: u8, number: [u8; 2]) -> Bytes {
    [&[2, 1][..], &number, &[kind, 0, 0, 0, 0, 0]].concat().into()
}

/// Time of the report (and of the fix), latitude, longitude in 1e-7 degree, altitude in cm, speed in cm/s, course; satellites and state of
/// the fix, network, inputs, event, accumulators. The mini report leaves out what it can.
fn position(kind: u8, reader: &mut Reader<'_>) -> Result<Fix, Fault> {
    let mini = kind == MINI_EVENT;
    let time = from_unix_secs(reader.u32()?.into());
    if !mini {
        reader.skip(4)?;
    }
    let (lat, lon) = (f64::from(reader.i32()?) / 1e7, f64::from(reader.i32()?) / 1e7);
    let mut fix = FixBuilder::default();
    if mini {
        fix.course_deg(reader.i16()?.into()).speed_kmh(reader.u8()?.into());
        let state = reader.u8()?;
        fix.valid = !bit(state, 5);
        fix.set(name::SATELLITES, i64::from(state & 0xf));
        reader.skip(1)?;
    } else {
        fix.altitude_m(f64::from(reader.i32()?) / 100.0).speed_mps(f64::from(reader.u32()?) / 100.0);
        fix.course_deg(reader.i16()?.into()).set(name::SATELLITES, i64::from(reader.u8()?));
        fix.valid = !bit(reader.u8()?, 3);
        reader.skip(2)?; // carrier
        fix.set(name::RSSI, i64::from(reader.i16()?));
        reader.skip(1)?;
        fix.set(name::HDOP, f64::from(reader.u8()?) / 10.0);
    }
    let inputs = reader.u8()?;
    fix.set("input", i64::from(inputs)).set(name::IGNITION, bit(inputs, 0));
    if !mini {
        fix.set(name::STATUS, i64::from(reader.u8()?));
    }
    if kind == EVENT {
        reader.skip(1)?; // index of the event
    }
    if matches!(kind, EVENT | MINI_EVENT) {
        fix.set(name::EVENT, i64::from(reader.u8()?));
    }
    if kind != USER_DATA {
        accumulators(mini, reader, &mut fix);
    }
    fix.at(time?, lat, lon)
}

/// What an installer chose to count. A list that is cut off is not worth the fix.
fn accumulators(mini: bool, reader: &mut Reader<'_>, fix: &mut FixBuilder) {
    let Ok(count) = reader.u8() else { return };
    // One kind has a threshold and a mask in front.
    let skipped = usize::from(!mini) + if count >> 6 == 1 { 8 } else { 0 };
    if reader.skip(skipped).is_err() {
        return;
    }
    for index in 0..count & 0x3f {
        let Ok(value) = reader.u32() else { return };
        fix.set(format_smolstr!("io.{index}"), i64::from(value));
    }
}
