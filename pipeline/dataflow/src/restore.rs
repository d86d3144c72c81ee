//! What is known before the first position: the whole catalog, then the states of the last commit.

use crate::feed::{Fed, Feed};
use crate::metrics;
use std::sync::Arc;
use tracing::warn;
use waystream_domain::codec::decode_catalog;
use waystream_domain::geofence::{GeofenceIndex, IndexEdit, Touched};
use waystream_log::{Batch, Entry, Log, LogError, LogReader, Offsets, Topic};

const BATCH: usize = 4096;

/// The catalog as it is at the start.
pub(crate) struct Restored {
    pub(crate) index: GeofenceIndex,
    /// Goes on behind it.
    pub(crate) catalog: Box<dyn LogReader>,
    /// Offset up to which the index is complete.
    pub(crate) catalog_next: u64,
}

/// Reads the whole catalog.
pub(crate) async fn catalog(log: &Arc<dyn Log>) -> Result<Restored, LogError> {
    // The end as of before: compaction may have dropped the newest records, then no batch tells.
    let mut catalog_next = log.bounds(Topic::Catalog).await?.first().map_or(0, |b| b.next);
    let mut catalog = log.read(Topic::Catalog, &Offsets::from([((Topic::Catalog, 0), 0)])).await?;
    let mut index = GeofenceIndex::default();
    while let Some(Batch { entries, next, .. }) = catalog.try_next(BATCH).await? {
        let build = move || {
            let edits = index_edits(&entries);
            edits.into_iter().for_each(|edit| index.apply(edit, &mut Touched::default()));
            index
        };
        index = off_the_runtime(build).await;
        catalog_next = catalog_next.max(next);
    }
    Ok(Restored { index, catalog, catalog_next })
}

/// What catalog records say about geofences, prepared. Costs time for large areas.
pub(crate) fn index_edits(entries: &[Entry]) -> Vec<IndexEdit> {
    let read = |entry: &Entry| {
        let key = String::from_utf8_lossy(&entry.key);
        match decode_catalog(&key, entry.value.as_deref()) {
            Ok(edit) => IndexEdit::new(&edit),
            Err(error) => {
                metrics::catalog_fault();
                warn!(%key, offset = entry.offset, %error, "catalog record left out");
                None
            }
        }
    };
    entries.iter().filter_map(read).collect()
}

/// Runs a computation where it may take long.
pub(crate) async fn off_the_runtime<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(e) => std::panic::resume_unwind(e.into_panic()),
    }
}

/// Gives a worker the states and last fixes of its partitions, then a reader of the positions behind them.
pub(crate) async fn states(feed: &Feed) -> Result<Option<Box<dyn LogReader>>, LogError> {
    let own = |topic, offset: u64| feed.partitions.iter().map(|p| ((topic, *p), offset)).collect::<Offsets>();
    let mut reader = feed.log.read(Topic::States, &own(Topic::States, 0)).await?;
    while let Some(batch) = reader.try_next(BATCH).await? {
        if !feed.give(Fed::States(batch)).await {
            return Ok(None);
        }
    }
    let mut reader = feed.log.read(Topic::Recent, &own(Topic::Recent, 0)).await?;
    while let Some(batch) = reader.try_next(BATCH).await? {
        if !feed.give(Fed::Recent(batch)).await {
            return Ok(None);
        }
    }
    let mut offsets = own(Topic::Positions, 0);
    for (place, committed) in feed.log.committed(crate::GROUP, Topic::Positions).await? {
        if let Some(offset) = offsets.get_mut(&place) {
            *offset = committed;
        }
    }
    if !feed.give(Fed::Restored).await {
        return Ok(None);
    }
    feed.log.read(Topic::Positions, &offsets).await.map(Some)
}
