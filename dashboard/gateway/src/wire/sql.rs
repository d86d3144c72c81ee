//! Questions to history, their answers, and questions that are kept.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use ts_rs::TS;
use utoipa::ToSchema;

/// A query.
#[derive(Debug, Clone, Serialize, Deserialize, TS, ToSchema)]
pub struct SqlRequest {
    /// One SELECT.
    pub query: String,
    /// `json` if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional, type = "\"json\" | \"csv\" | \"arrow\" | \"parquet\"")]
    pub format: Option<String>,
}

/// A query's result.
#[derive(Debug, Clone, Serialize, Deserialize, TS, ToSchema)]
pub struct SqlAnswer {
    /// In order.
    pub columns: Vec<SqlColumn>,
    /// One list of values a row.
    #[ts(type = "unknown[][]")]
    #[schema(value_type = Vec<Vec<Value>>)]
    pub rows: Vec<Value>,
    /// There are more rows than may be sent.
    pub truncated: bool,
    /// The query failed after these rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub error: Option<String>,
}

/// A query that an organisation keeps.
#[derive(Debug, Clone, Serialize, Deserialize, TS, ToSchema)]
pub struct SavedQueryInfo {
    /// Its id.
    pub id: String,
    /// For people.
    pub name: String,
    /// The statement.
    pub query: String,
}

/// A query to keep.
#[derive(Debug, Clone, Serialize, Deserialize, TS, ToSchema)]
pub struct SavedQueryEdit {
    /// For people.
    pub name: String,
    /// The statement.
    pub query: String,
}

/// A column.
#[derive(Debug, Clone, Serialize, Deserialize, TS, ToSchema)]
pub struct SqlColumn {
    /// Name.
    pub name: String,
    /// Arrow's name of its type.
    pub r#type: String,
}
