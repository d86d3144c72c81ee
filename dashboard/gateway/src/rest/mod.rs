//! REST under `/api`: JSON in and out, every answer inside the scope of the session or token that asks.

mod acknowledgements;
mod audit;
mod commands;
mod described;
mod device_access;
mod devices;
mod erasures;
mod error;
mod export;
mod fleets;
mod geofences;
mod history;
mod kept;
mod notices;
mod notifications;
mod oidc;
mod queries;
mod rates;
mod retention;
mod room;
mod second_factor;
mod session;
mod share_links;
mod shared;
mod sql;
mod tokens;
mod transfers;
mod unknown_devices;
mod users;
mod vehicles;

pub(crate) use error::ApiError;
pub use export::{ExportFormat, OpenTrackFile, TrackSink};
pub(crate) use rates::{Rates, limited_openings};
pub(crate) use room::Turns;
pub(crate) use session::sign_in_by_link;
pub(crate) use shared::{LINES, Trails};
pub(crate) use vehicles::Lists;

use self::devices::unknown;
use crate::auth::{Identity, Links, Passwords, SecondFactors, Sessions, Shares, SignedIn, Throttle, Unknown};
use crate::listener::Connection;
use crate::live::SharedBoard;
use crate::nodes::Dashboards;
use crate::now;
use crate::oidc::Oidc;
use crate::wire::PageConfig;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, FromRequestParts, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use futures::{Stream, StreamExt, stream};
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLockReadGuard};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use waystream_domain::{Catalog, DeviceId, FleetId, OrganisationLimits, SharedCatalog, TokenScope};
use waystream_log::Log;
use waystream_log::catalog::CatalogHandle;
use waystream_sql::SqlEngine;
use waystream_sql::fair::Places;

/// Longest request body, bytes: a geofence of 100,000 vertices fits.
const MAX_BODY: usize = 8 << 20;
/// The same of signing in, where nobody is known yet.
const MAX_SIGN_IN: usize = 16 << 10;
/// Files of tracks that are written at a time; where there are several organisations, each has its share.
pub(crate) const EXPORTS: usize = 16;

/// What REST needs.
pub(crate) struct Rest {
    /// To check sessions and to make them.
    pub(crate) sessions: Sessions,
    /// To check passwords.
    pub(crate) passwords: Passwords,
    /// How many requests there may be.
    pub(crate) rates: Rates,
    /// Back-off for failed sign-ins.
    pub(crate) throttle: Throttle,
    /// Back-off for wrong codes of devices that are handed over, by organisation.
    pub(crate) codes: Throttle,
    /// To ask for codes.
    pub(crate) second_factors: SecondFactors,
    /// Links that sign in once.
    pub(crate) links: Links,
    /// The provider by which people may sign in, too.
    pub(crate) oidc: Option<Oidc>,
    /// Links that share a vehicle.
    pub(crate) shares: Shares,
    /// Ways of shared vehicles that were asked for lately.
    pub(crate) trails: Trails,
    /// For deliveries of notifications.
    pub(crate) log: Arc<dyn Log>,
    /// To edit.
    pub(crate) catalog: CatalogHandle,
    /// How much one organisation may have there.
    pub(crate) most: OrganisationLimits,
    /// To add to it.
    pub(crate) turns: Turns,
    /// How often channels are tried.
    pub(crate) tests: notifications::channels::Tests,
    /// The newest position of every vehicle.
    pub(crate) board: SharedBoard,
    /// Lists of vehicles that were asked for lately.
    pub(crate) lists: Lists,
    /// History.
    pub(crate) sql: Arc<SqlEngine>,
    /// Of files that are being written.
    pub(crate) exporting: Places,
    /// For `/api/export`.
    pub(crate) exports: Vec<ExportFormat>,
    /// Everybody who is there, on whatever gateway.
    pub(crate) dashboards: Dashboards,
    /// For `/api/config`.
    pub(crate) page: PageConfig,
}

/// Shared by all handlers.
pub(crate) type RestState = Arc<Rest>;

#[derive(OpenApi)]
#[openapi(info(
    title = "waystream",
    description = "Fleet tracking: catalog, newest positions, history. Times are milliseconds since the Unix epoch, UTC."
))]
struct ApiDescription;

/// All routes under `/api`.
pub(crate) fn router(state: RestState) -> Router {
    let sessions = OpenApiRouter::new()
        .routes(routes!(session::who, session::sign_in, session::sign_out))
        .routes(routes!(session::set_password))
        .routes(routes!(session::set_preferences))
        .layer(DefaultBodyLimit::max(MAX_SIGN_IN));
    let (router, description) = OpenApiRouter::with_openapi(ApiDescription::openapi())
        .routes(routes!(page_config))
        .merge(sessions)
        .routes(routes!(oidc::begin))
        .routes(routes!(oidc::callback))
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::remove))
        .routes(routes!(users::list, users::create))
        .routes(routes!(users::change, users::remove))
        .routes(routes!(users::link))
        .routes(routes!(second_factor::show, second_factor::propose, second_factor::turn_on))
        .routes(routes!(second_factor::turn_off))
        .routes(routes!(second_factor::reset))
        .routes(routes!(audit::list))
        .routes(routes!(fleets::list, fleets::create))
        .routes(routes!(fleets::change, fleets::remove))
        .routes(routes!(devices::list))
        .routes(routes!(devices::details, devices::change, devices::remove))
        .routes(routes!(devices::slots))
        .routes(routes!(device_access::show))
        .routes(routes!(device_access::make_token, device_access::revoke_token))
        .routes(routes!(device_access::set_addresses))
        .routes(routes!(erasures::list))
        .routes(routes!(erasures::erase))
        .routes(routes!(retention::show, retention::keep))
        .routes(routes!(retention::keep_device))
        .routes(routes!(share_links::list, share_links::create))
        .routes(routes!(share_links::remove))
        .routes(routes!(shared::watch))
        .routes(routes!(shared::trail))
        .routes(routes!(unknown_devices::list))
        .routes(routes!(unknown_devices::dismiss))
        .routes(routes!(unknown_devices::adopt))
        .routes(routes!(unknown_devices::policy, unknown_devices::set_policy))
        .routes(routes!(transfers::list))
        .routes(routes!(transfers::offer, transfers::withdraw))
        .routes(routes!(transfers::redeem))
        .routes(routes!(vehicles::list_vehicles))
        .routes(routes!(commands::list, commands::create))
        .routes(routes!(commands::cancel))
        .routes(routes!(geofences::list, geofences::create))
        .routes(routes!(geofences::import))
        .routes(routes!(geofences::change, geofences::remove))
        .routes(routes!(history::track))
        .routes(routes!(history::range))
        .routes(routes!(history::events))
        .routes(routes!(acknowledgements::list, acknowledgements::acknowledge_all))
        .routes(routes!(acknowledgements::acknowledge, acknowledgements::take_back))
        .routes(routes!(sql::query))
        .routes(routes!(queries::list, queries::create))
        .routes(routes!(queries::change, queries::remove))
        .routes(routes!(export::export, export::export_many))
        .routes(routes!(notices::create))
        .routes(routes!(notices::presence))
        .routes(routes!(notifications::channels::list, notifications::channels::create))
        .routes(routes!(notifications::channels::change, notifications::channels::remove))
        .routes(routes!(notifications::channels::test))
        .routes(routes!(notifications::rules::list, notifications::rules::create))
        .routes(routes!(notifications::rules::change, notifications::rules::remove))
        .routes(routes!(notifications::reports::list, notifications::reports::create))
        .routes(routes!(notifications::reports::change, notifications::reports::remove))
        .routes(routes!(notifications::deliveries::list))
        .routes(routes!(notifications::deliveries::retry))
        .split_for_parts();
    let description = serde_json::to_string(&described::with_refusals(description)).expect("a description of strings is JSON");
    let json = [(axum::http::header::CONTENT_TYPE, "application/json")];
    router
        .route("/api/openapi.json", get(move || async move { (json, description).into_response() }))
        .route("/api/{*rest}", axum::routing::any(|| async { ApiError::NotFound("there is nothing here".into()) }))
        .layer(map_response(described::told_alike))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn_with_state(Arc::clone(&state), rates::limited))
        .layer(SetResponseHeaderLayer::if_not_present(CACHE_CONTROL, HeaderValue::from_static("no-store")))
        .with_state(state)
}

/// What the page needs before anybody has signed in.
#[utoipa::path(get, path = "/api/config", responses((status = 200, body = PageConfig)))]
async fn page_config(State(rest): State<RestState>) -> Json<PageConfig> {
    Json(rest.page.clone())
}

/// What a token must be for is what the method does, so that a new handler can't forget to ask: looking or changing. Nor can it
/// forget installers: they are let in where [`Anybody`] is asked for.
impl FromRequestParts<RestState> for Identity {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, rest: &RestState) -> Result<Self, ApiError> {
        let Anybody(identity) = Anybody::from_request_parts(parts, rest).await?;
        require_looking_around(&identity)?;
        Ok(identity)
    }
}

/// Whoever asks, installers too: for devices, and where they were last.
struct Anybody(Identity);

impl FromRequestParts<RestState> for Anybody {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, rest: &RestState) -> Result<Self, ApiError> {
        let scope = if parts.method.is_safe() { TokenScope::Read } else { TokenScope::Edit };
        Ok(Self(rest.sessions.asking(&parts.headers, scope, now())?.asking_from(address(parts))))
    }
}

/// Who may look, where the question is so long that it is sent like a change.
struct Reader(Identity);

impl FromRequestParts<RestState> for Reader {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, rest: &RestState) -> Result<Self, ApiError> {
        let AnyReader(identity) = AnyReader::from_request_parts(parts, rest).await?;
        require_looking_around(&identity)?;
        Ok(Self(identity))
    }
}

/// The same, installers too.
struct AnyReader(Identity);

impl FromRequestParts<RestState> for AnyReader {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, rest: &RestState) -> Result<Self, ApiError> {
        Ok(Self(rest.sessions.asking(&parts.headers, TokenScope::Read, now())?))
    }
}

/// Who may ask with SQL.
struct Analyst(Identity);

impl FromRequestParts<RestState> for Analyst {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, rest: &RestState) -> Result<Self, ApiError> {
        let identity = rest.sessions.asking(&parts.headers, TokenScope::Sql, now())?;
        require_looking_around(&identity)?;
        Ok(Self(identity))
    }
}

impl FromRequestParts<RestState> for SignedIn {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, rest: &RestState) -> Result<Self, ApiError> {
        if parts.headers.contains_key(AUTHORIZATION) {
            return Err(ApiError::Forbidden("a token can't do this: sign in with a browser".into()));
        }
        let signed_in = rest.sessions.check(&parts.headers, now()).ok_or(ApiError::Unauthorised)?;
        Ok(signed_in.asking_from(address(parts)))
    }
}

/// Where a request comes from, as the throttle knows it too.
fn address(parts: &Parts) -> Option<IpAddr> {
    parts.extensions.get::<Connection>().map(|connection| connection.client)
}

impl From<Unknown> for ApiError {
    fn from(unknown: Unknown) -> Self {
        match unknown {
            Unknown::Nobody => Self::Unauthorised,
            Unknown::NotFor(scope) => {
                let scope = serde_json::to_value(scope).unwrap_or_default();
                Self::Forbidden(format!("this token has not the scope {scope}"))
            }
        }
    }
}

impl Rest {
    fn look<'a>(&self, catalog: &'a SharedCatalog) -> RwLockReadGuard<'a, Catalog> {
        catalog.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The fleet of this name, if it is the identity's.
    fn own_fleet(&self, identity: &Identity, fleet: &str) -> Result<FleetId, ApiError> {
        let none = || ApiError::NotFound(format!("there is no fleet {fleet}"));
        let id: FleetId = fleet.parse().map_err(|_| none())?;
        if self.sessions.scope(identity).fleets().contains(&id) { Ok(id) } else { Err(none()) }
    }

    /// The device of this name, if it is the identity's.
    fn own(&self, identity: &Identity, id: &str) -> Result<DeviceId, ApiError> {
        let device: DeviceId = id.parse().map_err(|_| unknown(id))?;
        self.own_device(identity, &device).ok_or_else(|| unknown(id))?;
        Ok(device)
    }

    /// The name and fleet of a device, if it is the identity's.
    fn own_device(&self, identity: &Identity, id: &DeviceId) -> Option<(String, FleetId)> {
        let shared = self.catalog.shared();
        let catalog = self.look(&shared);
        let (name, fleet) = match catalog.devices.get(id) {
            Some(device) => (device.name.clone(), device.fleet.clone()),
            None => {
                let board = self.board.read().unwrap_or_else(PoisonError::into_inner);
                let (_, vehicle) = board.find(id).filter(|(_, v)| !v.removed)?;
                (vehicle.name.clone(), vehicle.fleet.clone())
            }
        };
        let own = catalog.fleets.get(&fleet).is_some_and(|f| f.organisation == *identity.organisation());
        own.then_some((name, fleet))
    }
}

/// A body of pieces as they come, for as long as the identity that asked holds. Then it breaks off with an error, so that a part
/// is not taken for the whole, and the pieces are dropped, even while nobody takes them.
fn streamed<B, E>(sessions: Sessions, identity: Identity, pieces: impl Stream<Item = Result<B, E>> + Send + 'static) -> Body
where
    B: Into<Bytes> + Send + 'static,
    E: Into<axum::BoxError> + Send + 'static,
{
    let (out, received) = mpsc::channel::<Bytes>(1);
    let forwarding = async move {
        let mut pieces = std::pin::pin!(pieces);
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(Into::<axum::BoxError>::into)?;
            // Nobody listening is no fault.
            if out.send(piece.into()).await.is_err() {
                break;
            }
        }
        Ok::<(), axum::BoxError>(())
    };
    let task = AbortOnDropHandle::new(tokio::spawn(async move {
        tokio::select! {
            // First, so that not one piece more is sent.
            biased;
            () = sessions.ended(&identity) => Err(axum::BoxError::from("the session or token has ended")),
            forwarded = forwarding => forwarded,
        }
    }));
    let body = stream::unfold((received, Some(task)), |(mut received, mut task)| async move {
        if let Some(piece) = received.recv().await {
            return Some((Ok(piece), (received, task)));
        }
        let error: axum::BoxError = match task.take()?.await {
            Ok(forwarded) => forwarded.err()?,
            Err(panic) => panic.into(),
        };
        Some((Err(error), (received, None)))
    });
    // Fused, because the compression asks once more after the end, which most streams take as a fault.
    Body::from_stream(body.fuse())
}

fn require_looking_around(identity: &Identity) -> Result<(), ApiError> {
    if identity.role().looks_around() {
        Ok(())
    } else {
        Err(ApiError::Forbidden("installers enter devices and see where they were last, nothing else".into()))
    }
}

fn require_editor(identity: &Identity) -> Result<(), ApiError> {
    if identity.may_edit() { Ok(()) } else { Err(ApiError::Forbidden("your role or token may only look".into())) }
}

/// A name for people, as it is kept.
fn name(text: &str) -> Result<String, ApiError> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > 200 || text.chars().any(char::is_control) {
        return Err(ApiError::BadRequest("a name has 1 to 200 characters".into()));
    }
    Ok(text.to_owned())
}

/// Nothing to say but that it is done.
const DONE: StatusCode = StatusCode::NO_CONTENT;
