//! Who reported in a range of time, and where everybody was last in it.

use crate::context::Core;
use crate::fixes::{COLUMNS, Columns, Key, out_of_range, primitive, text};
use crate::track::seen;
use crate::{Devices, Fix, FixRequest, Scope, SqlEngine, SqlError};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::TimestampMillisecondType;
use datafusion::logical_expr::col;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use waystream_domain::{DeviceId, FleetId, Timestamp};

/// A device that has positions in a range of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reporter {
    /// Which.
    pub device: DeviceId,
    /// Its fleet then; of several the last one by name.
    pub fleet: FleetId,
    /// Fix time of its first position in that range.
    pub first: Timestamp,
}

impl SqlEngine {
    /// The devices of a scope that have positions from one time to another (both included), in order; as many as there are.
    pub async fn reporters(
        &self,
        scope: &Scope,
        devices: &Devices,
        range: (Timestamp, Timestamp),
    ) -> Result<Vec<Reporter>, SqlError> {
        let (core, scope, devices) = (self.core.clone(), scope.clone(), devices.clone());
        let mut answer = self.spawn(Some(self.deadline()), move |out| async move {
            let rows = seen(&core, &scope, &devices, range)?.select(["device", "fleet", "fix_time"].map(col))?;
            let mut batches = core.read(rows).await?;
            let mut all = BTreeMap::new();
            while let Some(batch) = batches.next().await? {
                report(&batch, &mut all)?;
            }
            let all: Vec<Reporter> = all.into_values().collect();
            out.send(Ok(all)).await.ok();
            Ok(())
        });
        answer.next().await.unwrap_or_else(|| Ok(Vec::new()))
    }

    /// Of each device asked for its last fix in the range asked for, in any order.
    pub async fn last_fixes(&self, scope: &Scope, request: FixRequest) -> Result<Vec<Fix>, SqlError> {
        let (core, scope) = (self.core.clone(), scope.clone());
        let mut answer = self.spawn(Some(self.deadline()), move |out| async move {
            let last: Vec<Fix> = last_fixes(&core, &scope, &request).await?.into_iter().flatten().collect();
            out.send(Ok(last)).await.ok();
            Ok(())
        });
        answer.next().await.unwrap_or_else(|| Ok(Vec::new()))
    }
}

/// By device. Rows come once, whatever they are many of: only the last of each device's that lie together are looked at.
async fn last_fixes(core: &Core, scope: &Scope, request: &FixRequest) -> Result<Vec<Option<Fix>>, SqlError> {
    let mut last: Vec<Option<Fix>> = vec![None; request.roster.len()];
    let rows = seen(core, scope, &request.devices, (request.from, request.to))?.select(COLUMNS.map(col))?;
    let mut batches = core.read(rows).await?;
    while let Some(batch) = batches.next().await? {
        let columns = Columns::of(&batch)?;
        let mut newest: Vec<Key> = Vec::new();
        for key in columns.keys(&request.roster) {
            let key = key?;
            match newest.last_mut() {
                Some(same) if same.device == key.device => {
                    if same.fix_time < key.fix_time {
                        *same = key;
                    }
                }
                _ => newest.push(key),
            }
        }
        for key in newest {
            let known = &mut last[key.device as usize];
            if known.is_none_or(|known| known.fix_time < key.fix_time) {
                *known = Some(columns.fix(key, request.marks)?);
            }
        }
    }
    Ok(last)
}

/// Takes the rows of a batch in. Those of a device lie together, so each device is looked up once.
fn report(batch: &RecordBatch, all: &mut BTreeMap<DeviceId, Reporter>) -> Result<(), SqlError> {
    let (device, fleet) = (text(batch, "device")?, text(batch, "fleet")?);
    let fix_time = primitive::<TimestampMillisecondType>(batch, "fix_time")?;
    let mut at = 0;
    while at < batch.num_rows() {
        let id = device.value(at);
        let (mut first_ms, mut of) = (fix_time.value(at), fleet.value(at));
        at += 1;
        while at < batch.num_rows() && device.value(at) == id {
            first_ms = first_ms.min(fix_time.value(at));
            of = of.max(fleet.value(at));
            at += 1;
        }
        let unread = |e| SqlError::Store(format!("devices can't be read back: {e}"));
        let first = Timestamp::from_millis(first_ms).ok_or_else(|| out_of_range("fix_time"))?;
        let (device, fleet) = (DeviceId::new(id).map_err(unread)?, FleetId::new(of).map_err(unread)?);
        match all.entry(device) {
            Entry::Vacant(place) => {
                let device = place.key().clone();
                place.insert(Reporter { device, fleet, first });
            }
            Entry::Occupied(mut known) => {
                let known = known.get_mut();
                known.first = known.first.min(first);
                if known.fleet < fleet {
                    known.fleet = fleet;
                }
            }
        }
    }
    Ok(())
}
