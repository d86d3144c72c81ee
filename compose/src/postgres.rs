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
        if !catalog.users.get(user).is_some_and(|user| user.role.looks_around()) {
            return Vec::new();
        }
        let tokens = catalog.tokens_of(user, crate::now()).filter(|token| token.scopes.contains(&TokenScope::Sql));
        tokens.filter_map(|token| Some((token.id.clone(), token.scram.clone()?))).collect()
    }

    fn scope(&self, token: &TokenId) -> Option<Scope> {
        let catalog = self.look();
        let token = catalog.api_tokens.get(token)?;
        let may = token.is_valid(crate::now()) && token.scopes.contains(&TokenScope::Sql);
        let user = catalog.users.get(&token.user).filter(|user| may && user.role.looks_around())?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::RwLock;
    use waystream_domain::catalog::{Role, User};
    use waystream_domain::{ApiToken, CatalogEdit, CatalogEntry, NewToken};

    #[test]
    fn a_token_of_an_installer_opens_nothing() {
        for (role, opens) in [(Role::Viewer, true), (Role::Installer, false)] {
            let id: UserId = "anna".parse().expect("id");
            let scopes = [TokenScope::Sql].into_iter().collect();
            let new = NewToken { user: id.clone(), name: "BI".into(), scopes, created_at: crate::now(), expires_at: None };
            let (token, _) = ApiToken::issue(new, &[7; 40]);
            let key = token.id.clone();
            let organisation = "acme".parse().expect("id");
            let user = User { id: id.clone(), organisation, role, password_hash: None, preferences: None };
            let mut catalog = Catalog::default();
            catalog.apply(CatalogEdit::Put(CatalogEntry::User(user)));
            catalog.apply(CatalogEdit::Put(CatalogEntry::ApiToken(token)));
            let door = TokenDoor(Arc::new(RwLock::new(catalog)));
            assert_eq!((door.keys(&id).len() == 1, door.scope(&key).is_some()), (opens, opens), "{role:?}");
        }
    }
}
