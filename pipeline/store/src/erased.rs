//! What was erased on request and must not come back from the log, which keeps it for weeks.

use crate::{ArchiveBatch, Archived};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeSet;
use waystream_domain::{DeviceId, Erasure, FleetId, Timestamp};

/// All erasures of a store. Devices are known by a mark, so that their ids are in no file any more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Erased(Vec<Mark>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    /// See [`Erasure::mark_of`].
    device: String,
    /// `None`: whatever the fleet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fleets: Option<BTreeSet<FleetId>>,
    /// What was received before.
    until: Timestamp,
}

impl Erased {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// From now on these rows are left out too.
    pub(crate) fn add(&mut self, erasure: &Erasure) {
        let device = Erasure::mark_of(&erasure.device);
        // A later one of the same rows takes the place of an earlier one.
        self.0.retain(|mark| mark.device != device || mark.fleets != erasure.fleets || mark.until > erasure.until);
        self.0.push(Mark { device, fleets: erasure.fleets.clone(), until: erasure.until });
    }

    /// All of these too.
    pub(crate) fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// A batch without the rows that were erased; all of it is covered.
    pub(crate) fn without<'a>(&self, batch: &'a ArchiveBatch) -> Cow<'a, ArchiveBatch> {
        if self.is_empty() {
            return Cow::Borrowed(batch);
        }
        let positions = self.kept(&batch.positions, |p| (&p.device, &p.fleet, p.received_at));
        let events = self.kept(&batch.events, |e| (&e.device, &e.fleet, e.received_at));
        match (positions, events) {
            (None, None) => Cow::Borrowed(batch),
            (positions, events) => Cow::Owned(ArchiveBatch {
                positions: positions.unwrap_or_else(|| batch.positions.clone()),
                events: events.unwrap_or_else(|| batch.events.clone()),
                offsets: batch.offsets.clone(),
            }),
        }
    }

    /// `None`: all rows.
    fn kept<T: Clone>(
        &self,
        rows: &[Archived<T>],
        of: impl Fn(&T) -> (&DeviceId, &FleetId, Timestamp),
    ) -> Option<Vec<Archived<T>>> {
        // What comes in now is newer than every erasure: then there is nothing to hash.
        let newest = self.0.iter().map(|mark| mark.until).max()?;
        let is_erased = |row: &Archived<T>| {
            let (device, fleet, received_at) = of(&row.row);
            received_at < newest && self.covers(device, fleet, received_at)
        };
        let first = rows.iter().position(is_erased)?;
        let rest = rows[first..].iter().filter(|row| !is_erased(row));
        Some(rows[..first].iter().chain(rest).cloned().collect())
    }

    fn covers(&self, device: &DeviceId, fleet: &FleetId, received_at: Timestamp) -> bool {
        let device = Erasure::mark_of(device);
        self.0.iter().any(|mark| {
            mark.device == device
                && received_at < mark.until
                && mark.fleets.as_ref().is_none_or(|fleets| fleets.contains(fleet))
        })
    }
}
