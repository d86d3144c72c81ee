//! PT60 and kin (watches): `@B#@|01|kind|IMEI|IMSI|…@E#@`, or `@G#@,V01,kind,IMEI,IMSI,…@R#@`; answered with the time.

use crate::protocol::{Context, Decoded, Decoder, Fault, Fix, Protocol, Transport};
use crate::readers::{Delimited, Fields, FixBuilder, ascii, civil, device_id, malformed, number, pairs};
use chrono::DateTime;
use waystream_domain::DeviceId;

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "pt60",
    port: 5164,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: false,
        framing: || Box::new(Delimited::stripping(&[b"@E#@", b"@R#@"], MAX_FRAME_BYTES)),
        decoder: || Box::new(Pt60 { device: None }),
    },
};

const MAX_FRAME_BYTES: usize = 4096;
/// Kinds of the form with bars: where it is, what it is, where its cells are. An answer has the next number.
const PLACE: &str = "001";
const ANSWERED: [(&str, &str); 3] = [(PLACE, "002"), ("003", "004"), ("006", "007")];
/// Kinds of the form with commas.
const LOGIN_G: &str = "1";
const PLACE_G: &str = "6";

struct Pt60 {
    device: Option<DeviceId>,
}

impl Decoder for Pt60 {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    fn understand(&mut self, frame: &[u8], context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        let text = ascii(frame.trim_ascii())?;
        let now = DateTime::from_timestamp_millis(context.received_at.as_millis()).ok_or_else(|| malformed("our own clock"))?;
        let now = now.format("%Y%m%d%H%M%S");
        if text.starts_with("@B#@") {
            let fields = Fields::new(text, '|');
            let id = fields.get(3);
            self.device = Some(device_id(id)?);
            if let Some((_, answer)) = ANSWERED.iter().find(|(kind, _)| *kind == fields.get(2)) {
                decoded.replies.push(format!("@B#@|01|{answer}|{id}|0|{now}|@E#@").into());
            }
            if fields.get(2) == PLACE {
                decoded.fixes.push(position(fields.get(7), fields.get(8), fields.get(9))?);
            }
        } else if text.starts_with("@G#@") {
            let fields = Fields::new(text, ',');
            self.device = Some(device_id(fields.get(3))?);
            if fields.get(2) != LOGIN_G {
                decoded.replies.push(format!("@G#@,V01,38,{now},@R#@").into());
            }
            if fields.get(2) == PLACE_G {
                let (lat, lon) = fields.get(6).split_once(';').ok_or_else(|| malformed("no place"))?;
                decoded.fixes.push(position(fields.get(5), lat, lon)?);
            }
        } else {
            return Err(malformed("a message begins with @B#@ or @G#@"));
        }
        Ok(())
    }
}

fn position(time: &str, lat: &str, lon: &str) -> Result<Fix, Fault> {
    let [century, year, month, day, hour, minute, second] = pairs(time)?;
    let degrees = |text: &str| number(text).ok_or_else(|| malformed(format_args!("{text:?} is not an angle")));
    let time = civil([century * 100 + year, month, day], [hour, minute, second])?;
    FixBuilder::valid(true).at(time, degrees(lat)?, degrees(lon)?)
}
