//! Notices, and who is there to see them.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

/// To be shown on every open dashboard of the organisation.
#[derive(Debug, Clone, Serialize, Deserialize, TS, ToSchema)]
pub struct NewNotice {
    /// What it says.
    pub text: String,
}

/// What became of a notice.
#[derive(Debug, Clone, Serialize, Deserialize, TS, ToSchema)]
pub struct NoticeAnswer {
    /// Dashboards that have shown it.
    pub shown: usize,
}

/// Socket.IO event `notice`; its acknowledgement says that it is shown.
#[derive(Debug, Clone, Serialize, Deserialize, TS, ToSchema)]
pub struct NoticeMessage {
    /// What it says.
    pub text: String,
    /// Who says so.
    pub from: String,
    /// When, milliseconds since the Unix epoch.
    pub at: i64,
}

/// Who has a dashboard open.
#[derive(Debug, Clone, Serialize, Deserialize, TS, ToSchema)]
pub struct PresenceAnswer {
    /// Sign-in names.
    pub users: Vec<String>,
}
