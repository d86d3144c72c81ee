//! Sessions: a random token in a cookie, its hash in the catalog, and the identity that a checked session gives.

use super::{random_token, token_hash};
use axum::http::HeaderMap;
use axum::http::header::COOKIE;
use std::sync::PoisonError;
use waystream_domain::catalog::{Role, Session, User};
use waystream_domain::{CatalogEdit, CatalogEntry, CatalogKey, FleetId, OrganisationId, Timestamp, UserId};
use waystream_log::LogError;
use waystream_log::catalog::CatalogHandle;
use waystream_sql::Scope;

/// Name of the cookie.
pub(crate) const COOKIE_NAME: &str = "waystream_session";
/// A session ends so long after signing in.
const VALID_MS: i64 = 30 * 24 * 3_600 * 1_000;

/// Who is asking. Made by [`Sessions::check`] only, so whoever holds one has shown a valid session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    user: UserId,
    organisation: OrganisationId,
    role: Role,
    has_password: bool,
    session: String,
}

impl Identity {
    /// Sign-in name.
    pub(crate) fn user(&self) -> &UserId {
        &self.user
    }

    /// Whose data may be seen.
    pub(crate) fn organisation(&self) -> &OrganisationId {
        &self.organisation
    }

    /// What may be done.
    pub(crate) fn role(&self) -> Role {
        self.role
    }

    /// Whether the user has chosen a password.
    pub(crate) fn has_password(&self) -> bool {
        self.has_password
    }

    /// Hash of the session's token: names the session without giving it away.
    pub(crate) fn session(&self) -> &str {
        &self.session
    }

    /// May change devices, fleets and geofences.
    pub(crate) fn may_edit(&self) -> bool {
        matches!(self.role, Role::Owner | Role::Dispatcher)
    }
}

/// Checks and makes sessions.
#[derive(Clone)]
pub(crate) struct Sessions {
    catalog: CatalogHandle,
    /// Whether cookies may go over TLS only.
    secure: bool,
}

impl Sessions {
    /// Sessions of this catalog.
    pub(crate) fn new(catalog: CatalogHandle, secure: bool) -> Self {
        Self { catalog, secure }
    }

    /// Who sent these headers; `None` if the cookie is missing, unknown or over its time.
    pub(crate) fn check(&self, headers: &HeaderMap, now: Timestamp) -> Option<Identity> {
        self.identity(&token_hash(cookie(headers)?), now)
    }

    /// Who a session belongs to, if it is still valid: for connections that live longer than a request.
    pub(crate) fn identity(&self, session: &str, now: Timestamp) -> Option<Identity> {
        let shared = self.catalog.shared();
        let catalog = shared.read().unwrap_or_else(PoisonError::into_inner);
        let found = catalog.sessions.get(session).filter(|s| s.expires_at > now)?;
        let user = catalog.users.get(&found.user)?;
        Some(Identity {
            user: user.id.clone(),
            organisation: user.organisation.clone(),
            role: user.role,
            has_password: user.password_hash.is_some(),
            session: session.to_owned(),
        })
    }

    /// A new session: the `Set-Cookie` value, and who it is for (`None` if there is no such user). Sessions of anybody that
    /// are over their time are cleared away.
    pub(crate) async fn open(&self, user: &UserId, now: Timestamp) -> Result<(String, Option<Identity>), LogError> {
        let token = random_token();
        let hash = token_hash(&token);
        let session = Session { token_sha256: hash.clone(), user: user.clone(), expires_at: now.plus_millis(VALID_MS) };
        let mut edits = self.expired(now);
        edits.push(CatalogEdit::Put(CatalogEntry::Session(session)));
        self.catalog.edit(edits).await?;
        Ok((self.set_cookie(&token, VALID_MS / 1_000), self.identity(&hash, now)))
    }

    fn expired(&self, now: Timestamp) -> Vec<CatalogEdit> {
        let shared = self.catalog.shared();
        let catalog = shared.read().unwrap_or_else(PoisonError::into_inner);
        let expired = catalog.sessions.values().filter(|s| s.expires_at <= now);
        expired.map(|s| CatalogEdit::Remove(CatalogKey::Session(s.token_sha256.clone()))).take(1_000).collect()
    }

    /// Ends a session; answers the `Set-Cookie` value that removes the cookie.
    pub(crate) async fn close(&self, identity: &Identity) -> Result<String, LogError> {
        self.catalog.edit(vec![CatalogEdit::Remove(CatalogKey::Session(identity.session.clone()))]).await?;
        Ok(self.set_cookie("", 0))
    }

    /// Keeps a new password hash, and ends the user's other sessions.
    pub(crate) async fn set_password(&self, identity: &Identity, hash: String) -> Result<(), LogError> {
        let mut edits = Vec::new();
        {
            let shared = self.catalog.shared();
            let catalog = shared.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(user) = catalog.users.get(&identity.user) {
                let user = User { password_hash: Some(hash), ..user.as_ref().clone() };
                edits.push(CatalogEdit::Put(CatalogEntry::User(user)));
            }
            let others = catalog.sessions.values().filter(|s| s.user == identity.user && s.token_sha256 != identity.session);
            edits.extend(others.map(|s| CatalogEdit::Remove(CatalogKey::Session(s.token_sha256.clone()))));
        }
        self.catalog.edit(edits).await
    }

    /// Everything that an identity may see in history.
    pub(crate) fn scope(&self, identity: &Identity) -> Scope {
        let shared = self.catalog.shared();
        let catalog = shared.read().unwrap_or_else(PoisonError::into_inner);
        Scope::of_organisation(identity.organisation.clone(), &catalog)
    }

    /// Some of it: these fleets, as far as they are the identity's.
    pub(crate) fn scope_of(&self, identity: &Identity, fleets: &[FleetId]) -> Scope {
        let mut scope = self.scope(identity);
        scope.fleets.retain(|fleet| fleets.contains(fleet));
        scope
    }

    fn set_cookie(&self, token: &str, max_age_s: i64) -> String {
        let secure = if self.secure { "; Secure" } else { "" };
        format!("{COOKIE_NAME}={token}; HttpOnly; SameSite=Strict; Path=/; Max-Age={max_age_s}{secure}")
    }
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(COOKIE_NAME)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, "a=b; waystream_session=abc; waystream_sessions=d".parse().expect("a header value"));
        assert_eq!(cookie(&headers), Some("abc"));
        headers.clear();
        headers.append(COOKIE, "waystream_sessions=d".parse().expect("a header value"));
        assert_eq!(cookie(&headers), None);
    }
}
