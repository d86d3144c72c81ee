//! API tokens: what is shown of them, and how one is made.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;
use waystream_domain::{ApiToken, TokenScope};

/// What a token may be used for. The role of its user stays the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenScopeName {
    /// To look.
    Read,
    /// To change.
    Edit,
    /// To ask with SQL.
    Sql,
}

/// A token, without its secret.
#[derive(Debug, Clone, Serialize, Deserialize, TS, ToSchema)]
pub struct TokenInfo {
    /// Its id: the secret begins with `ws_`, this and `_`.
    pub id: String,
    /// For whom.
    pub user: String,
    /// For people.
    pub name: String,
    /// For what.
    pub scopes: Vec<TokenScopeName>,
    /// When it was made.
    pub created_at: i64,
    /// No longer valid from then on; `null`: until it is removed.
    pub expires_at: Option<i64>,
}

/// A token to be made.
#[derive(Debug, Clone, Serialize, Deserialize, TS, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTokenRequest {
    /// For people.
    pub name: String,
    /// For what.
    pub scopes: Vec<TokenScopeName>,
    /// No longer valid from then on; missing: until it is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub expires_at: Option<i64>,
}

/// A token that was made.
#[derive(Debug, Clone, Serialize, Deserialize, TS, ToSchema)]
pub struct NewTokenAnswer {
    /// What is kept.
    pub token: TokenInfo,
    /// What signs in. It is shown this once.
    pub secret: String,
}

impl From<&ApiToken> for TokenInfo {
    fn from(token: &ApiToken) -> Self {
        Self {
            id: token.id.to_string(),
            user: token.user.to_string(),
            name: token.name.clone(),
            scopes: token.scopes.iter().map(|&scope| scope.into()).collect(),
            created_at: token.created_at.as_millis(),
            expires_at: token.expires_at.map(|end| end.as_millis()),
        }
    }
}

impl From<TokenScope> for TokenScopeName {
    fn from(scope: TokenScope) -> Self {
        match scope {
            TokenScope::Read => Self::Read,
            TokenScope::Edit => Self::Edit,
            TokenScope::Sql => Self::Sql,
        }
    }
}

impl From<TokenScopeName> for TokenScope {
    fn from(name: TokenScopeName) -> Self {
        match name {
            TokenScopeName::Read => Self::Read,
            TokenScopeName::Edit => Self::Edit,
            TokenScopeName::Sql => Self::Sql,
        }
    }
}
