//! What every adapter of the log must keep, as checks that panic with the broken promise. An adapter's tests implement
//! [`Subject`] and call [`log_contract!`](crate::log_contract), which makes one test of each check.

mod appending;
mod commits;
mod compaction;
mod reading;

pub use appending::*;
pub use commits::*;
pub use compaction::*;
pub use reading::*;

use crate::{Batch, Entry, Log, LogReader, Offsets, Record, Topic, partition_of};
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A log to check.
#[async_trait]
pub trait Subject: Send + Sync + 'static {
    /// The log. Empty at the beginning of a check.
    fn log(&self) -> Arc<dyn Log>;

    /// Closes the log and opens it again, as a restart of the program does; [`Self::log`] gives the new one.
    async fn reopen(&mut self);

    /// Compacts the compacted topics now, if the adapter can be told to.
    async fn compact(&self);

    /// A size of value that the log refuses.
    fn refused_bytes(&self) -> usize;
}

/// Makes a test of every check: `log_contract!(subject().await)`, with an expression that gives a new, empty [`Subject`].
#[macro_export]
macro_rules! log_contract {
    ($subject:expr) => {
        $crate::log_contract!($subject;
            appended_records_survive_a_restart
            each_key_keeps_the_order_of_the_calls
            a_key_never_changes_its_partition
            concurrent_appends_are_all_there_once
            a_refused_record_harms_no_other
            an_empty_value_is_not_a_removal
            a_waiting_reader_wakes_when_records_come
            partitions_take_turns
            a_cancelled_next_loses_nothing
            a_reader_starts_at_its_offsets
            bounds_tell_what_can_be_read
            a_time_leads_to_an_offset
            a_commit_happens_whole
            a_refused_commit_changes_nothing
            committed_offsets_are_those_of_all_members
            a_commit_keeps_the_order_of_each_key
            compaction_keeps_the_newest_value_in_its_place
            a_removed_key_stays_removed
            a_reader_goes_on_through_a_compaction
            compaction_beside_appends_loses_nothing
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

/// Fails a check that hangs; not a promise about speed.
async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(60), work).await {
        Ok(done) => done,
        Err(_) => panic!("still waiting after a minute: {what}"),
    }
}

/// The beginning of every partition.
fn beginning(log: &dyn Log, topic: Topic) -> Offsets {
    (0..log.partitions(topic)).map(|partition| ((topic, partition), 0)).collect()
}

async fn reader(log: &dyn Log, topic: Topic) -> Box<dyn LogReader> {
    log.read(topic, &beginning(log, topic)).await.expect("a reader of all partitions")
}

/// Everything in a topic, by partition.
async fn read_all(log: &dyn Log, topic: Topic) -> BTreeMap<u32, Vec<Entry>> {
    let mut reader = reader(log, topic).await;
    let mut all: BTreeMap<u32, Vec<Entry>> = BTreeMap::new();
    while let Some(batch) = soon("all records", reader.try_next(100)).await.expect("reads") {
        let Batch { partition, entries, next } = batch;
        assert_eq!(next, entries.last().expect("a batch has entries").offset + 1, "a batch tells where to go on");
        all.entry(partition).or_default().extend(entries);
    }
    for entries in all.values() {
        assert!(entries.is_sorted_by(|a, b| a.offset < b.offset), "offsets of a partition grow");
    }
    all
}

/// The values of each key, in the order they are read.
async fn values_by_key(log: &dyn Log, topic: Topic) -> BTreeMap<String, Vec<Option<String>>> {
    let mut values: BTreeMap<String, Vec<Option<String>>> = BTreeMap::new();
    for entry in read_all(log, topic).await.into_values().flatten() {
        values.entry(text(&entry.key)).or_default().push(entry.value.as_deref().map(text));
    }
    values
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn record(key: impl Into<String>, value: impl Into<String>) -> Record {
    Record::new(key.into(), value.into())
}

/// A key that belongs to a partition.
fn key_in(log: &dyn Log, topic: Topic, partition: u32) -> String {
    (0..)
        .map(|n| format!("key-{n}"))
        .find(|key| partition_of(key.as_bytes(), log.partitions(topic)) == partition)
        .expect("every partition has keys")
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64)
}
