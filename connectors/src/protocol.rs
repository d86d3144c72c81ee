//! What a tracker protocol is: bytes in, fixes and answers out. Pure: no sockets, no clock (time comes with the context).
//!
//! Adding one: a file in `protocols/` with a [`Framing`] and a [`Decoder`], and one line in `protocols::ALL`.

use crate::readers::unhex;
use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use smol_str::{SmolStr, format_smolstr};
use std::collections::BTreeSet;
use waystream_domain::{Attributes, DeviceId, Instruction, LatLon, Timestamp};

/// One entry of the protocol table.
#[derive(Debug)]
pub struct Protocol {
    /// Lower-case name, as installers know it.
    pub name: &'static str,
    /// Port that devices are pointed at.
    pub port: u16,
    /// Largest frame, datagram or HTTP body, bytes: checked before anything is allocated for it.
    pub max_frame_bytes: usize,
    /// How its messages come.
    pub transport: Transport,
}

impl Protocol {
    /// Whether its messages usually come as datagrams, one frame each.
    pub const fn speaks_udp(&self) -> bool {
        matches!(self.transport, Transport::Socket { udp: true, .. })
    }

    /// The next frame of a stream: see [`Framing::next_frame`]. One above the limit, whose end came with it in one segment, is an
    /// error too.
    pub fn next_frame(&self, framing: &mut dyn Framing, buffer: &mut BytesMut) -> Result<Option<Bytes>, Fault> {
        match framing.next_frame(buffer)? {
            Some(frame) if frame.len() > self.max_frame_bytes => {
                Err(Fault::new(FaultKind::Oversized, format_smolstr!("a frame of {} bytes", frame.len())))
            }
            frame => Ok(frame),
        }
    }
}

/// How a protocol's messages come to us.
#[derive(Debug, Clone, Copy)]
pub enum Transport {
    /// A TCP stream that is cut into frames, or UDP datagrams (one frame each), or both on one port.
    Socket {
        /// Whether the protocol comes as a TCP stream.
        tcp: bool,
        /// Whether it comes as UDP datagrams.
        udp: bool,
        /// Cuts a TCP stream into frames.
        framing: fn() -> Box<dyn Framing>,
        /// Understands the frames of one connection (TCP) or one sender (UDP).
        decoder: fn() -> Box<dyn Decoder>,
    },
    /// HTTP requests, each complete in itself.
    Http {
        /// Understands one request. Never panics, whatever the request.
        decode: fn(&HttpRequest<'_>, &Context) -> HttpDecoded,
    },
}

/// The parts of an HTTP request that decoders look at.
#[derive(Debug, Clone, Copy)]
pub struct HttpRequest<'a> {
    /// Upper case.
    pub method: &'a str,
    /// Path and query, still percent-encoded.
    pub uri: &'a str,
    /// Header names (any case) and values.
    pub headers: &'a [(&'a str, &'a str)],
    /// The whole body.
    pub body: &'a [u8],
}

impl<'a> HttpRequest<'a> {
    /// The first header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| *v)
    }

    /// What follows the `?`, still percent-encoded.
    pub fn query(&self) -> Option<&'a str> {
        self.uri.split_once('?').map(|(_, query)| query)
    }
}

/// What one HTTP request meant.
#[derive(Debug)]
pub struct HttpDecoded {
    /// Device, fixes and faults; `replies` and `refusal` stay empty.
    pub decoded: Decoded,
    /// Sent once everything in this request is durable.
    pub answer: HttpAnswer,
    /// Sent instead if the device is not accepted.
    pub refusal: HttpAnswer,
    /// Of requests whose answer says what became of each line.
    pub batch: Option<Batch>,
}

/// What became of the lines of a request.
#[derive(Debug, Default)]
pub struct Batch {
    /// The line of each fix, and whose it is.
    pub lines: Vec<(u32, DeviceId)>,
    refused: usize,
    faults: Vec<LineFault>,
}

/// A line that was left out.
#[derive(Debug, Serialize)]
struct LineFault {
    line: u32,
    error: SmolStr,
}

impl Batch {
    /// So many lines are told with what is wrong in them; all are counted.
    const MAX_FAULTS: usize = 100;

    /// A line is left out.
    pub fn refuse(&mut self, line: u32, error: &SmolStr) {
        self.refused += 1;
        if self.faults.len() < Self::MAX_FAULTS {
            self.faults.push(LineFault { line, error: error.clone() });
        }
    }

    /// The answer, once everything is durable but the fixes of devices that may not report.
    pub fn answer(mut self, may_report: impl Fn(&DeviceId) -> bool) -> HttpAnswer {
        let (stored, refused): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.lines).into_iter().partition(|(_, device)| may_report(device));
        for (line, device) in refused {
            self.refuse(line, &format_smolstr!("device {device} may not report"));
        }
        self.faults.sort_by_key(|fault| fault.line);
        let body = serde_json::json!({ "stored": stored.len(), "refused": self.refused, "faults": self.faults });
        HttpAnswer { status: 200, content_type: "application/json", body: body.to_string().into() }
    }
}

/// An HTTP response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpAnswer {
    /// Status code.
    pub status: u16,
    /// Value of `Content-Type`; empty: none, as there is no body.
    pub content_type: &'static str,
    /// Body.
    pub body: Bytes,
}

impl HttpAnswer {
    /// A status without a body.
    pub const fn status(status: u16) -> Self {
        Self { status, content_type: "", body: Bytes::new() }
    }

    /// A JSON body.
    pub const fn json(status: u16, body: &'static str) -> Self {
        Self { status, content_type: "application/json", body: Bytes::from_static(body.as_bytes()) }
    }
}

/// Cuts a byte stream into frames, whatever the TCP segmentation.
pub trait Framing: Send {
    /// Takes the next whole frame off the front of `buffer`; `Ok(None)`: more bytes are needed. Bytes that belong to no frame
    /// (noise between frames) are dropped from the buffer, so an `Ok(None)` with a full buffer means an oversized frame.
    /// `Err`: the stream has lost its framing and the connection has to be closed.
    fn next_frame(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, Fault>;
}

/// A command in bytes, or why there is none.
pub type Said = Result<Bytes, SmolStr>;

/// Understands the frames of one connection. Holds what a connection is told once (the login).
pub trait Decoder: Send {
    /// Understands one frame: what it means goes into `decoded`. An error is what could not be gone on from; what was understood
    /// before it is kept. Never panics, whatever the bytes.
    fn understand(&mut self, frame: &[u8], context: &Context, decoded: &mut Decoded) -> Result<(), Fault>;

    /// Where it is kept whose the connection is, once that is told. `None`: every message says whose it is.
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        None
    }

    /// Other ids that this device may have in the catalog, because labels or other servers write its id otherwise. One that is there
    /// counts, if the id itself is not.
    fn aliases(&self, _device: &DeviceId) -> Vec<DeviceId> {
        Vec::new()
    }

    /// The bytes that tell the device to do something. Not called, but for [`Self::say`].
    fn command(&mut self, _device: &DeviceId, _instruction: &Instruction, _context: &Context) -> Said {
        Err(SmolStr::new_static("nothing but bytes can be said in this protocol"))
    }

    /// The bytes that tell the device to do something. Bytes for which the protocol has no frame are sent as they are.
    fn say(&mut self, device: &DeviceId, instruction: &Instruction, context: &Context) -> Said {
        match (self.command(device, instruction, context), instruction) {
            (Err(_), Instruction::Bytes { hex }) => Ok(unhex(hex).into()),
            (said, _) => said,
        }
    }

    /// What one frame meant, faults and device included.
    fn decode(&mut self, frame: &[u8], context: &Context) -> Decoded {
        let mut decoded = Decoded::default();
        let understood = self.understand(frame, context, &mut decoded);
        decoded.faults.extend(understood.err());
        if let Some(Some(device)) = self.session() {
            decoded.device = Some(device.clone());
        }
        if let Some(device) = &decoded.device {
            decoded.aliases = self.aliases(device);
        }
        decoded
    }
}

/// What a decoder may know besides the bytes.
#[derive(Debug, Clone, Copy)]
pub struct Context {
    /// Now, for protocols that leave parts of the time out or ask for it.
    pub received_at: Timestamp,
    /// True for a datagram: some protocols frame and answer differently.
    pub datagram: bool,
    /// What a wrong checksum means.
    pub checksums: Checksums,
}

impl Context {
    /// A frame of a TCP connection or an HTTP request, checksums refused if wrong.
    pub const fn stream(received_at: Timestamp) -> Self {
        Self { received_at, datagram: false, checksums: Checksums::Refuse }
    }

    /// A datagram, checksums refused if wrong.
    pub const fn datagram(received_at: Timestamp) -> Self {
        Self { received_at, datagram: true, checksums: Checksums::Refuse }
    }
}

/// What a wrong checksum means for its frame. It is a fault in either case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Checksums {
    /// The frame is refused: nothing of it is kept and nothing answered, so that the device sends it again.
    #[default]
    Refuse,
    /// The frame is kept and answered all the same: for devices that never compute it right, and for looking into frames.
    Count,
}

/// What one frame meant.
#[derive(Debug, Default)]
pub struct Decoded {
    /// The device, if this frame says who it is (login) or the session knows already. Without one, only fixes that name their own
    /// can be stored.
    pub device: Option<DeviceId>,
    /// See [`Decoder::aliases`].
    pub aliases: Vec<DeviceId>,
    /// Fixes, in the order of the frame.
    pub fixes: Vec<Fix>,
    /// Sent to the device once everything in this frame is durable, in order.
    pub replies: Vec<Bytes>,
    /// Sent instead of `replies` if the device is not accepted; then the connection is closed.
    pub refusal: Option<Bytes>,
    /// What the device answers to a command, if this frame does.
    pub answer: Option<SmolStr>,
    /// What was wrong in this frame. The rest of it is kept.
    pub faults: FaultList,
    /// Nothing here reads what the frame holds, though it is no fault of the device (a part of a picture): what it is. Its bytes
    /// go into the quarantine.
    pub unread: Option<&'static str>,
}

impl Decoded {
    /// Who speaks here, each once: whose the message is, or else all whom its fixes name.
    pub fn speakers(&self) -> BTreeSet<&DeviceId> {
        match &self.device {
            Some(device) => BTreeSet::from([device]),
            None => self.fixes.iter().filter_map(|fix| fix.device.as_ref()).collect(),
        }
    }

    /// What was not understood here, if anything: the message is worth keeping as it came.
    pub fn not_understood(&self) -> Option<SmolStr> {
        let unknown = self.faults.iter().find(|fault| fault.kind == FaultKind::UnknownMessage);
        unknown.map(|fault| fault.detail.clone()).or(self.unread.map(SmolStr::new_static))
    }
}

/// One fix as a device reported it, before it is known whose fleet it belongs to.
#[derive(Debug, Clone, PartialEq)]
pub struct Fix {
    /// Whose it is, where one connection carries the fixes of several devices; `None`: of the device of the connection.
    pub device: Option<DeviceId>,
    /// When it was taken.
    pub fix_time: Timestamp,
    /// Where.
    pub location: LatLon,
    /// What the receiver says of it; exactly 0,0 is never valid.
    pub valid: bool,
    /// Metres.
    pub altitude_m: Option<f32>,
    /// Metres per second.
    pub speed_mps: Option<f32>,
    /// Degrees clockwise from true north.
    pub course_deg: Option<f32>,
    /// Metres.
    pub accuracy_m: Option<f32>,
    /// Everything else.
    pub attributes: Attributes,
}

/// Something wrong with what a device sent. Faulty data is data: counted and shown, never an error of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// A short stable word for metrics: see the constants.
    pub kind: FaultKind,
    /// For people: what was wrong and where.
    pub detail: SmolStr,
}

/// Kinds of faults: labels of the metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// Length or structure does not hold.
    Malformed,
    /// Checksum differs.
    Checksum,
    /// Larger than the protocol allows.
    Oversized,
    /// Coordinates outside ±90 / ±180.
    OutOfRange,
    /// No usable time.
    BadTime,
    /// A message type that we do not know.
    UnknownMessage,
    /// Data before a login, or no id at all.
    NoDevice,
    /// The device is not in the catalog and unknown devices are refused.
    RefusedDevice,
    /// The device has a token, and another one or none was shown.
    WrongToken,
    /// Its certificate names another device.
    WrongCertificate,
    /// The device may not speak from this address.
    WrongAddress,
    /// The date was 1,024 weeks behind and was put right.
    Rollover,
    /// On the port for all protocols: the first bytes are of none.
    UnknownProtocol,
    /// On the port for all protocols: the first bytes are of several.
    AmbiguousProtocol,
}

impl FaultKind {
    /// Label in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Checksum => "checksum",
            Self::Oversized => "oversized",
            Self::OutOfRange => "out_of_range",
            Self::BadTime => "bad_time",
            Self::UnknownMessage => "unknown_message",
            Self::NoDevice => "no_device",
            Self::RefusedDevice => "refused_device",
            Self::WrongToken => "wrong_token",
            Self::WrongCertificate => "wrong_certificate",
            Self::WrongAddress => "wrong_address",
            Self::Rollover => "rollover",
            Self::UnknownProtocol => "unknown_protocol",
            Self::AmbiguousProtocol => "ambiguous_protocol",
        }
    }
}

/// The faults of one message. Of one that is wrong in every byte, the first ones and that there were more: no message takes memory
/// without end.
#[derive(Debug, Clone, Default)]
pub struct FaultList(Vec<Fault>);

impl FaultList {
    const MAX: usize = 256;

    /// One more.
    pub fn push(&mut self, fault: Fault) {
        match self.0.len() {
            0..Self::MAX => self.0.push(fault),
            Self::MAX => self.0.push(Fault::new(fault.kind, "more faults than are told of one message")),
            _ => {}
        }
    }
}

impl Extend<Fault> for FaultList {
    fn extend<T: IntoIterator<Item = Fault>>(&mut self, faults: T) {
        faults.into_iter().for_each(|fault| self.push(fault));
    }
}

impl From<Fault> for FaultList {
    fn from(fault: Fault) -> Self {
        Self(vec![fault])
    }
}

impl std::ops::Deref for FaultList {
    type Target = [Fault];
    fn deref(&self) -> &[Fault] {
        &self.0
    }
}

impl<'a> IntoIterator for &'a FaultList {
    type Item = &'a Fault;
    type IntoIter = std::slice::Iter<'a, Fault>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl Fault {
    /// A fault with its explanation.
    pub fn new(kind: FaultKind, detail: impl Into<SmolStr>) -> Self {
        Self { kind, detail: detail.into() }
    }
}
