//! MiniFinder (Pico and kin): `!kind,…;` lines; the kind 1 is the login.

use crate::protocol::{Context, Decoded, Decoder, Fault, FaultKind, Fix, Protocol, Transport};
use crate::readers::{Delimited, Fields, FixBuilder, bit, civil, device_id, malformed};
use crate::vocabulary::{self as name, alarm};
use waystream_domain::{DeviceId, Timestamp};

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "minifinder",
    port: 5062,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: false,
        framing: || Box::new(Delimited::stripping(&[b";"], MAX_FRAME_BYTES)),
        decoder: || Box::new(MiniFinder { device: None }),
    },
};

const MAX_FRAME_BYTES: usize = 1024;

struct MiniFinder {
    device: Option<DeviceId>,
}

impl Decoder for MiniFinder {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    fn understand(&mut self, frame: &[u8], _context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        let text = String::from_utf8_lossy(frame);
        let fields = Fields::new(text.trim().trim_end_matches(';'), ',');
        if !fields.get(0).starts_with('!') {
            return Err(malformed("a message begins with !"));
        }
        if fields.get(0) == "!1" {
            self.device = Some(device_id(fields.get(1))?);
        } else if fields.get(1).contains('/') {
            if self.device.is_none() {
                return Err(Fault::new(FaultKind::NoDevice, "a position before the login"));
            }
            decoded.fixes.push(position(&fields)?);
        }
        Ok(())
    }
}

/// `kind,dd/mm/yy,hh:mm:ss,lat,lon,km/h,course,flags,altitude,battery,used,in view,hdop`: some kinds end earlier.
fn position(fields: &Fields<'_>) -> Result<Fix, Fault> {
    let flags = fields.hex(7).unwrap_or_default();
    let mut fix = FixBuilder::valid(bit(flags, 0));
    fix.speed_kmh(fields.number(5).unwrap_or(-1.0)).course_deg(fields.number(6).unwrap_or(-1.0));
    fix.set(name::STATUS, flags as i64).set(name::RSSI, (flags >> 16 & 0x1f) as i64).set(name::CHARGE, bit(flags, 22));
    for (index, word) in [
        (14, alarm::MOVEMENT),
        (15, alarm::MOVEMENT),
        (9, alarm::GEOFENCE),
        (10, alarm::GEOFENCE),
        (11, alarm::GEOFENCE),
        (12, alarm::LOW_BATTERY),
        (7, alarm::OVERSPEED),
        (8, alarm::FALL_DOWN),
        (6, alarm::SOS),
    ] {
        if bit(flags, index) {
            fix.set(name::ALARM, word);
        }
    }
    if let Some(altitude) = fields.number(8) {
        fix.altitude_m(altitude);
    }
    fix.set_some(name::BATTERY_LEVEL, fields.int(9)).set_some(name::SATELLITES, fields.int(10));
    fix.set_some(name::HDOP, fields.number(12));
    fix.at(time(fields)?, fields.needed(3)?, fields.needed(4)?)
}

/// Leading zeros may be missing.
fn time(fields: &Fields<'_>) -> Result<Timestamp, Fault> {
    let parts = |at: usize, separator: char| {
        let mut parts = fields.get(at).split(separator).map(|part| part.parse::<u32>().ok());
        match [parts.next(), parts.next(), parts.next()] {
            [Some(Some(a)), Some(Some(b)), Some(Some(c))] => Ok([a, b, c]),
            _ => Err(malformed(format_args!("{:?} has not three numbers", fields.get(at)))),
        }
    };
    let [day, month, year] = parts(1, '/')?;
    civil([year, month, day], parts(2, ':')?)
}
