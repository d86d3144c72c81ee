//! Who has seen to which alert.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;
use waystream_domain::Acknowledgement;

/// To acknowledge an alert.
#[derive(Debug, Clone, Default, Serialize, Deserialize, TS, ToSchema)]
pub struct NewAcknowledgement {
    /// What else there is to say, at most 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub note: Option<String>,
}

/// To acknowledge several alerts.
#[derive(Debug, Clone, Serialize, Deserialize, TS, ToSchema)]
pub struct NewAcknowledgements {
    /// 1 to 1,000 ids of events.
    pub event_ids: Vec<String>,
    /// What else there is to say, at most 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub note: Option<String>,
}

/// Somebody of the organisation has seen to an alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS, ToSchema)]
pub struct AcknowledgementInfo {
    /// Which.
    pub event_id: String,
    /// The user who did.
    pub by: String,
    /// When, milliseconds since the Unix epoch.
    pub at: i64,
    /// What else there was to say.
    pub note: Option<String>,
}

/// An acknowledgement as browsers see it.
pub(crate) fn acknowledgement_info(acknowledgement: &Acknowledgement) -> AcknowledgementInfo {
    AcknowledgementInfo {
        event_id: acknowledgement.event.to_string(),
        by: acknowledgement.by.to_string(),
        at: acknowledgement.at.as_millis(),
        note: acknowledgement.note.clone(),
    }
}
