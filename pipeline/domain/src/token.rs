//! API tokens: how programs sign in, over HTTP, Postgres wire and Flight SQL. Shown once, kept as hashes.

use crate::scram::{Key, ScramKeys};
use crate::{Timestamp, TokenId, UserId};
use ring::digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt::{self, Write};

/// Begins every token, so that people and programs that look for leaked secrets know it when they see it.
const PREFIX: &str = "ws_";

/// What a token may be used for. Its user's role stays the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenScope {
    /// To look, over REST.
    Read,
    /// To change what the user may change, over REST.
    Edit,
    /// To ask with SQL, over Postgres wire, Flight SQL and REST.
    Sql,
}

/// A secret by which a program acts for a user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ApiToken {
    /// Its key. The secret begins with it.
    pub id: TokenId,
    /// For whom.
    pub user: UserId,
    /// For people: what it is used by.
    pub name: String,
    /// For what.
    pub scopes: BTreeSet<TokenScope>,
    /// When it was made.
    pub created_at: Timestamp,
    /// No longer valid from then on; none: until it is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// SHA-256 of the secret: the log never holds it. The secret is random, so a fast hash is enough.
    pub sha256: Key,
    /// For signing in over Postgres wire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scram: Option<ScramKeys>,
}

/// What a token is made from.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// For whom.
    pub user: UserId,
    /// For people.
    pub name: String,
    /// For what.
    pub scopes: BTreeSet<TokenScope>,
    /// Now.
    pub created_at: Timestamp,
    /// No longer valid from then on.
    pub expires_at: Option<Timestamp>,
}

/// The text that signs in. Nobody can have it a second time.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenSecret(String);

impl TokenSecret {
    pub(crate) fn new(text: String) -> Self {
        Self(text)
    }

    /// To show it to whom it is for.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Secrets stay out of logs.
impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSecret(…)")
    }
}

impl ApiToken {
    /// Makes a token of random bytes: eight name it, thirty-two are secret.
    pub fn issue(new: NewToken, random: &[u8; 40]) -> (Self, TokenSecret) {
        let (name, secret) = random.split_at(8);
        let id = TokenId::new(hex(name)).expect("hex digits are an id");
        let text = format!("{PREFIX}{id}_{}", hex(secret));
        let NewToken { user, name, scopes, created_at, expires_at } = new;
        let scram = scopes.contains(&TokenScope::Sql).then(|| ScramKeys::of(&user, &text));
        let token = Self { id, user, name, scopes, created_at, expires_at, sha256: Key::from(sha256(&text)), scram };
        (token, TokenSecret::new(text))
    }

    /// Which token a text claims to be.
    pub fn id_of(text: &str) -> Option<TokenId> {
        TokenId::new(text.strip_prefix(PREFIX)?.split_once('_')?.0).ok()
    }

    /// Whether this is its secret. Hashes are compared, so that the time tells nothing of the secret.
    pub fn is(&self, text: &str) -> bool {
        self.sha256 == Key::from(sha256(text))
    }

    /// Whether its time is not over.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }
}

pub(crate) fn sha256(text: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
    hash
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, b| {
        write!(out, "{b:02x}").expect("a String grows as needed");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms).expect("a time")
    }

    #[test]
    fn a_token_is_known_by_its_secret_and_does_not_hold_it() {
        let user: UserId = "anna".parse().expect("an id");
        let scopes = BTreeSet::from([TokenScope::Sql]);
        let new = NewToken { user, name: "Grafana".into(), scopes, created_at: at(0), expires_at: Some(at(10)) };
        let (token, secret) = ApiToken::issue(new.clone(), &std::array::from_fn(|i| i as u8));
        assert!(secret.as_str().starts_with("ws_0001020304050607_08090a0b"), "{}", secret.as_str());
        assert_eq!(ApiToken::id_of(secret.as_str()).as_ref(), Some(&token.id));
        assert!(token.is(secret.as_str()) && !token.is("ws_0001020304050607_08090a0c"));
        assert!(token.is_valid(at(9)) && !token.is_valid(at(10)));
        let kept = serde_json::to_string(&token).expect("JSON");
        assert!(!kept.contains("08090a0b") && !format!("{token:?}{secret:?}").contains("08090a0b"), "{kept}");
        assert_eq!(serde_json::from_str::<ApiToken>(&kept).expect("a token"), token);
        let (reader, _) = ApiToken::issue(NewToken { scopes: BTreeSet::from([TokenScope::Read]), ..new }, &[7; 40]);
        assert!(token.scram.is_some() && reader.scram.is_none());
        for wrong in ["", "ws_", "ws__x", "ws_1", "x_0001020304050607_08"] {
            assert_eq!(ApiToken::id_of(wrong), None, "{wrong}");
        }
    }
}
