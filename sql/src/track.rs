//! Tracks: positions of devices in a time range, in order of fix time, streamed.

use crate::context::Core;
use crate::engine::Rows;
use crate::extent::between;
use crate::walk::{Kept, Walk};
use crate::{Scope, SqlEngine, SqlError};
use datafusion::logical_expr::{Expr, col, lit};
use datafusion::prelude::DataFrame;
use waystream_domain::{DeviceId, FleetId, Position, Timestamp};
use waystream_store::{POSITION_COLUMNS, Table, rows};

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

/// Rows that a piece of history aims at: enough to keep whoever reads busy, few enough to be sorted in memory while a hundred tracks are
/// open.
const AIM_ROWS: usize = 20_000;

/// Rows that a piece may have; should its time hold more, it ends earlier.
const MOST_ROWS: usize = 4 * AIM_ROWS;

/// How much more time is tried at once: attributes may make rows of any size.
const GROW: f64 = 4.0;

/// Positions per batch that comes out.
const BATCH_ROWS: usize = 4_096;

impl SqlEngine {
    /// Positions of a scope in order of fix time. History is walked in pieces of time that adapt to how dense it is.
    pub fn track(&self, scope: &Scope, request: TrackRequest) -> TrackStream {
        let (core, scope) = (self.core.clone(), scope.clone());
        let rows = self.spawn(None, move |out| async move {
            let mut left = request.max_rows;
            // A few devices have few rows in a day; a fleet may have many in a minute.
            let first_ms =
                if matches!(&request.devices, Devices::Only(some) if some.len() <= 16) { 86_400_000 } else { 60_000 };
            let mut walk = Walk::new((request.from, request.to), first_ms);
            while left > 0
                && let Some(range) = walk.piece()
            {
                let (mut rows, covered) = piece(&core, &scope, &request.devices, range).await?;
                rows.truncate(left);
                let count = rows.len();
                left -= count;
                let mut rows = rows.into_iter().peekable();
                while rows.peek().is_some() {
                    if out.send(Ok(rows.by_ref().take(BATCH_ROWS).collect())).await.is_err() {
                        return Ok(());
                    }
                }
                walk.covered(covered, count, AIM_ROWS, GROW);
            }
            Ok(())
        });
        TrackStream { rows }
    }
}

/// Positions from one time on, sorted, and the time up to which they are complete.
///
/// They are sorted here: the engine's own way to the first rows of an order counts a shared buffer once per batch that points into it, so
/// that a few thousand rows can be more than all of its memory.
async fn piece(
    core: &Core,
    scope: &Scope,
    devices: &Devices,
    mut range: (Timestamp, Timestamp),
) -> Result<(Vec<Position>, Timestamp), SqlError> {
    let kept = loop {
        let kept = read(core, scope, devices, range).await?;
        match kept.shorter() {
            Some(shorter) => range = shorter,
            None => break kept,
        }
    };
    let (mut positions, covered) = kept.finish();
    positions.sort_by(|a, b| (a.fix_time, &a.device).cmp(&(b.fix_time, &b.device)));
    Ok((positions, covered))
}

/// All positions of a range of time, unless there are far too many.
async fn read(
    core: &Core,
    scope: &Scope,
    devices: &Devices,
    range: (Timestamp, Timestamp),
) -> Result<Kept<Position>, SqlError> {
    let mut kept = Kept::new(range, MOST_ROWS, |p: &Position| p.fix_time);
    let mut batches = core.read(seen(core, scope, devices, range)?.select(POSITION_COLUMNS.map(col))?).await?;
    while kept.shorter().is_none()
        && let Some(batch) = batches.next().await?
    {
        kept.extend(rows::positions_from(&batch).map_err(|e| SqlError::Store(e.to_string()))?);
    }
    Ok(kept)
}

/// Rows of some devices from one time to another, both included.
pub(crate) fn seen(
    core: &Core,
    scope: &Scope,
    devices: &Devices,
    range: (Timestamp, Timestamp),
) -> Result<DataFrame, SqlError> {
    let all = between(core.rows(scope, Table::Positions)?, range)?;
    Ok(match condition(devices) {
        Some(condition) => all.filter(condition)?,
        None => all,
    })
}

fn condition(devices: &Devices) -> Option<Expr> {
    match devices {
        Devices::All => None,
        Devices::Fleet(fleet) => Some(col("fleet").eq(lit(fleet.as_str()))),
        Devices::Only(some) => Some(col("device").in_list(some.iter().map(|d| lit(d.as_str())).collect(), false)),
    }
}
