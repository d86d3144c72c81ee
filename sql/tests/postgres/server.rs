//! The server under test.

use crate::client::{Client, Error};
use crate::common::{Fixture, fixture};
use crate::people::{CatalogDoor, people, revoke, token};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use waystream_domain::{TokenId, TokenScope};
use waystream_sql::SqlOptions;
use waystream_sql::postgres::{Postgres, PostgresOptions};

/// Nothing that is waited for takes so long unless it never comes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// See the module. `anna` is of acme, `bert` of bolt; each has one token.
pub(crate) struct Server {
    pub(crate) fixture: Fixture,
    pub(crate) address: SocketAddr,
    pub(crate) anna: String,
    pub(crate) bert: String,
    stop: CancellationToken,
    running: tokio::task::JoinHandle<()>,
}

/// What tests begin with.
pub(crate) fn options() -> PostgresOptions {
    PostgresOptions {
        listen: ([127, 0, 0, 1], 0).into(),
        tls: None,
        insecure: false,
        connections: 40,
        startup: Duration::from_secs(10),
        idle: Duration::from_secs(600),
    }
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_with(options(), SqlOptions::default()).await
    }

    pub(crate) async fn start_with(options: PostgresOptions, limits: SqlOptions) -> Self {
        let fixture = fixture(limits).await;
        let [anna, bert] = people(&fixture);
        let door = Arc::new(CatalogDoor(fixture.catalog.clone()));
        let postgres = Postgres::bind(options, fixture.engine.clone(), door).await.unwrap();
        let address = postgres.local_addr();
        let stop = CancellationToken::new();
        let running = tokio::spawn(postgres.run(stop.clone()));
        Self { fixture, address, anna, bert, stop, running }
    }

    pub(crate) async fn anna(&self) -> Client {
        self.connect("anna", &self.anna).await.unwrap()
    }

    pub(crate) async fn connect(&self, user: &str, secret: &str) -> Result<Client, Error> {
        Client::connect(self.address, user, secret).await
    }

    /// Another token of a user.
    pub(crate) fn token(&self, user: &str, scopes: &[TokenScope]) -> (TokenId, String) {
        token(&self.fixture.catalog, user, scopes)
    }

    pub(crate) fn revoke(&self, secret: &str) {
        revoke(&self.fixture.catalog, secret);
    }

    /// Waits until so many queries run.
    pub(crate) async fn until_running(&self, queries: usize) {
        let begun = Instant::now();
        while self.fixture.engine.running() != queries {
            let running = self.fixture.engine.running();
            assert!(begun.elapsed() < PATIENCE, "{running} queries run, not {queries}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(Duration::from_secs(10), self.running).await.expect("ends soon").unwrap();
    }
}
