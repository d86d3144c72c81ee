//! The door to SQL clients: who may come in and what they see is what the catalog says of tokens and users.

use std::sync::{PoisonError, RwLockReadGuard};
use waystream_domain::scram::ScramKeys;
use waystream_domain::{ApiToken, Catalog, SharedCatalog, TokenId, TokenScope, UserId};
use waystream_sql::{Door, Scope};

/// See the module.
pub struct TokenDoor(pub SharedCatalog);

impl TokenDoor {
    fn look(&self) -> RwLockReadGuard<'_, Catalog> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a token opens now, if it opens anything: it is valid and for SQL, and its user may look around.
fn opens(token: &ApiToken, catalog: &Catalog) -> Option<Scope> {
    let may = token.is_valid(crate::now()) && token.scopes.contains(&TokenScope::Sql);
    let user = catalog.users.get(&token.user).filter(|user| may && user.role.looks_around())?;
    Some(Scope::of_organisation(user.organisation.clone(), catalog))
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

    fn owner(&self, secret: &str) -> Option<(UserId, TokenId)> {
        let catalog = self.look();
        let token = catalog.api_tokens.get(&ApiToken::id_of(secret)?).filter(|token| token.is(secret))?;
        opens(token, &catalog).map(|_| (token.user.clone(), token.id.clone()))
    }

    fn scope(&self, token: &TokenId) -> Option<Scope> {
        let catalog = self.look();
        opens(catalog.api_tokens.get(token)?, &catalog)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, RwLock};
    use waystream_domain::catalog::{Role, User};
    use waystream_domain::{CatalogEdit, CatalogEntry, NewToken};

    #[test]
    fn a_token_of_an_installer_opens_nothing() {
        for (role, opens) in [(Role::Viewer, true), (Role::Installer, false)] {
            let id: UserId = "anna".parse().expect("id");
            let scopes = [TokenScope::Sql].into_iter().collect();
            let new = NewToken { user: id.clone(), name: "BI".into(), scopes, created_at: crate::now(), expires_at: None };
            let (token, secret) = ApiToken::issue(new, &[7; 40]);
            let key = token.id.clone();
            let organisation = "acme".parse().expect("id");
            let user = User { id: id.clone(), organisation, role, password_hash: None, preferences: None };
            let mut catalog = Catalog::default();
            catalog.apply(CatalogEdit::Put(CatalogEntry::User(user)));
            catalog.apply(CatalogEdit::Put(CatalogEntry::ApiToken(token)));
            let door = TokenDoor(Arc::new(RwLock::new(catalog)));
            assert_eq!((door.keys(&id).len() == 1, door.scope(&key).is_some()), (opens, opens), "{role:?}");
            assert_eq!(door.owner(secret.as_str()), opens.then_some((id, key)), "{role:?}");
            let wrong = format!("{}0", secret.as_str());
            assert!(door.owner(&wrong).is_none() && door.owner("").is_none());
        }
    }
}
