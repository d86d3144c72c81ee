//! What a replay reads from history: which vehicles, where they are at a moment, what follows, and what happened.

use crate::live::{alert, device_name};
use crate::wire::{AlertEvent, SlotRow};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::PoisonError;
use waystream_domain::{DeviceId, FleetId, Position, SharedCatalog, Timestamp};
use waystream_sql::{Devices, EventCursor, EventFilter, Scope, SqlEngine, SqlError, TrackRequest, TrackStream, output};

/// How far back a vehicle's last position may lie to be shown at the beginning, and after a jump.
const LOOK_BACK_MS: i64 = 30 * 60 * 1_000;
/// Events of one replay.
const MAX_EVENTS: usize = 20_000;

/// What is replayed. Its scope is the session's, so that whatever is asked of history stays inside it.
#[derive(Debug, Clone)]
pub(crate) struct Selection {
    /// Of the session, perhaps one fleet of it.
    pub(crate) scope: Scope,
    /// Which of its devices.
    pub(crate) devices: Devices,
    /// First moment.
    pub(crate) from: Timestamp,
    /// Last moment.
    pub(crate) to: Timestamp,
}

impl Selection {
    fn track(&self, from: Timestamp, to: Timestamp) -> TrackRequest {
        TrackRequest { devices: self.devices.clone(), from, to, max_rows: usize::MAX }
    }
}

/// The slot table of a replay: the devices that have positions in its time.
pub(crate) async fn slots_of(
    sql: &SqlEngine,
    catalog: &SharedCatalog,
    selection: &Selection,
) -> Result<Vec<SlotRow>, SqlError> {
    let wanted: Option<BTreeSet<&DeviceId>> = match &selection.devices {
        Devices::Only(some) => Some(some.iter().collect()),
        _ => None,
    };
    let query = format!(
        "SELECT device, max(fleet) FROM positions WHERE fix_time >= to_timestamp_millis({}) AND fix_time <= to_timestamp_millis({}) \
         GROUP BY device ORDER BY device",
        selection.from.plus_millis(-LOOK_BACK_MS).as_millis(),
        selection.to.as_millis(),
    );
    let mut result = sql.query(&selection.scope, &query).await?;
    let mut rows = Vec::new();
    while let Some(batch) = result.next().await.transpose()? {
        for row in output::json_rows(&batch)? {
            let text = |column: usize| row[column].as_str().unwrap_or_default().to_owned();
            let (device, fleet) = (text(0), text(1));
            let Ok(id) = device.parse::<DeviceId>() else { continue };
            if wanted.as_ref().is_some_and(|some| !some.contains(&id)) {
                continue;
            }
            let catalog = catalog.read().unwrap_or_else(PoisonError::into_inner);
            let Ok(in_fleet) = fleet.parse::<FleetId>() else { continue };
            let name = device_name(&catalog, &id, &in_fleet);
            rows.push((rows.len() as u32, device, name, fleet));
        }
    }
    Ok(rows)
}

/// Everything a replay needs to go on from a moment.
pub(crate) struct Loaded {
    /// The moment.
    pub(crate) at: Timestamp,
    /// Where every vehicle is then.
    pub(crate) positions: BTreeMap<DeviceId, Position>,
    /// What follows.
    pub(crate) track: TrackStream,
    /// What happens after that, in order of fix time.
    pub(crate) alerts: VecDeque<AlertEvent>,
}

/// Reads it.
pub(crate) async fn load(
    sql: &SqlEngine,
    catalog: &SharedCatalog,
    selection: &Selection,
    at: Timestamp,
) -> Result<Loaded, SqlError> {
    let mut positions = BTreeMap::new();
    let mut before = sql.track(&selection.scope, selection.track(at.plus_millis(-LOOK_BACK_MS), at));
    while let Some(batch) = before.next().await.transpose()? {
        positions.extend(batch.into_iter().filter(|p| p.valid).map(|p| (p.device.clone(), p)));
    }
    let track = sql.track(&selection.scope, selection.track(at.plus_millis(1), selection.to));
    let mut filter = EventFilter {
        after: Some(EventCursor::default()),
        from: Some(at.plus_millis(1)),
        to: Some(selection.to),
        limit: 5_000,
        ..EventFilter::default()
    };
    if let Devices::Only(some) = &selection.devices {
        filter.devices.clone_from(some);
    }
    let mut events = Vec::new();
    loop {
        let page = sql.events(&selection.scope, filter.clone()).await?;
        events.extend(page.events.into_iter().map(|e| e.row).filter(|e| !e.retracted));
        if !page.more || events.len() >= MAX_EVENTS {
            break;
        }
        filter.after = Some(page.cursor);
    }
    events.sort_by_key(|e| e.fix_time);
    let catalog = catalog.read().unwrap_or_else(PoisonError::into_inner);
    let alerts = events.iter().map(|event| alert(event, None, &catalog)).collect();
    Ok(Loaded { at, positions, track, alerts })
}
