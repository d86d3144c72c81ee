//! What every adapter of the store must keep, as checks that panic with the broken promise. An adapter's tests implement
//! [`Subject`] and call [`store_contract!`](crate::store_contract), which makes one test of each check.

mod history;
mod keeping;
mod reading;

pub use history::{Dice, History, at, event, position};
pub use keeping::*;
pub use reading::*;

use crate::{Archived, Store, rows};
use async_trait::async_trait;
use datafusion::catalog::TableProvider;
use datafusion::logical_expr::Expr;
use datafusion::prelude::{SessionConfig, SessionContext};
use std::sync::Arc;
use waystream_domain::{Event, Position};

/// A store to check.
#[async_trait]
pub trait Subject: Send + Sync + 'static {
    /// The store. Empty at the beginning of a check.
    fn store(&self) -> Arc<dyn Store>;

    /// Closes the store without flushing and opens it again, as a crash and a restart do; [`Self::store`] gives the new one.
    async fn reopen(&mut self);
}

/// Makes a test of every check: `store_contract!(subject())`, with an expression that gives a new, empty [`Subject`].
#[macro_export]
macro_rules! store_contract {
    ($subject:expr) => {
        $crate::store_contract!($subject;
            rows_are_readable_once_appended
            flushed_rows_survive_a_crash
            what_is_not_covered_can_be_appended_again
            the_version_received_last_is_kept
            an_event_is_kept_once_by_its_id
            times_of_all_centuries_are_kept
            what_was_erased_stays_erased
            filters_are_exact
            events_are_found_by_their_place
            a_table_is_a_snapshot
            whatever_happens_each_row_is_there_once
        );
    };
    ($subject:expr; $($check:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $check() {
                $crate::contract::$check(&mut $subject).await;
            }
        )*
    };
}

/// Rows of a table that pass the filters, at most `limit`.
pub async fn read(table: Arc<dyn TableProvider>, filters: &[Expr], limit: Option<usize>) -> Vec<arrow::array::RecordBatch> {
    let mut config = SessionConfig::new().with_target_partitions(2);
    config.options_mut().execution.parquet.pushdown_filters = true;
    let mut frame = SessionContext::new_with_config(config).read_table(table).expect("a table can be read");
    for filter in filters {
        frame = frame.filter(filter.clone()).expect("a filter on columns of the table");
    }
    if limit.is_some() {
        frame = frame.limit(0, limit).expect("a limit");
    }
    frame.collect().await.expect("rows")
}

/// Positions of the store that pass the filters, sorted by device and fix time.
pub async fn positions(store: &dyn Store, filters: &[Expr]) -> Vec<Position> {
    let batches = read(store.positions(), filters, None).await;
    let mut all: Vec<_> = batches.iter().flat_map(|b| rows::positions_from(b).expect("positions")).collect();
    all.sort_by(|a, b| (&a.device, a.fix_time).cmp(&(&b.device, b.fix_time)));
    all
}

/// Events of the store that pass the filters, sorted by id.
pub async fn events(store: &dyn Store, filters: &[Expr]) -> Vec<Archived<Event>> {
    let batches = read(store.events(), filters, None).await;
    let mut all: Vec<_> = batches.iter().flat_map(|b| rows::events_from(b).expect("events")).collect();
    all.sort_by(|a, b| a.row.id.cmp(&b.row.id));
    all
}
