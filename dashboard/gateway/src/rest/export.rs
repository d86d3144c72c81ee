//! Tracks as files. The formats are given by the composition root: the same writers as on the command line.

use super::history::time;
use super::{ApiError, RestState, streamed};
use crate::auth::Identity;
use crate::wire::ErrorAnswer;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use utoipa::IntoParams;
use waystream_domain::{DeviceId, Position};
use waystream_sql::{Devices, TrackRequest};

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
    /// `csv`, `gpx`, `geojson`, `parquet` or `xlsx`.
    format: String,
    /// Device ids, separated by commas; all if missing.
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
    let bad = ApiError::BadRequest;
    let format = rest.exports.iter().find(|f| f.name == query.format);
    let (name, media_type, open) = match format {
        Some(format) => (format.name, format.media_type, format.open),
        None => return Err(bad(format!("unknown format {}", query.format))),
    };
    let scope = rest.sessions.scope(&identity);
    let devices: Vec<DeviceId> = match query.device.as_deref().filter(|d| !d.is_empty()) {
        Some(some) => {
            let ids = some.split(',').map(|id| id.parse().map_err(|e| bad(format!("device: {e}"))));
            ids.collect::<Result<_, _>>()?
        }
        None => known_devices(&rest, &identity),
    };
    let Some((first, last)) = rest.sql.time_range(&scope).await? else {
        return Err(ApiError::NotFound("there is no history".into()));
    };
    let (from, to) = (time(query.from.as_deref(), first)?.max(first), time(query.to.as_deref(), last)?.min(last));
    let sessions = rest.sessions.clone();
    let (chunks, received) = mpsc::channel(4);
    let writing = async move {
        let buffer = Buffer::default();
        let mut sink = open(Box::new(buffer.clone()))?;
        for device in devices {
            let request = TrackRequest { devices: Devices::Only(vec![device]), from, to, max_rows: usize::MAX };
            let mut track = rest.sql.track(&scope, request);
            while let Some(batch) = track.next().await.transpose().map_err(io::Error::other)? {
                sink = aside(sink, move |sink| batch.iter().try_for_each(|position| sink.write(position))).await?;
                let piece = buffer.take();
                // Formats that gather many rows have nothing to send most of the time; still nobody may take the file any more.
                if chunks.is_closed() || (!piece.is_empty() && chunks.send(piece).await.is_err()) {
                    return Ok(());
                }
            }
        }
        drop(aside(sink, |sink| sink.finish()).await?);
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

/// Off the runtime, which has live tracking to do: a format may compress much at a time.
async fn aside(
    mut sink: Box<dyn TrackSink>,
    work: impl FnOnce(&mut dyn TrackSink) -> io::Result<()> + Send + 'static,
) -> io::Result<Box<dyn TrackSink>> {
    let done = tokio::task::spawn_blocking(move || work(sink.as_mut()).map(|()| sink)).await;
    done.map_err(io::Error::other)?
}

fn known_devices(rest: &RestState, identity: &Identity) -> Vec<DeviceId> {
    let scope = rest.sessions.scope(identity);
    let shared = rest.catalog.shared();
    let catalog = rest.look(&shared);
    let board = rest.board.read().unwrap_or_else(PoisonError::into_inner);
    let listed = catalog.devices.values().filter(|d| scope.fleets().contains(&d.fleet)).map(|d| d.id.clone());
    let reporting = board.iter().filter(|(_, v)| scope.fleets().contains(&v.fleet)).map(|(_, v)| v.device.clone());
    let all: std::collections::BTreeSet<_> = listed.chain(reporting).collect();
    all.into_iter().collect()
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
