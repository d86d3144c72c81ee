//! Events of a scope, page by page.

use crate::context::Core;
use crate::{Scope, SqlEngine, SqlError};
use datafusion::logical_expr::{Expr, col, lit};
use datafusion::prelude::DataFrame;
use datafusion::scalar::ScalarValue;
use waystream_domain::{DeviceId, Event, EventId, EventKind, Timestamp};
use waystream_store::{Archived, EventCursor, Table, rows};

/// Which events.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// Those that came after this cursor, oldest first; `None`: the ones received last.
    pub after: Option<EventCursor>,
    /// Fix time at or after this.
    pub from: Option<Timestamp>,
    /// Fix time at or before this.
    pub to: Option<Timestamp>,
    /// Received at or before this.
    pub received_to: Option<Timestamp>,
    /// Of these kinds; empty: of all.
    pub kinds: Vec<EventKind>,
    /// Of these devices; empty: of all in the scope.
    pub devices: Vec<DeviceId>,
    /// With these ids; empty: with any. Ask with the devices and times too: by id alone all of history is read.
    pub ids: Vec<EventId>,
    /// At most this many.
    pub limit: usize,
}

/// Some events, newest (by time of reception) last.
#[derive(Debug, Clone, Default)]
pub struct EventsPage {
    /// With their places, to advance a cursor event by event.
    pub events: Vec<Archived<Event>>,
    /// Asking again after this skips nothing and repeats nothing, whatever arrives meanwhile and however late it is. It covers what
    /// the store could show when asked: events that are only in the log yet come with a later page.
    pub cursor: EventCursor,
    /// The limit cut the answer: ask again at once.
    pub more: bool,
}

impl SqlEngine {
    /// Events of the scope. After a cursor they are taken in the order of the log, so that each partition is read without gaps.
    pub async fn events(&self, scope: &Scope, filter: EventFilter) -> Result<EventsPage, SqlError> {
        let (core, scope) = (self.core.clone(), scope.clone());
        let mut answer = self.spawn(Some(self.deadline()), move |out| async move {
            // Before the table is taken: all below is surely in it.
            let readable = core.store.readable();
            let mut all = core.rows(&scope, Table::Events)?;
            for condition in conditions(&filter) {
                all = all.filter(condition)?;
            }
            let mut events = first(&core, all, &filter).await?;
            let more = events.len() > filter.limit;
            events.truncate(filter.limit);
            let mut cursor = filter.after.clone().unwrap_or_default();
            events.iter().for_each(|e| cursor.seen(e.partition, e.offset));
            if filter.after.is_none() || !more {
                readable
                    .iter()
                    .filter(|((topic, _), _)| topic.name() == Table::Events.name())
                    .for_each(|((_, p), next)| cursor.advance(*p, *next));
            }
            events.sort_by_key(|e| (e.row.received_at, e.partition, e.offset));
            out.send(Ok(EventsPage { events, cursor, more })).await.ok();
            Ok(())
        });
        answer.next().await.unwrap_or_else(|| Ok(EventsPage::default()))
    }
}

/// Up to one more than the limit.
async fn first(core: &Core, all: DataFrame, filter: &EventFilter) -> Result<Vec<Archived<Event>>, SqlError> {
    let order = match filter.after {
        // Least offsets first, whatever their partition: so every partition's part of the page is a prefix of what follows.
        Some(_) => vec![col("log_offset").sort(true, false), col("log_partition").sort(true, false)],
        None => vec![col("received_at").sort(false, false), col("log_offset").sort(false, false)],
    };
    let mut events = Vec::new();
    let mut batches = core.read(all.sort(order)?.limit(0, Some(filter.limit.saturating_add(1)))?).await?;
    while let Some(batch) = batches.next().await? {
        events.extend(rows::events_from(&batch).map_err(|e| SqlError::Store(e.to_string()))?);
    }
    Ok(events)
}

fn conditions(filter: &EventFilter) -> Vec<Expr> {
    let mut all = Vec::new();
    all.extend(filter.from.map(|t| col("fix_time").gt_eq(time(t))));
    all.extend(filter.to.map(|t| col("fix_time").lt_eq(time(t))));
    all.extend(filter.received_to.map(|t| col("received_at").lt_eq(time(t))));
    if !filter.kinds.is_empty() {
        all.push(col("kind").in_list(filter.kinds.iter().map(|k| lit(k.as_str())).collect(), false));
    }
    if !filter.devices.is_empty() {
        all.push(col("device").in_list(filter.devices.iter().map(|d| lit(d.as_str())).collect(), false));
    }
    if !filter.ids.is_empty() {
        all.push(col("event_id").in_list(filter.ids.iter().map(|id| lit(id.as_str())).collect(), false));
    }
    all.extend(filter.after.as_ref().and_then(after));
    all
}

/// Partitions that the cursor doesn't name, or offsets from its own on.
fn after(cursor: &EventCursor) -> Option<Expr> {
    let named: Vec<Expr> = cursor.iter().map(|(p, _)| lit(p as i32)).collect();
    let unnamed = (!named.is_empty()).then(|| col("log_partition").in_list(named, true))?;
    Some(cursor.iter().fold(unnamed, |any, (partition, next)| {
        any.or(col("log_partition").eq(lit(partition as i32)).and(col("log_offset").gt_eq(lit(next as i64))))
    }))
}

pub(crate) fn time(t: Timestamp) -> Expr {
    lit(ScalarValue::TimestampMillisecond(Some(t.as_millis()), Some("UTC".into())))
}
