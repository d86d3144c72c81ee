//! How commands reach a system that runs on the same data folder: a port on loopback, for whoever can read the folder's secret.
//!
//! Positions travel as in the log ([`codec`]), each behind its length, so nothing is lost on the way; answers to SQL in pieces, in the same way.

use crate::audit::AuditOrder;
use crate::folder::Contact;
use crate::history::{History, Pieces, Selection, point};
use crate::people::PeopleOrder;
use crate::storekeeping::StoreOrder;
use crate::tokens::TokenOrder;
use anyhow::Context;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, FromRequestParts, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::convert::Infallible;
use std::net::Ipv4Addr;
use subtle::ConstantTimeEq;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use waystream_connectors::files::TrackPoint;
use waystream_domain::{CatalogEntry, FleetId, OrganisationId, Position, Timestamp, codec};
use waystream_sql::output::Format;

/// Largest request: a batch of points.
const MAX_BODY_BYTES: usize = 16 << 20;

/// Nothing is this long: an error's text follows.
const ERROR: u32 = u32::MAX;

/// The control port, open.
pub struct Control {
    listener: TcpListener,
    /// How to reach it.
    pub contact: Contact,
    history: History,
}

/// How an SQL answer is printed.
#[derive(Debug, Serialize, Deserialize)]
struct SqlParameters {
    format: String,
}

/// Whose history.
#[derive(Debug, Deserialize)]
struct Whose {
    organisation: Option<OrganisationId>,
}

impl Control {
    /// Opens a free port on loopback.
    pub async fn bind(history: History) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("could not open the control port")?;
        let contact = Contact::new(listener.local_addr()?);
        Ok(Self { listener, contact, history })
    }

    /// Serves until cancelled.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let secret = Sha256::digest(format!("Bearer {}", self.contact.token));
        let app = Router::new()
            .route("/import", post(import))
            .route("/catalog", post(add))
            .route("/settle", post(settle))
            .route("/archive", post(archive))
            .route("/store", post(keep))
            .route("/sql", post(sql))
            .route("/tokens", post(tokens))
            .route("/people", post(people))
            .route("/audit", post(changes))
            .route("/positions", get(positions))
            .route("/by-device", get(by_device))
            .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
            .layer(middleware::from_fn(move |request: Request, next: Next| async move {
                let given = request.headers().get(header::AUTHORIZATION).map(|v| Sha256::digest(v.as_bytes()));
                // Hashes are compared, so that the time tells nothing of the secret.
                match given.is_some_and(|given| bool::from(given.ct_eq(&secret))) {
                    true => next.run(request).await,
                    false => StatusCode::UNAUTHORIZED.into_response(),
                }
            }))
            .with_state(self.history);
        axum::serve(self.listener, app).with_graceful_shutdown(stop.cancelled_owned()).await.context("control port failed")
    }
}

/// What went wrong, told to whoever asked.
struct Failed(anyhow::Error);

impl<E: Into<anyhow::Error>> From<E> for Failed {
    fn from(e: E) -> Self {
        Self(e.into())
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        (StatusCode::BAD_REQUEST, format!("{:#}", self.0)).into_response()
    }
}

/// Of the organisation that is named, or of the first.
struct Of(History);

impl FromRequestParts<History> for Of {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, history: &History) -> Result<Self, Failed> {
        let Query(whose) = Query::<Whose>::try_from_uri(&parts.uri)?;
        Ok(Self(match whose.organisation {
            Some(organisation) => history.of(organisation)?,
            None => history.clone(),
        }))
    }
}

async fn import(Of(history): Of, body: Bytes) -> Result<String, Failed> {
    let points = unframe(&body)?.into_iter().map(point).collect();
    Ok(history.store(points).await?.to_string())
}

async fn add(Of(history): Of, Json(entries): Json<Vec<CatalogEntry>>) -> Result<String, Failed> {
    Ok(history.add(entries).await?.to_string())
}

async fn settle(State(history): State<History>) -> Result<(), Failed> {
    Ok(history.settle().await?)
}

/// The body is the time from which on.
async fn archive(State(history): State<History>, from: String) -> Result<String, Failed> {
    let from = Timestamp::parse(&from).with_context(|| format!("{from:?} is not an ISO 8601 time"))?;
    Ok(history.archive_again(from).await?.to_string())
}

async fn keep(State(history): State<History>, Json(order): Json<StoreOrder>) -> Result<String, Failed> {
    Ok(history.keep(&order).await?)
}

async fn sql(Of(history): Of, Query(how): Query<SqlParameters>, query: String) -> Result<Body, Failed> {
    let pieces = history.answer(&query, how.format.parse()?).await?;
    Ok(body(pieces.map_ok(|piece| frame_bytes(&piece))))
}

async fn tokens(State(history): State<History>, Json(order): Json<TokenOrder>) -> Result<String, Failed> {
    Ok(history.tokens(&order).await?)
}

async fn people(State(history): State<History>, Json(order): Json<PeopleOrder>) -> Result<String, Failed> {
    Ok(history.people(&order).await?)
}

async fn changes(State(history): State<History>, Json(order): Json<AuditOrder>) -> Result<String, Failed> {
    Ok(history.changes(&order).await?)
}

async fn positions(Of(history): Of, Json(selection): Json<Selection>) -> Result<Body, Failed> {
    let Some(positions) = history.positions(&selection).await? else { return Ok(Body::empty()) };
    let batches = stream::unfold(Some(positions), |positions| async move {
        let mut positions = positions?;
        Some(match positions.next().await? {
            Ok(batch) => (Ok(frame(&batch)), Some(positions)),
            Err(error) => (Err(anyhow::Error::from(error)), None),
        })
    });
    Ok(body(batches))
}

async fn by_device(Of(history): Of, Json(selection): Json<Selection>) -> Result<Json<Vec<Selection>>, Failed> {
    Ok(Json(history.by_device(&selection).await?))
}

/// Frames as they come.
fn body(frames: impl Stream<Item = anyhow::Result<Vec<u8>>> + Send + 'static) -> Body {
    Body::from_stream(frames.map(|frame| Ok::<_, Infallible>(frame.unwrap_or_else(|error| frame_error(&error)))))
}

/// Bytes of any number.
fn frame_bytes(bytes: &[u8]) -> Vec<u8> {
    let mut framed = Vec::with_capacity(bytes.len() + 4);
    for piece in bytes.chunks(MAX_BODY_BYTES) {
        framed.extend((piece.len() as u32).to_be_bytes());
        framed.extend(piece);
    }
    framed
}

/// Positions as bytes.
fn frame(positions: &[Position]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(positions.len() * 96);
    for position in positions {
        let value = codec::encode_position(position);
        bytes.extend((value.len() as u32).to_be_bytes());
        bytes.extend(value);
    }
    bytes
}

/// What stands instead of what was to come if there was an error: the answer has begun, so its status can't tell.
fn frame_error(error: &anyhow::Error) -> Vec<u8> {
    [&ERROR.to_be_bytes(), format!("{error:#}").as_bytes()].concat()
}

/// What is in the next frame and what follows it; none if more bytes are needed.
fn unframe_one(bytes: &[u8]) -> anyhow::Result<Option<(&[u8], &[u8])>> {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_be_bytes(*length);
    anyhow::ensure!(length != ERROR, "{}", String::from_utf8_lossy(rest));
    let length = length as usize;
    anyhow::ensure!(length <= MAX_BODY_BYTES, "a frame of {length} bytes");
    Ok(rest.split_at_checked(length))
}

fn unframe(mut bytes: &[u8]) -> anyhow::Result<Vec<Position>> {
    let mut positions = Vec::new();
    while let Some((position, rest)) = unframe_one(bytes)? {
        positions.push(codec::decode_position(position)?);
        bytes = rest;
    }
    anyhow::ensure!(bytes.is_empty(), "the last position is cut off");
    Ok(positions)
}

/// A running system, from another process.
pub struct Remote {
    client: reqwest::Client,
    contact: Contact,
    organisation: Option<OrganisationId>,
}

impl Remote {
    /// The system that is reached so.
    pub fn new(contact: Contact) -> Self {
        Self { client: reqwest::Client::new(), contact, organisation: None }
    }

    /// See [`History::of`].
    #[must_use]
    pub fn of(self, organisation: OrganisationId) -> Self {
        Self { organisation: Some(organisation), ..self }
    }

    fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.client.request(method, format!("http://{}{path}", self.contact.address));
        let whose: Vec<_> = self.organisation.iter().map(|id| ("organisation", id.as_str())).collect();
        request.bearer_auth(&self.contact.token).query(&whose)
    }

    /// See [`History::store`].
    pub async fn store(&self, points: Vec<TrackPoint>) -> anyhow::Result<usize> {
        let positions: Vec<Position> = points.into_iter().map(as_position).collect();
        let answer = send(self.request(reqwest::Method::POST, "/import").body(frame(&positions))).await?;
        Ok(answer.text().await?.parse()?)
    }

    /// See [`History::add`].
    pub async fn add(&self, entries: Vec<CatalogEntry>) -> anyhow::Result<usize> {
        let answer = send(self.request(reqwest::Method::POST, "/catalog").json(&entries)).await?;
        Ok(answer.text().await?.parse()?)
    }

    /// See [`History::settle`].
    pub async fn settle(&self) -> anyhow::Result<()> {
        send(self.request(reqwest::Method::POST, "/settle")).await.map(drop)
    }

    /// See [`History::archive_again`].
    pub async fn archive_again(&self, from: Timestamp) -> anyhow::Result<u64> {
        let answer = send(self.request(reqwest::Method::POST, "/archive").body(from.to_string())).await?;
        Ok(answer.text().await?.parse()?)
    }

    /// See [`History::keep`].
    pub async fn keep(&self, order: &StoreOrder) -> anyhow::Result<String> {
        Ok(send(self.request(reqwest::Method::POST, "/store").json(order)).await?.text().await?)
    }

    /// See [`History::answer`].
    pub async fn answer(&self, query: &str, format: Format) -> anyhow::Result<Pieces> {
        let how = SqlParameters { format: format.name().to_owned() };
        let answer = send(self.request(reqwest::Method::POST, "/sql").query(&how).body(query.to_owned())).await?;
        Ok(unframed(answer).map_ok(|pieces| pieces.concat()).boxed())
    }

    /// All of an answer.
    pub async fn ask(&self, query: &str, format: Format) -> anyhow::Result<Vec<u8>> {
        self.answer(query, format).await?.try_concat().await
    }

    /// See [`History::tokens`].
    pub async fn tokens(&self, order: &TokenOrder) -> anyhow::Result<String> {
        Ok(send(self.request(reqwest::Method::POST, "/tokens").json(order)).await?.text().await?)
    }

    /// See [`History::people`].
    pub async fn people(&self, order: &PeopleOrder) -> anyhow::Result<String> {
        Ok(send(self.request(reqwest::Method::POST, "/people").json(order)).await?.text().await?)
    }

    /// See [`History::changes`].
    pub async fn changes(&self, order: &AuditOrder) -> anyhow::Result<String> {
        Ok(send(self.request(reqwest::Method::POST, "/audit").json(order)).await?.text().await?)
    }

    /// See [`History::by_device`].
    pub async fn by_device(&self, selection: &Selection) -> anyhow::Result<Vec<Selection>> {
        Ok(send(self.request(reqwest::Method::GET, "/by-device").json(selection)).await?.json().await?)
    }

    /// See [`History::positions`].
    pub async fn positions(
        &self,
        selection: &Selection,
    ) -> anyhow::Result<impl Stream<Item = anyhow::Result<Vec<Position>>> + use<>> {
        let answer = send(self.request(reqwest::Method::GET, "/positions").json(selection)).await?;
        Ok(unframed(answer).map(|pieces: anyhow::Result<Vec<Vec<u8>>>| -> anyhow::Result<Vec<Position>> {
            pieces?.iter().map(|position| Ok(codec::decode_position(position)?)).collect()
        }))
    }
}

/// What is in the frames of an answer, as they come.
fn unframed(answer: reqwest::Response) -> impl Stream<Item = anyhow::Result<Vec<Vec<u8>>>> + use<> {
    let bytes = answer.bytes_stream();
    stream::try_unfold((bytes, Vec::<u8>::new()), |(mut bytes, mut rest)| async move {
        let Some(more) = bytes.next().await else {
            anyhow::ensure!(rest.is_empty(), "the connection broke in the middle of the answer");
            return Ok(None);
        };
        rest.extend_from_slice(&more?);
        let mut pieces = Vec::new();
        let mut left = rest.as_slice();
        while let Some((piece, after)) = unframe_one(left)? {
            pieces.push(piece.to_vec());
            left = after;
        }
        let done = rest.len() - left.len();
        rest.drain(..done);
        Ok(Some((pieces, (bytes, rest))))
    })
}

async fn send(request: reqwest::RequestBuilder) -> anyhow::Result<reqwest::Response> {
    let answer = request.send().await.context("the running system does not answer")?;
    match answer.status() {
        status if status.is_success() => Ok(answer),
        reqwest::StatusCode::BAD_REQUEST => anyhow::bail!(answer.text().await?),
        status => anyhow::bail!("the running system answered {status}"),
    }
}

/// A point in the form that travels. Fleet and time of arrival are the running system's to say.
fn as_position(point: TrackPoint) -> Position {
    let TrackPoint { device, fix } = point;
    Position {
        device,
        fleet: FleetId::new("-").expect("not empty"),
        fix_time: fix.fix_time,
        received_at: fix.fix_time,
        location: fix.location,
        valid: fix.valid,
        altitude_m: fix.altitude_m,
        speed_mps: fix.speed_mps,
        course_deg: fix.course_deg,
        accuracy_m: fix.accuracy_m,
        protocol: smol_str::SmolStr::new_static("import"),
        attributes: fix.attributes,
    }
}
