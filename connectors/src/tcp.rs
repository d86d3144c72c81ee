//! One tracker's TCP connection: read, cut into frames, decode, make durable, and only then answer.

use crate::commands::Commands;
use crate::config::Limits;
use crate::contest;
use crate::faults::Source;
use crate::ingest::{Ingest, Message, NotStored, Report};
use crate::link::{Link, read_some};
use crate::metrics;
use crate::newest::{Claim, Newest};
use crate::now;
use crate::protocol::{Checksums, Context, Decoder, Fault, FaultKind, Framing, Protocol};
use crate::shown::Shown;
use bytes::{Bytes, BytesMut};
use smol_str::SmolStr;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::debug;
use waystream_domain::{DeviceId, LatLon, Timestamp};

/// No frame is larger, whatever its protocol says: bounds the memory of a connection.
pub(crate) const MAX_FRAME_BYTES: usize = 64 * 1024;
/// So many frames in a row that make no sense, and the connection is closed.
const MAX_BAD_FRAMES: u32 = 3;
/// Logins are short; longer first frames say with each message whose it is.
pub(crate) const MAX_LOGIN_BYTES: usize = 128;
/// A device that does not take its answer is gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// What all connections of a listener share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) protocol: &'static Protocol,
    pub(crate) framing: fn() -> Box<dyn Framing>,
    pub(crate) decoder: fn() -> Box<dyn Decoder>,
    pub(crate) checksums: Checksums,
    pub(crate) limits: Limits,
    pub(crate) ingest: Ingest,
    pub(crate) newest: Newest,
    pub(crate) commands: Commands,
    pub(crate) stop: CancellationToken,
}

/// Serves a connection to its end and tells why it ended. `first`: what has been read of it.
pub(crate) async fn serve(shared: Shared, link: Link, peer: SocketAddr, first: BytesMut) -> &'static str {
    let mut session = Session {
        framing: (shared.framing)(),
        decoder: (shared.decoder)(),
        max_frame_bytes: shared.protocol.max_frame_bytes.min(MAX_FRAME_BYTES),
        replaced: CancellationToken::new(),
        wake: Arc::new(Notify::new()),
        seen: None,
        claim: None,
        known: false,
        named_last: None,
        bad_frames: 0,
        opened: Instant::now(),
        login: None,
        buffer: first,
        certificate: link.certificate(),
        link,
        peer,
        shared,
    };
    match session.rounds().await {
        Ok(never) => match never {},
        Err(end) => end.word(),
    }
}

/// Why a connection ends: a label of the metric.
#[derive(Debug)]
enum End {
    /// By the device.
    Closed,
    /// By the network.
    Broken(io::Error),
    /// No login, no whole frame, or nothing at all in its time.
    Late(&'static str),
    /// The stream makes no sense.
    Senseless,
    /// The device is not accepted.
    Refused,
    /// A newer connection of the same device.
    Replaced,
    /// The log did not take what came: no answer, the device sends again.
    NotStored(NotStored),
    /// We stop.
    Stopping,
}

impl End {
    fn word(&self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Broken(error) => {
                debug!(%error, "connection broken");
                "broken"
            }
            Self::Late(what) => what,
            Self::Senseless => "senseless",
            Self::Refused => "refused",
            Self::Replaced => "replaced",
            Self::NotStored(error) => {
                debug!(%error, "connection closed unanswered");
                "not_stored"
            }
            Self::Stopping => "stopping",
        }
    }
}

/// What is done with the frames of one round: stored together, then answered in order.
#[derive(Default)]
struct Round {
    reports: Vec<Report>,
    replies: Vec<Bytes>,
    /// What the device answers to commands.
    answers: Vec<SmolStr>,
    /// Whole frames.
    messages: usize,
    /// How many of them are whose, where the connection is nobody's.
    relayed: BTreeMap<DeviceId, usize>,
    /// The connection ends after the replies.
    end: Option<End>,
}

struct Session {
    shared: Shared,
    link: Link,
    /// The device that its certificate names.
    certificate: Option<String>,
    peer: SocketAddr,
    framing: Box<dyn Framing>,
    decoder: Box<dyn Decoder>,
    max_frame_bytes: usize,
    replaced: CancellationToken,
    claim: Option<Claim>,
    /// Notified when there is a command for its device.
    wake: Arc<Notify>,
    /// Where its device was last.
    seen: Option<(LatLon, Timestamp)>,
    /// Whether it told any device that may report: of its own, or of a fix.
    known: bool,
    /// Whom a fix has named last, where the connection is nobody's.
    named_last: Option<DeviceId>,
    bad_frames: u32,
    /// The frame by which it said whose it is, if that is short: for what goes into the quarantine.
    login: Option<Bytes>,
    opened: Instant,
    buffer: BytesMut,
}

impl Session {
    async fn rounds(&mut self) -> Result<std::convert::Infallible, End> {
        // When the frame that is not yet whole began.
        let mut begun = None;
        let mut unread = self.buffer.is_empty();
        loop {
            if std::mem::replace(&mut unread, true) && !self.read(begun).await? {
                Box::pin(self.send_commands()).await?;
                continue;
            }
            // Boxed, as most of the time there is no round: a connection that waits need not have room for one.
            let progress = Box::pin(self.serve_round()).await?;
            if progress {
                begun = None;
            }
            if self.buffer.is_empty() {
                // An idle connection holds no buffer.
                self.buffer = BytesMut::new();
                begun = None;
            } else {
                begun = begun.or_else(|| Some(Instant::now()));
            }
        }
    }

    /// Waits for bytes: for the login, for the rest of a frame, or for the next one, each in its time. `false`: there are none, but
    /// a command for the device.
    async fn read(&mut self, begun: Option<Instant>) -> Result<bool, End> {
        let limits = &self.shared.limits;
        let (deadline, what) = match (begun, self.known) {
            (_, false) => (self.opened + limits.login_timeout(), "late_login"),
            (Some(begun), _) => (begun + limits.frame_timeout(), "late_frame"),
            (None, _) => (Instant::now() + limits.idle_timeout(), "idle"),
        };
        tokio::select! {
            () = self.shared.stop.cancelled() => Err(End::Stopping),
            () = self.replaced.cancelled() => Err(End::Replaced),
            () = tokio::time::sleep_until(deadline) => Err(End::Late(what)),
            () = self.wake.notified() => Ok(false),
            read = read_some(&mut self.link, &mut self.buffer) => match read.map_err(End::Broken)? {
                0 => Err(End::Closed),
                _ => Ok(true),
            },
        }
    }

    /// Stores what has come, answers it, and says what is to be said. Whether there was a whole frame.
    async fn serve_round(&mut self) -> Result<bool, End> {
        let mut round = self.round().await?;
        let (messages, relayed) = (round.messages, std::mem::take(&mut round.relayed));
        self.answer(round).await?;
        self.send_commands().await?;
        self.slow_down(messages, relayed).await?;
        Ok(messages > 0)
    }

    /// Reads nothing for a while from a device that floods, or from a relay of one: in one stream the others wait behind it.
    async fn slow_down(&mut self, messages: usize, relayed: BTreeMap<DeviceId, usize>) -> Result<(), End> {
        let (flow, now) = (self.shared.ingest.flow(), std::time::Instant::now());
        let pause = match &self.claim {
            Some(claim) => flow.said(claim.device(), messages, now),
            None => relayed.iter().map(|(device, messages)| flow.said(device, *messages, now)).max().unwrap_or_default(),
        };
        if pause.is_zero() {
            return Ok(());
        }
        metrics::too_fast(self.shared.protocol.name, messages);
        tokio::select! {
            () = self.shared.stop.cancelled() => Err(End::Stopping),
            () = self.replaced.cancelled() => Err(End::Replaced),
            () = tokio::time::sleep(pause) => Ok(()),
        }
    }

    /// Takes all whole frames off the buffer and understands them.
    async fn round(&mut self) -> Result<Round, End> {
        let received_at = now();
        let context = Context { checksums: self.shared.checksums, ..Context::stream(received_at) };
        let mut round = Round::default();
        while round.end.is_none() {
            match self.shared.protocol.next_frame(self.framing.as_mut(), &mut self.buffer) {
                Ok(Some(frame)) => {
                    round.messages += 1;
                    self.understand(&frame, &context, &mut round).await?;
                }
                Ok(None) if self.buffer.len() >= self.max_frame_bytes => {
                    let bytes = self.buffer.len();
                    self.tell(&Fault::new(FaultKind::Oversized, format!("a frame of {bytes} bytes or more")));
                    round.end = Some(End::Senseless);
                }
                Ok(None) => break,
                Err(fault) => {
                    self.tell(&fault);
                    round.end = Some(End::Senseless);
                }
            }
        }
        if !round.reports.is_empty() {
            let reports = std::mem::take(&mut round.reports);
            self.shared.ingest.store(self.source(), received_at, reports).await.map_err(End::NotStored)?;
        }
        if let Some(claim) = &self.claim {
            for answer in round.answers.drain(..) {
                self.shared.commands.answered(claim.device(), self.seen(), &answer).await.map_err(End::NotStored)?;
            }
        }
        Ok(round)
    }

    async fn understand(&mut self, frame: &[u8], context: &Context, round: &mut Round) -> Result<(), End> {
        let decoded = self.decoder.decode(frame, context);
        for fault in &decoded.faults {
            self.tell(fault);
        }
        let message = Message { bytes: frame, datagram: false, login: self.login.as_deref() };
        self.shared.ingest.set_aside(self.source(), context.received_at, message, &decoded);
        if self.login.is_none() && decoded.device.is_some() && frame.len() <= MAX_LOGIN_BYTES {
            self.login = Some(Bytes::copy_from_slice(frame));
        }
        let makes_no_sense = |fault: &Fault| {
            matches!(fault.kind, FaultKind::Malformed | FaultKind::Checksum | FaultKind::Oversized | FaultKind::NoDevice)
        };
        if decoded.fixes.is_empty() && decoded.faults.iter().any(makes_no_sense) {
            self.bad_frames += 1;
        } else {
            self.bad_frames = 0;
        }
        if self.bad_frames >= MAX_BAD_FRAMES {
            round.end = Some(End::Senseless);
        }
        // Without a device, fixes may name their own, and some protocols answer before they know who it is.
        let (mut session, mut begins) = (None, false);
        if let Some(device) = &decoded.device {
            let admitted = self.shared.ingest.admit(self.source(), device, &decoded.aliases, decoded.fixes.len());
            let admitted = admitted.await.map_err(End::NotStored)?;
            let Some(admitted) = admitted else {
                round.replies.extend(decoded.refusal);
                round.end = Some(End::Refused);
                return Ok(());
            };
            if self.claim.as_ref().is_none_or(|claim| claim.device() != admitted.device()) {
                self.claim = Some(self.shared.newest.claim(admitted.device(), &self.replaced, &self.wake));
                begins = true;
            }
            session = Some(admitted);
        }
        if let Some(fix) = decoded.fixes.iter().rfind(|fix| fix.valid && fix.device.is_none()) {
            self.seen = Some((fix.location, fix.fix_time));
        }
        if begins && let Some(from) = &session {
            let came = std::time::Instant::now();
            contest::heard(&self.shared.ingest, self.source(), from.device(), came, self.seen()).await;
        }
        round.answers.extend(decoded.answer);
        let reports = self.shared.ingest.reports(self.source(), session.as_ref(), decoded.fixes);
        let reports = reports.await.map_err(End::NotStored)?;
        self.known |= session.is_some() || !reports.is_empty();
        if self.claim.is_none() {
            self.count(&reports, round);
        }
        round.reports.extend(reports);
        round.replies.extend(decoded.replies);
        Ok(())
    }

    /// A relay's frame is one of each device that it names; one that names none, of who was named last.
    fn count(&mut self, reports: &[Report], round: &mut Round) {
        let mut named: BTreeSet<&DeviceId> = reports.iter().map(|report| report.from.device()).collect();
        if reports.is_empty() {
            named.extend(&self.named_last);
        }
        for device in named {
            *round.relayed.entry(device.clone()).or_default() += 1;
        }
        if let Some(report) = reports.last() {
            self.named_last = Some(report.from.device().clone());
        }
    }

    /// Where the device was last, if whose it is now may know.
    fn seen(&self) -> Option<LatLon> {
        let (location, fix_time) = self.seen?;
        let is_own = |device| self.shared.ingest.is_of_its_owner(device, fix_time);
        self.claim.as_ref().is_none_or(|claim| is_own(claim.device())).then_some(location)
    }

    /// Everything in the round is durable: says so, if this connection still speaks for its device.
    async fn answer(&mut self, round: Round) -> Result<(), End> {
        if self.replaced.is_cancelled() {
            return Err(End::Replaced);
        }
        if !round.replies.is_empty() {
            let bytes = round.replies.concat();
            match tokio::time::timeout(WRITE_TIMEOUT, self.link.send(&bytes)).await {
                Ok(written) => written.map_err(End::Broken)?,
                Err(_) => return Err(End::Late("late_write")),
            }
        }
        match round.end {
            None => Ok(()),
            Some(end) => {
                // So that the last answer arrives although there may be bytes that we never read.
                if let Err(error) = self.link.shutdown().await {
                    debug!(%error, "connection broken while closing");
                }
                Err(end)
            }
        }
    }

    /// Says what is to be said to the device, if this connection speaks for one.
    async fn send_commands(&mut self) -> Result<(), End> {
        let commands = self.shared.commands.clone();
        while let Some(claim) = &self.claim
            && !self.replaced.is_cancelled()
        {
            let next = commands.next(claim.device(), self.seen(), self.decoder.as_mut(), false);
            let Some(claimed) = next.await.map_err(End::NotStored)? else { break };
            let written = tokio::time::timeout(WRITE_TIMEOUT, self.link.send(&claimed.bytes)).await;
            let done = commands.done(claimed, self.seen(), matches!(written, Ok(Ok(())))).await;
            match written {
                Ok(written) => written.map_err(End::Broken)?,
                Err(_) => return Err(End::Late("late_write")),
            }
            done.map_err(End::NotStored)?;
        }
        Ok(())
    }

    fn source(&self) -> Source<'_> {
        let device = self.claim.as_ref().map(Claim::device);
        let shown = self.certificate.as_deref().map_or(Shown::Nothing, Shown::Certificate);
        Source { protocol: self.shared.protocol.name, device, peer: Some(self.peer), shown }
    }

    fn tell(&self, fault: &Fault) {
        self.shared.ingest.faults().tell(self.source(), fault);
    }
}
