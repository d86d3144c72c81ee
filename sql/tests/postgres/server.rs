//! The server under test.

use crate::client::{Client, Error};
use crate::common::{Fixture, fixture, organisation};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio_util::sync::CancellationToken;
use waystream_domain::catalog::{Role, User};
use waystream_domain::scram::ScramKeys;
use waystream_domain::{
    ApiToken, CatalogEdit, CatalogEntry, CatalogKey, NewToken, SharedCatalog, Timestamp, TokenId, TokenScope, UserId,
};
use waystream_sql::postgres::{Door, Postgres, PostgresOptions};
use waystream_sql::{Scope, SqlOptions};

/// Nothing that is waited for takes so long unless it never comes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Lets in whom the catalog knows.
pub(crate) struct CatalogDoor(pub(crate) SharedCatalog);

impl Door for CatalogDoor {
    fn keys(&self, user: &UserId) -> Vec<(TokenId, ScramKeys)> {
        let catalog = self.0.read().unwrap();
        catalog.tokens_of(user, now()).filter_map(|t| Some((t.id.clone(), t.scram.clone()?))).collect()
    }

    fn scope(&self, token: &TokenId) -> Option<Scope> {
        let catalog = self.0.read().unwrap();
        let token = catalog.api_tokens.get(token).filter(|t| t.is_valid(now()))?;
        Some(Scope::of_organisation(catalog.users.get(&token.user)?.organisation.clone(), &catalog))
    }
}

fn now() -> Timestamp {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Timestamp::from_millis(since_1970.as_millis() as i64).unwrap()
}

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
        for (name, whose) in [("anna", "acme"), ("bert", "bolt")] {
            let user = User {
                id: name.parse().unwrap(),
                organisation: organisation(whose),
                role: Role::Viewer,
                password_hash: None,
                preferences: None,
            };
            fixture.catalog.write().unwrap().apply(CatalogEdit::Put(CatalogEntry::User(user)));
        }
        let door = Arc::new(CatalogDoor(fixture.catalog.clone()));
        let postgres = Postgres::bind(options, fixture.engine.clone(), door).await.unwrap();
        let address = postgres.local_addr();
        let stop = CancellationToken::new();
        let running = tokio::spawn(postgres.run(stop.clone()));
        let [anna, bert] = ["anna", "bert"].map(|user| token(&fixture.catalog, user, &[TokenScope::Sql]).1);
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
        let id = ApiToken::id_of(secret).unwrap();
        self.fixture.catalog.write().unwrap().apply(CatalogEdit::Remove(CatalogKey::ApiToken(id)));
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

fn token(catalog: &SharedCatalog, user: &str, scopes: &[TokenScope]) -> (TokenId, String) {
    let new = NewToken {
        user: user.parse().unwrap(),
        name: "test".into(),
        scopes: scopes.iter().copied().collect::<BTreeSet<_>>(),
        created_at: now(),
        expires_at: None,
    };
    let mut random = [0; 40];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut random).unwrap();
    let (token, secret) = ApiToken::issue(new, &random);
    let id = token.id.clone();
    catalog.write().unwrap().apply(CatalogEdit::Put(CatalogEntry::ApiToken(token)));
    (id, secret.as_str().to_owned())
}
