//! What the hub learns from the log: all states at the start, then snapshots and events as they come.

use super::alerts::event_of;
use super::board::Board;
use futures::FutureExt;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use waystream_domain::{Catalog, Event, LivePosition, Timestamp, codec};
use waystream_log::{Batch, Log, LogError, LogReader, Offsets, Topic};
use waystream_sql::EventCursor;

/// Records asked for at a time.
const BATCH: usize = 512;
/// A device's state may be committed a little after its snapshot was appended: snapshots are read from before the states were.
const OVERLAP_MS: i64 = 10_000;

/// News for the hub.
#[derive(Debug)]
pub(crate) enum News {
    /// Newest positions.
    Live(Vec<LivePosition>),
    /// Events of one partition with their offsets, and where its next ones are.
    Events {
        /// Which partition.
        partition: u32,
        /// In order.
        events: Vec<(u64, Event)>,
        /// Offset after the last.
        next: u64,
    },
}

/// Where following goes on after the start.
pub(crate) struct Follow {
    snapshots: Box<dyn LogReader>,
    events: Box<dyn LogReader>,
}

/// Reads all states into the board; answers the cursor of the next event, and how to go on.
pub(crate) async fn start(
    log: &Arc<dyn Log>,
    board: &mut Board,
    catalog: &Catalog,
    now: Timestamp,
) -> Result<(EventCursor, Follow), LogError> {
    let snapshots_from = log.offsets_at(Topic::Snapshots, now.plus_millis(-OVERLAP_MS).as_millis()).await?;
    let mut events_from = Offsets::new();
    for (partition, bounds) in (0..).zip(log.bounds(Topic::Events).await?) {
        events_from.insert((Topic::Events, partition), bounds.next);
    }
    let all = (0..log.partitions(Topic::States)).map(|partition| ((Topic::States, partition), 0)).collect();
    let mut states = log.read(Topic::States, &all).await?;
    while let Some(batch) = states.try_next(BATCH).await? {
        for entry in &batch.entries {
            let Some(value) = &entry.value else { continue };
            match codec::decode_state(value) {
                Ok(state) => board.restore(state, catalog, now),
                Err(error) => {
                    tracing::warn!(partition = batch.partition, offset = entry.offset, %error, "state left out");
                }
            }
        }
    }
    let follow = Follow {
        snapshots: log.read(Topic::Snapshots, &snapshots_from).await?,
        events: log.read(Topic::Events, &events_from).await?,
    };
    Ok((events_from.iter().map(|((_, partition), next)| (*partition, *next)).collect(), follow))
}

/// Passes on what comes, until cancelled or nobody listens.
pub(crate) async fn follow(follow: Follow, hub: mpsc::Sender<News>, cancel: CancellationToken) -> Result<(), LogError> {
    let Follow { mut snapshots, mut events } = follow;
    loop {
        let news = tokio::select! {
            () = cancel.cancelled() => return Ok(()),
            batch = snapshots.next(BATCH) => live_news(&batch?),
            batch = events.next(BATCH) => event_news(&batch?),
        };
        if hub.send(news).map(|sent| sent.is_err()).await {
            return Ok(());
        }
    }
}

fn live_news(batch: &Batch) -> News {
    let mut live = Vec::new();
    for entry in &batch.entries {
        match codec::decode_snapshot(entry.value.as_deref().unwrap_or_default()) {
            Ok(snapshot) => live.extend(snapshot.live),
            Err(error) => {
                tracing::warn!(partition = batch.partition, offset = entry.offset, %error, "snapshot left out");
            }
        }
    }
    News::Live(live)
}

fn event_news(batch: &Batch) -> News {
    let events = batch.entries.iter().filter_map(|e| Some((e.offset, event_of(batch.partition, e)?))).collect();
    News::Events { partition: batch.partition, events, next: batch.next }
}
