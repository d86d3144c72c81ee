//! Arrow Flight SQL: columns that were never rows, for ADBC, JDBC and others, by the engine that also answers `/api/sql`, inside the same
//! scopes and limits.
//!
//! Who may come in is somebody else's business ([`Door`]). Every call shows a token, which is checked before anything of the call is read,
//! and while it is answered. Nothing is kept between calls: a ticket, or the handle of a prepared statement, is the statement itself with its
//! values, and means no more than if it were sent anew. Dropping what the engine gives stops the query; so a call that is cancelled, a connection
//! that ends, a deadline and a removed token all end the work itself.

mod call;
mod connection;
mod failure;
mod handle;
mod listener;
mod metadata;
mod rows;
mod service;
mod statements;

use crate::fair::Places;
use crate::{Door, SqlEngine, SqlError};
use datafusion::arrow::datatypes::SchemaRef;
use metadata::Facts;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use waystream_tls::{Encryption, Entrance, TlsError, TlsFiles};

/// Streams of rows at a time, which organisations share fairly; beside another, one may have half of them.
const STREAMS: usize = 256;

/// Settings.
#[derive(Debug, Clone)]
pub struct FlightOptions {
    /// Where to listen.
    pub listen: SocketAddr,
    /// TLS, which clients may then use. Without it all is sent as it is, which is refused on addresses that others can reach.
    pub tls: Option<TlsFiles>,
    /// Listen without TLS where others can reach us all the same, and let clients do without TLS where there is TLS.
    pub insecure: bool,
    /// Connections of clients that have shown a token, at a time.
    pub connections: usize,
    /// From the first byte until a client has shown a token; and for the values of a prepared statement.
    pub startup: Duration,
    /// A client that asks nothing for so long is cut off.
    pub idle: Duration,
    /// What is left of a query that has ended is taken in so long, or its connection is cut.
    pub stuck: Duration,
}

/// Why Flight SQL can't be served.
#[derive(Debug, thiserror::Error)]
pub enum FlightError {
    /// The address can't be listened on.
    #[error("could not listen on {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// Tokens and data would be sent in the open.
    #[error("Flight SQL: {0}")]
    Open(waystream_tls::Open),
    /// Certificate or key can't be used.
    #[error("no TLS for Flight SQL")]
    Tls(#[from] TlsError),
    /// The tables can't be looked at.
    #[error("could not look at the tables")]
    Tables(#[from] SqlError),
}

/// Listens for clients.
pub struct Flight {
    listener: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// What all connections share.
struct Shared {
    engine: Arc<SqlEngine>,
    door: Arc<dyn Door>,
    entrance: Entrance,
    options: FlightOptions,
    /// Names and columns of the tables that everybody has.
    tables: Vec<(String, SchemaRef)>,
    facts: Facts,
    streams: Places,
}

impl Flight {
    /// Opens the port. Clients are served once it runs.
    pub async fn bind(options: FlightOptions, engine: Arc<SqlEngine>, door: Arc<dyn Door>) -> Result<Self, FlightError> {
        let encryption = Encryption { files: options.tls.clone(), insecure: options.insecure };
        encryption.suffices(options.listen).map_err(FlightError::Open)?;
        let entrance = encryption.entrance("flight", &[b"h2"])?;
        let failed = |source| FlightError::Listen { address: options.listen, source };
        let listener = TcpListener::bind(options.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let tables = engine.tables().await?;
        let facts = Facts::new()?;
        let shared = Shared { engine, door, entrance, options, tables, facts, streams: Places::new(STREAMS, 0) };
        Ok(Self { listener, address, shared: Arc::new(shared) })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until cancelled; then clients are told and cut off.
    pub async fn run(self, cancel: CancellationToken) {
        listener::serve(self.listener, self.shared, cancel).await;
    }
}
