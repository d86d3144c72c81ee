//! Xirgo: `$$id,event,yyyy/mm/dd,hh:mm:ss,lat,lon,metres,…##`, miles and miles per hour; the columns behind are those of an older or a
//! newer form, which a connection keeps to. Forms that installers make themselves are not told by anything. Not answered.

use crate::protocol::{Context, Decoded, Decoder, Fault, FaultKind, Fix, Protocol, Transport};
use crate::readers::{Delimited, Fields, FixBuilder, ascii, civil, device_id, malformed, pairs};
use crate::vocabulary as name;
use waystream_domain::DeviceId;

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "xirgo",
    port: 5081,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: true,
        framing: || Box::new(Delimited::stripping(&[b"##"], MAX_FRAME_BYTES)),
        decoder: || Box::new(Xirgo { device: None, form: None }),
    },
};

const MAX_FRAME_BYTES: usize = 1024;
const METRES_PER_MILE: f64 = 1609.34;

struct Xirgo {
    device: Option<DeviceId>,
    form: Option<&'static Form>,
}

/// Where the columns stand.
struct Form {
    course: usize,
    satellites: usize,
    hdop: usize,
    battery: usize,
    rssi: usize,
    odometer: usize,
    fix: usize,
}

const OLD: Form = Form { course: 8, satellites: 9, hdop: 10, battery: 11, rssi: 12, odometer: 13, fix: 14 };
/// With acceleration, braking and engine speed behind the speed, and fuel behind the odometer.
const NEW: Form = Form { course: 11, satellites: 12, hdop: 13, odometer: 14, battery: 16, rssi: 17, fix: 18 };

impl Decoder for Xirgo {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    fn understand(&mut self, frame: &[u8], _context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        let text = ascii(frame.trim_ascii())?;
        let fields = Fields::new(text.trim_start_matches('$').trim_end_matches('#'), ',');
        self.device = Some(device_id(fields.get(0))?);
        if !fields.get(2).contains('/') || fields.get(2).find('/') != Some(4) {
            return Err(Fault::new(FaultKind::UnknownMessage, "columns of a form of its own"));
        }
        // The old form has the dilution, a decimal number, where the new one has the engine's speed.
        let form = *self.form.get_or_insert(if fields.get(OLD.hdop).contains('.') { &OLD } else { &NEW });
        decoded.fixes.push(position(&fields, form)?);
        Ok(())
    }
}

fn position(fields: &Fields<'_>, form: &Form) -> Result<Fix, Fault> {
    let mut fix = FixBuilder::valid(fields.get(form.fix) == "1");
    fix.altitude_m(fields.told(6)).course_deg(fields.told(form.course));
    fix.speed_mps(fields.told(7) * METRES_PER_MILE / 3600.0);
    fix.set_some(name::EVENT, fields.int(1));
    match fields.get(1) {
        "4001" | "4003" | "6011" => drop(fix.set(name::IGNITION, true)),
        "4002" | "4004" | "6012" => drop(fix.set(name::IGNITION, false)),
        _ => {}
    }
    fix.set_some(name::SATELLITES, fields.int(form.satellites)).set_some(name::HDOP, fields.number(form.hdop));
    fix.set_some(name::BATTERY_V, fields.number(form.battery)).set_some(name::RSSI, fields.int(form.rssi));
    fix.set_some(name::ODOMETER_M, fields.number(form.odometer).map(|miles| miles * METRES_PER_MILE));
    let digits: String = fields.get(2).chars().chain(fields.get(3).chars()).filter(char::is_ascii_digit).collect();
    if digits.len() != 14 {
        return Err(malformed(format_args!("{digits} is no date and time")));
    }
    let [century, year, month, day, hour, minute, second] = pairs(&digits)?;
    fix.at(civil([century * 100 + year, month, day], [hour, minute, second])?, fields.needed(4)?, fields.needed(5)?)
}
