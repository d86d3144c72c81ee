//! Wialon IPS, versions 1 and 2: lines `#type#fields`, each answered with `#Atype#…`; version 2 ends with a CRC.

use crate::protocol::{Checksums, Context, Decoded, Decoder, Fault, FaultKind, Fix, Framing, Protocol, Transport};
use crate::readers::{Delimited, Fields, FixBuilder, device_id, dmy, malformed, number};
use crate::vocabulary as name;
use bytes::{Buf, Bytes, BytesMut};
use crc::{CRC_16_ARC, Crc};
use smol_str::{SmolStr, format_smolstr};
use waystream_domain::{AttributeValue, DeviceId};

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "wialon",
    port: 5039,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: true,
        framing: || {
            Box::new(WialonFraming { lines: Delimited::stripping(&[b"\r\n", b"\n"], MAX_FRAME_BYTES), picture_bytes: 0 })
        },
        decoder: || Box::new(Wialon { device: None, checked: false }),
    },
};

/// Black boxes (`#B#`) send many records in a line.
const MAX_FRAME_BYTES: usize = 64 * 1024;
const CRC: Crc<u16> = Crc::<u16>::new(&CRC_16_ARC);
/// Parameters that one record may have: the names come from outside.
const MAX_PARAMETERS: usize = 256;

/// Lines. Behind one that begins a part of a picture (`#I#bytes;…`) stand its bytes, which are dropped.
struct WialonFraming {
    lines: Delimited,
    picture_bytes: usize,
}

impl Framing for WialonFraming {
    fn next_frame(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, Fault> {
        let dropped = self.picture_bytes.min(buffer.len());
        buffer.advance(dropped);
        self.picture_bytes -= dropped;
        let frame = self.lines.next_frame(buffer)?;
        if let Some(part) = frame.as_ref().and_then(|line| line.strip_prefix(b"#I#")) {
            let digits = part.split(|byte| *byte == b';').next().unwrap_or_default();
            let bytes = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
            self.picture_bytes = bytes.filter(|bytes| *bytes <= MAX_FRAME_BYTES).unwrap_or_default();
        }
        Ok(frame)
    }
}

struct Wialon {
    device: Option<DeviceId>,
    /// Version 2: every message ends with its checksum.
    checked: bool,
}

impl Decoder for Wialon {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    fn understand(&mut self, frame: &[u8], context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        self.message(&String::from_utf8_lossy(frame), context, decoded)
    }
}

impl Wialon {
    fn message(&mut self, text: &str, context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        // Datagrams begin with `version;id`, others with `id`.
        let (head, message) = text.trim().split_once('#').ok_or_else(|| malformed("no # in the message"))?;
        let (kind, body) = message.split_once('#').ok_or_else(|| malformed("no type in the message"))?;
        let version_2 = if kind == "L" { body } else { head }.starts_with("2.");
        let checked = version_2 || (self.checked && head.is_empty() && kind != "P");
        if checked && let Err(fault) = check(body) {
            decoded.faults.push(fault);
            if context.checksums == Checksums::Refuse {
                return Ok(());
            }
        }
        if kind == "L" {
            return self.login(body, decoded);
        }
        if !head.is_empty() {
            let id = head.rsplit(';').find(|part| !part.is_empty()).unwrap_or_default();
            self.device = Some(device_id(id)?);
        }
        if self.device.is_none() {
            return Err(Fault::new(FaultKind::NoDevice, format_smolstr!("#{kind}# before the login")));
        }
        // The document has `#ASD#1` for short data; what the widest-used server has sent for years, and devices live with, is `#AD#1`.
        let answered = if kind == "SD" { "D" } else { kind };
        let mut answer = |count: &str| decoded.replies.push(format!("#A{answered}#{count}\r\n").into());
        match kind {
            "P" => answer(""),
            "D" | "SD" => {
                answer("1");
                keep(record(body, context), decoded);
            }
            "B" => {
                let records = body.split('|').filter(|record| !record.trim().is_empty());
                answer(&records.clone().count().to_string());
                for one in records {
                    let mut record = record(one, context);
                    if let Ok(Some(fix)) = &mut record {
                        fix.attributes.set(name::ARCHIVE, true);
                    }
                    keep(record, decoded);
                }
            }
            "M" => answer("1"),
            // Bytes, number and count of the parts, date, time, name.
            "I" => {
                let mut fields = body.split(';').skip(1);
                let (part, parts) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
                answer(&format!("{part:.10};1"));
                if part == parts {
                    answer("1");
                }
                decoded.unread = Some("part of a picture");
            }
            _ => return Err(Fault::new(FaultKind::UnknownMessage, format_smolstr!("#{kind:.10}#"))),
        }
        Ok(())
    }

    /// `id;password` or `2.0;id;password;CRC`.
    fn login(&mut self, body: &str, decoded: &mut Decoded) -> Result<(), Fault> {
        let fields = Fields::new(body, ';');
        let versioned = fields.get(0).contains('.') && fields.len() > 2;
        self.checked = versioned && fields.get(0).starts_with('2');
        self.device = Some(device_id(fields.get(usize::from(versioned)))?);
        decoded.replies.push("#AL#1\r\n".into());
        decoded.refusal = Some("#AL#0\r\n".into());
        Ok(())
    }
}

fn keep(record: Result<Option<Fix>, Fault>, decoded: &mut Decoded) {
    match record {
        Ok(fix) => decoded.fixes.extend(fix),
        Err(fault) => decoded.faults.push(fault),
    }
}

/// The checksum is the last field, over everything in front of it.
fn check(body: &str) -> Result<(), Fault> {
    let at = body.rfind([';', '|']).map_or(0, |at| at + 1);
    let (covered, found) = body.split_at(at);
    let expected = CRC.checksum(covered.as_bytes());
    match u16::from_str_radix(found.trim_start_matches("0x"), 16) {
        Ok(found) if found == expected => Ok(()),
        _ => Err(Fault::new(FaultKind::Checksum, format_smolstr!("CRC is {found:.10}, not {expected:04X}"))),
    }
}

/// `date;time;lat;N;lon;E;km/h;course;altitude;satellites`, then in `D` and `B`
/// `hdop;inputs;outputs;adc,…;driver;name:type:value,…`. `NA` stands for what is not known. A record
/// without a place is kept at 0,0 and invalid, for its parameters; one without a time too is no fix.
fn record(text: &str, context: &Context) -> Result<Option<Fix>, Fault> {
    let fields = Fields::new(text, ';');
    let placed = !(matches!(fields.get(2), "" | "NA") || matches!(fields.get(4), "" | "NA"));
    if !placed && matches!(fields.get(0), "" | "NA") {
        return Ok(None);
    }
    let time = match fields.get(0) {
        "" | "NA" => context.received_at,
        date => dmy(date, fields.get(1))?,
    };
    let satellites = fields.int(9);
    let mut fix = FixBuilder::valid(satellites.is_some_and(|satellites| satellites >= 3));
    fix.speed_kmh(fields.number(6).unwrap_or(-1.0)).course_deg(fields.number(7).unwrap_or(-1.0));
    if let Some(altitude) = fields.number(8) {
        fix.altitude_m(altitude);
    }
    if let Some(satellites) = satellites {
        fix.set(name::SATELLITES, satellites);
    }
    if let Some(hdop) = fields.number(10) {
        fix.set(name::HDOP, hdop);
    }
    for (at, name) in [(11, "input"), (12, "output")] {
        if let Some(bits) = fields.int(at) {
            fix.set(name, bits);
        }
    }
    for (index, volts) in fields.get(13).split(',').take(MAX_PARAMETERS).enumerate() {
        if let Some(volts) = number(volts) {
            fix.set(format_smolstr!("adc.{}", index + 1), volts);
        }
    }
    if !matches!(fields.get(14), "" | "NA") {
        fix.set(name::DRIVER_ID, fields.get(14));
    }
    for parameter in fields.get(15).split(',').take(MAX_PARAMETERS) {
        let mut parts = parameter.splitn(3, ':').map(str::trim);
        if let (Some(key), Some(_), Some(value)) = (parts.next(), parts.next(), parts.next())
            && !key.is_empty()
            && key.len() <= 64
        {
            let key = match &*key.to_lowercase() {
                "fuel" => SmolStr::new_static(name::FUEL_L),
                "bat" => SmolStr::new_static(name::BATTERY_LEVEL),
                key => SmolStr::from(key),
            };
            match value {
                "1" if key == "sos" => fix.set(name::ALARM, crate::vocabulary::alarm::SOS),
                "true" | "false" => fix.set(key, value == "true"),
                _ => fix.set(key, number(value).map_or_else(|| value.into(), AttributeValue::from)),
            };
        }
    }
    let (lat, lon) = if placed { fields.nmea_place(2)? } else { (0.0, 0.0) };
    fix.at(time, lat, lon).map(Some)
}
