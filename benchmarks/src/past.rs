//! History for replays: what the simulated fleet would have reported until now.

use crate::fleet::{Fleet, Sizes};
use anyhow::Result;
use std::sync::Arc;
use waystream_domain::Timestamp;
use waystream_store::{ArchiveBatch, Archived, Store};

/// Rows given to the store at a time.
const BATCH: usize = 50_000;
/// Rows between two flushes.
const FLUSH: usize = 500_000;

/// How much of it there is.
#[derive(Debug, Clone, Copy)]
pub struct Past {
    /// How far back it goes; 0: none.
    pub hours: usize,
    /// Every vehicle has reported once in so many seconds.
    pub period_s: usize,
}

/// Puts it in, as the archive does it. The vehicles are those of a fleet of these sizes. Returns the number of rows.
pub async fn fill(store: &dyn Store, sizes: Sizes, past: Past, now: Timestamp) -> Result<u64> {
    let seconds = i64::try_from(past.hours * 3_600)?;
    let mut fleet = Fleet::new(Sizes { hz: 1, period_s: past.period_s, ..sizes });
    let mut positions = Vec::with_capacity(BATCH);
    let (mut offset, mut unflushed) = (0, 0);
    for second in 1..=seconds {
        for live in fleet.tick(now.plus_millis((second - seconds) * 1_000)).into_iter().flat_map(|s| s.live) {
            offset += 1;
            positions.push(Archived { partition: 0, offset, row: live.position });
        }
        if positions.len() < BATCH && second < seconds {
            continue;
        }
        unflushed += positions.len();
        let positions = std::mem::replace(&mut positions, Vec::with_capacity(BATCH));
        store.append(Arc::new(ArchiveBatch { positions, ..ArchiveBatch::default() })).await?;
        if unflushed >= FLUSH || second == seconds {
            store.flush().await?;
            unflushed = 0;
        }
    }
    if offset > 0 {
        // Compacted as it would have been meanwhile.
        store.maintain(now).await?;
    }
    Ok(offset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::prelude::SessionContext;
    use waystream_store::parquet::{ParquetOptions, ParquetStore};

    #[tokio::test]
    async fn every_vehicle_has_reported_once_a_period() {
        let dir = tempfile::tempdir().expect("a folder");
        let store = ParquetStore::open(dir.path(), ParquetOptions::default()).expect("a store");
        let sizes = Sizes { vehicles: 3, fleets: 2, hz: 10, period_s: 1 };
        let now = Timestamp::from_millis(1_772_323_200_000).expect("a time");
        let rows = fill(store.as_ref(), sizes, Past { hours: 1, period_s: 45 }, now).await.expect("the store takes all");
        assert_eq!(rows, 3 * 80);
        let table = SessionContext::new().read_table(store.positions()).expect("a table");
        assert_eq!(table.count().await.expect("it can be counted"), 3 * 80);
    }
}
