//! Tracks: positions of devices in a time range, in order of fix time, streamed.

use crate::context::Core;
use crate::engine::Rows;
use crate::extent::between;
use crate::{Scope, SqlEngine, SqlError};
use datafusion::logical_expr::{Expr, col, lit};
use waystream_domain::{DeviceId, FleetId, Position, Timestamp};
use waystream_store::{Table, rows};

/// Whose positions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Devices {
    /// All of the scope.
    All,
    /// Those that were in this fleet at the time.
    Fleet(FleetId),
    /// These.
    Only(Vec<DeviceId>),
}

/// Which positions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackRequest {
    /// Whose.
    pub devices: Devices,
    /// Fix time at or after this.
    pub from: Timestamp,
    /// Fix time at or before this.
    pub to: Timestamp,
    /// No more than this many.
    pub max_rows: usize,
}

/// Positions in order of fix time (then device), batch by batch. It works ahead by two batches and no further: whoever reads
/// slowly costs little. Dropping it stops it.
pub struct TrackStream {
    rows: Rows<Vec<Position>>,
}

impl TrackStream {
    /// The next positions, at least one; `None` at the end or after an error.
    pub async fn next(&mut self) -> Option<Result<Vec<Position>, SqlError>> {
        self.rows.next().await
    }
}

/// Rows that one step aims at: enough to keep a replay busy, few enough to be sorted in memory while a hundred replays are open.
const STEP_ROWS: usize = 20_000;

/// Rows that one step may have; should its time hold more, it is tried again with less time.
const MAX_STEP_ROWS: usize = 4 * STEP_ROWS;

/// How much less. A step may have grown over a silence of months, so it shrinks fast.
const SHRINK: i64 = 8;

/// Positions per batch that comes out.
const BATCH_ROWS: usize = 4_096;

impl SqlEngine {
    /// Positions of a scope in order of fix time. History is walked in steps of time that adapt to how dense it is.
    pub fn track(&self, scope: &Scope, request: TrackRequest) -> TrackStream {
        let (core, scope) = (self.core.clone(), scope.clone());
        let rows = self.spawn(None, move |out| async move {
            let mut left = request.max_rows;
            let mut from = request.from;
            // A few devices have few rows in a day; a fleet may have many in a minute.
            let mut step_ms: i64 =
                if matches!(&request.devices, Devices::Only(some) if some.len() <= 16) { 86_400_000 } else { 60_000 };
            while left > 0 && from <= request.to {
                let to = from.plus_millis(step_ms - 1).min(request.to);
                let (mut rows, covered) = step(&core, &scope, &request.devices, (from, to)).await?;
                rows.truncate(left);
                let count = rows.len();
                left -= count;
                let mut rows = rows.into_iter().peekable();
                while rows.peek().is_some() {
                    if out.send(Ok(rows.by_ref().take(BATCH_ROWS).collect())).await.is_err() {
                        return Ok(());
                    }
                }
                if covered >= request.to {
                    break;
                }
                let factor = if count == 0 { 16.0 } else { (STEP_ROWS as f64 / count as f64).clamp(0.1, 4.0) };
                step_ms = ((covered.millis_since(from) + 1) as f64 * factor).max(1_000.0) as i64;
                from = covered.plus_millis(1);
            }
            Ok(())
        });
        TrackStream { rows }
    }
}

/// Positions from one time on, sorted, and the time up to which they are complete: `to`, or less if there are too many until then.
async fn step(
    core: &Core,
    scope: &Scope,
    devices: &Devices,
    (from, to): (Timestamp, Timestamp),
) -> Result<(Vec<Position>, Timestamp), SqlError> {
    let mut covered = to;
    let mut positions = loop {
        // All of one millisecond must come, however many they are.
        let most = (covered > from).then_some(MAX_STEP_ROWS);
        match within(core, scope, devices, (from, covered), most).await? {
            Some(positions) => break positions,
            None => covered = from.plus_millis(covered.millis_since(from) / SHRINK),
        }
    };
    positions.sort_by(|a, b| (a.fix_time, &a.device).cmp(&(b.fix_time, &b.device)));
    Ok((positions, covered))
}

/// Positions of a range of time in any order; `None` if there are more than `most`.
///
/// They are sorted by whoever asked: the engine's own way to the first rows of an order counts a shared buffer once per batch that
/// points into it, so that a few thousand rows can be more than all of its memory.
async fn within(
    core: &Core,
    scope: &Scope,
    devices: &Devices,
    (from, to): (Timestamp, Timestamp),
    most: Option<usize>,
) -> Result<Option<Vec<Position>>, SqlError> {
    let mut all = between(core.rows(scope, Table::Positions)?, (from, to))?;
    if let Some(condition) = condition(devices) {
        all = all.filter(condition)?;
    }
    let mut batches = core.read(all).await?;
    let mut positions = Vec::new();
    while let Some(batch) = batches.next().await? {
        positions.extend(rows::positions_from(&batch).map_err(|e| SqlError::Store(e.to_string()))?);
        if most.is_some_and(|most| positions.len() > most) {
            return Ok(None);
        }
    }
    Ok(Some(positions))
}

pub(crate) fn condition(devices: &Devices) -> Option<Expr> {
    match devices {
        Devices::All => None,
        Devices::Fleet(fleet) => Some(col("fleet").eq(lit(fleet.as_str()))),
        Devices::Only(some) => Some(col("device").in_list(some.iter().map(|d| lit(d.as_str())).collect(), false)),
    }
}
