//! One port for every protocol: waits for the first bytes, recognises what they are, and hands the connection on for good.

use crate::commands::Commands;
use crate::config::{ANY, ConnectorsConfig};
use crate::faults::Source;
use crate::ingest::Ingest;
use crate::link::{Link, read_some};
use crate::newest::Newest;
use crate::protocol::{Fault, FaultKind, Transport};
use crate::readers::hex;
use crate::recognise::{MAX_FIRST_BYTES, Recognised, recognise};
use crate::shown::Shown;
use crate::{http, protocols, tcp};
use bytes::BytesMut;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What all connections of the listener share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) config: Arc<ConnectorsConfig>,
    pub(crate) ingest: Ingest,
    pub(crate) newest: Newest,
    pub(crate) commands: Commands,
    pub(crate) stop: CancellationToken,
}

/// Serves a connection to its end and tells why it ended.
pub(crate) async fn serve(shared: Shared, mut link: Link, peer: SocketAddr) -> &'static str {
    let mut first = BytesMut::new();
    let name = {
        let recognised = recognised(&mut link, &mut first);
        let in_time = tokio::time::timeout(shared.config.limits.login_timeout(), recognised);
        let recognised = tokio::select! {
            () = shared.stop.cancelled() => return "stopping",
            recognised = in_time => recognised,
        };
        let (kind, what) = match recognised {
            Ok(Ok(Recognised::As(name))) => (None, name.to_owned()),
            Ok(Ok(Recognised::Ambiguous(names))) => (Some(FaultKind::AmbiguousProtocol), names.join(" or ")),
            Ok(Ok(Recognised::Unknown | Recognised::Undecided)) => (Some(FaultKind::UnknownProtocol), "no protocol".to_owned()),
            Ok(Err(reason)) => return reason,
            Err(_) if first.is_empty() => return "late_login",
            Err(_) => (Some(FaultKind::UnknownProtocol), "too little to tell".to_owned()),
        };
        if let Some(kind) = kind {
            let begins = hex(&first[..first.len().min(32)]);
            let source = Source { protocol: ANY, device: None, peer: Some(peer), shown: Shown::Nothing };
            shared.ingest.faults().tell(source, &Fault::new(kind, format!("{what}: the connection begins with {begins}")));
            return kind.as_str();
        }
        what
    };
    let Some(protocol) = protocols::by_name(&name) else { return FaultKind::UnknownProtocol.as_str() };
    let Shared { config, ingest, newest, commands, stop } = shared;
    let limits = config.limits.clone();
    match protocol.transport {
        Transport::Socket { framing, decoder, .. } => {
            let checksums = config.checksums(protocol.name);
            let shared = tcp::Shared { protocol, framing, decoder, checksums, limits, ingest, newest, commands, stop };
            Box::pin(tcp::serve(shared, link, peer, first)).await
        }
        Transport::Http { decode } => {
            Box::pin(http::go_on(http::Shared { protocol, decode, limits, ingest, stop }, link, peer, first)).await
        }
    }
}

/// Reads until the first bytes tell. An error is why the connection ended before.
async fn recognised(link: &mut Link, first: &mut BytesMut) -> Result<Recognised, &'static str> {
    loop {
        match read_some(link, first).await {
            Ok(0) => return Err("closed"),
            Ok(_) => {}
            Err(_) => return Err("broken"),
        }
        match recognise(first) {
            Recognised::Undecided if first.len() < MAX_FIRST_BYTES => {}
            recognised => return Ok(recognised),
        }
    }
}
