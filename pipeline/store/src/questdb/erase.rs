//! Erasing the history of a device in QuestDB, which has no DELETE: what its rows say is overwritten in place, and nobody is shown them.
//!
//! What stays is that there were rows: the device's id (also in the server's list of symbols, from which nothing is ever taken), fleet
//! and times, until the rows' partitions go with retention. Backups of the server, and files that it has replaced and not yet purged,
//! are its operator's.

use super::QuestDbStore;
use super::schema::{ERASED, FIRST_FLUSH, Times};
use crate::erased::Erased;
use crate::{Store, StoreError, Table};
use std::sync::PoisonError;
use waystream_domain::Erasure;

impl QuestDbStore {
    pub(super) async fn overwrite(&self, erasure: &Erasure) -> Result<(), StoreError> {
        self.start().await?;
        let server = self.tables.server().await?;
        let names = &self.tables.names;
        let mut erased = Erased::default();
        erased.add(erasure);
        let marks = serde_json::to_string(&erased).expect("marks are plain values");
        server.execute(&format!("INSERT INTO {} VALUES (now(), {})", names.erased(), quoted(&marks))).await?;
        {
            // No append is halfway: what came before this is stored after the next flush, what comes later is left out.
            let _appending = self.marks.lock().await;
            self.erased.write().unwrap_or_else(PoisonError::into_inner).add(erasure);
        }
        self.flush().await?;
        let _flushing = self.flushing.lock().await;
        let written = names.written();
        self.health.refuse_if_suspended(server, &written).await?;
        for table in Table::ALL {
            for times in Times::ALL {
                server.execute(&update(&names.rows(table, times), table, erasure)).await?;
            }
        }
        self.applied(&written).await
    }

    /// What earlier processes have erased.
    pub(super) async fn read_erased(&self) -> Result<(), StoreError> {
        let sql = format!("SELECT marks FROM {}", self.tables.names.erased());
        for row in self.tables.server().await?.execute(&sql).await? {
            let marks = row.first().and_then(|v| v.as_str()).unwrap_or_default();
            let marks = serde_json::from_str(marks).map_err(|e| StoreError::Damaged(format!("marks of erased rows: {e}")))?;
            self.erased.write().unwrap_or_else(PoisonError::into_inner).extend(marks);
        }
        Ok(())
    }
}

fn update(name: &str, table: Table, erasure: &Erasure) -> String {
    let columns = match table {
        Table::Positions => "altitude_m = NULL, speed_mps = NULL, course_deg = NULL, accuracy_m = NULL",
        Table::Events => "geofence = NULL, geofence_version = NULL",
    };
    let fleets = erasure.fleets.as_ref().map_or(String::new(), |fleets| {
        let fleets: Vec<_> = fleets.iter().map(|fleet| quoted(fleet.as_str())).collect();
        // A list has at least one.
        format!(" AND fleet IN ({})", if fleets.is_empty() { "''".to_owned() } else { fleets.join(",") })
    });
    format!(
        "UPDATE {name} SET lat = 0.0, lon = 0.0, {columns}, attributes = '{{}}', {FIRST_FLUSH} = {ERASED} \
         WHERE device = {} AND received_at < {}{fleets}",
        quoted(erasure.device.as_str()),
        erasure.until.as_millis().saturating_mul(1_000)
    )
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use waystream_domain::Timestamp;

    #[test]
    fn only_rows_that_are_to_be_erased_are_overwritten() {
        let fleets = BTreeSet::from(["north".parse().expect("id"), "o'neill".parse().expect("id")]);
        let until = Timestamp::from_millis(1_700_000_000_000).expect("a time");
        let device = "van'7".parse().expect("id");
        let erasure = Erasure { device, organisation: None, fleets: Some(fleets), until, done_at: None, problem: None };
        assert_eq!(
            update("positions", Table::Positions, &erasure),
            "UPDATE positions SET lat = 0.0, lon = 0.0, altitude_m = NULL, speed_mps = NULL, course_deg = NULL, accuracy_m = NULL, \
             attributes = '{}', first_flush = 2147483647 WHERE device = 'van''7' AND received_at < 1700000000000000 \
             AND fleet IN ('north','o''neill')"
        );
        let all = update("events", Table::Events, &Erasure { fleets: None, ..erasure });
        assert!(all.ends_with("WHERE device = 'van''7' AND received_at < 1700000000000000"), "{all}");
    }
}
