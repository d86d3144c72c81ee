//! Analysts' SQL.

use super::{Analyst, ApiError, RestState, streamed};
use crate::wire::{ErrorAnswer, SqlAnswer, SqlRequest};
use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, stream};
use waystream_sql::output::Format;

/// Runs one query on the session's own data, as `json`, `csv`, `arrow` or `parquet`. When the client goes away the query ends, and so
/// does it within a second when the session or token that it came with is no more.
///
/// An error has a status as long as nothing was sent. Later, JSON has it as `error`; the other formats break off, so that a part is
/// not taken for the whole.
#[utoipa::path(post, path = "/api/sql", request_body = SqlRequest,
    responses((status = 200, content((SqlAnswer = "application/json"), (String = "text/csv; charset=utf-8"),
            (String = "application/vnd.apache.arrow.stream"), (String = "application/vnd.apache.parquet"))),
        (status = 400, body = ErrorAnswer), (status = 413, body = ErrorAnswer), (status = 429, body = ErrorAnswer)))]
pub(super) async fn query(
    State(rest): State<RestState>,
    Analyst(identity): Analyst,
    Json(request): Json<SqlRequest>,
) -> Result<Response, ApiError> {
    let scope = rest.sessions.scope(&identity);
    let format: Format = request.format.as_deref().unwrap_or("json").parse()?;
    let begin = async {
        let mut pieces = rest.sql.stream(&scope, &request.query, format).await?;
        let first = pieces.next().await.transpose()?.unwrap_or_default();
        Ok::<_, ApiError>((first, pieces))
    };
    let (first, pieces) = tokio::select! {
        biased;
        () = rest.sessions.ended(&identity) => return Err(ApiError::Unauthorised),
        begun = begin => begun?,
    };
    let others = stream::unfold(pieces, |mut pieces| async move { Some((pieces.next().await?, pieces)) });
    let body = streamed(rest.sessions.clone(), identity, stream::once(async { Ok(first) }).chain(others));
    Ok(([(CONTENT_TYPE, format.media_type())], body).into_response())
}
