//! The second factor of whoever is signed in.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

/// Whether a code is asked for when signing in.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, TS, ToSchema)]
pub struct SecondFactorInfo {
    /// Since when; `null`: it is not.
    pub since: Option<i64>,
    /// Recovery codes that have not been used.
    pub recovery_codes: usize,
}

/// A secret that an authenticator may take over. Nothing is asked for until a code made from it has come back.
#[derive(Debug, Clone, Serialize, Deserialize, TS, ToSchema)]
pub struct SecondFactorProposal {
    /// To type in, base32.
    pub secret: String,
    /// The same and more, as authenticators read it.
    pub uri: String,
    /// A picture of it to be scanned: SVG.
    pub qr_svg: String,
}

/// Shows that an authenticator has taken the secret over.
#[derive(Clone, Serialize, Deserialize, TS, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecondFactorStart {
    /// As it was proposed.
    pub secret: String,
    /// What the authenticator shows.
    pub code: String,
    /// The password, where that is asked for (status 428 says so).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub present: Option<String>,
}

/// A code of the authenticator, or a recovery code.
#[derive(Clone, Serialize, Deserialize, TS, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecondFactorCode {
    /// The code.
    pub code: String,
}

/// For when the authenticator is lost. Each is good once; they are shown this once.
#[derive(Clone, Serialize, Deserialize, TS, ToSchema)]
pub struct RecoveryCodes {
    /// The codes.
    pub codes: Vec<String>,
}
