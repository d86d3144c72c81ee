//! All listeners together: bound first, so that a taken port is an error at start, then run until told to stop.

use crate::any;
use crate::commands::Commands;
use crate::config::{ANY, ConnectorsConfig, ListenerName, MQTT};
use crate::faults::Faults;
use crate::flow::Flow;
use crate::ingest::{Ingest, IngestOptions};
use crate::link::Opening;
use crate::listen::{Admission, accept};
use crate::mqtt::{self, external::Subscriber};
use crate::newest::Newest;
use crate::protocol::{self, Decoder, Framing, Protocol};
use crate::quarantine::Quarantine;
use crate::tray::Tray;
use crate::{http, protocols, tcp, udp};
use bytes::BytesMut;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpSocket, UdpSocket};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use waystream_log::Log;
use waystream_log::catalog::CatalogHandle;
use waystream_tls::{Encryption, Entrance, Open, TlsError, is_local};

/// Connections that may wait to be accepted: all devices of a fleet come back at once after an outage.
const BACKLOG: u32 = 4096;
/// A free TCP port may be taken for UDP: so many are tried.
const FREE_PORT_TRIES: usize = 16;

/// Errors by what the caller can do: change the configuration, or stop.
#[derive(Debug, thiserror::Error)]
pub enum ConnectorsError {
    /// The port is taken, or the address is not ours.
    #[error("could not listen for {protocol} on {address}/{transport}")]
    Bind {
        /// Name of the protocol.
        protocol: &'static str,
        /// Where.
        address: SocketAddr,
        /// How.
        transport: Transport,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// What devices say would be sent in the open.
    #[error("could not listen for {protocol}: {open}")]
    Open {
        /// Name of the protocol.
        protocol: &'static str,
        /// Where.
        open: Open,
    },
    /// Certificate or key can't be used.
    #[error("no TLS for connectors")]
    Tls(#[from] TlsError),
    /// The embedded MQTT broker did not start, or the settings of another one make no sense.
    #[error("could not use the MQTT broker: {0}")]
    Broker(String),
    /// A fault of ours.
    #[error("a listener ended unexpectedly")]
    Listener(#[source] tokio::task::JoinError),
}

/// How bytes come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// A stream.
    Tcp,
    /// Datagrams.
    Udp,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// A listener that is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BoundAddress {
    /// Which.
    pub listener: ListenerName,
    /// How.
    pub transport: Transport,
    /// Where, with the real port.
    pub address: SocketAddr,
}

/// The connectors, not yet listening.
#[derive(Debug)]
pub struct Connectors {
    config: ConnectorsConfig,
    quarantine: Option<PathBuf>,
}

/// The connectors, listening: devices may connect, and are served once it runs.
pub struct BoundConnectors {
    config: ConnectorsConfig,
    quarantine: Option<PathBuf>,
    entrance: Arc<Entrance>,
    /// Of listeners whose clients show certificates.
    of_clients: BTreeMap<ListenerName, Arc<Entrance>>,
    listeners: Vec<Bound>,
    subscribers: Vec<Subscriber>,
}

struct Bound {
    at: BoundAddress,
    socket: Socket,
}

enum Socket {
    Tcp(&'static Protocol, fn() -> Box<dyn Framing>, fn() -> Box<dyn Decoder>, TcpListener),
    /// Of one protocol, or of all.
    Udp(Option<&'static Protocol>, UdpSocket),
    Http(&'static Protocol, http::Decode, TcpListener),
    Mqtt(TcpListener),
    Any(TcpListener),
}

impl Connectors {
    /// Connectors with these settings.
    pub fn new(config: ConnectorsConfig) -> Self {
        Self { config, quarantine: None }
    }

    /// Messages that are not understood are kept in this folder; without one they are not kept.
    #[must_use]
    pub fn quarantine(mut self, folder: PathBuf) -> Self {
        self.quarantine = Some(folder);
        self
    }

    /// Starts to listen.
    pub async fn bind(self) -> Result<BoundConnectors, ConnectorsError> {
        let encryption = self.config.encryption();
        let mut listeners = Vec::new();
        for listener in ListenerName::all() {
            if let Some(address) = self.config.listens_on(listener) {
                let certificates = self.config.client_ca_files.contains_key(&listener);
                bind(listener, address, &encryption, certificates, &mut listeners).await?;
            }
        }
        let subscribers = self.config.brokers.iter().map(Subscriber::new).collect::<Result<_, _>>()?;
        let of_clients = |(name, ca): (&ListenerName, &PathBuf)| {
            let entrance = encryption.clone().entrance_of_clients(ca.clone(), name.as_str(), &[])?;
            Ok::<_, TlsError>((*name, Arc::new(entrance)))
        };
        let of_clients = self.config.client_ca_files.iter().map(of_clients).collect::<Result<_, _>>()?;
        let entrance = Arc::new(encryption.entrance("connectors", &[])?);
        let Self { config, quarantine } = self;
        Ok(BoundConnectors { config, quarantine, entrance, of_clients, listeners, subscribers })
    }

    /// Listens and serves until `stop`; returns when reports under way are answered, or after the grace period.
    pub async fn run(self, log: Arc<dyn Log>, catalog: CatalogHandle, stop: CancellationToken) -> Result<(), ConnectorsError> {
        self.bind().await?.run(log, catalog, stop).await
    }
}

impl BoundConnectors {
    /// Every listener that is on.
    pub fn addresses(&self) -> Vec<BoundAddress> {
        self.listeners.iter().map(|bound| bound.at).collect()
    }

    /// Where the listener of this name listens (TCP and UDP share the number of their port).
    pub fn address_of(&self, name: &str) -> Option<SocketAddr> {
        self.listeners.iter().find(|bound| bound.at.listener.as_str() == name).map(|bound| bound.at.address)
    }

    /// Serves until `stop`; returns when reports under way are answered, or after the grace period. The log and whoever
    /// follows the catalog have to outlive it.
    pub async fn run(self, log: Arc<dyn Log>, catalog: CatalogHandle, stop: CancellationToken) -> Result<(), ConnectorsError> {
        let config = Arc::new(self.config);
        let limits = config.limits.clone();
        let mut writer = None;
        let quarantine = match &self.quarantine {
            Some(folder) if config.quarantine_mb > 0 => {
                let (quarantine, writes) = Quarantine::in_folder(folder, config.quarantine_mb.saturating_mul(1 << 20));
                writer = Some(tokio::task::spawn_blocking(move || writes.run()));
                quarantine
            }
            _ => Quarantine::off(),
        };
        let options = IngestOptions {
            unknown_devices: config.unknown_devices,
            fleet: config.fleet.clone(),
            patience: limits.patience(),
            clocks: Some(config.utc_offset_min.clone()),
            quarantine: quarantine.clone(),
        };
        let (tray, refused) = Tray::of(catalog.clone());
        let flow = Flow::new(limits.max_messages_per_device_s);
        let ingest = Ingest::with_tray(log, catalog.clone(), options, Faults::default(), tray, flow);
        let commands = Commands::new(ingest.clone(), catalog);
        let admission = Admission::new(limits.max_connections, limits.max_connections_per_address);
        let opening = Opening { entrance: self.entrance, timeout: limits.login_timeout() };
        let newest = Newest::default();
        let mut running = JoinSet::new();
        running.spawn(commands.clone().wake(newest.clone(), stop.clone()));
        running.spawn(refused.run(stop.clone()));
        for Bound { at, socket } in self.listeners {
            let (ingest, admission, limits, stop) = (ingest.clone(), admission.clone(), limits.clone(), stop.clone());
            let (commands, mut opening) = (commands.clone(), opening.clone());
            if let Some(entrance) = self.of_clients.get(&at.listener) {
                opening.entrance = Arc::clone(entrance);
            }
            info!(protocol = at.listener.as_str(), address = %at.address, transport = %at.transport, "listening");
            match socket {
                Socket::Tcp(protocol, framing, decoder, listener) => {
                    let newest = newest.clone();
                    let shared = tcp::Shared {
                        protocol,
                        framing,
                        decoder,
                        checksums: config.checksums(protocol.name),
                        limits,
                        ingest,
                        newest,
                        commands,
                        stop: stop.clone(),
                    };
                    let serve = move |stream, peer| tcp::serve(shared.clone(), stream, peer, BytesMut::new());
                    running.spawn(accept(protocol.name, listener, admission, opening, stop, serve));
                }
                Socket::Any(listener) => {
                    let (config, newest) = (Arc::clone(&config), newest.clone());
                    let shared = any::Shared { config, ingest, newest, commands, stop: stop.clone() };
                    let serve = move |stream, peer| any::serve(shared.clone(), stream, peer);
                    running.spawn(accept(ANY, listener, admission, opening, stop, serve));
                }
                Socket::Udp(protocol, socket) => {
                    let config = Arc::clone(&config);
                    running.spawn(udp::run(udp::Shared { protocol, config, ingest, commands, stop }, socket));
                }
                Socket::Http(protocol, decode, listener) => {
                    let shared = http::Shared { protocol, decode, limits, ingest, stop: stop.clone() };
                    let serve = move |stream, peer| http::serve(shared.clone(), stream, peer);
                    running.spawn(accept(protocol.name, listener, admission, opening, stop, serve));
                }
                Socket::Mqtt(listener) => {
                    let broker = mqtt::Broker::start(ingest, Arc::clone(&config)).await?;
                    running.spawn(broker.run(listener, admission, opening, stop));
                }
            }
        }
        for subscriber in self.subscribers {
            running.spawn(subscriber.run(ingest.clone(), Arc::clone(&config), stop.clone()));
        }
        let ended = tokio::select! {
            ended = all(&mut running) => ended,
            () = async { stop.cancelled().await; tokio::time::sleep(limits.grace()).await } => {
                warn!("connections are cut off that did not end within the grace period");
                Ok(())
            }
        };
        running.shutdown().await;
        quarantine.close().await;
        if let Some(writer) = writer {
            writer.await.map_err(ConnectorsError::Listener)?;
        }
        ended
    }
}

async fn all(running: &mut JoinSet<()>) -> Result<(), ConnectorsError> {
    while let Some(ended) = running.join_next().await {
        ended.map_err(ConnectorsError::Listener)?;
    }
    Ok(())
}

async fn bind(
    listener: ListenerName,
    address: SocketAddr,
    encryption: &Encryption,
    certificates: bool,
    to: &mut Vec<Bound>,
) -> Result<(), ConnectorsError> {
    let name = listener.as_str();
    encryption.suffices(address).map_err(|open| ConnectorsError::Open { protocol: name, open })?;
    // There is no TLS for datagrams, so they can show no certificate either.
    let datagrams = !certificates && (is_local(address.ip()) || encryption.insecure);
    let failed = |transport| move |error| ConnectorsError::Bind { protocol: name, address, transport, error };
    let bound = |transport, address, socket| Bound { at: BoundAddress { listener, transport, address }, socket };
    let Some(protocol) = protocols::by_name(name) else {
        debug_assert!(matches!(name, MQTT | ANY));
        let (tcp, udp) =
            bind_both(address, true, name == ANY && datagrams).await.map_err(|(transport, error)| failed(transport)(error))?;
        if let Some((socket, at)) = tcp {
            let socket = if name == ANY { Socket::Any(socket) } else { Socket::Mqtt(socket) };
            to.push(bound(Transport::Tcp, at, socket));
        }
        if let Some((socket, at)) = udp {
            to.push(bound(Transport::Udp, at, Socket::Udp(None, socket)));
        }
        return Ok(());
    };
    match protocol.transport {
        protocol::Transport::Http { decode } => {
            let (socket, at) = bind_tcp(address).map_err(failed(Transport::Tcp))?;
            to.push(bound(Transport::Tcp, at, Socket::Http(protocol, decode, socket)));
        }
        protocol::Transport::Socket { tcp, udp, framing, decoder } => {
            if udp && !datagrams {
                info!(protocol = name, %address, "not over UDP, which is never encrypted and shows no certificate");
            }
            let (tcp, udp) =
                bind_both(address, tcp, udp && datagrams).await.map_err(|(transport, error)| failed(transport)(error))?;
            if let Some((socket, at)) = tcp {
                to.push(bound(Transport::Tcp, at, Socket::Tcp(protocol, framing, decoder, socket)));
            }
            if let Some((socket, at)) = udp {
                to.push(bound(Transport::Udp, at, Socket::Udp(Some(protocol), socket)));
            }
        }
    }
    Ok(())
}

type BoundBoth = (Option<(TcpListener, SocketAddr)>, Option<(UdpSocket, SocketAddr)>);

/// TCP and UDP on one port, also if it is a free one.
async fn bind_both(address: SocketAddr, tcp: bool, udp: bool) -> Result<BoundBoth, (Transport, io::Error)> {
    let mut tries = 0;
    loop {
        tries += 1;
        let stream = if tcp { Some(bind_tcp(address).map_err(|error| (Transport::Tcp, error))?) } else { None };
        if !udp {
            return Ok((stream, None));
        }
        let same = stream.as_ref().map_or(address, |(_, at)| *at);
        match UdpSocket::bind(same).await.and_then(|socket| socket.local_addr().map(|at| (socket, at))) {
            Ok(datagrams) => return Ok((stream, Some(datagrams))),
            Err(error) if address.port() == 0 && error.kind() == io::ErrorKind::AddrInUse && tries < FREE_PORT_TRIES => {}
            Err(error) => return Err((Transport::Udp, error)),
        }
    }
}

fn bind_tcp(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restart must not wait for connections of the last run that are in TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let listener = socket.listen(BACKLOG)?;
    let at = listener.local_addr()?;
    Ok((listener, at))
}
