//! iTriangle IVT401: `(TLN,IMEI,ddmmyy,hhmmss,lat,lon,…);`, the same columns in all three kinds. Not answered.

use crate::protocol::{Context, Decoded, Decoder, Fault, FaultKind, Fix, Protocol, Transport};
use crate::readers::{Delimited, Fields, FixBuilder, ascii, device_id, dmy};
use crate::vocabulary as name;
use smol_str::format_smolstr;
use waystream_domain::DeviceId;

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "ivt401",
    port: 5153,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: false,
        framing: || Box::new(Delimited::stripping(&[b";"], MAX_FRAME_BYTES)),
        decoder: || Box::new(Ivt401 { device: None }),
    },
};

const MAX_FRAME_BYTES: usize = 1024;

struct Ivt401 {
    device: Option<DeviceId>,
}

impl Decoder for Ivt401 {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    fn understand(&mut self, frame: &[u8], _context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        let text = ascii(frame.trim_ascii())?;
        let fields = Fields::new(text.trim_start_matches('(').trim_end_matches(')'), ',');
        if !fields.get(0).starts_with("TL") {
            return Err(Fault::new(FaultKind::UnknownMessage, format_smolstr!("message {:?}", fields.get(0))));
        }
        self.device = Some(device_id(fields.get(1))?);
        decoded.fixes.push(position(&fields)?);
        Ok(())
    }
}

/// `…,km/h,course,metres,satellites,fix,signal,inputs,outputs,adc,V,V,°C of the device,°C,moves,g,tilt,trip,odometer,…`.
fn position(fields: &Fields<'_>) -> Result<Fix, Fault> {
    let mut fix = FixBuilder::valid(true);
    fix.speed_kmh(fields.told(6)).course_deg(fields.told(7)).altitude_m(fields.told(8));
    fix.set_some(name::SATELLITES, fields.int(9)).set_some(name::RSSI, fields.int(11));
    // One digit each, the last is the first.
    for (at, kind) in [(12, "in"), (13, "out")] {
        for (index, digit) in fields.get(at).bytes().rev().take(8).enumerate() {
            fix.set(format_smolstr!("{kind}.{}", index + 1), digit == b'1');
        }
    }
    for (at, name) in [(14, "adc.1"), (15, name::POWER_V), (16, name::BATTERY_V), (17, "device_temperature_c")] {
        fix.set_some(name, fields.number(at));
    }
    fix.set_some("temperature_c.1", fields.number(18)).set(name::MOTION, fields.get(19) == "1");
    fix.set_some(name::ODOMETER_M, fields.int(23));
    fix.at(dmy(fields.get(2), fields.get(3))?, fields.needed(4)?, fields.needed(5)?)
}
