//! Share links: what is shown of them, how one is made, and what somebody sees who has one.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;
use waystream_domain::ShareLink;

/// A share link, without its secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS, ToSchema)]
pub struct ShareLinkInfo {
    /// Key.
    pub id: String,
    /// What who opens it sees in place of the vehicle's name.
    pub label: Option<String>,
    /// Who made it.
    pub made_by: String,
    /// When it was made: it shows no way from before.
    pub created_at: i64,
    /// It opens nothing from then on.
    pub expires_at: i64,
}

/// A share link to be made.
#[derive(Debug, Clone, Serialize, Deserialize, TS, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewShareLinkRequest {
    /// Shown in place of the vehicle's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub label: Option<String>,
    /// When it ends: at most 30 days from now.
    pub expires_at: i64,
}

/// A share link that was made.
#[derive(Debug, Clone, Serialize, Deserialize, TS, ToSchema)]
pub struct NewShareLinkAnswer {
    /// What is kept.
    pub link: ShareLinkInfo,
    /// Below the dashboard's address, with the secret behind `#`. It is shown this once.
    pub path: String,
}

/// What somebody sees who has opened a share link.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS, ToSchema)]
pub struct SharedView {
    /// What the vehicle is called; `null`: nothing.
    pub name: Option<String>,
    /// When the link was made.
    pub starts_at: i64,
    /// When it ends.
    pub ends_at: i64,
    /// What the server's clock shows.
    pub now: i64,
    /// The newest one, whenever it was taken; `null`: the vehicle has not reported yet.
    pub position: Option<SharedPosition>,
}

/// A position as far as it is shared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS, ToSchema)]
pub struct SharedPosition {
    /// When the fix was taken.
    pub fix_time: i64,
    /// Degrees north.
    pub lat: f64,
    /// Degrees east.
    pub lon: f64,
    /// Over ground.
    pub speed_mps: Option<f32>,
    /// Clockwise from true north.
    pub course_deg: Option<f32>,
}

/// The way of a shared vehicle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS, ToSchema)]
pub struct SharedTrail {
    /// Since the link was made, of the last week, in order of fix time; where there are many, some are left out.
    pub positions: Vec<SharedPosition>,
}

impl From<&ShareLink> for ShareLinkInfo {
    fn from(link: &ShareLink) -> Self {
        Self {
            id: link.id.to_string(),
            label: link.label.clone(),
            made_by: link.made_by.to_string(),
            created_at: link.created_at.as_millis(),
            expires_at: link.expires_at.as_millis(),
        }
    }
}
