//! Trackers that send datagrams: each is decoded, made durable, and then answered to its sender.

use crate::commands::Commands;
use crate::faults::Source;
use crate::ingest::{Ingest, Message, NotStored, Taken};
use crate::now;
use crate::protocol::{Checksums, Context, Decoder, Protocol};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// Largest payload of a UDP datagram.
const MAX_DATAGRAM_BYTES: usize = 65_507;
/// Datagrams under way at a time; with all in use nothing is received, and the kernel drops what does not fit its buffer.
const CONCURRENCY: usize = 1024;
const ERROR_PAUSE: Duration = Duration::from_millis(200);

/// What all datagrams of a listener share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) protocol: &'static Protocol,
    pub(crate) decoder: fn() -> Box<dyn Decoder>,
    pub(crate) checksums: Checksums,
    pub(crate) ingest: Ingest,
    pub(crate) commands: Commands,
    pub(crate) stop: CancellationToken,
}

/// Receives until the stop, then waits for the datagrams under way.
pub(crate) async fn run(shared: Shared, socket: UdpSocket) {
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
                    tracing::error!(protocol = shared.protocol.name, %error, "datagram task failed");
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
                let (shared, socket, datagram) = (shared.clone(), Arc::clone(&socket), buffer[..bytes].to_vec());
                under_way.spawn(async move {
                    let _permit = permit;
                    if let Err(error) = serve(&shared, &socket, &datagram, peer).await {
                        debug!(protocol = shared.protocol.name, %peer, %error, "datagram not answered");
                    }
                });
            }
            Err(error) => {
                warn!(protocol = shared.protocol.name, %error, "receive failed");
                tokio::time::sleep(ERROR_PAUSE).await;
            }
        }
    }
    while under_way.join_next().await.is_some() {}
}

async fn serve(shared: &Shared, socket: &UdpSocket, datagram: &[u8], peer: SocketAddr) -> Result<(), NotStored> {
    let received_at = now();
    let context = Context { checksums: shared.checksums, ..Context::datagram(received_at) };
    let mut decoder = (shared.decoder)();
    let mut decoded = decoder.decode(datagram, &context);
    let seen = decoded.fixes.iter().rfind(|fix| fix.valid).map(|fix| fix.location);
    let source = Source { protocol: shared.protocol.name, device: None, peer: Some(peer) };
    let message = Message { bytes: datagram, datagram: true, login: None };
    shared.ingest.set_aside(source, received_at, message, &decoded);
    let taken = shared.ingest.take(source, received_at, &mut decoded).await?;
    let replies = match taken {
        Taken::Stored => decoded.replies,
        Taken::Refused => decoded.refusal.into_iter().collect(),
    };
    for reply in replies {
        if let Err(error) = socket.send_to(&reply, peer).await {
            debug!(protocol = shared.protocol.name, %peer, %error, "answer not sent");
        }
    }
    // Now the device can be reached: the way back through its operator's network is open.
    let Some(device) = decoded.device.filter(|_| taken == Taken::Stored) else { return Ok(()) };
    if let Some(answer) = &decoded.answer {
        shared.commands.answered(&device, seen, answer).await?;
    }
    while let Some(claimed) = shared.commands.next(&device, seen, decoder.as_mut(), true).await? {
        let written = socket.send_to(&claimed.bytes, peer).await.is_ok();
        shared.commands.done(claimed, seen, written).await?;
    }
    Ok(())
}
