//! Signing in by an OpenID provider: authorization code flow with PKCE. Who comes back is told by a name; whether somebody of that name
//! may come in is not decided here.

mod config;
mod flow;
mod http;
mod provider;
mod token;

pub use config::{ClientSecret, OidcConfig};

use crate::wire::OidcButton;
use axum::http::HeaderMap;
use axum::http::header::COOKIE;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use config::{EMAIL, Settings};
use flow::{Flow, Sealer, SpendError, Spent, VALID_MS};
use http::Http;
use provider::{Endpoints, Provider, json};
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;
use token::{Claims, Expected, Keys, TokenError};
use tokio::sync::Semaphore;
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};
use utoipa::IntoParams;
use waystream_domain::Timestamp;

/// Of the cookie.
const COOKIE_NAME: &str = "waystream_oidc";
/// The same over TLS. Like that of a session no neighbour can plant it: with a flow that is planted somebody would come into another one's
/// session.
const HOST_COOKIE_NAME: &str = "__Host-waystream_oidc";
/// Callbacks that are being answered at a time; each may wait for the provider.
const CALLBACKS: usize = 32;
/// Longest code, or other text of a callback, bytes.
const MAX_TEXT: usize = 8 << 10;

/// Why somebody is not signed in. What is shown and what is counted follows from it; texts in it are for the log, and hold no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OidcError {
    /// No flow has begun in this browser, or it is another one, over its time, or used already.
    NotBegun,
    /// Whoever it is has not wanted to.
    Cancelled,
    /// The provider says no.
    Refused(String),
    /// The provider can't be asked.
    Unreachable(String),
    /// Too many at once.
    Busy,
    /// What the provider seems to have said is not to be believed.
    Untrusted(&'static str),
    /// It doesn't say what names our users.
    Nameless,
    /// The e-mail address may be anybody's.
    Unverified,
}

/// What a provider says of somebody.
pub(crate) struct Named {
    /// Our sign-in name.
    pub(crate) name: String,
    /// Whether it is an e-mail address, in which case means nothing.
    pub(crate) is_email: bool,
}

/// A flow that has begun.
pub(crate) struct Begun {
    /// Where the browser goes.
    pub(crate) location: String,
    /// `Set-Cookie`.
    pub(crate) cookie: String,
}

/// The query of a callback.
#[derive(Deserialize, IntoParams)]
pub(crate) struct Callback {
    /// To fetch the ID token with.
    code: Option<String>,
    /// Of the flow.
    state: Option<String>,
    /// Why there is no code.
    error: Option<String>,
    /// Who has sent the browser back.
    iss: Option<String>,
}

/// Tokens as the provider hands them out.
#[derive(Deserialize)]
struct Tokens {
    id_token: String,
    access_token: Option<String>,
}

/// One provider.
pub(crate) struct Oidc {
    settings: Settings,
    provider: Provider,
    sealer: Sealer,
    spent: Spent,
    turns: Semaphore,
}

impl Oidc {
    /// Checks the settings; the provider is not asked.
    pub(crate) fn new(config: &OidcConfig) -> Result<Self, String> {
        let settings = config.check()?;
        let provider = Provider::new(Http::new(settings.ca_file.as_deref())?, settings.issuer.clone());
        let sealer = Sealer::new(&settings.issuer, &settings.client_id, &settings.client_secret.0);
        Ok(Self { settings, provider, sealer, spent: Spent::default(), turns: Semaphore::new(CALLBACKS) })
    }

    /// For the page.
    pub(crate) fn button(&self) -> OidcButton {
        OidcButton { label: self.settings.label.clone(), url: self.settings.start.to_string() }
    }

    /// Begins.
    pub(crate) async fn begin(&self, now: Timestamp) -> Result<Begun, OidcError> {
        let endpoints = self.provider.endpoints().await?;
        let flow = Flow::begin(now);
        let mut location = endpoints.authorization.clone();
        location
            .query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("redirect_uri", self.settings.callback.as_str())
            .append_pair("scope", &self.settings.scope)
            .append_pair("state", &flow.state)
            .append_pair("nonce", &flow.nonce)
            .append_pair("code_challenge", &flow.challenge())
            .append_pair("code_challenge_method", "S256");
        Ok(Begun { location: location.into(), cookie: self.set_cookie(&self.sealer.seal(&flow), VALID_MS / 1_000) })
    }

    /// `Set-Cookie` that removes the cookie.
    pub(crate) fn forget(&self) -> String {
        self.set_cookie("", 0)
    }

    /// Where whoever has signed in goes.
    pub(crate) fn dashboard(&self) -> &str {
        self.settings.dashboard.as_str()
    }

    /// Ends a flow: who has signed in at the provider.
    pub(crate) async fn end(&self, headers: &HeaderMap, callback: &Callback, now: Timestamp) -> Result<Named, OidcError> {
        let _turn = self.turns.try_acquire().map_err(|_| OidcError::Busy)?;
        let texts = [&callback.code, &callback.state, &callback.error, &callback.iss];
        if texts.into_iter().flatten().any(|text| text.len() > MAX_TEXT) {
            return Err(OidcError::NotBegun);
        }
        let state = callback.state.as_deref().ok_or(OidcError::NotBegun)?;
        let mut flows = cookies(headers, self.cookie().0).filter_map(|cookie| self.sealer.open(cookie, now));
        let flow = flows.find(|flow| flow.is(state)).ok_or(OidcError::NotBegun)?;
        self.spent.spend(&flow, now).map_err(|error| match error {
            SpendError::Already => OidcError::NotBegun,
            SpendError::Full => OidcError::Busy,
        })?;
        let endpoints = self.provider.endpoints().await?;
        match &callback.iss {
            Some(issuer) if *issuer != self.settings.issuer => {
                return Err(OidcError::Untrusted("iss: the callback is another's"));
            }
            None if endpoints.callbacks_name_it => return Err(OidcError::Untrusted("iss: the callback has none")),
            _ => {}
        }
        let code = match (&callback.error, &callback.code) {
            (Some(error), _) if error == "access_denied" => return Err(OidcError::Cancelled),
            (Some(error), _) => return Err(OidcError::Refused(harmless(error))),
            (None, Some(code)) => code,
            (None, None) => return Err(OidcError::Refused("neither code nor error".into())),
        };
        let tokens = self.exchange(&endpoints, code, &flow).await?;
        let claims = self.verified(&tokens.id_token).await?;
        let (issuer, client_id) = (&self.settings.issuer, &self.settings.client_id);
        let expected = Expected { issuer, client_id, nonce: &flow.nonce, begun: flow.begun() };
        token::check(&claims, &expected, now).map_err(untrusted)?;
        let named = self.named(&claims);
        // Many providers tell in the ID token who it is, and the rest only who asks.
        match (named, &endpoints.userinfo, &tokens.access_token) {
            (Err(OidcError::Nameless | OidcError::Unverified), Some(url), Some(token)) => {
                self.named(&self.userinfo(url, token, &claims).await?)
            }
            (named, _, _) => named,
        }
    }

    /// Fetches the tokens for a code.
    async fn exchange(&self, endpoints: &Endpoints, code: &str, flow: &Flow) -> Result<Tokens, OidcError> {
        let (authorization, form) = self.token_request(endpoints, code, flow);
        let answer = self.provider.http.post(&endpoints.token, authorization, form).await.map_err(OidcError::Unreachable)?;
        if answer.status.is_client_error() {
            #[derive(Deserialize)]
            struct Problem {
                error: String,
            }
            let problem = serde_json::from_slice::<Problem>(&answer.body);
            return Err(OidcError::Refused(problem.map_or_else(|_| answer.status.to_string(), |p| harmless(&p.error))));
        }
        json(&answer).map_err(OidcError::Unreachable)
    }

    /// Header and form.
    fn token_request(&self, endpoints: &Endpoints, code: &str, flow: &Flow) -> (Option<String>, String) {
        let (id, secret) = (&self.settings.client_id, &self.settings.client_secret.0);
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", self.settings.callback.as_str())
            .append_pair("code_verifier", &flow.verifier);
        if endpoints.secret_in_form {
            form.append_pair("client_id", id).append_pair("client_secret", secret);
            return (None, form.finish());
        }
        let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
        let authorization = format!("Basic {}", STANDARD.encode(format!("{}:{}", encoded(id), encoded(secret))));
        (Some(authorization), form.finish())
    }

    /// What an ID token says, if the provider has signed it.
    async fn verified(&self, token: &str) -> Result<Claims, OidcError> {
        let known: Arc<Keys> = self.provider.keys().await?;
        match known.verify(token) {
            Err(TokenError::UnknownKey) => match self.provider.newer_keys().await? {
                Some(newer) => newer.verify(token).map_err(untrusted),
                None => Err(untrusted(TokenError::UnknownKey)),
            },
            verified => verified.map_err(untrusted),
        }
    }

    async fn userinfo(&self, url: &Url, token: &str, id_token: &Claims) -> Result<Claims, OidcError> {
        let answer = self.provider.http.get(url, Some(token)).await.map_err(OidcError::Unreachable)?;
        let claims: Claims = json(&answer).map_err(OidcError::Unreachable)?;
        if claims.get("sub") != id_token.get("sub") {
            return Err(OidcError::Untrusted("sub: what is told is of somebody else"));
        }
        Ok(claims)
    }

    fn named(&self, claims: &Claims) -> Result<Named, OidcError> {
        let name = claims.get(&self.settings.claim).and_then(Value::as_str).map(str::trim).filter(|name| !name.is_empty());
        let name = name.ok_or(OidcError::Nameless)?;
        let is_email = self.settings.claim == EMAIL;
        // Some say it as a text.
        let is_verified =
            claims.get("email_verified").is_some_and(|is| *is == Value::Bool(true) || is.as_str() == Some("true"));
        if is_email && self.settings.verified_email && !is_verified {
            return Err(OidcError::Unverified);
        }
        Ok(Named { name: name.to_owned(), is_email })
    }

    /// Name of the cookie, for which requests, and what goes with that. A name that begins so is for all of a host.
    fn cookie(&self) -> (&'static str, &str, &'static str) {
        let start = &self.settings.start;
        if start.scheme() == "https" { (HOST_COOKIE_NAME, "/", "; Secure") } else { (COOKIE_NAME, start.path(), "") }
    }

    /// Lax: the browser comes back from another site, and has to bring it along.
    fn set_cookie(&self, value: &str, max_age_s: i64) -> String {
        let (name, path, secure) = self.cookie();
        format!("{name}={value}; HttpOnly; SameSite=Lax; Path={path}; Max-Age={max_age_s}{secure}")
    }
}

fn untrusted(error: TokenError) -> OidcError {
    OidcError::Untrusted(match error {
        TokenError::UnknownKey => "no key of the provider has signed it",
        TokenError::Bad(reason) => reason,
    })
}

/// A few, as others may have set some for us.
fn cookies<'a>(headers: &'a HeaderMap, name: &'static str) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = values.flat_map(|value| value.split(';'));
    pairs.filter_map(move |pair| pair.trim().strip_prefix(name)?.strip_prefix('=')).take(4)
}

/// An error code for the log: nothing that could be mistaken for something else there.
fn harmless(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || "_-. ".contains(*c)).take(64).collect()
}
