//! Tracks as files. The formats are given by the composition root: the same writers as on the command line.

use super::history::time;
use super::{ApiError, Reader, RestState, streamed};
use crate::auth::Identity;
use crate::wire::{ErrorAnswer, ExportRequest};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use utoipa::IntoParams;
use waystream_domain::{DeviceId, Position, Timestamp};
use waystream_sql::{Devices, SqlEngine, TrackRequest};

/// Takes positions, device by device in order of fix time.
pub trait TrackSink: Send {
    /// One more.
    fn write(&mut self, position: &Position) -> io::Result<()>;
    /// There are no more.
    fn finish(&mut self) -> io::Result<()>;
}

/// Starts a file of a format.
pub type OpenTrackFile = fn(Box<dyn Write + Send>) -> io::Result<Box<dyn TrackSink>>;

/// A format that `/api/export` can write.
pub struct ExportFormat {
    /// As in the address; also the file's extension.
    pub name: &'static str,
    /// For `Content-Type`.
    pub media_type: &'static str,
    /// Starts a file.
    pub open: OpenTrackFile,
}

/// What to export.
#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct ExportQuery {
    /// `csv`, `gpx`, `geojson`, `kml`, `parquet` or `xlsx`.
    format: String,
    /// Device ids, separated by commas; if missing, all that have history, removed ones too.
    device: Option<String>,
    /// First fix time: milliseconds since the Unix epoch, or ISO 8601.
    from: Option<String>,
    /// Last fix time.
    to: Option<String>,
}

/// Tracks as a file.
#[utoipa::path(get, path = "/api/export", params(ExportQuery),
    responses((status = 200, description = "the file"), (status = 404, body = ErrorAnswer), (status = 413, body = ErrorAnswer)))]
pub(super) async fn export(
    State(rest): State<RestState>,
    identity: Identity,
    Query(query): Query<ExportQuery>,
) -> Result<Response, ApiError> {
    let devices = match query.device.as_deref().filter(|d| !d.is_empty()) {
        Some(some) => Some(named(some.split(','))?),
        None => None,
    };
    let range = (time(query.from.as_deref())?, time(query.to.as_deref())?);
    write_tracks(rest, identity, &query.format, devices, range).await
}

/// Tracks of devices that are too many for an address, as a file.
#[utoipa::path(post, path = "/api/export", request_body = ExportRequest,
    responses((status = 200, description = "the file"), (status = 404, body = ErrorAnswer), (status = 413, body = ErrorAnswer)))]
pub(super) async fn export_many(
    State(rest): State<RestState>,
    Reader(identity): Reader,
    Json(request): Json<ExportRequest>,
) -> Result<Response, ApiError> {
    let devices = named(request.devices.iter().map(String::as_str))?;
    let at = |ms| Timestamp::from_millis(ms).ok_or_else(|| ApiError::BadRequest(format!("{ms} is not a time")));
    let range = (Some(at(request.from)?), Some(at(request.to)?));
    write_tracks(rest, identity, &request.format, Some(devices), range).await
}

/// Each once, whoever named it twice.
fn named<'a>(ids: impl Iterator<Item = &'a str>) -> Result<BTreeSet<DeviceId>, ApiError> {
    ids.map(|id| id.parse::<DeviceId>().map_err(|e| ApiError::BadRequest(format!("device: {e}")))).collect()
}

/// Of all that have history where no devices are named.
async fn write_tracks(
    rest: RestState,
    identity: Identity,
    format: &str,
    devices: Option<BTreeSet<DeviceId>>,
    (from, to): (Option<Timestamp>, Option<Timestamp>),
) -> Result<Response, ApiError> {
    let (name, media_type, open) = match rest.exports.iter().find(|f| f.name == format) {
        Some(format) => (format.name, format.media_type, format.open),
        None => return Err(ApiError::BadRequest(format!("unknown format {format}"))),
    };
    let alone = rest.look(&rest.catalog.shared()).organisations.len() <= 1;
    let place = rest.exporting.try_take(identity.organisation(), alone);
    let place = place.ok_or_else(|| ApiError::busy("too many exports of your organisation at once: try again later".into()))?;
    let scope = rest.sessions.scope(&identity);
    let span = rest.sql.span(&scope, from, to).await?;
    let (from, to) = span.ok_or_else(|| ApiError::NotFound("there is no history".into()))?;
    let devices = match devices {
        Some(devices) => devices,
        // Of history, not of the catalog: what a device has reported stays when it is removed.
        None => rest.sql.devices(&scope, from, to).await?,
    };
    let sessions = rest.sessions.clone();
    let (chunks, received) = mpsc::channel(4);
    let writing = async move {
        let _place = place;
        let buffer = Buffer::default();
        let mut sink = open(Box::new(buffer.clone()))?;
        for device in devices {
            let request = TrackRequest { devices: Devices::Only(vec![device]), from, to, max_rows: usize::MAX };
            let mut track = rest.sql.track(&scope, request);
            while let Some(batch) = track.next().await.transpose().map_err(io::Error::other)? {
                sink = aside(&rest.sql, sink, move |sink| batch.iter().try_for_each(|position| sink.write(position))).await?;
                let piece = buffer.take();
                // Formats that gather many rows have nothing to send most of the time; still nobody may take the file any more.
                if chunks.is_closed() || (!piece.is_empty() && chunks.send(piece).await.is_err()) {
                    return Ok(());
                }
            }
        }
        drop(aside(&rest.sql, sink, |sink| sink.finish()).await?);
        chunks.send(buffer.take()).await.ok();
        io::Result::Ok(())
    };
    let stream = futures::stream::unfold(
        (received, Some(AbortOnDropHandle::new(tokio::spawn(writing)))),
        |(mut received, mut task): (mpsc::Receiver<Bytes>, Option<AbortOnDropHandle<io::Result<()>>>)| async move {
            if let Some(chunk) = received.recv().await {
                return Some((Ok(chunk), (received, task)));
            }
            // An error ends the connection, so that half a file is not taken for a whole one.
            let error = match task.take()?.await {
                Ok(written) => written.err()?,
                Err(panic) => io::Error::other(panic),
            };
            Some((Err(error), (received, task)))
        },
    );
    let file = format!("attachment; filename=\"tracks.{name}\"");
    let body = streamed(sessions, identity, stream);
    Ok(([(CONTENT_TYPE, media_type.to_owned()), (CONTENT_DISPOSITION, file)], body).into_response())
}

/// Off the runtime, which has live tracking to do, and behind it: a format may compress much at a time.
async fn aside(
    sql: &SqlEngine,
    mut sink: Box<dyn TrackSink>,
    work: impl FnOnce(&mut dyn TrackSink) -> io::Result<()> + Send + 'static,
) -> io::Result<Box<dyn TrackSink>> {
    let done = sql.aside(move || work(sink.as_mut()).map(|()| sink)).await;
    done.map_err(io::Error::other)?
}

/// What the format has written and nobody has sent yet.
#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    fn take(&self) -> Bytes {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)).into()
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
