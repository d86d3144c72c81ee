//! What is shown of an entry in a record: enough to see what was changed, and no secret.

use crate::catalog::{Session, SessionUse, User, UserPassword, UserPreferences};
use crate::notify::{Channel, Target};
use crate::second_factor::SecondFactor;
use crate::{ApiToken, CatalogEntry, DeviceToken, ShareLink, SignInLink, Transfer};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use url::Url;

/// A field of more bytes (of JSON) is told by its size and a part of its hash: an area may have a hundred thousand corners.
const MAX_FIELD_BYTES: usize = 4 << 10;
/// Stands for a secret.
const HIDDEN: &str = "hidden";
/// Stands for a secret that is another than before.
const HIDDEN_CHANGED: &str = "hidden, changed";

/// An entry of the catalog as everybody may see it who may see the record. Always an object. Only this module makes one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct View(Value);

impl View {
    /// Of an entry. `before`: what stood under its key, so that a secret which is another can be told from one that is the same.
    pub(super) fn of(entry: &CatalogEntry, before: Option<&CatalogEntry>) -> Self {
        // Those with secrets are taken apart, so that a new field has to be thought of here.
        let mut view = match entry {
            CatalogEntry::User(User { id, organisation, role, password_hash, preferences }) => {
                let was = before.and_then(|before| match before {
                    CatalogEntry::User(was) => was.password_hash.as_deref(),
                    _ => None,
                });
                let password = hidden(password_hash.as_deref(), was, before.is_some());
                let mut user = json!({ "id": id, "organisation": organisation, "role": role, "password": password });
                if let (Some(preferences), Some(fields)) = (preferences, user.as_object_mut()) {
                    fields.insert("preferences".into(), json!(preferences));
                }
                user
            }
            CatalogEntry::UserPassword(UserPassword { user, organisation, hash }) => {
                let was = before.and_then(|before| match before {
                    CatalogEntry::UserPassword(was) => Some(was.hash.as_str()),
                    _ => None,
                });
                json!({ "id": user, "organisation": organisation, "password": hidden(Some(hash.as_str()), was, true) })
            }
            CatalogEntry::UserPreferences(UserPreferences { user, organisation, preferences }) => {
                json!({ "id": user, "organisation": organisation, "preferences": preferences })
            }
            CatalogEntry::Session(Session { token_sha256: _, user, expires_at: _, password_until: _ }) => {
                json!({ "user": user })
            }
            CatalogEntry::SessionUse(SessionUse { token_sha256: _, used_at }) => json!({ "used_at": used_at }),
            CatalogEntry::ApiToken(ApiToken { id, user, name, scopes, created_at, expires_at, sha256: _, scram: _ }) => json!({
                "id": id, "user": user, "name": name, "scopes": scopes, "created_at": created_at, "expires_at": expires_at,
            }),
            CatalogEntry::SignInLink(SignInLink { token_sha256: _, user, organisation: _, expires_at }) => {
                json!({ "user": user, "expires_at": expires_at })
            }
            CatalogEntry::ShareLink(ShareLink {
                id,
                organisation,
                device,
                label,
                made_by,
                created_at,
                expires_at,
                sha256: _,
            }) => {
                json!({
                    "id": id, "organisation": organisation, "device": device, "label": label, "made_by": made_by,
                    "created_at": created_at, "expires_at": expires_at,
                })
            }
            CatalogEntry::SecondFactor(SecondFactor { user, secret: _, used_step: _, recovery_sha256, since }) => {
                json!({ "user": user, "since": since, "recovery_codes": recovery_sha256.len() })
            }
            CatalogEntry::Channel(channel) => {
                let was = before.and_then(|before| match before {
                    CatalogEntry::Channel(was) => Some(&was.target),
                    _ => None,
                });
                of_channel(channel, was)
            }
            CatalogEntry::Transfer(transfer) => {
                let Transfer { device, organisation, by, offered_at, expires_at, code_sha256: _, claim } = transfer;
                json!({
                    "device": device, "organisation": organisation, "by": by, "offered_at": offered_at, "expires_at": expires_at,
                    "ending": claim.is_some(),
                })
            }
            CatalogEntry::DeviceToken(DeviceToken { device, made_by, made_at, sha256 }) => {
                let was = before.and_then(|before| match before {
                    CatalogEntry::DeviceToken(was) => Some(was.sha256),
                    _ => None,
                });
                let token = if was.is_some_and(|was| was != *sha256) { HIDDEN_CHANGED } else { HIDDEN };
                json!({ "device": device, "made_by": made_by, "made_at": made_at, "token": token })
            }
            CatalogEntry::Organisation(entry) => json!(entry),
            CatalogEntry::Fleet(entry) => json!(entry),
            CatalogEntry::Device(entry) => json!(entry),
            CatalogEntry::Geofence(entry) => json!(entry),
            CatalogEntry::Query(entry) => json!(entry),
            CatalogEntry::Command(entry) => json!(entry),
            CatalogEntry::NotificationRule(entry) => json!(entry),
            CatalogEntry::Report(entry) => json!(entry),
            CatalogEntry::UnknownDevice(entry) => json!(entry),
            CatalogEntry::Acknowledgement(entry) => json!(entry),
            CatalogEntry::Handover(entry) => json!(entry),
            CatalogEntry::FleetOwner(entry) => json!(entry),
            CatalogEntry::DeviceAddresses(entry) => json!(entry),
            CatalogEntry::Erasure(entry) => json!(entry),
            CatalogEntry::Retention(entry) => json!(entry),
            CatalogEntry::UnknownDeviceRule(entry) => json!(entry),
        };
        if let Some(fields) = view.as_object_mut() {
            fields.values_mut().for_each(shorten);
        }
        Self(view)
    }

    /// How long somebody has to wait after a failed sign-in, seconds.
    pub(super) fn of_wait(seconds: u64) -> Self {
        Self(json!({ "next_try_in_s": seconds }))
    }

    /// As JSON.
    pub fn as_json(&self) -> &Value {
        &self.0
    }
}

fn of_channel(channel: &Channel, was: Option<&Target>) -> Value {
    let kind = channel.kind();
    let Channel { id, organisation, name, target } = channel;
    match target {
        Target::Webhook { url, secret } => {
            let (url_was, secret_was) = match was {
                Some(Target::Webhook { url, secret }) => (Some(url.as_str()), Some(secret.0.as_str())),
                _ => (None, None),
            };
            // Who knows the whole address of a webhook can often use it: the server is told, the rest hidden.
            let server = Url::parse(url).map_or_else(|_| HIDDEN.to_owned(), |url| url.origin().ascii_serialization());
            let address = hidden(Some(url.as_str()), url_was, was.is_some());
            let secret = hidden(Some(secret.0.as_str()), secret_was, was.is_some());
            json!({
                "id": id, "organisation": organisation, "name": name, "type": kind, "server": server, "url": address,
                "secret": secret,
            })
        }
        Target::Email { to } => json!({ "id": id, "organisation": organisation, "name": name, "type": kind, "to": to }),
        Target::Mqtt { topic } => {
            json!({ "id": id, "organisation": organisation, "name": name, "type": kind, "topic": topic })
        }
    }
}

/// What stands for a secret: whether there is one, and whether it is another than before.
fn hidden(secret: Option<&str>, was: Option<&str>, had_entry: bool) -> Value {
    match secret {
        None => Value::Null,
        Some(_) if had_entry && secret != was => HIDDEN_CHANGED.into(),
        Some(_) => HIDDEN.into(),
    }
}

fn shorten(value: &mut Value) {
    let text = value.to_string();
    if text.len() > MAX_FIELD_BYTES {
        let hash = Sha256::digest(text.as_bytes()).iter().take(8).fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("a String grows as needed");
            hex
        });
        *value = json!({ "bytes": text.len(), "sha256": hash });
    }
}
