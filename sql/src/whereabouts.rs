//! Who reported in a range of time, and where everybody was last in it.

use crate::context::Core;
use crate::events::time;
use crate::track::condition;
use crate::{Devices, Scope, SqlEngine, SqlError};
use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::datatypes::TimestampMillisecondType;
use datafusion::functions_aggregate::expr_fn::{max, min};
use datafusion::logical_expr::{JoinType, col};
use datafusion::prelude::DataFrame;
use waystream_domain::{DeviceId, FleetId, Position, Timestamp};
use waystream_store::{Table, rows};

/// A device that has positions in a range of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reporter {
    /// Which.
    pub device: DeviceId,
    /// Its fleet then.
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
            let grouped = seen(&core, &scope, &devices, range)?
                .aggregate(vec![col("device")], vec![max(col("fleet")).alias("fleet"), min(col("fix_time")).alias("first")])?;
            let mut all = Vec::new();
            for batch in grouped.collect().await? {
                all.extend(reporters_from(&batch).ok_or_else(|| SqlError::Store("devices can't be read back".into()))?);
            }
            all.sort_by(|a, b| a.device.cmp(&b.device));
            out.send(Ok(all)).await.ok();
            Ok(())
        });
        answer.next().await.unwrap_or_else(|| Ok(Vec::new()))
    }

    /// Of each device its last valid position from one time to another (both included), in any order.
    pub async fn newest(
        &self,
        scope: &Scope,
        devices: &Devices,
        range: (Timestamp, Timestamp),
    ) -> Result<Vec<Position>, SqlError> {
        let (core, scope, devices) = (self.core.clone(), scope.clone(), devices.clone());
        let mut answer = self.spawn(Some(self.deadline()), move |out| async move {
            let seen = seen(&core, &scope, &devices, range)?.filter(col("valid"))?;
            let newest = seen
                .clone()
                .aggregate(vec![col("device")], vec![max(col("fix_time")).alias("newest_time")])?
                .select(vec![col("device").alias("newest_device"), col("newest_time")])?;
            // What is kept in memory is the left side, a row a device.
            let keys = (["newest_device", "newest_time"], ["device", "fix_time"]);
            let last = newest.join(seen, JoinType::RightSemi, &keys.0, &keys.1, None)?;
            let mut positions = Vec::new();
            for batch in last.collect().await? {
                positions.extend(rows::positions_from(&batch).map_err(|e| SqlError::Store(e.to_string()))?);
            }
            out.send(Ok(positions)).await.ok();
            Ok(())
        });
        answer.next().await.unwrap_or_else(|| Ok(Vec::new()))
    }
}

fn seen(core: &Core, scope: &Scope, devices: &Devices, (from, to): (Timestamp, Timestamp)) -> Result<DataFrame, SqlError> {
    let all =
        core.rows(scope, Table::Positions)?.filter(col("fix_time").gt_eq(time(from)).and(col("fix_time").lt_eq(time(to))))?;
    Ok(match condition(devices) {
        Some(condition) => all.filter(condition)?,
        None => all,
    })
}

fn reporters_from(batch: &RecordBatch) -> Option<Vec<Reporter>> {
    let device = batch.column_by_name("device")?.as_string_view_opt()?;
    let fleet = batch.column_by_name("fleet")?.as_string_view_opt()?;
    let first = batch.column_by_name("first")?.as_primitive_opt::<TimestampMillisecondType>()?;
    (0..batch.num_rows())
        .map(|i| {
            Some(Reporter {
                device: DeviceId::new(device.value(i)).ok()?,
                fleet: FleetId::new(fleet.value(i)).ok()?,
                first: Timestamp::from_millis(first.value(i))?,
            })
        })
        .collect()
}
