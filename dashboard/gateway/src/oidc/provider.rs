//! The provider, as it describes itself. It is asked when somebody wants to sign in, not before: a gateway starts without it.

use super::http::{Answer, Http};
use super::token::Keys;
use super::{OidcError, config};
use hyper::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;

/// What it has said is good for so long.
const FRESH: Duration = Duration::from_secs(3_600);
/// After a failure it is left alone for so long: who waits for it is told at once.
const PAUSE: Duration = Duration::from_secs(5);
/// Keys that nobody knows make us look again only so often, as anybody can make them up.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// What it says of itself, as far as we need it.
#[derive(Deserialize)]
struct Description {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    userinfo_endpoint: Option<String>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

/// The same, checked.
pub(super) struct Endpoints {
    pub(super) authorization: Url,
    pub(super) token: Url,
    keys: Url,
    pub(super) userinfo: Option<Url>,
    /// The secret goes into the form, not into the header.
    pub(super) secret_in_form: bool,
    /// Callbacks name the issuer (RFC 9207).
    pub(super) callbacks_name_it: bool,
}

/// Remembers what the provider has said.
pub(super) struct Provider {
    pub(super) http: Http,
    issuer: String,
    /// Locked while it is asked: others wait for the same answer.
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    endpoints: Option<(Arc<Endpoints>, Instant)>,
    keys: Option<(Arc<Keys>, Instant)>,
    failed: Option<(String, Instant)>,
    looked_again: Option<Instant>,
}

impl Provider {
    pub(super) fn new(http: Http, issuer: String) -> Self {
        Self { http, issuer, known: Mutex::default() }
    }

    /// Where to go.
    pub(super) async fn endpoints(&self) -> Result<Arc<Endpoints>, OidcError> {
        let mut known = self.known.lock().await;
        self.described(&mut known).await
    }

    /// Its keys.
    pub(super) async fn keys(&self) -> Result<Arc<Keys>, OidcError> {
        let mut known = self.known.lock().await;
        let endpoints = self.described(&mut known).await?;
        match &known.keys {
            Some((keys, since)) if since.elapsed() < FRESH => Ok(Arc::clone(keys)),
            _ => self.fetch_keys(&mut known, &endpoints).await,
        }
    }

    /// Its keys, after one has been used that is not among them. `None`: it was asked for them just now.
    pub(super) async fn newer_keys(&self) -> Result<Option<Arc<Keys>>, OidcError> {
        let mut known = self.known.lock().await;
        if known.looked_again.is_some_and(|at| at.elapsed() < LOOK_AGAIN) {
            return Ok(None);
        }
        known.looked_again = Some(Instant::now());
        let endpoints = self.described(&mut known).await?;
        self.fetch_keys(&mut known, &endpoints).await.map(Some)
    }

    async fn described(&self, known: &mut Known) -> Result<Arc<Endpoints>, OidcError> {
        match &known.endpoints {
            Some((endpoints, since)) if since.elapsed() < FRESH => return Ok(Arc::clone(endpoints)),
            _ => rest(known)?,
        }
        match self.describe().await {
            Ok(endpoints) => {
                let endpoints = Arc::new(endpoints);
                known.endpoints = Some((Arc::clone(&endpoints), Instant::now()));
                Ok(endpoints)
            }
            Err(why) => Err(failed(known, why)),
        }
    }

    async fn fetch_keys(&self, known: &mut Known, endpoints: &Endpoints) -> Result<Arc<Keys>, OidcError> {
        rest(known)?;
        let fetched = match self.http.get(&endpoints.keys, None).await {
            Ok(answer) => body(&answer).and_then(Keys::parse),
            Err(why) => Err(why),
        };
        match fetched {
            Ok(keys) => {
                let keys = Arc::new(keys);
                known.keys = Some((Arc::clone(&keys), Instant::now()));
                Ok(keys)
            }
            Err(why) => Err(failed(known, why)),
        }
    }

    async fn describe(&self) -> Result<Endpoints, String> {
        let address = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let address = Url::parse(&address).map_err(|e| e.to_string())?;
        let description: Description = json(&self.http.get(&address, None).await?)?;
        // Another issuer's tokens would be believed otherwise.
        if description.issuer != self.issuer {
            return Err("it says that it is another issuer: the setting has to be exactly what it calls itself".into());
        }
        let endpoint = |name: &str, address: &str| {
            let url = Url::parse(address).map_err(|e| format!("{name}: {e}"))?;
            if config::is_secure(&url) { Ok(url) } else { Err(format!("{name}: not encrypted")) }
        };
        let methods = description.token_endpoint_auth_methods_supported;
        let has = |method: &str| methods.as_ref().is_some_and(|methods| methods.iter().any(|m| m == method));
        Ok(Endpoints {
            authorization: endpoint("authorization_endpoint", &description.authorization_endpoint)?,
            token: endpoint("token_endpoint", &description.token_endpoint)?,
            keys: endpoint("jwks_uri", &description.jwks_uri)?,
            userinfo: description.userinfo_endpoint.map(|url| endpoint("userinfo_endpoint", &url)).transpose()?,
            secret_in_form: has("client_secret_post") && !has("client_secret_basic"),
            callbacks_name_it: description.authorization_response_iss_parameter_supported,
        })
    }
}

/// An error as long as it is left alone.
fn rest(known: &Known) -> Result<(), OidcError> {
    match &known.failed {
        Some((why, at)) if at.elapsed() < PAUSE => Err(OidcError::Unreachable(why.clone())),
        _ => Ok(()),
    }
}

fn failed(known: &mut Known, why: String) -> OidcError {
    known.failed = Some((why.clone(), Instant::now()));
    OidcError::Unreachable(why)
}

fn body(answer: &Answer) -> Result<&[u8], String> {
    match answer.status {
        StatusCode::OK => Ok(&answer.body),
        status => Err(format!("answered {status}")),
    }
}

/// An answer that has to be a good one.
pub(super) fn json<T: DeserializeOwned>(answer: &Answer) -> Result<T, String> {
    serde_json::from_slice(body(answer)?).map_err(|e| format!("answered something else than expected: {e}"))
}
