//! Who is asking: the identity that a checked session or API token gives. A session is a random token in a cookie, its hash in
//! the catalog.

use super::uses::{Used, Uses};
use super::{random_token, token_hash};
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, COOKIE};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::PoisonError;
use std::time::Duration;
use waystream_domain::audit::{Access, session_name};
use waystream_domain::catalog::{Preferences, Role, Session, SessionLimits, User, UserPassword, UserPreferences};
use waystream_domain::{
    Actor, ApiToken, Catalog, CatalogEdit, CatalogEntry, CatalogKey, FleetId, OrganisationId, Timestamp, TokenId, TokenScope,
    UserId,
};
use waystream_log::LogError;
use waystream_log::catalog::CatalogHandle;
use waystream_sql::Scope;

/// Name of the cookie.
const COOKIE_NAME: &str = "waystream_session";
/// The same behind TLS. Browsers take a cookie of such a name from this host only and over TLS only (RFC 6265bis, 4.1.3.2): a page on
/// a neighbouring name, or whoever answers for us without TLS, can't have somebody work in a session of theirs.
const HOST_COOKIE_NAME: &str = "__Host-waystream_session";
/// Whoever comes by a link has so long to choose another password without knowing the present one.
const CHOOSING_MS: i64 = 3_600 * 1_000;
/// How often it is looked whether an identity still holds: an answer under way goes on no longer than this.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Who is asking. Made by [`Sessions`] only, so whoever holds one has shown a valid session or token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    user: UserId,
    organisation: OrganisationId,
    role: Role,
    has_password: bool,
    grant: Grant,
    /// What a token is for; `None`: people in a session may do all that their role allows.
    scopes: Option<BTreeSet<TokenScope>>,
    /// Where the request came from, if it is one.
    address: Option<IpAddr>,
}

/// What an identity was shown by. Without it nothing goes on that was begun with it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Grant {
    /// A session, by the hash of its token.
    Session(String),
    /// An API token.
    Token(TokenId),
}

/// Somebody in a browser: what only people may do (passwords, tokens, sockets) asks for this. A token never gives one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SignedIn {
    identity: Identity,
    session: String,
}

impl Deref for SignedIn {
    type Target = Identity;

    fn deref(&self) -> &Identity {
        &self.identity
    }
}

impl SignedIn {
    /// Hash of the session's token: names the session without giving it away.
    pub(crate) fn session(&self) -> &str {
        &self.session
    }

    /// The same, asking from this address.
    #[must_use]
    pub(crate) fn asking_from(self, address: Option<IpAddr>) -> Self {
        Self { identity: self.identity.asking_from(address), ..self }
    }
}

impl Identity {
    fn new(catalog: &Catalog, user: &User, grant: Grant, scopes: Option<BTreeSet<TokenScope>>) -> Self {
        Self {
            user: user.id.clone(),
            organisation: user.organisation.clone(),
            role: user.role,
            has_password: catalog.password_of(user).is_some(),
            grant,
            scopes,
            address: None,
        }
    }

    /// The same, asking from this address.
    #[must_use]
    pub(crate) fn asking_from(self, address: Option<IpAddr>) -> Self {
        Self { address, ..self }
    }

    /// Who it is in records of changes.
    pub(crate) fn actor(&self) -> Actor {
        let via = match &self.grant {
            Grant::Session(session) => Access::Session { session: session_name(session) },
            Grant::Token(token) => Access::Token { token: token.clone() },
        };
        Actor::User { user: self.user.clone(), organisation: self.organisation.clone(), via, address: self.address }
    }

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

    /// Whether it was given for this.
    pub(crate) fn is_for(&self, scope: TokenScope) -> bool {
        self.scopes.as_ref().is_none_or(|scopes| scopes.contains(&scope))
    }

    /// May change devices, fleets and geofences.
    pub(crate) fn may_edit(&self) -> bool {
        self.role.edits() && self.is_for(TokenScope::Edit)
    }
}

/// Why nobody is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// No valid session or token.
    Nobody,
    /// A valid token, but not for this.
    NotFor(TokenScope),
}

/// Checks and makes sessions.
#[derive(Clone)]
pub(crate) struct Sessions {
    catalog: CatalogHandle,
    /// Whether cookies may go over TLS only.
    secure: bool,
    limits: SessionLimits,
    used: Used,
}

impl Sessions {
    /// Sessions of this catalog, and what has to run for them.
    pub(crate) fn of_catalog(catalog: CatalogHandle, secure: bool, limits: SessionLimits) -> (Self, Uses) {
        let (used, uses) = Uses::new(catalog.clone(), limits);
        (Self { catalog, secure, limits, used }, uses)
    }

    /// Whose cookie these headers have; `None` if it is missing, unknown or over its time.
    pub(crate) fn check(&self, headers: &HeaderMap, now: Timestamp) -> Option<SignedIn> {
        self.identity(&token_hash(cookie(headers, self.cookie_name())?), now)
    }

    /// Who sent these headers, by token or cookie. Where there is an `Authorization` the cookie says nothing: another site can
    /// make a browser send the one, but not the other.
    pub(crate) fn asking(&self, headers: &HeaderMap, scope: TokenScope, now: Timestamp) -> Result<Identity, Unknown> {
        if !headers.contains_key(AUTHORIZATION) {
            return self.check(headers, now).map(|signed_in| signed_in.identity).ok_or(Unknown::Nobody);
        }
        let text = bearer(headers).ok_or(Unknown::Nobody)?;
        let shared = self.catalog.shared();
        let catalog = shared.read().unwrap_or_else(PoisonError::into_inner);
        let identity = by_token(&catalog, text, now).ok_or(Unknown::Nobody)?;
        if identity.is_for(scope) { Ok(identity) } else { Err(Unknown::NotFor(scope)) }
    }

    /// Under what the session or token is kept that these headers show, if it is valid: tells askers apart.
    pub(crate) fn shown_by(&self, headers: &HeaderMap, now: Timestamp) -> Option<String> {
        if !headers.contains_key(AUTHORIZATION) {
            return self.check(headers, now).map(|signed_in| signed_in.session);
        }
        let shared = self.catalog.shared();
        let catalog = shared.read().unwrap_or_else(PoisonError::into_inner);
        match by_token(&catalog, bearer(headers)?, now)?.grant {
            Grant::Session(session) => Some(session),
            Grant::Token(token) => Some(token.to_string()),
        }
    }

    /// Who a session belongs to, if it is still valid: for connections that live longer than a request, too. Who asks is taken for
    /// somebody who uses it, also for an open map.
    pub(crate) fn identity(&self, session: &str, now: Timestamp) -> Option<SignedIn> {
        let shared = self.catalog.shared();
        let catalog = shared.read().unwrap_or_else(PoisonError::into_inner);
        let user = user_of_session(&catalog, session, self.limits, now)?;
        if catalog.is_use_due(session, self.limits, now) {
            self.used.tell(session);
        }
        let grant = Grant::Session(session.to_owned());
        Some(SignedIn { identity: Identity::new(&catalog, user, grant, None), session: session.to_owned() })
    }

    /// Returns when an identity has ended: its session or token is no more, or its user is gone or has moved to another
    /// organisation. For answers that take longer than a look at the headers.
    pub(crate) async fn ended(&self, identity: &Identity) {
        while self.holds(identity, crate::now()) {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    fn holds(&self, identity: &Identity, now: Timestamp) -> bool {
        let shared = self.catalog.shared();
        let catalog = shared.read().unwrap_or_else(PoisonError::into_inner);
        let user = match &identity.grant {
            Grant::Session(session) => user_of_session(&catalog, session, self.limits, now),
            Grant::Token(token) => {
                let token = catalog.api_tokens.get(token).filter(|token| token.is_valid(now));
                token.and_then(|token| catalog.users.get(&token.user)).map(|user| user.as_ref())
            }
        };
        let looks_around = identity.role.looks_around();
        user.is_some_and(|user| {
            let same = user.id == identity.user && user.organisation == identity.organisation;
            same && user.role.looks_around() == looks_around
        })
    }

    /// A new session of who has shown this, from this address: the `Set-Cookie` value, and who it is for (`None` if there is no such
    /// user). Sessions of anybody that are over their time are cleared away, and the user's oldest ends if there are too many.
    pub(crate) async fn open(
        &self,
        user: &UserId,
        via: Access,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<(String, Option<SignedIn>), LogError> {
        let token = random_token();
        let hash = token_hash(&token);
        let password_until = matches!(via, Access::Link).then(|| now.plus_millis(CHOOSING_MS));
        let (user_id, expires_at) = (user.clone(), now.plus_millis(self.limits.longest_ms));
        let session = Session { token_sha256: hash.clone(), user: user_id, expires_at, password_until };
        let (over, edits) = {
            let shared = self.catalog.shared();
            let catalog = shared.read().unwrap_or_else(PoisonError::into_inner);
            (catalog.sessions_over(self.limits, now), catalog.session_edits(session, self.limits, now))
        };
        if !over.is_empty() {
            self.catalog.edit(&Actor::Program { doing: "clearing away what is over its time".into() }, over).await?;
        }
        let by = self.actor(user, via, address);
        self.catalog.edit(&by, edits).await?;
        Ok((self.set_cookie(&token, self.limits.longest_ms / 1_000), self.identity(&hash, now)))
    }

    fn actor(&self, user: &UserId, via: Access, address: IpAddr) -> Actor {
        let shared = self.catalog.shared();
        let catalog = shared.read().unwrap_or_else(PoisonError::into_inner);
        match catalog.users.get(user) {
            Some(known) => {
                let (user, organisation) = (known.id.clone(), known.organisation.clone());
                Actor::User { user, organisation, via, address: Some(address) }
            }
            None => Actor::Nobody { address: Some(address) },
        }
    }

    /// Ends a session; answers the `Set-Cookie` value that removes the cookie.
    pub(crate) async fn close(&self, identity: &SignedIn) -> Result<String, LogError> {
        self.catalog.edit(&identity.actor(), Session::removal(&identity.session).into()).await?;
        Ok(self.set_cookie("", 0))
    }

    /// Whether the session began with a link a little while ago: so come those who have forgotten a password, or lost an authenticator.
    pub(crate) fn has_just_come_by_link(&self, identity: &SignedIn, now: Timestamp) -> bool {
        let shared = self.catalog.shared();
        let catalog = shared.read().unwrap_or_else(PoisonError::into_inner);
        let until = catalog.sessions.get(&identity.session).and_then(|session| session.password_until);
        until.is_some_and(|until| now < until)
    }

    /// The hash of the password that has to be shown before another is chosen; none: there is none, or it may be forgotten.
    pub(crate) fn password_to_show(&self, identity: &SignedIn, now: Timestamp) -> Option<String> {
        if self.has_just_come_by_link(identity, now) {
            return None;
        }
        let shared = self.catalog.shared();
        let catalog = shared.read().unwrap_or_else(PoisonError::into_inner);
        catalog.password_of(catalog.users.get(identity.user())?).map(str::to_owned)
    }

    /// Keeps a new password hash, and ends the user's other sessions and the links that nobody has used: whoever chooses another
    /// password may do so because somebody else could come in.
    pub(crate) async fn set_password(&self, identity: &SignedIn, hash: String) -> Result<(), LogError> {
        let mut edits = Vec::new();
        {
            let shared = self.catalog.shared();
            let catalog = shared.read().unwrap_or_else(PoisonError::into_inner);
            if catalog.users.contains_key(identity.user()) {
                let (user, organisation) = (identity.user().clone(), identity.organisation().clone());
                edits.push(CatalogEdit::Put(CatalogEntry::UserPassword(UserPassword { user, organisation, hash })));
            }
            let others = catalog.sessions.values().filter(|s| s.user == *identity.user() && s.token_sha256 != identity.session);
            edits.extend(others.flat_map(|s| Session::removal(&s.token_sha256)));
            let links = catalog.sign_in_links.values().filter(|link| link.user == *identity.user());
            edits.extend(links.map(|link| CatalogEdit::Remove(CatalogKey::SignInLink(link.token_sha256.clone()))));
        }
        self.catalog.edit(&identity.actor(), edits).await
    }

    /// Keeps how a user reads figures and times.
    pub(crate) async fn set_preferences(&self, identity: &SignedIn, preferences: Preferences) -> Result<(), LogError> {
        let mut edits = Vec::new();
        {
            let shared = self.catalog.shared();
            let catalog = shared.read().unwrap_or_else(PoisonError::into_inner);
            if catalog.users.contains_key(identity.user()) {
                let (user, organisation) = (identity.user().clone(), identity.organisation().clone());
                let chosen = UserPreferences { user, organisation, preferences };
                edits.push(CatalogEdit::Put(CatalogEntry::UserPreferences(chosen)));
            }
        }
        self.catalog.edit(&identity.actor(), edits).await
    }

    /// Everything that an identity may see in history.
    pub(crate) fn scope(&self, identity: &Identity) -> Scope {
        let shared = self.catalog.shared();
        let catalog = shared.read().unwrap_or_else(PoisonError::into_inner);
        Scope::of_organisation(identity.organisation.clone(), &catalog)
    }

    /// Some of it: these fleets, as far as they are the identity's.
    pub(crate) fn scope_of(&self, identity: &Identity, fleets: &[FleetId]) -> Scope {
        self.scope(identity).only(|fleet| fleets.contains(fleet))
    }

    fn cookie_name(&self) -> &'static str {
        if self.secure { HOST_COOKIE_NAME } else { COOKIE_NAME }
    }

    fn set_cookie(&self, token: &str, max_age_s: i64) -> String {
        let (name, secure) = (self.cookie_name(), if self.secure { "; Secure" } else { "" });
        format!("{name}={token}; HttpOnly; SameSite=Strict; Path=/; Max-Age={max_age_s}{secure}")
    }
}

fn by_token(catalog: &Catalog, text: &str, now: Timestamp) -> Option<Identity> {
    let token = catalog.api_tokens.get(&ApiToken::id_of(text)?).filter(|token| token.is(text) && token.is_valid(now))?;
    let grant = Grant::Token(token.id.clone());
    Some(Identity::new(catalog, catalog.users.get(&token.user)?, grant, Some(token.scopes.clone())))
}

fn user_of_session<'a>(catalog: &'a Catalog, session: &str, limits: SessionLimits, now: Timestamp) -> Option<&'a User> {
    let session = catalog.valid_session(session, limits, now)?;
    catalog.users.get(&session.user).map(|user| user.as_ref())
}

/// The secret of an `Authorization: Bearer`.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, "a=b; waystream_session=abc; waystream_sessions=d".parse().expect("a header value"));
        assert_eq!(cookie(&headers, COOKIE_NAME), Some("abc"));
        assert_eq!(cookie(&headers, HOST_COOKIE_NAME), None);
        headers.clear();
        headers.append(COOKIE, "waystream_sessions=d".parse().expect("a header value"));
        assert_eq!(cookie(&headers, COOKIE_NAME), None);
    }
}
