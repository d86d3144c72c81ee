//! C-Guard (Protector): lines `kind:…`; `IDRO` is the login, `NV` a position.

use crate::protocol::{Context, Decoded, Decoder, Fault, FaultKind, Fix, Protocol, Transport};
use crate::readers::{Delimited, Fields, FixBuilder, device_id, malformed, ymd};
use waystream_domain::DeviceId;

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "cguard",
    port: 5123,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: false,
        framing: || Box::new(Delimited::stripping(&[b"\r\n", b"\n"], MAX_FRAME_BYTES)),
        decoder: || Box::new(Cguard { device: None }),
    },
};

const MAX_FRAME_BYTES: usize = 1024;

struct Cguard {
    device: Option<DeviceId>,
}

impl Decoder for Cguard {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    fn understand(&mut self, frame: &[u8], _context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        let text = String::from_utf8_lossy(frame);
        match text.trim().split_once(':') {
            Some(("ID" | "IDRO", id)) => self.device = Some(device_id(id)?),
            Some(("NV", _)) if self.device.is_none() => {
                return Err(Fault::new(FaultKind::NoDevice, "a position before the login"));
            }
            Some(("NV", body)) => decoded.fixes.push(position(body)?),
            // States (signal, voltages, satellites) and versions have no place.
            _ => {}
        }
        Ok(())
    }
}

/// `yymmdd hhmmss:lat:lon:km/h:accuracy:course:altitude`; what is not known is `NAN` or missing.
fn position(body: &str) -> Result<Fix, Fault> {
    let fields = Fields::new(body, ':');
    let (date, time) = fields.get(0).split_once(' ').ok_or_else(|| malformed("a time without a date"))?;
    let mut fix = FixBuilder::valid(true);
    fix.speed_kmh(fields.number(3).unwrap_or(-1.0)).course_deg(fields.number(5).unwrap_or(-1.0));
    if let Some(accuracy) = fields.number(4) {
        fix.accuracy_m(accuracy);
    }
    if let Some(altitude) = fields.number(6) {
        fix.altitude_m(altitude);
    }
    fix.at(ymd(date, time)?, fields.needed(1)?, fields.needed(2)?)
}
