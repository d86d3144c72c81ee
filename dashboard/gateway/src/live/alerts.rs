//! Alerts: what happened, told to whoever may know, in order, none twice and none lost, also across a reconnection.
//!
//! A cursor says how far every partition of the topic `events` has been told. Live alerts come in the order in which the hub
//! read them; alerts that were missed are read from the log again, merged by the time at which they were appended.

use super::board::changes_hands;
use crate::wire::{AlertEvent, acknowledgement_info};
use std::collections::VecDeque;
use std::sync::Arc;
use waystream_domain::{Catalog, DeviceId, Event, FleetId, OrganisationId, codec};
use waystream_log::{Entry, Log, LogError, LogReader, Offsets, Topic};
use waystream_sql::EventCursor;

/// Entries read at a time of one partition.
const BATCH: usize = 256;

/// An event as a browser sees it.
pub(crate) fn alert(event: &Event, cursor: Option<&EventCursor>, catalog: &Catalog) -> AlertEvent {
    let fence_name = event.geofence.as_ref().and_then(|id| Some(catalog.geofences.get(id)?.name.clone()));
    let of = |organisation: &OrganisationId| catalog.fleets.get(&event.fleet).is_some_and(|f| f.organisation == *organisation);
    let acknowledged = catalog.acknowledgements.get(&event.id).filter(|a| of(&a.organisation));
    AlertEvent {
        event_id: event.id.to_string(),
        cursor: cursor.map(ToString::to_string),
        kind: event.kind.as_str().to_owned(),
        device: event.device.to_string(),
        device_name: device_name(catalog, &event.device, &event.fleet),
        fleet: event.fleet.to_string(),
        geofence: event.geofence.as_ref().map(ToString::to_string),
        geofence_name: fence_name.or_else(|| event.geofence.as_ref().map(ToString::to_string)),
        fix_time: event.fix_time.as_millis(),
        received_at: event.received_at.as_millis(),
        lat: event.location.lat_deg(),
        lon: event.location.lon_deg(),
        retracted: event.retracted,
        acknowledged: acknowledged.map(|a| acknowledgement_info(a)),
        attributes: event.attributes.clone(),
    }
}

/// What a device is called by whose it was in this fleet: what another organisation calls it now is not told.
pub(crate) fn device_name(catalog: &Catalog, device: &DeviceId, fleet: &FleetId) -> String {
    let known = catalog.devices.get(device).filter(|d| !changes_hands(catalog, fleet, &d.fleet));
    known.map_or_else(|| device.to_string(), |d| d.name.clone())
}

/// The event of a log entry; `None` if it can't be read.
pub(crate) fn event_of(partition: u32, entry: &Entry) -> Option<Event> {
    let decoded = codec::decode_event(entry.value.as_deref().unwrap_or_default());
    decoded.inspect_err(|error| tracing::warn!(partition, offset = entry.offset, %error, "event left out")).ok()
}

/// Events after one cursor up to another.
pub(crate) struct Missed {
    sources: Vec<Source>,
    cursor: EventCursor,
}

struct Source {
    partition: u32,
    end: u64,
    reader: Box<dyn LogReader>,
    entries: VecDeque<Entry>,
}

impl Missed {
    /// Those after `after`, up to `end`.
    pub(crate) async fn open(log: &Arc<dyn Log>, after: &EventCursor, end: &EventCursor) -> Result<Self, LogError> {
        let mut sources = Vec::new();
        for (partition, end) in end.iter() {
            let from = after.next(partition);
            if from < end {
                let offsets = Offsets::from([((Topic::Events, partition), from)]);
                let reader = log.read(Topic::Events, &offsets).await?;
                sources.push(Source { partition, end, reader, entries: VecDeque::new() });
            }
        }
        Ok(Self { sources, cursor: after.clone() })
    }

    /// The next event, and the cursor after it.
    pub(crate) async fn next(&mut self) -> Result<Option<(Event, EventCursor)>, LogError> {
        loop {
            for source in &mut self.sources {
                source.fill().await?;
            }
            self.sources.retain(|source| !source.entries.is_empty());
            let oldest = self.sources.iter_mut().min_by_key(|s| (s.entries[0].appended_at_ms, s.partition));
            let Some(source) = oldest else { return Ok(None) };
            let Some(entry) = source.entries.pop_front() else { return Ok(None) };
            self.cursor.seen(source.partition, entry.offset);
            if let Some(event) = event_of(source.partition, &entry) {
                return Ok(Some((event, self.cursor.clone())));
            }
        }
    }
}

impl Source {
    async fn fill(&mut self) -> Result<(), LogError> {
        if self.entries.is_empty()
            && let Some(batch) = self.reader.try_next(BATCH).await?
        {
            self.entries.extend(batch.entries.into_iter().take_while(|e| e.offset < self.end));
        }
        Ok(())
    }
}
