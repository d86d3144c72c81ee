//! Notices to everybody of the organisation who has a dashboard open, and who that is.

use super::{ApiError, RestState, require_editor};
use crate::auth::Identity;
use crate::now;
use crate::wire::{ErrorAnswer, NewNotice, NoticeAnswer, NoticeMessage, PresenceAnswer};
use axum::Json;
use axum::extract::State;

/// Characters of a notice.
const LONGEST: usize = 500;

/// Show a notice on every open dashboard of the organisation, whatever gateway it is at.
#[utoipa::path(post, path = "/api/notices", request_body = NewNotice,
    responses((status = 200, body = NoticeAnswer), (status = 400, body = ErrorAnswer), (status = 403, body = ErrorAnswer)))]
pub(super) async fn create(
    State(rest): State<RestState>,
    identity: Identity,
    Json(request): Json<NewNotice>,
) -> Result<Json<NoticeAnswer>, ApiError> {
    require_editor(&identity)?;
    let text = request.text.trim();
    if text.is_empty() || text.chars().count() > LONGEST || text.chars().any(|c| c.is_control() && c != '\n') {
        return Err(ApiError::BadRequest(format!("a notice has 1 to {LONGEST} characters")));
    }
    let notice = NoticeMessage { text: text.to_owned(), from: identity.user().to_string(), at: now().as_millis() };
    Ok(Json(NoticeAnswer { shown: rest.dashboards.notify(identity.organisation(), &notice).await }))
}

/// Users of the organisation who have a dashboard open, on any gateway.
#[utoipa::path(get, path = "/api/presence", responses((status = 200, body = PresenceAnswer)))]
pub(super) async fn presence(State(rest): State<RestState>, identity: Identity) -> Json<PresenceAnswer> {
    Json(PresenceAnswer { users: rest.dashboards.users(identity.organisation()).await.into_iter().collect() })
}
