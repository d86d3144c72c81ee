//! Errors of REST and the status each has.

use crate::auth::PasswordError;
use crate::metrics::{Refusal, refused};
use crate::wire::ErrorAnswer;
use axum::Json;
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use waystream_log::LogError;
use waystream_sql::SqlError;

/// Why a request is not answered.
#[derive(Debug)]
pub(crate) enum ApiError {
    /// The request is wrong.
    BadRequest(String),
    /// Nobody is signed in.
    Unauthorised,
    /// The role doesn't allow it.
    Forbidden(String),
    /// The password is right, and a code of the second factor is needed too.
    CodeNeeded,
    /// The present password is needed, and was not given.
    PasswordNeeded,
    /// It isn't there, or is somebody else's.
    NotFound(String),
    /// It contradicts what is there.
    Conflict(String),
    /// It asks for too much.
    TooLarge(String),
    /// Try again after so many seconds.
    TooMany(String, u64),
    /// Our fault.
    Internal(String),
}

impl ApiError {
    /// Passwords or codes were wrong too often: how long to wait.
    pub(super) fn too_many_failures(wait_ms: i64) -> Self {
        Self::too_many_guesses("too many failed sign-ins", wait_ms)
    }

    /// Something was guessed too often: how long to wait.
    pub(super) fn too_many_guesses(error: &str, wait_ms: i64) -> Self {
        refused(Refusal::Guesses);
        Self::TooMany(error.to_owned(), wait_ms.unsigned_abs().div_ceil(1_000))
    }

    /// All who may work on this do so already.
    pub(super) fn busy(error: String) -> Self {
        refused(Refusal::Busy);
        Self::TooMany(error, 1)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut retry = None;
        let (status, error) = match self {
            Self::BadRequest(error) => (StatusCode::BAD_REQUEST, error),
            Self::Unauthorised => (StatusCode::UNAUTHORIZED, "nobody is signed in".into()),
            Self::Forbidden(error) => (StatusCode::FORBIDDEN, error),
            Self::CodeNeeded => (StatusCode::PRECONDITION_REQUIRED, "a code of your second factor is needed".into()),
            Self::PasswordNeeded => (StatusCode::PRECONDITION_REQUIRED, "your present password is needed".into()),
            Self::NotFound(error) => (StatusCode::NOT_FOUND, error),
            Self::Conflict(error) => (StatusCode::CONFLICT, error),
            Self::TooLarge(error) => {
                refused(Refusal::TooLarge);
                (StatusCode::PAYLOAD_TOO_LARGE, error)
            }
            Self::TooMany(error, seconds) => {
                retry = Some([(RETRY_AFTER, seconds.to_string())]);
                (StatusCode::TOO_MANY_REQUESTS, error)
            }
            Self::Internal(error) => {
                tracing::error!(%error, "request failed");
                (StatusCode::INTERNAL_SERVER_ERROR, "something went wrong on the server".into())
            }
        };
        (status, retry, Json(ErrorAnswer { error })).into_response()
    }
}

impl From<LogError> for ApiError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Refused(reason) => Self::TooLarge(reason),
            LogError::Taken(_) | LogError::LastOwner => Self::Conflict(error.to_string()),
            other => Self::Internal(other.to_string()),
        }
    }
}

impl From<SqlError> for ApiError {
    fn from(error: SqlError) -> Self {
        let text = error.to_string();
        match error {
            SqlError::Invalid { .. } | SqlError::ReadOnly(_) => Self::BadRequest(text),
            SqlError::Deadline(_) | SqlError::Memory(_) => Self::TooLarge(text),
            SqlError::Busy => Self::busy(text),
            SqlError::Store(_) | SqlError::Output(_) => Self::Internal(text),
        }
    }
}

impl From<PasswordError> for ApiError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Length => Self::BadRequest(error.to_string()),
            PasswordError::Busy => Self::busy(error.to_string()),
        }
    }
}
