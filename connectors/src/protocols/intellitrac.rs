//! IntelliTrac (X1 and kin): lines of columns around the id, asked for or on their own.

use crate::protocol::{Context, Decoded, Decoder, Fault, Fix, Protocol, Transport};
use crate::readers::{Delimited, Fields, FixBuilder, civil, device_id, pairs};
use crate::vocabulary as name;
use waystream_domain::DeviceId;

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "intellitrac",
    port: 5037,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: false,
        framing: || Box::new(Delimited::stripping(&[b"\r\n"], MAX_FRAME_BYTES)),
        decoder: || Box::new(Intellitrac { device: None }),
    },
};

const MAX_FRAME_BYTES: usize = 1024;

struct Intellitrac {
    device: Option<DeviceId>,
}

impl Decoder for Intellitrac {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    fn understand(&mut self, frame: &[u8], _context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        let text = String::from_utf8_lossy(frame);
        let fields = Fields::new(text.trim(), ',');
        // The time is the first of 14 digits behind an id; in front of it may be the number of a question.
        let is_time = |at: &usize| fields.get(*at).len() == 14 && fields.get(*at).bytes().all(|byte| byte.is_ascii_digit());
        let Some(time) = (1..3).find(is_time) else { return Ok(()) };
        self.device = Some(device_id(fields.get(time - 1))?);
        decoded.fixes.push(position(&fields, time)?);
        Ok(())
    }
}

/// `yyyymmddhhmmss,lon,lat,km/h,course,altitude,satellites,event,inputs,outputs,adc1,adc2,…`.
fn position(fields: &Fields<'_>, at: usize) -> Result<Fix, Fault> {
    let mut fix = FixBuilder::valid(true);
    fix.speed_kmh(fields.number(at + 3).unwrap_or(-1.0)).course_deg(fields.number(at + 4).unwrap_or(-1.0));
    if let Some(altitude) = fields.number(at + 5) {
        fix.altitude_m(altitude);
    }
    fix.set_some(name::SATELLITES, fields.int(at + 6)).set_some(name::EVENT, fields.int(at + 7));
    fix.set_some("input", fields.int(at + 8)).set_some("output", fields.int(at + 9));
    fix.set_some("adc.1", fields.number(at + 10)).set_some("adc.2", fields.number(at + 11));
    let [century, year, month, day, hour, minute, second] = pairs(fields.get(at))?;
    let time = civil([century * 100 + year, month, day], [hour, minute, second])?;
    fix.at(time, fields.needed(at + 2)?, fields.needed(at + 1)?)
}
