//! What a replay reads from history: which vehicles, where they are at a moment, what follows, and what happened.

use super::MAX_NAMED;
use crate::live::{alert, device_name};
use crate::wire::{AlertEvent, SlotRow};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::PoisonError;
use waystream_domain::{DeviceId, Position, SharedCatalog, Timestamp};
use waystream_sql::{Devices, EventCursor, EventFilter, Reporter, Scope, SqlEngine, SqlError, TrackRequest, TrackStream};

/// How far back a vehicle's last position is looked for at the beginning, and after a jump: who is parked over night has one.
/// In steps, as most have reported just before.
const LOOK_BACK_MS: [i64; 3] = [5 * 60_000, 60 * 60_000, 24 * 60 * 60_000];
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

/// A vehicle of a replay.
#[derive(Debug)]
pub(crate) struct Vehicle {
    /// Its slot in frames.
    pub(crate) slot: u32,
    /// Its first position in the replay's time, or in what is looked back on.
    first: Timestamp,
}

/// All vehicles of a replay.
pub(crate) type Vehicles = HashMap<DeviceId, Vehicle>;

/// Who is in a replay: the devices that have positions in its time, or stood somewhere when it begins. Also as its slot table.
pub(crate) async fn vehicles_of(
    sql: &SqlEngine,
    catalog: &SharedCatalog,
    selection: &Selection,
) -> Result<(Vec<SlotRow>, Vehicles), SqlError> {
    let [.., furthest_ms] = LOOK_BACK_MS;
    let range = (selection.from.plus_millis(-furthest_ms), selection.to);
    let reporters = sql.reporters(&selection.scope, &selection.devices, range).await?;
    let catalog = catalog.read().unwrap_or_else(PoisonError::into_inner);
    let mut rows = Vec::with_capacity(reporters.len());
    let mut vehicles = HashMap::with_capacity(reporters.len());
    for (Reporter { device, fleet, first }, slot) in reporters.into_iter().zip(0..) {
        rows.push((slot, device.to_string(), device_name(&catalog, &device, &fleet), fleet.to_string()));
        vehicles.insert(device, Vehicle { slot, first });
    }
    Ok((rows, vehicles))
}

/// Where everybody was at a moment.
async fn positions_at(
    sql: &SqlEngine,
    selection: &Selection,
    vehicles: &Vehicles,
    at: Timestamp,
) -> Result<BTreeMap<DeviceId, Position>, SqlError> {
    let mut missing: BTreeSet<&DeviceId> = vehicles.iter().filter(|(_, v)| v.first <= at).map(|(device, _)| device).collect();
    let mut positions = BTreeMap::new();
    let mut to = at;
    for back_ms in LOOK_BACK_MS {
        if missing.is_empty() {
            break;
        }
        let devices = match missing.len() {
            ..=MAX_NAMED => Devices::Only(missing.iter().copied().cloned().collect()),
            _ => selection.devices.clone(),
        };
        let from = at.plus_millis(-back_ms);
        for position in sql.newest(&selection.scope, &devices, (from, to)).await? {
            if missing.remove(&position.device) {
                positions.insert(position.device.clone(), position);
            }
        }
        to = from.plus_millis(-1);
    }
    Ok(positions)
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
    vehicles: &Vehicles,
    at: Timestamp,
) -> Result<Loaded, SqlError> {
    let positions = positions_at(sql, selection, vehicles, at).await?;
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
