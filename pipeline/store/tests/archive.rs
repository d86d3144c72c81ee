//! The archive loop from the embedded log to the embedded store.

use async_trait::async_trait;
use datafusion::catalog::TableProvider;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use waystream_domain::codec::{encode_event, encode_position};
use waystream_domain::{Erasure, EventKind, Position, Timestamp};
use waystream_log::embedded::{EmbeddedLog, EmbeddedOptions};
use waystream_log::{Log, Offsets, Record, Topic};
use waystream_store::archive::catch_up;
use waystream_store::contract::{at, event, events, position, positions};
use waystream_store::parquet::{ParquetOptions, ParquetStore};
use waystream_store::{Archive, ArchiveBatch, ArchiveConfig, Copied, RetentionRules, Store, StoreError, Unflushed};

/// A store that fails so many times first, and tells what has become readable.
struct Observed {
    store: Arc<dyn Store>,
    failures: AtomicU32,
    readable: watch::Sender<Offsets>,
}

impl Observed {
    fn new(store: Arc<dyn Store>, failures: u32) -> Arc<Self> {
        Arc::new(Self { store, failures: AtomicU32::new(failures), readable: watch::channel(Offsets::new()).0 })
    }

    fn fail(&self) -> Result<(), StoreError> {
        match self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)) {
            Ok(_) => Err(StoreError::Unavailable("down".into())),
            Err(_) => Ok(()),
        }
    }
}

#[async_trait]
impl Store for Observed {
    async fn append(&self, batch: Arc<ArchiveBatch>) -> Result<Unflushed, StoreError> {
        self.fail()?;
        let unflushed = self.store.append(batch).await?;
        self.readable.send_replace(self.store.readable());
        Ok(unflushed)
    }

    async fn flush(&self) -> Result<Offsets, StoreError> {
        self.fail()?;
        self.store.flush().await
    }

    async fn covered(&self) -> Result<Offsets, StoreError> {
        self.fail()?;
        self.store.covered().await
    }

    fn readable(&self) -> Offsets {
        self.store.readable()
    }

    fn positions(&self) -> Arc<dyn TableProvider> {
        self.store.positions()
    }

    fn events(&self) -> Arc<dyn TableProvider> {
        self.store.events()
    }

    async fn maintain(&self, now: Timestamp) -> Result<(), StoreError> {
        self.store.maintain(now).await
    }

    fn keep_only(&self, rules: RetentionRules) {
        self.store.keep_only(rules);
    }

    async fn erase(&self, erasure: &Erasure) -> Result<(), StoreError> {
        self.store.erase(erasure).await
    }

    fn damage(&self) -> Vec<String> {
        self.store.damage()
    }

    async fn check(&self) -> Result<Vec<String>, StoreError> {
        self.store.check().await
    }

    async fn copy_to(&self, folder: &Path) -> Result<Copied, StoreError> {
        self.store.copy_to(folder).await
    }
}

struct Bench {
    log: Arc<EmbeddedLog>,
    dir: TempDir,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let log = EmbeddedLog::open(&dir.path().join("log"), EmbeddedOptions::default()).expect("opens");
        Self { log, dir }
    }

    fn store(&self) -> Arc<dyn Store> {
        ParquetStore::open(&self.dir.path().join("store"), ParquetOptions::default()).expect("opens")
    }

    async fn write(&self, positions: &[Position]) {
        let records = positions.iter().map(|p| Record::new(p.device.as_str().to_owned(), encode_position(p))).collect();
        self.log.append(Topic::Positions, records).await.expect("appends");
        let records = positions
            .iter()
            .map(|p| Record::new(p.device.as_str().to_owned(), encode_event(&event(p, EventKind::Enter))))
            .collect();
        self.log.append(Topic::Events, records).await.expect("appends");
    }

    async fn end(&self) -> Offsets {
        let mut end = Offsets::new();
        for topic in [Topic::Positions, Topic::Events] {
            let bounds = self.log.bounds(topic).await.expect("answers");
            end.extend(bounds.into_iter().enumerate().filter(|(_, b)| b.next > 0).map(|(p, b)| ((topic, p as u32), b.next)));
        }
        end
    }

    /// Runs an archive until all of the log is readable, then stops it.
    async fn archive(&self, config: ArchiveConfig, store: Arc<Observed>) {
        let token = CancellationToken::new();
        let mut readable = store.readable.subscribe();
        let end = self.end().await;
        let running = tokio::spawn(Archive::new(config).run(self.log.clone(), store, token.clone()));
        let all = readable.wait_for(|readable| end.iter().all(|(at, next)| readable.get(at) >= Some(next)));
        drop(
            tokio::time::timeout(Duration::from_secs(60), all)
                .await
                .expect("all is readable in time")
                .expect("the store is there"),
        );
        token.cancel();
        running.await.expect("no panic").expect("an orderly end");
    }
}

fn some(from: i64, to: i64) -> Vec<Position> {
    let time = |i| at("2026-03-04T10:00:00Z").plus_millis(i * 1_000);
    (from..to).map(|i| position(&format!("device {}", i % 7), time(i / 7))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_the_log_is_archived_and_committed_once_durable() {
    let bench = Bench::new();
    bench.write(&some(0, 500)).await;
    bench.archive(ArchiveConfig::default(), Observed::new(bench.store(), 0)).await;
    for topic in [Topic::Positions, Topic::Events] {
        let end: Offsets = bench.end().await.into_iter().filter(|((t, _), _)| *t == topic).collect();
        let committed = bench.log.committed("archive", topic).await.expect("answers");
        assert!(end.iter().all(|(at, next)| committed.get(at) == Some(next)), "all is committed");
    }
    // Opened anew, without the log.
    let store = bench.store();
    assert_eq!(positions(store.as_ref(), &[]).await.len(), 500);
    assert_eq!(events(store.as_ref(), &[]).await.len(), 500);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_goes_on_after_a_restart_and_through_a_store_that_is_down() {
    let bench = Bench::new();
    let config = ArchiveConfig {
        retry_at_most: Duration::from_millis(1),
        batch_records: 20,
        flush_rows: 50,
        ..ArchiveConfig::default()
    };
    for round in 0..4 {
        bench.write(&some(round * 100, (round + 1) * 100)).await;
        bench.archive(config.clone(), Observed::new(bench.store(), 3)).await;
        let store = bench.store();
        catch_up(bench.log.as_ref(), store.as_ref()).await.expect("catches up");
        assert_eq!(positions(store.as_ref(), &[]).await.len() as i64, (round + 1) * 100);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_cannot_be_decoded_harms_no_other() {
    let bench = Bench::new();
    bench.write(&some(0, 20)).await;
    let bad = [&b""[..], b"\x01\xff\xff", b"\x7f"].map(|value| Record::new("device 0", value.to_vec()));
    bench.log.append(Topic::Positions, bad.to_vec()).await.expect("appends");
    bench.log.append(Topic::Events, bad.to_vec()).await.expect("appends");
    bench.write(&some(20, 40)).await;
    bench.archive(ArchiveConfig::default(), Observed::new(bench.store(), 0)).await;
    let store = bench.store();
    assert_eq!(positions(store.as_ref(), &[]).await.len(), 40);
    assert_eq!(store.covered().await.expect("answers"), bench.end().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_folder_at_rest_is_read_with_what_is_only_in_the_log() {
    let bench = Bench::new();
    bench.write(&some(0, 30)).await;
    bench.archive(ArchiveConfig::default(), Observed::new(bench.store(), 0)).await;
    bench.write(&some(30, 50)).await;
    let options = ParquetOptions { read_only: true, ..ParquetOptions::default() };
    let store = ParquetStore::open(&bench.dir.path().join("store"), options.clone()).expect("opens");
    assert_eq!(catch_up(bench.log.as_ref(), store.as_ref()).await.expect("catches up"), 40);
    assert_eq!(positions(store.as_ref(), &[]).await.len(), 50);
    assert!(matches!(store.flush().await, Err(StoreError::Refused(_))));
    // Others may read too, but nobody may write.
    assert!(ParquetStore::open(&bench.dir.path().join("store"), options).is_ok());
    let writer = ParquetStore::open(&bench.dir.path().join("store"), ParquetOptions::default());
    assert!(matches!(writer, Err(StoreError::Refused(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_was_replaced_is_read_from_its_beginning() {
    let old = Bench::new();
    old.write(&some(0, 300)).await;
    old.archive(ArchiveConfig::default(), Observed::new(old.store(), 0)).await;
    let log = EmbeddedLog::open(&old.dir.path().join("another log"), EmbeddedOptions::default()).expect("opens");
    let new = Bench { log, dir: old.dir };
    new.write(&some(300, 310)).await;
    let store = new.store();
    catch_up(new.log.as_ref(), store.as_ref()).await.expect("catches up");
    assert_eq!(positions(store.as_ref(), &[]).await.len(), 310);
}
