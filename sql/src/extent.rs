//! What there is in history: how far it goes, found without reading all of it, and of whom it is.

use crate::context::Core;
use crate::events::time;
use crate::{Scope, SqlEngine, SqlError};
use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::TimestampMillisecondType;
use datafusion::functions_aggregate::expr_fn::{max, min};
use datafusion::logical_expr::col;
use datafusion::prelude::DataFrame;
use std::collections::BTreeSet;
use waystream_domain::{DeviceId, Timestamp};
use waystream_store::Table;

/// Two times, both included.
type Between = (Timestamp, Timestamp);

/// How much is looked at first at either end of history: what a scope has last is seldom older than that of all.
const FIRST_LOOK_MS: i64 = 3_600_000;

/// How much more is looked at if there was nothing.
const GROW: i64 = 16;

impl SqlEngine {
    /// First and last fix time in the scope's history; `None` if there is none.
    pub async fn time_range(&self, scope: &Scope) -> Result<Option<Between>, SqlError> {
        let (core, scope) = (self.core.clone(), scope.clone());
        let mut answer = self.spawn(Some(self.deadline()), move |out| async move {
            let range = match core.store.fix_times() {
                Some(all) => ends(&core, &scope, all).await?,
                None => within(&core, &scope, None).await?,
            };
            out.send(Ok(range)).await.ok();
            Ok(())
        });
        answer.next().await.unwrap_or(Ok(None))
    }

    /// Where to look for what lies between two times, or as far as there is history where none is given: walking through empty
    /// millennia takes time. `None` if there is no history. There may be less of the scope's than that; history itself is read only
    /// if the store doesn't know, and a time is missing.
    pub async fn span(
        &self,
        scope: &Scope,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
    ) -> Result<Option<Between>, SqlError> {
        let all = match (self.core.store.fix_times(), from, to) {
            (Some(all), _, _) => Some(all),
            (None, Some(from), Some(to)) => return Ok(Some((from, to))),
            (None, _, _) => self.time_range(scope).await?,
        };
        Ok(all.map(|(first, last)| (from.map_or(first, |from| from.max(first)), to.map_or(last, |to| to.min(last)))))
    }

    /// Devices of which the scope has positions between two times, both included: all of them, however long it takes.
    pub async fn devices(&self, scope: &Scope, from: Timestamp, to: Timestamp) -> Result<BTreeSet<DeviceId>, SqlError> {
        let (core, scope) = (self.core.clone(), scope.clone());
        let mut answer = self.spawn(None, move |out| async move {
            let rows = between(core.rows(&scope, Table::Positions)?, (from, to))?;
            let mut batches = core.read(rows.aggregate(vec![col("device")], vec![])?).await?;
            let mut devices = BTreeSet::new();
            while let Some(batch) = batches.next().await? {
                let ids = batch.column(0).as_string_view_opt().ok_or_else(|| SqlError::Store("devices are no texts".into()))?;
                for id in ids.iter().flatten() {
                    devices.insert(DeviceId::new(id).map_err(|e| SqlError::Store(e.to_string()))?);
                }
            }
            out.send(Ok(devices)).await.ok();
            Ok(())
        });
        answer.next().await.unwrap_or_else(|| Ok(BTreeSet::new()))
    }
}

/// First and last fix time of a scope, from those of all: looked for from both ends.
async fn ends(core: &Core, scope: &Scope, (first, last): Between) -> Result<Option<Between>, SqlError> {
    let (mut from, mut look_ms) = (first, FIRST_LOOK_MS);
    let oldest = loop {
        let to = from.plus_millis(look_ms - 1).min(last);
        if let Some((oldest, _)) = within(core, scope, Some((from, to))).await? {
            break oldest;
        }
        if to >= last {
            return Ok(None);
        }
        from = to.plus_millis(1);
        look_ms = look_ms.saturating_mul(GROW);
    };
    let (mut to, mut look_ms) = (last, FIRST_LOOK_MS);
    loop {
        let from = to.plus_millis(1 - look_ms).max(oldest);
        if let Some((_, newest)) = within(core, scope, Some((from, to))).await? {
            return Ok(Some((oldest, newest)));
        }
        if from <= oldest {
            // Only retention can have taken it meanwhile.
            return Ok(None);
        }
        to = from.plus_millis(-1);
        look_ms = look_ms.saturating_mul(GROW);
    }
}

/// First and last fix time of a scope, between two times or of all.
async fn within(core: &Core, scope: &Scope, times: Option<Between>) -> Result<Option<Between>, SqlError> {
    let mut rows = core.rows(scope, Table::Positions)?;
    if let Some(times) = times {
        rows = between(rows, times)?;
    }
    let mut batches = core.read(rows.aggregate(vec![], vec![min(col("fix_time")), max(col("fix_time"))])?).await?;
    let mut range = None;
    while let Some(batch) = batches.next().await? {
        range = Some(batch).filter(|batch| batch.num_rows() > 0).or(range);
    }
    let value = |column: usize| {
        let times = range.as_ref()?.column(column).as_primitive_opt::<TimestampMillisecondType>()?;
        times.iter().next().flatten().and_then(Timestamp::from_millis)
    };
    Ok(value(0).zip(value(1)))
}

/// Rows with fix times from one on up to another, both included.
pub(crate) fn between(rows: DataFrame, (from, to): Between) -> Result<DataFrame, SqlError> {
    Ok(rows.filter(col("fix_time").gt_eq(time(from)).and(col("fix_time").lt_eq(time(to))))?)
}
