//! Analysts' SQL.

use super::{ApiError, RestState};
use crate::auth::Identity;
use crate::wire::{ErrorAnswer, SqlAnswer, SqlRequest};
use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use waystream_sql::output::{write_csv, write_json};

/// Runs one query on the session's own data.
#[utoipa::path(post, path = "/api/sql", request_body = SqlRequest,
    responses((status = 200, body = SqlAnswer), (status = 400, body = ErrorAnswer), (status = 413, body = ErrorAnswer)))]
pub(super) async fn query(
    State(rest): State<RestState>,
    identity: Identity,
    Json(request): Json<SqlRequest>,
) -> Result<Response, ApiError> {
    let scope = rest.sessions.scope(&identity);
    // Held in memory, so that a query that fails half-way has an error for an answer; the engine limits the rows.
    let mut out = Vec::new();
    let media_type = match request.format.as_deref().unwrap_or("json") {
        "json" => {
            write_json(rest.sql.query(&scope, &request.query).await?, &mut out).await?;
            "application/json"
        }
        "csv" => {
            write_csv(rest.sql.query(&scope, &request.query).await?, &mut out).await?;
            "text/csv; charset=utf-8"
        }
        other => return Err(ApiError::BadRequest(format!("unknown format {other}: json or csv"))),
    };
    Ok(([(CONTENT_TYPE, media_type)], out).into_response())
}
