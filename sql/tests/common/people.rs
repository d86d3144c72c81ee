//! Who signs in at the wires of SQL clients.

use crate::common::{Fixture, organisation};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;
use waystream_domain::catalog::{Role, User};
use waystream_domain::scram::ScramKeys;
use waystream_domain::{
    ApiToken, CatalogEdit, CatalogEntry, CatalogKey, NewToken, SharedCatalog, Timestamp, TokenId, TokenScope, UserId,
};
use waystream_sql::{Door, Scope};

/// Lets in whom the catalog knows.
pub(crate) struct CatalogDoor(pub(crate) SharedCatalog);

impl Door for CatalogDoor {
    fn keys(&self, user: &UserId) -> Vec<(TokenId, ScramKeys)> {
        let catalog = self.0.read().unwrap();
        catalog.tokens_of(user, now()).filter_map(|t| Some((t.id.clone(), t.scram.clone()?))).collect()
    }

    fn owner(&self, secret: &str) -> Option<(UserId, TokenId)> {
        let catalog = self.0.read().unwrap();
        let token = catalog.api_tokens.get(&ApiToken::id_of(secret)?).filter(|t| t.is(secret) && t.is_valid(now()))?;
        token.scopes.contains(&TokenScope::Sql).then(|| (token.user.clone(), token.id.clone()))
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

/// `anna` is of acme, `bert` of bolt; a token of each.
pub(crate) fn people(fixture: &Fixture) -> [String; 2] {
    [("anna", "acme"), ("bert", "bolt")].map(|(name, whose)| {
        let user = User {
            id: name.parse().unwrap(),
            organisation: organisation(whose),
            role: Role::Viewer,
            password_hash: None,
            preferences: None,
        };
        fixture.catalog.write().unwrap().apply(CatalogEdit::Put(CatalogEntry::User(user)));
        token(&fixture.catalog, name, &[TokenScope::Sql]).1
    })
}

/// Another token of a user.
pub(crate) fn token(catalog: &SharedCatalog, user: &str, scopes: &[TokenScope]) -> (TokenId, String) {
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

pub(crate) fn revoke(catalog: &SharedCatalog, secret: &str) {
    let id = ApiToken::id_of(secret).unwrap();
    catalog.write().unwrap().apply(CatalogEdit::Remove(CatalogKey::ApiToken(id)));
}

/// A certificate for localhost that is its own root.
pub(crate) fn certificate(folder: &Path, name: &str) {
    let arguments = format!(
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {name}.key -out {name}.pem -days 2 \
         -subj /CN={name} -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE"
    );
    let output = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().expect("openssl is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
