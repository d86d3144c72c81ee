//! Settings of signing in by an OpenID provider, and what follows from them.

use serde::{Deserialize, Serialize, Serializer};
use std::fmt;
use std::path::PathBuf;
use url::{Host, Url};

/// The claim that names users by default.
pub(super) const EMAIL: &str = "email";
/// Where flows begin, below the dashboard's address. The callback is below that.
const START: &str = "/api/session/oidc";
/// A secret that is shorter could be guessed from a cookie that is sealed with it.
const SHORTEST_SECRET: usize = 16;
/// Longest text of the button, characters.
const LONGEST_LABEL: usize = 60;

/// The OpenID provider by which people may sign in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcConfig {
    /// Its address, exactly as it says it itself: `https://id.example.org/realms/fleet`.
    pub issuer: String,
    /// What it calls us.
    pub client_id: String,
    /// To go with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<ClientSecret>,
    /// A file that has nothing but the secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret_file: Option<PathBuf>,
    /// Where browsers find the dashboard: `https://fleet.example.org`. The provider sends them back there.
    pub public_url: String,
    /// What it is asked for; `openid` is among it.
    #[serde(default = "scopes")]
    pub scopes: Vec<String>,
    /// What it says of somebody that is our sign-in name.
    #[serde(default = "email")]
    pub claim: String,
    /// Whether an e-mail address counts only if the provider says that it has been verified.
    #[serde(default = "yes")]
    pub verified_email: bool,
    /// Certificates (PEM) to trust besides those that the operating system trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// On the button.
    #[serde(default = "label")]
    pub label: String,
}

fn scopes() -> Vec<String> {
    vec!["openid".into(), EMAIL.into()]
}

fn email() -> String {
    EMAIL.into()
}

fn yes() -> bool {
    true
}

fn label() -> String {
    "Sign in with your company account".into()
}

/// A text that is not shown.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct ClientSecret(pub String);

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for ClientSecret {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        output.serialize_str("***")
    }
}

/// Settings that make sense.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) issuer: String,
    pub(super) client_id: String,
    pub(super) client_secret: ClientSecret,
    /// Where flows begin, for browsers.
    pub(super) start: Url,
    /// Where the provider sends browsers back to.
    pub(super) callback: Url,
    pub(super) dashboard: Url,
    pub(super) scope: String,
    pub(super) claim: String,
    pub(super) verified_email: bool,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) label: String,
}

impl OidcConfig {
    /// What no setting alone can tell, and the secret from its file.
    pub(super) fn check(&self) -> Result<Settings, String> {
        let issuer = secure("issuer", &self.issuer)?;
        let public = secure("public_url", &self.public_url)?;
        for (name, url) in [("issuer", &issuer), ("public_url", &public)] {
            if url.query().is_some() || url.fragment().is_some() {
                return Err(format!("{name}: an address without ? and #"));
            }
        }
        let below = |path: &str| {
            let address = format!("{}{START}{path}", public.as_str().trim_end_matches('/'));
            Url::parse(&address).map_err(|e| format!("public_url: {e}"))
        };
        if self.client_id.is_empty() || self.claim.is_empty() {
            return Err("client_id and claim: neither is empty".into());
        }
        if !self.scopes.iter().any(|scope| scope == "openid")
            || self.scopes.iter().any(|scope| scope.contains(char::is_whitespace))
        {
            return Err("scopes: a list of words, with \"openid\" among them".into());
        }
        let characters = self.label.trim().chars().count();
        if characters == 0 || characters > LONGEST_LABEL {
            return Err(format!("label: 1 to {LONGEST_LABEL} characters"));
        }
        Ok(Settings {
            issuer: self.issuer.clone(),
            client_id: self.client_id.clone(),
            client_secret: self.secret()?,
            start: below("")?,
            callback: below("/callback")?,
            dashboard: public,
            scope: self.scopes.join(" "),
            claim: self.claim.clone(),
            verified_email: self.verified_email,
            ca_file: self.ca_file.clone(),
            label: self.label.trim().to_owned(),
        })
    }

    fn secret(&self) -> Result<ClientSecret, String> {
        let secret = match (&self.client_secret, &self.client_secret_file) {
            (Some(_), Some(_)) => return Err("client_secret: there is a client_secret_file, too".into()),
            (Some(secret), None) => secret.clone(),
            (None, Some(file)) => {
                let text = std::fs::read_to_string(file);
                let text = text.map_err(|e| format!("client_secret_file: could not read {}: {e}", file.display()))?;
                ClientSecret(text.trim_end().to_owned())
            }
            (None, None) => return Err("client_secret or client_secret_file: one of them is needed".into()),
        };
        if secret.0.len() < SHORTEST_SECRET {
            return Err(format!("client_secret: at least {SHORTEST_SECRET} characters"));
        }
        Ok(secret)
    }
}

fn secure(name: &str, text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|e| format!("{name}: {e}"))?;
    if is_secure(&url) { Ok(url) } else { Err(format!("{name}: begins with https: (http: on this machine only)")) }
}

/// Whether nobody can listen in on the way there.
pub(super) fn is_secure(url: &Url) -> bool {
    let is_here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    match url.scheme() {
        "https" => url.host().is_some(),
        "http" => is_here,
        _ => false,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::oidc) fn config() -> OidcConfig {
        OidcConfig {
            issuer: "https://id.example.org/realms/fleet".into(),
            client_id: "waystream".into(),
            client_secret: Some(ClientSecret("a secret of enough letters".into())),
            client_secret_file: None,
            public_url: "https://fleet.example.org/".into(),
            scopes: scopes(),
            claim: email(),
            verified_email: true,
            ca_file: None,
            label: label(),
        }
    }

    #[test]
    fn settings_of_a_provider_that_make_no_sense_are_told_by_name_and_its_secret_is_not_shown() {
        let settings = config().check().expect("sensible");
        assert_eq!(settings.callback.as_str(), "https://fleet.example.org/api/session/oidc/callback");
        assert_eq!((settings.start.path(), settings.scope.as_str()), ("/api/session/oidc", "openid email"));
        assert!(!format!("{:?}{settings:?}", config()).contains("enough letters"));
        let wrong = |change: &dyn Fn(&mut OidcConfig), says: &str| {
            let mut config = config();
            change(&mut config);
            let said = config.check().expect_err(says);
            assert!(said.contains(says), "{said}");
        };
        wrong(&|c| c.issuer = "http://id.example.org".into(), "issuer: begins with https:");
        wrong(&|c| c.issuer = "https://id.example.org/?a=b".into(), "issuer: an address");
        wrong(&|c| c.public_url = "fleet.example.org".into(), "public_url:");
        wrong(&|c| c.public_url = "http://127.0.0.1.example.org".into(), "public_url: begins with https:");
        wrong(&|c| c.client_secret = None, "one of them is needed");
        wrong(&|c| c.client_secret = Some(ClientSecret("short".into())), "at least 16");
        wrong(&|c| c.client_secret_file = Some("nowhere".into()), "client_secret_file, too");
        wrong(&|c| c.scopes = vec!["email".into()], "openid");
        wrong(&|c| c.claim = String::new(), "claim");
        wrong(&|c| c.label = " ".into(), "label");
        for here in ["http://127.0.0.1:8080", "http://localhost:9000/", "http://[::1]/"] {
            assert!(OidcConfig { issuer: here.into(), public_url: here.into(), ..config() }.check().is_ok(), "{here}");
        }
    }
}
