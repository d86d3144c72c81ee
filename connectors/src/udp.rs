//! Trackers that send datagrams: each is decoded, made durable, and then answered to its sender.
//!
//! A sender is an address. What its device has told once (a login, say) counts for its next datagrams too, and on the port for all
//! protocols the one that was recognised, until the address has been silent for long: then it may be somebody else's.

use crate::commands::Commands;
use crate::config::{ANY, ConnectorsConfig};
use crate::contest;
use crate::faults::Source;
use crate::ingest::{Ingest, Message, NotStored, Taken};
use crate::metrics;
use crate::now;
use crate::protocol::{Context, Decoded, Decoder, Fault, FaultKind, Protocol, Said, Transport};
use crate::protocols;
use crate::readers::{frames_of, hex};
use crate::recognise::{Recognised, recognise_datagram};
use crate::senders::Senders;
use crate::shown::Shown;
use crate::tcp::MAX_LOGIN_BYTES;
use bytes::Bytes;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use waystream_domain::{DeviceId, Instruction, Timestamp};

/// Largest payload of a UDP datagram.
const MAX_DATAGRAM_BYTES: usize = 65_507;
/// Messages under way at a time; with all in use nothing is received, and the kernel drops what does not fit its buffer.
const CONCURRENCY: usize = 1024;
const ERROR_PAUSE: Duration = Duration::from_millis(200);

/// What all datagrams of a listener share.
#[derive(Clone)]
pub(crate) struct Shared {
    /// `None`: it is recognised by a sender's first datagram.
    pub(crate) protocol: Option<&'static Protocol>,
    pub(crate) config: Arc<ConnectorsConfig>,
    pub(crate) ingest: Ingest,
    pub(crate) commands: Commands,
    pub(crate) stop: CancellationToken,
}

/// What is known of a sender.
struct Session {
    protocol: &'static Protocol,
    decoder: SharedDecoder,
    /// The message by which it said whose it is, if that is short: for what goes into the quarantine.
    login: Option<Bytes>,
}

/// A message that is understood, and not yet stored.
struct Understood {
    protocol: &'static Protocol,
    decoder: SharedDecoder,
    decoded: Decoded,
    received_at: Timestamp,
    came: Instant,
}

/// A sender's decoder: it reads the next datagram while commands are said to the device that sent the last one.
#[derive(Clone)]
struct SharedDecoder(Arc<Mutex<Box<dyn Decoder>>>);

impl SharedDecoder {
    fn with<T>(&self, what: impl FnOnce(&mut dyn Decoder) -> T) -> T {
        // What a panic left behind is at worst a login that is missing.
        what(self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut())
    }
}

impl Decoder for SharedDecoder {
    fn understand(&mut self, frame: &[u8], context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        self.with(|decoder| decoder.understand(frame, context, decoded))
    }

    fn say(&mut self, device: &DeviceId, instruction: &Instruction, context: &Context) -> Said {
        self.with(|decoder| decoder.say(device, instruction, context))
    }
}

/// Receives until the stop, then waits for the messages under way.
pub(crate) async fn run(shared: Shared, socket: UdpSocket) {
    let name = shared.protocol.map_or(ANY, |protocol| protocol.name);
    let limits = &shared.config.limits;
    let mut senders = Senders::new(limits.max_udp_senders, limits.udp_idle_timeout(), Instant::now());
    let socket = Arc::new(socket);
    let permits = Arc::new(Semaphore::new(CONCURRENCY));
    let mut under_way = JoinSet::new();
    let mut buffer = vec![0; MAX_DATAGRAM_BYTES];
    loop {
        let permit = Arc::clone(&permits).acquire_owned();
        let received = tokio::select! {
            () = shared.stop.cancelled() => break,
            Some(ended) = under_way.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(protocol = name, %error, "datagram task failed");
                }
                continue;
            }
            received = async {
                let permit = permit.await.expect("this semaphore is never closed");
                socket.recv_from(&mut buffer).await.map(|(bytes, peer)| (permit, bytes, peer))
            } => received,
        };
        match received {
            Ok((permit, bytes, peer)) => {
                let messages = understand(&shared, &mut senders, &buffer[..bytes], peer);
                let (shared, socket) = (shared.clone(), Arc::clone(&socket));
                under_way.spawn(async move {
                    let _permit = permit;
                    for message in messages {
                        let protocol = message.protocol.name;
                        if let Err(error) = serve(&shared, &socket, message, peer).await {
                            debug!(protocol, %peer, %error, "datagram not answered");
                            break;
                        }
                    }
                });
            }
            Err(error) => {
                warn!(protocol = name, %error, "receive failed");
                tokio::time::sleep(ERROR_PAUSE).await;
            }
        }
    }
    while under_way.join_next().await.is_some() {}
}

/// What a datagram means, one message or (of protocols that come as streams elsewhere) several. Datagrams of one sender are
/// understood in the order in which they came.
fn understand(
    shared: &Shared,
    senders: &mut Senders<SocketAddr, Session>,
    datagram: &[u8],
    peer: SocketAddr,
) -> Vec<Understood> {
    let now_mono = Instant::now();
    let known = senders.take(&peer, now_mono);
    let Some(mut session) = known.or_else(|| begin(shared, datagram, peer)) else { return Vec::new() };
    let (protocol, decoder) = (session.protocol, session.decoder.clone());
    let context =
        Context { received_at: now(), datagram: protocol.speaks_udp(), checksums: shared.config.checksums(protocol.name) };
    let mut messages = Vec::new();
    let mut remembered = session.login.is_some();
    for frame in frames(shared, protocol, datagram, peer) {
        let decoded = decoder.with(|decoder| decoder.decode(&frame, &context));
        let source = Source { protocol: protocol.name, device: None, peer: Some(peer), shown: Shown::Nothing };
        let message = Message { bytes: &frame, datagram: context.datagram, login: session.login.as_deref() };
        shared.ingest.set_aside(source, context.received_at, message, &decoded);
        if session.login.is_none() && decoded.device.is_some() && frame.len() <= MAX_LOGIN_BYTES {
            session.login = Some(frame);
        }
        // Of a sender that has never said whose it is nothing is worth keeping.
        remembered |= decoded.device.is_some();
        messages.push(Understood {
            protocol,
            decoder: decoder.clone(),
            decoded,
            received_at: context.received_at,
            came: now_mono,
        });
    }
    if remembered {
        senders.remember(peer, session, now_mono);
    }
    messages
}

/// The first datagram of a sender: in which protocol it is. `None`, and told: in none or several.
fn begin(shared: &Shared, datagram: &[u8], peer: SocketAddr) -> Option<Session> {
    let recognised = || {
        let (kind, what) = match recognise_datagram(datagram) {
            Recognised::As(name) => return protocols::by_name(name),
            Recognised::Ambiguous(names) => (FaultKind::AmbiguousProtocol, names.join(" or ")),
            Recognised::Unknown | Recognised::Undecided => (FaultKind::UnknownProtocol, "no protocol".to_owned()),
        };
        let begins = hex(&datagram[..datagram.len().min(32)]);
        let source = Source { protocol: ANY, device: None, peer: Some(peer), shown: Shown::Nothing };
        shared.ingest.faults().tell(source, &Fault::new(kind, format!("{what}: the datagram begins with {begins}")));
        None
    };
    let protocol = shared.protocol.or_else(recognised)?;
    match protocol.transport {
        Transport::Socket { decoder, .. } => {
            Some(Session { protocol, decoder: SharedDecoder(Arc::new(Mutex::new(decoder()))), login: None })
        }
        Transport::Http { .. } => None,
    }
}

/// The frames of a datagram: it is one, or (of a protocol that comes as a stream elsewhere) a piece of stream, perhaps without the mark
/// at its end.
fn frames(shared: &Shared, protocol: &'static Protocol, datagram: &[u8], peer: SocketAddr) -> Vec<Bytes> {
    let Transport::Socket { udp: false, framing, .. } = protocol.transport else {
        return vec![Bytes::copy_from_slice(datagram)];
    };
    let (frames, lost) = frames_of(framing(), datagram);
    if let Some(fault) = lost {
        let source = Source { protocol: protocol.name, device: None, peer: Some(peer), shown: Shown::Nothing };
        shared.ingest.faults().tell(source, &fault);
    }
    frames
}

async fn serve(shared: &Shared, socket: &UdpSocket, message: Understood, peer: SocketAddr) -> Result<(), NotStored> {
    let Understood { protocol, mut decoder, mut decoded, received_at, came } = message;
    let seen = decoded.fixes.iter().rfind(|fix| fix.valid).map(|fix| fix.location);
    let source = Source { protocol: protocol.name, device: None, peer: Some(peer), shown: Shown::Nothing };
    // Not answered, it is sent again; held back, it would keep others waiting.
    if !shared.ingest.flow().has_room(&shared.ingest.speakers(source, &decoded), came) {
        metrics::too_fast(protocol.name, 1);
        return Ok(());
    }
    let taken = shared.ingest.take(source, received_at, &mut decoded).await?;
    if let (Taken::Stored, Some(device)) = (taken, &decoded.device) {
        contest::heard(&shared.ingest, source, device, came, seen).await;
    }
    let replies = match taken {
        Taken::Stored => decoded.replies,
        Taken::Refused => decoded.refusal.into_iter().collect(),
    };
    for reply in replies {
        if let Err(error) = socket.send_to(&reply, peer).await {
            debug!(protocol = protocol.name, %peer, %error, "answer not sent");
        }
    }
    // Now the device can be reached: the way back through its operator's network is open.
    let Some(device) = decoded.device.filter(|_| taken == Taken::Stored) else { return Ok(()) };
    if let Some(answer) = &decoded.answer {
        shared.commands.answered(&device, seen, answer).await?;
    }
    while let Some(claimed) = shared.commands.next(&device, seen, &mut decoder, true).await? {
        let written = socket.send_to(&claimed.bytes, peer).await.is_ok();
        shared.commands.done(claimed, seen, written).await?;
    }
    Ok(())
}
