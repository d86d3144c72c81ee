//! What the tests of the embedded log share.
#![allow(dead_code, reason = "each test program uses its part")]

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use waystream_log::embedded::EmbeddedOptions;
use waystream_log::{Entry, Log, LogError, Offsets, Record, Topic};

/// Maintenance only when asked.
pub(crate) fn quiet() -> EmbeddedOptions {
    EmbeddedOptions { maintenance_every: Duration::ZERO, ..EmbeddedOptions::default() }
}

pub(crate) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as i64
}

pub(crate) fn record(key: impl Into<String>, value: impl ToString) -> Record {
    Record::new(key.into(), value.to_string())
}

pub(crate) async fn read_all(log: &dyn Log, topic: Topic) -> Result<Vec<Entry>, LogError> {
    let from: Offsets = (0..log.partitions(topic)).map(|partition| ((topic, partition), 0)).collect();
    let mut reader = log.read(topic, &from).await?;
    let mut entries = Vec::new();
    while let Some(batch) = reader.try_next(1000).await? {
        entries.extend(batch.entries);
    }
    Ok(entries)
}

/// The values of each key as numbers, in the order of their offsets.
pub(crate) async fn numbers(log: &dyn Log, topic: Topic) -> BTreeMap<String, Vec<u64>> {
    let mut values: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for entry in read_all(log, topic).await.expect("reads") {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
        let number = text(&entry.value.expect("a value")).parse().expect("a number");
        values.entry(text(&entry.key)).or_default().push(number);
    }
    values
}
