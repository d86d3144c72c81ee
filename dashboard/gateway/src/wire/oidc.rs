//! Signing in by an OpenID provider.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

/// The button that leads to the provider.
#[derive(Debug, Clone, Serialize, Deserialize, TS, ToSchema)]
pub struct OidcButton {
    /// What it says.
    pub label: String,
    /// Where it leads: an address of ours, as the provider knows us.
    pub url: String,
}
