//! `waystream decode`: bytes of one connection in, one JSON object per line out, through the framing and decoders that run live.

mod http;

use crate::protocol::{Checksums, Context, Decoded, Fault, FaultKind, Fix, HttpDecoded, Protocol, Transport};
use crate::quarantine::Kept;
pub use crate::readers::{NotHex, parse_hex};
use bytes::BytesMut;
use serde::Serialize;
use std::io::{self, Write};
use waystream_domain::{Attributes, DeviceId, Timestamp, units};

/// What to decode and how.
#[derive(Debug)]
pub struct DecodeRequest {
    /// From [`crate::protocols::by_name`].
    pub protocol: &'static Protocol,
    /// The bytes.
    pub input: Input,
    /// Also print what the device would be answered.
    pub replies: bool,
    /// What a wrong checksum means. For looking into frames, [`Checksums::Count`]: it is told as a fault in either case.
    pub checksums: Checksums,
    /// What counts as now for protocols that leave parts of the time to the receiver.
    pub received_at: Timestamp,
}

/// Where the frames come from.
#[derive(Debug)]
pub enum Input {
    /// The bytes of one connection (for HTTP protocols: requests one after another), to be cut into frames.
    Stream(Vec<u8>),
    /// Frames of one connection in order.
    Frames(Vec<Vec<u8>>),
    /// Datagrams of one sender in order.
    Datagrams(Vec<Vec<u8>>),
}

/// What a message from the quarantine means now, decoded as it would be live. Fix times are as the device told them: see
/// [`crate::clocks::Clocks::right`].
pub fn again(kept: &Kept) -> Result<Decoded, Fault> {
    let unknown = || Fault::new(FaultKind::UnknownProtocol, format!("there is no protocol {}", kept.protocol));
    let bytes = |hex: &str| parse_hex(hex).map_err(|error| Fault::new(FaultKind::Malformed, format!("{error}")));
    let protocol = crate::protocols::by_name(&kept.protocol).ok_or_else(unknown)?;
    let context = Context { received_at: kept.received_at, datagram: kept.datagram, checksums: Checksums::Refuse };
    let message = bytes(&kept.hex)?;
    match protocol.transport {
        Transport::Socket { decoder, .. } => {
            let mut decoder = decoder();
            if let Some(login) = &kept.login_hex {
                decoder.decode(&bytes(login)?, &context);
            }
            // Where no login was kept: of long ones, and of those that topics stand for.
            if let (Some(session @ None), Some(device)) = (decoder.session(), &kept.device) {
                *session = Some(device.clone());
            }
            let mut decoded = decoder.decode(&message, &context);
            decoded.device = decoded.device.or(kept.device.clone());
            Ok(decoded)
        }
        Transport::Http { decode } => {
            let request = http::next(&mut &message[..])?;
            Ok(request.with(|request| decode(request, &context)).decoded)
        }
    }
}

/// Writes positions (and replies) to `out`, faults to `err`. Gives whether every frame was understood.
pub fn run(request: &DecodeRequest, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<bool> {
    let datagram = matches!(request.input, Input::Datagrams(_));
    let context = Context { received_at: request.received_at, datagram, checksums: request.checksums };
    let mut printer = Printer { out, err, replies: request.replies, understood: true };
    match request.protocol.transport {
        Transport::Socket { framing, decoder, .. } => {
            let mut decoder = decoder();
            let mut print = |index: usize, frame: &[u8]| {
                let decoded = decoder.decode(frame, &context);
                printer.fixes(index, decoded.device.as_ref(), &decoded.fixes)?;
                decoded.replies.iter().try_for_each(|reply| printer.reply(index, None, reply))?;
                printer.faults(index, &decoded.faults)
            };
            match &request.input {
                Input::Frames(frames) | Input::Datagrams(frames) => {
                    for (index, frame) in frames.iter().enumerate() {
                        print(index, frame)?;
                    }
                }
                Input::Stream(bytes) => {
                    let mut buffer = BytesMut::from(&bytes[..]);
                    let mut framing = framing();
                    let mut index = 0;
                    let lost = loop {
                        match framing.next_frame(&mut buffer) {
                            Ok(Some(frame)) => print(index, &frame)?,
                            // Line ends behind the last frame are none of it.
                            Ok(None) if buffer.trim_ascii().is_empty() => break None,
                            Ok(None) => break Some(incomplete(buffer.len())),
                            Err(fault) => break Some(fault),
                        }
                        index += 1;
                    };
                    printer.faults(index, lost.as_slice())?;
                }
            }
        }
        Transport::Http { decode } => {
            let inputs = match &request.input {
                Input::Stream(bytes) => std::slice::from_ref(bytes),
                Input::Frames(frames) | Input::Datagrams(frames) => frames,
            };
            let mut index = 0;
            for bytes in inputs {
                let mut rest = &bytes[..];
                while !rest.trim_ascii().is_empty() {
                    match http::next(&mut rest) {
                        Ok(request) => {
                            let HttpDecoded { decoded, answer, .. } = request.with(|request| decode(request, &context));
                            printer.fixes(index, decoded.device.as_ref(), &decoded.fixes)?;
                            printer.reply(index, Some(answer.status), &answer.body)?;
                            printer.faults(index, &decoded.faults)?;
                        }
                        Err(fault) => {
                            printer.faults(index, &[fault])?;
                            rest = &[];
                        }
                    }
                    index += 1;
                }
            }
        }
    }
    Ok(printer.understood)
}

fn incomplete(bytes: usize) -> Fault {
    Fault::new(FaultKind::Malformed, format!("{bytes} bytes at the end are no whole frame"))
}

struct Printer<'a> {
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
    replies: bool,
    understood: bool,
}

/// One line of output; the order of the fields is the order in the line.
#[derive(Serialize)]
struct PositionLine<'a> {
    frame: usize,
    device_id: Option<&'a DeviceId>,
    fix_time: Timestamp,
    valid: bool,
    lat: f64,
    lon: f64,
    altitude_m: Option<f32>,
    speed_kmh: Option<f64>,
    course_deg: Option<f32>,
    attributes: &'a Attributes,
}

#[derive(Serialize)]
struct ReplyLine {
    frame: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_status: Option<u16>,
    reply_hex: String,
}

impl Printer<'_> {
    fn line(&mut self, line: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut *self.out, line)?;
        writeln!(self.out)
    }

    fn fixes(&mut self, frame: usize, device_id: Option<&DeviceId>, fixes: &[Fix]) -> io::Result<()> {
        for fix in fixes {
            self.line(&PositionLine {
                frame,
                device_id: fix.device.as_ref().or(device_id),
                fix_time: fix.fix_time,
                valid: fix.valid,
                lat: fix.location.lat_deg(),
                lon: fix.location.lon_deg(),
                altitude_m: fix.altitude_m,
                speed_kmh: fix.speed_mps.map(units::kmh_from_mps),
                course_deg: fix.course_deg,
                attributes: &fix.attributes,
            })?;
        }
        Ok(())
    }

    fn reply(&mut self, frame: usize, http_status: Option<u16>, bytes: &[u8]) -> io::Result<()> {
        if self.replies { self.line(&ReplyLine { frame, http_status, reply_hex: crate::readers::hex(bytes) }) } else { Ok(()) }
    }

    fn faults(&mut self, frame: usize, faults: &[Fault]) -> io::Result<()> {
        self.understood &= faults.is_empty();
        faults.iter().try_for_each(|fault| writeln!(self.err, "frame {frame}: {}: {}", fault.kind.as_str(), fault.detail))
    }
}
