//! What a replay reads from history: which vehicles, where they are at a moment, what follows, and what happened.

use super::shown::MARKS;
use crate::live::{alert, device_name};
use crate::wire::{AlertEvent, SlotRow};
use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};
use waystream_domain::{SharedCatalog, Timestamp};
use waystream_sql::{
    Devices, EventCursor, EventFilter, Fix, FixRequest, FixStream, Reporter, Roster, Scope, SqlEngine, SqlError,
};

/// How far back a vehicle's last position is looked for at the beginning, and after a jump: who is parked over night has one.
/// In steps, as most have reported just before.
const LOOK_BACK_MS: [i64; 3] = [5 * 60_000, 60 * 60_000, 24 * 60 * 60_000];
/// So few vehicles are asked for by their names: then most of history needs no reading. A longer list only costs.
const FEW: usize = 1_000;
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
    fn fixes(&self, roster: &Roster, (from, to): (Timestamp, Timestamp)) -> FixRequest {
        FixRequest { devices: self.devices.clone(), roster: roster.clone(), from, to, marks: MARKS }
    }
}

/// All vehicles of a replay. Their places in the roster are their slots in frames.
#[derive(Debug, Clone)]
pub(crate) struct Vehicles {
    /// Who they are.
    pub(crate) roster: Roster,
    /// Of each its first position in the replay's time, or in what is looked back on.
    first: Arc<[Timestamp]>,
}

/// Who is in a replay: the devices that have positions in its time, or stood somewhere when it begins. Also as its slot table.
pub(crate) async fn vehicles_of(
    sql: &SqlEngine,
    catalog: &SharedCatalog,
    selection: &Selection,
) -> Result<(Vec<SlotRow>, Vehicles), SqlError> {
    let [.., furthest_ms] = LOOK_BACK_MS;
    let range = (selection.from.plus_millis(-furthest_ms), selection.to);
    let reporters = sql.reporters(&selection.scope, &selection.devices, range).await?;
    let first = reporters.iter().map(|reporter| reporter.first).collect();
    let catalog = catalog.read().unwrap_or_else(PoisonError::into_inner);
    let row = |(slot, Reporter { device, fleet, .. }): (u32, &Reporter)| {
        (slot, device.to_string(), device_name(&catalog, device, fleet), fleet.to_string())
    };
    let rows = (0..).zip(&reporters).map(row).collect();
    // They are in order of their devices, each once: as in a roster.
    let roster = reporters.into_iter().map(|reporter| reporter.device).collect();
    Ok((rows, Vehicles { roster, first }))
}

/// Where everybody was at a moment: by slot, `None` if that is not known.
async fn fixes_at(
    sql: &SqlEngine,
    selection: &Selection,
    vehicles: &Vehicles,
    at: Timestamp,
) -> Result<Vec<Option<Fix>>, SqlError> {
    let mut fixes = vec![None; vehicles.roster.len()];
    let mut to = at;
    for back_ms in LOOK_BACK_MS {
        let slots = (0..).zip(fixes.iter().zip(vehicles.first.iter()));
        let missing: Vec<u32> =
            slots.filter(|(_, (fix, first))| fix.is_none() && **first <= at).map(|(slot, _)| slot).collect();
        if missing.is_empty() {
            break;
        }
        let from = at.plus_millis(-back_ms);
        let mut request = selection.fixes(&vehicles.roster, (from, to));
        if missing.len() <= FEW {
            request.devices = Devices::Only(missing.iter().filter_map(|slot| vehicles.roster.device(*slot)).cloned().collect());
        }
        for fix in sql.last_fixes(&selection.scope, request).await? {
            // Who was seen later stays there.
            fixes[fix.device as usize].get_or_insert(fix);
        }
        to = from.plus_millis(-1);
    }
    Ok(fixes)
}

/// Everything a replay needs to go on from a moment.
pub(crate) struct Loaded {
    /// The moment.
    pub(crate) at: Timestamp,
    /// Where the vehicles are then, in order of their slots.
    pub(crate) fixes: Vec<Fix>,
    /// What follows.
    pub(crate) stream: FixStream,
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
    let fixes = fixes_at(sql, selection, vehicles, at).await?.into_iter().flatten().collect();
    let stream = sql.fixes(&selection.scope, selection.fixes(&vehicles.roster, (at.plus_millis(1), selection.to)));
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
    Ok(Loaded { at, fixes, stream, alerts })
}
