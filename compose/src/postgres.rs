//! Postgres wire of this system: who may come in and what they see is what the catalog says of tokens and users.

use crate::config::PostgresSection;
use std::sync::{Arc, PoisonError, RwLockReadGuard};
use std::time::Duration;
use waystream_domain::scram::ScramKeys;
use waystream_domain::{Catalog, SharedCatalog, TokenId, TokenScope, UserId};
use waystream_sql::Scope;
use waystream_sql::postgres::{Door, PostgresOptions};

/// See the module.
pub struct TokenDoor(pub SharedCatalog);

impl TokenDoor {
    fn look(&self) -> RwLockReadGuard<'_, Catalog> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Door for TokenDoor {
    fn keys(&self, user: &UserId) -> Vec<(TokenId, ScramKeys)> {
        let catalog = self.look();
        let tokens = catalog.tokens_of(user, crate::now()).filter(|token| token.scopes.contains(&TokenScope::Sql));
        tokens.filter_map(|token| Some((token.id.clone(), token.scram.clone()?))).collect()
    }

    fn scope(&self, token: &TokenId) -> Option<Scope> {
        let catalog = self.look();
        let token = catalog.api_tokens.get(token)?;
        let may = token.is_valid(crate::now()) && token.scopes.contains(&TokenScope::Sql);
        let user = catalog.users.get(&token.user).filter(|_| may)?;
        Some(Scope::of_organisation(user.organisation.clone(), &catalog))
    }
}

impl PostgresSection {
    /// What to listen with; none: it is off.
    pub fn options(&self) -> Option<PostgresOptions> {
        Some(PostgresOptions {
            listen: self.listen?,
            tls: self.tls.clone(),
            insecure: self.insecure,
            connections: self.max_connections,
            startup: Duration::from_secs(self.login_timeout_s),
            idle: Duration::from_secs(self.idle_timeout_s),
        })
    }
}

/// Opens the port.
pub async fn bind(
    options: PostgresOptions,
    sql: Arc<waystream_sql::SqlEngine>,
    catalog: SharedCatalog,
) -> anyhow::Result<waystream_sql::postgres::Postgres> {
    Ok(waystream_sql::postgres::Postgres::bind(options, sql, Arc::new(TokenDoor(catalog))).await?)
}
