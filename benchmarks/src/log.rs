//! How fast the log is: records a second in big batches and in many small calls, latencies, catching up.

use crate::report::{Latencies, Row, per_second};
use anyhow::{Context, Result};
use std::sync::Arc;
use std::time::Instant;
use tokio::task::JoinSet;
use waystream_log::{Log, Offsets, Record, Topic};

/// Sizes of the measurement.
#[derive(Debug, Clone)]
pub struct Sizes {
    /// Records in all, for each part.
    pub records: usize,
    /// Bytes of each value.
    pub value_bytes: usize,
    /// Records per call in the part with big batches.
    pub batch: usize,
    /// Calls waiting at the same time in the part with small calls.
    pub callers: usize,
    /// Calls of a lone caller.
    pub lone_calls: usize,
}

/// Measures all parts on an empty log.
pub async fn measure(log: Arc<dyn Log>, sizes: &Sizes) -> Result<Vec<Row>> {
    let mut rows = vec![big_batches(&log, sizes).await?];
    rows.extend(catch_up(&log).await?);
    rows.extend(many_callers(&log, sizes).await?);
    rows.extend(lone_caller(&log, sizes).await?);
    Ok(rows)
}

/// A record of device `n`, as long as asked for.
fn record(n: usize, value_bytes: usize) -> Record {
    let mut value = vec![b'x'; value_bytes];
    let digits = n.to_le_bytes();
    let len = digits.len().min(value_bytes);
    value[..len].copy_from_slice(&digits[..len]);
    Record::new(format!("{:015}", n % 10_000), value)
}

async fn big_batches(log: &Arc<dyn Log>, sizes: &Sizes) -> Result<Row> {
    // Made before the clock runs: the caller's work is not the log's. Bounded by 2 million records in memory.
    let batches = (sizes.records / sizes.batch).max(1);
    let batch: Vec<_> = (0..sizes.batch).map(|n| record(n, sizes.value_bytes)).collect();
    let started = Instant::now();
    let mut calls = JoinSet::new();
    for _ in 0..batches {
        if calls.len() >= 4 {
            calls.join_next().await.context("a call")???;
        }
        let (log, batch) = (Arc::clone(log), batch.clone());
        calls.spawn(async move { log.append(Topic::Positions, batch).await });
    }
    while let Some(done) = calls.join_next().await {
        done??;
    }
    let rate = per_second(batches * sizes.batch, started.elapsed());
    Ok(Row::new(format!("append, {} records a call, 4 calls waiting", sizes.batch), format!("{rate} records/s")))
}

async fn catch_up(log: &Arc<dyn Log>) -> Result<Vec<Row>> {
    let from: Offsets = (0..log.partitions(Topic::Positions)).map(|p| ((Topic::Positions, p), 0)).collect();
    let mut reader = log.read(Topic::Positions, &from).await?;
    let started = Instant::now();
    let (mut records, mut bytes) = (0, 0);
    while let Some(batch) = reader.try_next(10_000).await? {
        records += batch.entries.len();
        bytes += batch.entries.iter().filter_map(|e| e.value.as_ref()).map(|v| v.len()).sum::<usize>();
    }
    let took = started.elapsed();
    let rate = format!("{} records/s, {} MB/s", per_second(records, took), per_second(bytes / 1_000_000, took));
    Ok(vec![Row::new("read from the beginning, one reader", rate)])
}

async fn many_callers(log: &Arc<dyn Log>, sizes: &Sizes) -> Result<Vec<Row>> {
    let each = (sizes.records / 10 / sizes.callers).max(1);
    let started = Instant::now();
    let mut callers = JoinSet::new();
    for caller in 0..sizes.callers {
        let (log, value_bytes) = (Arc::clone(log), sizes.value_bytes);
        callers.spawn(async move {
            let mut latencies = Vec::with_capacity(each);
            for _ in 0..each {
                let record = record(caller, value_bytes);
                let called = Instant::now();
                log.append(Topic::Positions, vec![record]).await?;
                latencies.push(called.elapsed());
            }
            anyhow::Ok(latencies)
        });
    }
    let mut latencies = Latencies::default();
    while let Some(done) = callers.join_next().await {
        latencies.extend(done??);
    }
    let rate = per_second(each * sizes.callers, started.elapsed());
    let what = format!("append, 1 record a call, {} calls waiting", sizes.callers);
    Ok(vec![Row::new(what.clone(), format!("{rate} records/s")), Row::new(format!("{what}: latency"), latencies.to_string())])
}

/// One caller who waits for each answer, and one reader who waits for each record.
async fn lone_caller(log: &Arc<dyn Log>, sizes: &Sizes) -> Result<Vec<Row>> {
    let from: Offsets = log
        .bounds(Topic::Events)
        .await?
        .iter()
        .zip(0..)
        .map(|(bounds, partition)| ((Topic::Events, partition), bounds.next))
        .collect();
    let mut reader = log.read(Topic::Events, &from).await?;
    let (mut append, mut tail) = (Latencies::default(), Latencies::default());
    for n in 0..sizes.lone_calls {
        let records = vec![record(n, sizes.value_bytes)];
        let called = Instant::now();
        let appended = async {
            log.append(Topic::Events, records).await?;
            anyhow::Ok(called.elapsed())
        };
        let read = async {
            reader.next(1).await?;
            anyhow::Ok(called.elapsed())
        };
        let (appended, read) = tokio::try_join!(appended, read)?;
        append.extend([appended]);
        tail.extend([read]);
    }
    Ok(vec![
        Row::new("append, 1 record, nobody else: latency", append.to_string()),
        Row::new("from the call of append to a waiting reader", tail.to_string()),
    ])
}
