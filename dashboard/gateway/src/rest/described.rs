//! What every operation has in common, in the description and in its answers: how it refuses.

use super::ApiError;
use crate::metrics::{Refusal, refused};
use crate::wire::ErrorAnswer;
use axum::Json;
use axum::http::StatusCode;
use axum::http::header::{ALLOW, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::{Content, OpenApi, Ref, RefOr, ResponseBuilder};

/// Longest text of a refusal that axum words, bytes: it may cite what it was asked.
const MAX_TEXT: usize = 16 << 10;

/// Operations that ask for nobody: what a page needs before anybody has signed in, and signing in.
const OPEN: [(&str, &str); 2] = [("get", "/api/config"), ("post", "/api/session")];

/// Adds to every operation the refusals that don't depend on what it does.
pub(super) fn with_refusals(mut description: OpenApi) -> OpenApi {
    for (path, item) in &mut description.paths.paths {
        let PathItem { get, put, post, delete, .. } = item;
        for (method, operation) in [("get", get), ("put", put), ("post", post), ("delete", delete)] {
            if let Some(operation) = operation {
                add_refusals(operation, !OPEN.contains(&(method, path.as_str())));
            }
        }
    }
    description
}

fn add_refusals(operation: &mut Operation, asks_for_somebody: bool) {
    let has_body = operation.request_body.is_some();
    let has_parameters = operation.parameters.as_ref().is_some_and(|parameters| !parameters.is_empty());
    let refusals = [
        (has_body || has_parameters, "400", "a value is not what it has to be"),
        (asks_for_somebody, "401", "nobody is signed in"),
        (true, "403", "the role, the token or the page that asks may not do this"),
        (has_body, "413", "it is too much"),
        (has_body, "415", "the body is of another type"),
        (true, "429", "too much is asked; `Retry-After` says after how many seconds to ask again"),
        (has_body, "422", "the body has not the form that it has to have"),
    ];
    for (_, status, why) in refusals.into_iter().filter(|(may_be, ..)| *may_be) {
        let known = &mut operation.responses.responses;
        known.entry(status.to_owned()).or_insert_with(|| {
            let answer = Content::new(Some(Ref::from_schema_name("ErrorAnswer")));
            RefOr::T(ResponseBuilder::new().description(why).content("application/json", answer).build())
        });
    }
}

/// What axum refuses by itself, in plain text (a body that is no JSON, a number that is none, another method), is told like all else. Pages
/// for people stay as they are.
pub(super) async fn told_alike(answer: Response) -> Response {
    let status = answer.status();
    let is_plain = answer.headers().get(CONTENT_TYPE).is_none_or(|kind| kind.as_bytes().starts_with(b"text/plain"));
    if !is_plain || !(status.is_client_error() || status.is_server_error()) {
        return answer;
    }
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        refused(Refusal::TooLarge);
    }
    let (parts, body) = answer.into_parts();
    let text = axum::body::to_bytes(body, MAX_TEXT).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    if status.is_server_error() {
        // What happened inside is for the log.
        return ApiError::Internal(text.into_owned()).into_response();
    }
    let usual = status.canonical_reason().unwrap_or("it was refused");
    let error = if text.is_empty() { usual.to_lowercase() } else { text.into_owned() };
    let mut told = (status, Json(ErrorAnswer { error })).into_response();
    if let (StatusCode::METHOD_NOT_ALLOWED, Some(allow)) = (status, parts.headers.get(ALLOW)) {
        told.headers_mut().insert(ALLOW, allow.clone());
    }
    told
}
