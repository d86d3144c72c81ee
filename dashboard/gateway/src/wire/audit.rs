//! Who changed what, and when.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use ts_rs::TS;
use utoipa::ToSchema;
use waystream_domain::audit::{Access, View};
use waystream_domain::{Actor, AuditRecord};

/// One change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS, ToSchema)]
pub struct ChangeInfo {
    /// Key. No other change has it.
    pub id: String,
    /// When it was made.
    pub at: i64,
    /// Who made it: a user, somebody unknown, the command line, the program by itself, or a device.
    #[ts(type = "\"user\" | \"nobody\" | \"command_line\" | \"program\" | \"connectors\"")]
    pub by: String,
    /// Sign-in name, if it was a user.
    pub user: Option<String>,
    /// What the user has shown.
    #[ts(type = "\"session\" | \"token\" | \"password\" | \"link\" | \"oidc\" | null")]
    pub via: Option<String>,
    /// Which session or token.
    pub access: Option<String>,
    /// Where the connection came from; behind a proxy that is the proxy.
    pub address: Option<String>,
    /// What the program did it for.
    pub doing: Option<String>,
    /// Kind of what was changed: `device`, `geofence`, `user`, `session`.
    pub kind: String,
    /// Key of what was changed.
    pub thing: String,
    /// What happened.
    #[ts(
        type = "\"put\" | \"removed\" | \"password_changed\" | \"signed_in\" | \"sign_in_failed\" | \"signed_out\" | \"tested\" | \"retried\""
    )]
    pub change: String,
    /// What it was. Secrets are left out, long values told by their size and hash.
    #[ts(type = "Record<string, unknown> | null")]
    #[schema(value_type = Option<Object>)]
    pub before: Option<Value>,
    /// What it is since then.
    #[ts(type = "Record<string, unknown> | null")]
    #[schema(value_type = Option<Object>)]
    pub after: Option<Value>,
}

/// Changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS, ToSchema)]
pub struct AuditAnswer {
    /// Newest first.
    pub changes: Vec<ChangeInfo>,
    /// Cursor of the next page, also where this one is empty; `null`: there are no older ones.
    pub before: Option<String>,
}

impl ChangeInfo {
    /// The record at this place of the log.
    pub fn new(place: u64, record: &AuditRecord) -> Self {
        let (kind, thing) = record.key.split_once('/').unwrap_or((record.key.as_str(), ""));
        let json = |view: &Option<View>| view.as_ref().map(|view| view.as_json().clone());
        let mut info = Self {
            id: place.to_string(),
            at: record.at.as_millis(),
            by: String::new(),
            user: None,
            via: None,
            access: None,
            address: None,
            doing: None,
            kind: kind.to_owned(),
            thing: thing.to_owned(),
            change: record.change.name().to_owned(),
            before: json(&record.before),
            after: json(&record.after),
        };
        let by = match &record.by {
            Actor::User { user, organisation: _, via, address } => {
                info.user = Some(user.to_string());
                info.address = address.map(|address| address.to_string());
                let (via, access) = match via {
                    Access::Session { session } => ("session", Some(session.to_string())),
                    Access::Token { token } => ("token", Some(token.to_string())),
                    Access::Password => ("password", None),
                    Access::Link => ("link", None),
                    Access::Oidc => ("oidc", None),
                };
                (info.via, info.access) = (Some(via.to_owned()), access);
                "user"
            }
            Actor::Nobody { address } => {
                info.address = address.map(|address| address.to_string());
                "nobody"
            }
            Actor::CommandLine => "command_line",
            Actor::Program { doing } => {
                info.doing = Some(doing.to_string());
                "program"
            }
            Actor::Connectors => "connectors",
        };
        by.clone_into(&mut info.by);
        info
    }
}
