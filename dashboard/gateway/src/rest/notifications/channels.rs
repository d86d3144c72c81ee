//! Ways to notify.

use super::super::kept::{Kept, Owned};
use super::super::{ApiError, DONE, Rest, RestState, name, require_editor};
use super::deliveries::append;
use super::new_id;
use crate::auth::Identity;
use crate::metrics::{Refusal, refused};
use crate::now;
use crate::wire::{ChannelEdit, ChannelInfo, ErrorAnswer, TestAnswer};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use waystream_domain::notify::{Channel, Content, Delivery, DeliveryState, Secret, Target, Topic};
use waystream_domain::rate::{Bucket, Rate};
use waystream_domain::{Catalog, CatalogEdit, CatalogEntry, CatalogKey, ChannelId, OrganisationId};

/// Most channels of one organisation.
const MAX_CHANNELS: usize = 100;
/// Tests of one organisation: they go to whomever it names, in our name, and notifiers hold those that wait in memory.
const TESTS: Rate = Rate { burst: 20.0, per_s: 0.2 };

/// Tests that were sent lately, by organisation. Time is an argument.
#[derive(Default)]
pub(crate) struct Tests(Mutex<HashMap<OrganisationId, Bucket>>);

impl Tests {
    /// `Err`: after how many seconds there may be another one.
    fn take(&self, organisation: &OrganisationId, now: Instant) -> Result<(), u64> {
        let mut sent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = sent.entry(organisation.clone()).or_insert_with(|| Bucket::full(&TESTS, now));
        let missing = 1.0 - bucket.left(&TESTS, now);
        if missing > 0.0 {
            return Err((missing / TESTS.per_s).ceil() as u64);
        }
        bucket.take(&TESTS, 1.0, now);
        Ok(())
    }
}

impl Owned for Channel {
    type Id = ChannelId;
    const ONE: &'static str = "channel";

    fn all(catalog: &Catalog) -> &BTreeMap<ChannelId, Arc<Self>> {
        &catalog.channels
    }

    fn organisation(&self) -> &OrganisationId {
        &self.organisation
    }

    fn key(&self) -> CatalogKey {
        CatalogKey::Channel(self.id.clone())
    }
}

impl Kept for Channel {
    const MANY: &'static str = "channels";
    const MOST: usize = MAX_CHANNELS;

    fn name(&self) -> &str {
        &self.name
    }
}

/// All of the organisation, by name. Addresses of webhooks are often secrets, so this is for those who may edit.
#[utoipa::path(get, path = "/api/notifications/channels",
    responses((status = 200, body = Vec<ChannelInfo>), (status = 403, body = ErrorAnswer)))]
pub(crate) async fn list(State(rest): State<RestState>, identity: Identity) -> Result<Json<Vec<ChannelInfo>>, ApiError> {
    require_editor(&identity)?;
    Ok(Json(rest.all_kept(&identity).iter().map(|kept: &Arc<Channel>| info(kept)).collect()))
}

/// A new channel.
#[utoipa::path(post, path = "/api/notifications/channels", request_body = ChannelEdit,
    responses((status = 201, body = ChannelInfo), (status = 400, body = ErrorAnswer), (status = 403, body = ErrorAnswer),
        (status = 409, body = ErrorAnswer)))]
pub(crate) async fn create(
    State(rest): State<RestState>,
    identity: Identity,
    Json(edit): Json<ChannelEdit>,
) -> Result<(StatusCode, Json<ChannelInfo>), ApiError> {
    require_editor(&identity)?;
    let _turn = rest.turn(&identity).await;
    rest.room_for::<Channel>(&identity)?;
    Ok((StatusCode::CREATED, Json(keep(&rest, &identity, new_id("channel")?, None, edit).await?)))
}

/// Changes a channel. What waits for it is sent to where it points then.
#[utoipa::path(put, path = "/api/notifications/channels/{id}", request_body = ChannelEdit,
    responses((status = 200, body = ChannelInfo), (status = 400, body = ErrorAnswer), (status = 404, body = ErrorAnswer)))]
pub(crate) async fn change(
    State(rest): State<RestState>,
    identity: Identity,
    Path(id): Path<String>,
    Json(edit): Json<ChannelEdit>,
) -> Result<Json<ChannelInfo>, ApiError> {
    require_editor(&identity)?;
    let _turn = rest.turn(&identity).await;
    let before: Arc<Channel> = rest.own_entry(&identity, &id)?;
    let secret = match &before.target {
        Target::Webhook { secret, .. } => Some(secret.clone()),
        _ => None,
    };
    Ok(Json(keep(&rest, &identity, before.id.clone(), secret, edit).await?))
}

/// Removes a channel that no rule or report names. What waits for it is dead then.
#[utoipa::path(delete, path = "/api/notifications/channels/{id}",
    responses((status = 204), (status = 404, body = ErrorAnswer), (status = 409, body = ErrorAnswer)))]
pub(crate) async fn remove(
    State(rest): State<RestState>,
    identity: Identity,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    require_editor(&identity)?;
    let _turn = rest.turn(&identity).await;
    let id = rest.own_entry::<Channel>(&identity, &id)?.id.clone();
    if let Some(rule) = rest.look(&rest.catalog.shared()).notification_rules.values().find(|rule| rule.channel == id) {
        return Err(ApiError::Conflict(format!("the rule {} tells over this channel", rule.name)));
    }
    if let Some(report) = rest.look(&rest.catalog.shared()).reports.values().find(|report| report.channel == id) {
        return Err(ApiError::Conflict(format!("the report {} is sent over this channel", report.name)));
    }
    rest.catalog.edit(&identity.actor(), vec![CatalogEdit::Remove(CatalogKey::Channel(id))]).await?;
    Ok(DONE)
}

/// Sends a test over a channel; what becomes of it is listed with the other deliveries.
#[utoipa::path(post, path = "/api/notifications/channels/{id}/test",
    responses((status = 202, body = TestAnswer), (status = 404, body = ErrorAnswer)))]
pub(crate) async fn test(
    State(rest): State<RestState>,
    identity: Identity,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<TestAnswer>), ApiError> {
    require_editor(&identity)?;
    let channel: Arc<Channel> = rest.own_entry(&identity, &id)?;
    rest.tests.take(identity.organisation(), Instant::now()).map_err(|seconds| {
        refused(Refusal::Rate);
        ApiError::TooMany("too many tests".into(), seconds)
    })?;
    let now = now();
    let delivery = Delivery {
        id: new_id("test")?,
        organisation: channel.organisation.clone(),
        channel: channel.id.clone(),
        content: Content::Test { by: identity.user().clone() },
        matched_at: now,
        round: 0,
        attempts: 0,
        changed_at: now,
        state: DeliveryState::Pending { next_try_at: now, last_error: None },
    };
    append(&rest, &identity, &delivery).await?;
    Ok((StatusCode::ACCEPTED, Json(TestAnswer { delivery: delivery.id.to_string() })))
}

async fn keep(
    rest: &Rest,
    identity: &Identity,
    id: ChannelId,
    old_secret: Option<Secret>,
    edit: ChannelEdit,
) -> Result<ChannelInfo, ApiError> {
    let target = target(&edit, old_secret).map_err(ApiError::BadRequest)?;
    let channel = Channel { id, organisation: identity.organisation().clone(), name: name(&edit.name)?, target };
    channel.check().map_err(ApiError::BadRequest)?;
    let info = info(&channel);
    rest.catalog.edit(&identity.actor(), vec![CatalogEdit::Put(CatalogEntry::Channel(channel))]).await?;
    Ok(info)
}

fn target(edit: &ChannelEdit, old_secret: Option<Secret>) -> Result<Target, String> {
    let ChannelEdit { name: _, r#type, url, secret, to, topic } = edit;
    let foreign = |field: &str| Err(format!("{field}: a channel of type {type} has none"));
    match r#type.as_str() {
        "webhook" => {
            let url = url.clone().ok_or("url: a webhook needs one")?;
            let secret = secret.clone().map(Secret).or(old_secret).ok_or("secret: a webhook needs one")?;
            match (to, topic) {
                (Some(_), _) => foreign("to"),
                (_, Some(_)) => foreign("topic"),
                _ => Ok(Target::Webhook { url, secret }),
            }
        }
        "email" => match (url, secret, topic) {
            (Some(_), _, _) => foreign("url"),
            (_, Some(_), _) => foreign("secret"),
            (_, _, Some(_)) => foreign("topic"),
            _ => Ok(Target::Email { to: to.clone().ok_or("to: e-mail needs recipients")? }),
        },
        "mqtt" => match (url, secret, to) {
            (Some(_), _, _) => foreign("url"),
            (_, Some(_), _) => foreign("secret"),
            (_, _, Some(_)) => foreign("to"),
            _ => {
                let topic = topic.as_deref().ok_or("topic: MQTT needs one")?;
                Ok(Target::Mqtt { topic: Topic::parse(topic).map_err(|wrong| format!("topic: {wrong}"))? })
            }
        },
        other => Err(format!("type: {other:?} is none of webhook, email, mqtt")),
    }
}

fn info(channel: &Channel) -> ChannelInfo {
    let (mut url, mut to, mut topic) = (None, None, None);
    match &channel.target {
        Target::Webhook { url: address, .. } => url = Some(address.clone()),
        Target::Email { to: recipients } => to = Some(recipients.clone()),
        Target::Mqtt { topic: template } => topic = Some(template.as_str().to_owned()),
    }
    ChannelInfo { id: channel.id.to_string(), name: channel.name.clone(), r#type: channel.kind().to_owned(), url, to, topic }
}
