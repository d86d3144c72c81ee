//! Postgres wire: SQL for psql, drivers and tools, by the engine that also answers `/api/sql`, inside the same scopes and limits.
//!
//! Who may come in is somebody else's business ([`Door`]). Everything that is asked goes through [`SqlEngine`] with the scope that
//! the door gives at that moment, and dropping what the engine gives stops the query; so a connection that ends, a cancel request,
//! a deadline and a removed token all end the work itself. Nothing here is shared by connections but the tables of `pg_catalog`,
//! which have no data.

mod binary;
mod cancel;
mod catalog;
mod command;
mod commands;
mod configuring;
mod connection;
mod dialect;
mod exchange;
mod extended;
mod failure;
mod frontend;
mod functions;
mod listener;
mod parameters;
mod prepare;
mod rows;
mod scram;
mod session;
mod settings;
mod simple;
mod startup;
mod stream;

use crate::{Door, SqlEngine, SqlError};
use cancel::Cancels;
use dialect::Dialect;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use waystream_tls::{Encryption, Entrance, TlsError, TlsFiles};

/// Settings.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// Where to listen.
    pub listen: SocketAddr,
    /// TLS, which clients may then use. Without it all is sent as it is, which is refused on addresses that others can reach.
    pub tls: Option<TlsFiles>,
    /// Listen without TLS where others can reach us all the same, and let clients do without TLS where there is TLS.
    pub insecure: bool,
    /// Clients signed in at a time.
    pub connections: usize,
    /// From the first byte until a client has signed in.
    pub startup: Duration,
    /// A client that says nothing for so long is cut off.
    pub idle: Duration,
}

/// Why Postgres wire can't be served.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// The address can't be listened on.
    #[error("could not listen on {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// Tokens and data would be sent in the open.
    #[error("Postgres wire: {0}")]
    Open(waystream_tls::Open),
    /// Certificate or key can't be used.
    #[error("no TLS for Postgres wire")]
    Tls(#[from] TlsError),
    /// The tables can't be looked at.
    #[error("could not look at the tables")]
    Tables(#[from] SqlError),
}

/// Listens for clients.
pub struct Postgres {
    listener: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// What all connections share.
struct Shared {
    engine: Arc<SqlEngine>,
    door: Arc<dyn Door>,
    dialect: Arc<Dialect>,
    entrance: Entrance,
    options: PostgresOptions,
    cancels: Arc<Cancels>,
}

impl Postgres {
    /// Opens the port. Clients are served once it runs.
    pub async fn bind(options: PostgresOptions, engine: Arc<SqlEngine>, door: Arc<dyn Door>) -> Result<Self, PostgresError> {
        let encryption = Encryption { files: options.tls.clone(), insecure: options.insecure };
        encryption.suffices(options.listen).map_err(PostgresError::Open)?;
        // What newer clients name; of those that begin with TLS at once it is demanded.
        let entrance = encryption.entrance("postgres", &[b"postgresql"])?;
        let failed = |source| PostgresError::Listen { address: options.listen, source };
        let listener = TcpListener::bind(options.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let dialect = Arc::new(engine.dialect().await?);
        let shared = Shared { engine, door, dialect, entrance, options, cancels: Arc::default() };
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

impl SqlEngine {
    /// The dialect over the tables that everybody has. Made on the engine's threads, as it parses.
    async fn dialect(&self) -> Result<Dialect, SqlError> {
        let tables = self.tables().await?;
        let mut answer = self.spawn(Some(self.deadline()), move |out| async move {
            out.send(Ok(Dialect::new(tables)?)).await.ok();
            Ok(())
        });
        answer.next().await.unwrap_or_else(|| Err(SqlError::Store("the tables have gone".into())))
    }
}
