//! Who changed what: for the owners of an organisation, of what is theirs.

use super::history::time;
use super::{ApiError, RestState};
use crate::auth::Identity;
use crate::wire::{AuditAnswer, ChangeInfo, ErrorAnswer};
use axum::Json;
use axum::extract::{Query, State};
use serde::Deserialize;
use utoipa::IntoParams;
use waystream_domain::UserId;
use waystream_domain::audit::is_kind;
use waystream_domain::catalog::Role;
use waystream_log::audit::{AuditFilter, newest};

const USUAL_LIMIT: usize = 100;
const MAX_LIMIT: usize = 500;

/// Which changes.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    /// From then on: milliseconds since the Unix epoch, or ISO 8601.
    from: Option<String>,
    /// Before then.
    to: Option<String>,
    /// Only of this kind of thing: `device`, `fleet`, `geofence`, `user`, `session`, `api_token`, `command`, `channel`,
    /// `notification_rule`, `delivery`, `query`, `organisation`, `transfer`, `erasure`, `retention`,
    /// `unknown_device_rule`.
    kind: Option<String>,
    /// Only those by this user, and sign-ins as this user that failed.
    user: Option<String>,
    /// At most so many, 1 to 500; 100 by default.
    limit: Option<usize>,
    /// The cursor that came with the page before.
    before: Option<String>,
}

/// The newest changes of what is the organisation's, sign-ins included. For owners. Only so many records are looked at for one answer:
/// where few are picked a page may have less than was asked for, or nothing, and still be followed by others.
#[utoipa::path(get, path = "/api/audit", params(Filter),
    responses((status = 200, body = AuditAnswer), (status = 400, body = ErrorAnswer), (status = 403, body = ErrorAnswer)))]
pub(super) async fn list(
    State(rest): State<RestState>,
    identity: Identity,
    Query(query): Query<Filter>,
) -> Result<Json<AuditAnswer>, ApiError> {
    if identity.role() != Role::Owner {
        return Err(ApiError::Forbidden("only owners see who changed what".into()));
    }
    let limit = query.limit.unwrap_or(USUAL_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(ApiError::BadRequest(format!("limit: it is 1 to {MAX_LIMIT}")));
    }
    if let Some(kind) = query.kind.as_deref().filter(|kind| !is_kind(kind)) {
        return Err(ApiError::BadRequest(format!("kind: nothing is a {kind:?}")));
    }
    let user: Option<Result<UserId, _>> = query.user.as_deref().map(str::parse);
    let before: Option<Result<u64, _>> = query.before.as_deref().map(str::parse);
    let filter = AuditFilter {
        organisation: Some(identity.organisation().clone()),
        kind: query.kind.clone(),
        user: user.transpose().map_err(|e| ApiError::BadRequest(format!("user: {e}")))?,
        from: time(query.from.as_deref())?,
        to: time(query.to.as_deref())?,
        before: before.transpose().map_err(|_| ApiError::BadRequest("before: it is no cursor".into()))?,
        limit,
    };
    let page = newest(&*rest.log, &filter).await?;
    let changes = page.records.iter().map(|(place, record)| ChangeInfo::new(*place, record)).collect();
    Ok(Json(AuditAnswer { changes, before: page.before.map(|before| before.to_string()) }))
}
