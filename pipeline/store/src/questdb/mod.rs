//! The store in QuestDB: recent rows in memory, all others in tables of a server.
//!
//! ```text
//! positions, events                       a partition a day of fix time, a row once by DEDUP UPSERT KEYS
//! positions_odd_times, events_odd_times   fix times outside of the years 2000 to 2099, see `schema`
//! archived                                how far the log is covered
//! refused                                 rows that the server refused, with its reason
//! erased                                  what must not come back from the log
//! migrations                              which version of the tables this is
//! ```
//!
//! A flush writes rows, waits until QuestDB shows them, and only then lets go of them in memory: who asks sees each row once at any
//! moment. Rows are compared with stored versions *before* they go into memory (see `resolve`), so that QuestDB's "last written wins"
//! comes to "received last wins". One process writes; others may read.

mod erase;
mod exec;
mod filter;
mod health;
mod http;
mod ilp;
mod newest;
mod recent;
mod resolve;
mod scan;
mod schema;
mod server;

use crate::erased::Erased;
use crate::memory::Run;
use crate::merge::{Keys, missing, sort_unique};
use crate::{ArchiveBatch, ArchiveConfig, Copied, RetentionRules, Store, StoreError, Table, Unflushed, rows};
use async_trait::async_trait;
use datafusion::catalog::TableProvider;
use health::Health;
use ilp::Writer;
pub(crate) use newest::newest_only;
use recent::{State, merge};
use resolve::{Marks, news, refused};
use scan::QuestDbTable;
use schema::{Names, Tables, Times};
use serde::{Deserialize, Serialize};
use server::{NO_LIMIT, Server};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;
use tokio::sync::{Mutex, OnceCell};
use tokio::time::Instant;
use waystream_domain::{Erasure, Timestamp};
use waystream_log::{Offsets, Topic};
use waystream_tls::{Exposed, TlsTrust, is_local_host};

/// A flush waits so long at most until its rows can be read.
const APPLIED_AT_MOST: Duration = Duration::from_secs(30);
/// Longest time between two looks whether they can.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// How to reach QuestDB, and what to keep there.
#[derive(Clone, PartialEq, Eq)]
pub struct QuestDbOptions {
    /// Host and port of its HTTP interface.
    pub address: (String, u16),
    /// Speak TLS with it.
    pub tls: Option<QuestDbTls>,
    /// None: without authentication, or with a token.
    pub user: Option<String>,
    /// Of the user.
    pub password: Option<String>,
    /// Instead of a user.
    pub token: Option<String>,
    /// Send password or token to another machine without TLS.
    pub insecure: bool,
    /// Begins the name of every table; letters, digits and underscores.
    pub table_prefix: String,
    /// QuestDB removes what is older, by fix time; `None` keeps all.
    pub ttl_days: Option<u32>,
    /// Exports at a time: at most `http.export.connection.limit` of the server.
    pub max_exports: usize,
}

impl Default for QuestDbOptions {
    fn default() -> Self {
        Self {
            address: ("127.0.0.1".into(), 9000),
            tls: None,
            user: None,
            password: None,
            token: None,
            insecure: false,
            table_prefix: String::new(),
            ttl_days: None,
            max_exports: 2,
        }
    }
}

impl std::fmt::Debug for QuestDbOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { address, tls, table_prefix, ttl_days, max_exports, .. } = self;
        f.debug_struct("QuestDbOptions")
            .field("address", address)
            .field("tls", tls)
            .field("table_prefix", table_prefix)
            .field("ttl_days", ttl_days)
            .field("max_exports", max_exports)
            .finish_non_exhaustive()
    }
}

impl QuestDbOptions {
    fn host(&self) -> &str {
        &self.address.0
    }

    fn port(&self) -> u16 {
        self.address.1
    }

    fn base_url(&self) -> String {
        let (host, port) = &self.address;
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        if host.contains(':') { format!("{scheme}://[{host}]:{port}") } else { format!("{scheme}://{host}:{port}") }
    }

    /// Whether nobody else hears the password.
    fn keeps_its_secrets(&self) -> Result<(), Exposed> {
        let has_one = self.password.is_some() || self.token.is_some();
        if !has_one || self.tls.is_some() || self.insecure || is_local_host(self.host()) {
            return Ok(());
        }
        let (host, port) = &self.address;
        Err(Exposed { server: format!("{host}:{port}"), tls: "https://", setting: "insecure" })
    }
}

/// Whose certificate the server may have. (One of our own it can't be shown: the client that writes has no words for that.)
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QuestDbTls {
    /// Certificates that we trust (PEM); by default those of the operating system.
    pub ca_file: Option<PathBuf>,
}

impl QuestDbTls {
    fn trust(&self) -> TlsTrust {
        TlsTrust { ca_file: self.ca_file.clone(), ..TlsTrust::default() }
    }
}

/// A store on a server.
#[derive(Debug)]
pub struct QuestDbStore {
    tables: Arc<Tables>,
    writer: Arc<Writer>,
    /// What readers see. Held for moments.
    state: RwLock<State>,
    /// What is stored is known.
    started: OnceCell<()>,
    /// Held while rows are appended.
    marks: Mutex<[Marks; 2]>,
    /// What is left out of what is appended. Changed while nothing is.
    erased: RwLock<Erased>,
    /// Held while flushing.
    flushing: Mutex<()>,
    health: Health,
}

impl QuestDbStore {
    /// A store; the server need not be up yet.
    pub fn open(options: QuestDbOptions) -> Result<Arc<Self>, StoreError> {
        let prefix = &options.table_prefix;
        if prefix.len() > 64 || prefix.contains(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
            return Err(StoreError::Refused(format!(
                "table prefix {prefix:?} has other characters than letters, digits and _"
            )));
        }
        options.keeps_its_secrets().map_err(|e| StoreError::Refused(e.to_string()))?;
        let names = Names::new(prefix);
        Ok(Arc::new(Self {
            tables: Arc::new(Tables::new(Server::new(options.clone())?, names.clone())),
            writer: Arc::new(Writer::new(options, names)),
            state: RwLock::default(),
            started: OnceCell::new(),
            marks: Mutex::default(),
            erased: RwLock::default(),
            flushing: Mutex::default(),
            health: Health::default(),
        }))
    }

    /// How an archive suits this store: other processes see what is flushed, so it flushes often.
    pub fn archive_config() -> ArchiveConfig {
        ArchiveConfig {
            flush_rows: 100_000,
            flush_bytes: 64 << 20,
            flush_after: Duration::from_millis(500),
            ..ArchiveConfig::default()
        }
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn table(&self, table: Table) -> Arc<dyn TableProvider> {
        let state = self.state();
        Arc::new(QuestDbTable {
            tables: self.tables.clone(),
            table,
            recent: state.rows(table).recent(),
            flushed: state.flushed,
            newest_only: false,
        })
    }

    /// Finds out what is stored, once.
    async fn start(&self) -> Result<(), StoreError> {
        let started = self.started.get_or_try_init(|| async {
            let server = self.tables.server().await?;
            let names = &self.tables.names;
            self.applied(&names.written()).await?;
            let archived = format!("SELECT topic, log_partition, next_offset, flush FROM {}", names.archived());
            let mut covered = Offsets::new();
            let mut flush = 0;
            for row in server.execute(&archived).await? {
                let number = |i: usize| row.get(i).and_then(|v| v.as_i64());
                let topic = row.first().and_then(|v| v.as_str());
                let topic = topic.and_then(|name| [Topic::Positions, Topic::Events].into_iter().find(|t| t.name() == name));
                let (Some(topic), Some(partition), Some(next)) = (topic, number(1), number(2)) else { continue };
                covered.insert((topic, partition as u32), next as u64);
                flush = flush.max(number(3).unwrap_or(0));
            }
            self.read_erased().await?;
            let mut marks = self.marks.lock().await;
            for (table, marks) in Table::ALL.into_iter().zip(marks.iter_mut()) {
                let name = names.rows(table, Times::Usual);
                let sql = format!("SELECT * FROM {name} LATEST ON fix_time PARTITION BY device LIMIT {NO_LIMIT}");
                let latest = server.rows(&sql, &table.schema(), Ok).await?;
                marks.note(&Keys::of(table, &latest).ok_or_else(|| refused(missing(table)))?, latest.num_rows());
            }
            let mut state = self.state_mut();
            state.readable = covered.clone();
            state.covered = covered;
            // The next one may have written rows before it was broken off.
            state.flushed = i32::try_from(flush + 1).ok();
            Ok::<_, StoreError>(())
        });
        started.await.map(|_| ())
    }

    /// Waits until all that has been written to these tables can be read.
    async fn applied(&self, names: &[String]) -> Result<(), StoreError> {
        let began = Instant::now();
        let mut wait = Duration::from_millis(2);
        loop {
            let tables = health::wal_tables(self.tables.server().await?, names).await?;
            self.health.note(&tables);
            if let Some(suspended) = tables.iter().find(|t| t.suspended) {
                return Err(StoreError::Unavailable(suspended.complaint()));
            }
            if tables.iter().all(|t| t.waiting == 0) {
                return Ok(());
            }
            if began.elapsed() > APPLIED_AT_MOST {
                return Err(StoreError::Unavailable("QuestDB has not yet applied what was written".into()));
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LOOK_AGAIN);
        }
    }

    /// Writes beside the runtime's own threads.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Writer) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let writer = self.writer.clone();
        match tokio::task::spawn_blocking(move || work(&writer)).await {
            Ok(done) => done,
            Err(e) => Err(StoreError::Unavailable(format!("writing to QuestDB was given up: {e}"))),
        }
    }
}

#[async_trait]
impl Store for QuestDbStore {
    async fn append(&self, batch: Arc<ArchiveBatch>) -> Result<Unflushed, StoreError> {
        self.start().await?;
        let mut marks = self.marks.lock().await;
        let mut added = Vec::new();
        let kept = self.erased.read().unwrap_or_else(PoisonError::into_inner).without(&batch);
        let batches = [rows::positions_batch(&kept.positions), rows::events_batch(&kept.events)];
        for ((table, rows), marks) in Table::ALL.into_iter().zip(batches).zip(marks.iter_mut()) {
            if rows.num_rows() == 0 {
                continue;
            }
            let rows = sort_unique(table, &rows).map_err(refused)?;
            let runs = self.state().rows(table).runs();
            let rows = news(&self.tables, table, rows, marks, &runs).await?;
            added.push((table, rows, marks));
        }
        // From here on nothing can fail half way.
        let mut state = self.state_mut();
        for (table, rows, marks) in added {
            marks.note(&Keys::of(table, &rows).ok_or_else(|| refused(missing(table)))?, rows.num_rows());
            if let Some(run) = Run::new(table, rows, 0) {
                state.rows_mut(table).push(table, run).map_err(refused)?;
            }
        }
        state.readable.extend(batch.offsets.iter().map(|(at, next)| (*at, *next)));
        Ok(state.unflushed())
    }

    async fn flush(&self) -> Result<Offsets, StoreError> {
        self.start().await?;
        let _flushing = self.flushing.lock().await;
        let (sealed, offsets, flush) = {
            let mut state = self.state_mut();
            let sealed = Table::ALL.map(|table| (table, state.rows_mut(table).seal()));
            let changed = |at: &(&(Topic, u32), &u64)| state.covered.get(at.0) != Some(at.1);
            let changed: Offsets = state.readable.iter().filter(changed).map(|(at, next)| (*at, *next)).collect();
            (sealed, changed, state.flushed.unwrap_or(0).saturating_add(1))
        };
        if sealed.iter().all(|(_, runs)| runs.is_empty()) && offsets.is_empty() {
            return Ok(self.state().covered.clone());
        }
        // What is written to a suspended table only piles up.
        self.health.refuse_if_suspended(self.tables.server().await?, &self.tables.names.written()).await?;
        let cover = offsets.clone();
        let written = self.blocking(move |writer| {
            let mut written = BTreeSet::new();
            for (table, runs) in sealed.iter().filter(|(_, runs)| !runs.is_empty()) {
                written.extend(writer.write(*table, &merge(*table, runs).map_err(refused)?, flush)?);
            }
            // Last: what they cover has been acknowledged.
            written.insert(writer.cover(&cover, flush)?);
            Ok(written.into_iter().collect::<Vec<_>>())
        });
        self.applied(&written.await?).await?;
        // No append is halfway: what it compares with is in memory, or stored.
        let _appending = self.marks.lock().await;
        let replacing = Table::ALL.into_iter().map(|table| self.state().rows(table).replacing(table, flush));
        let replacing = replacing.collect::<Result<Vec<_>, _>>().map_err(refused)?;
        let mut state = self.state_mut();
        for (table, runs) in Table::ALL.into_iter().zip(replacing) {
            state.rows_mut(table).let_go(runs);
        }
        state.covered.extend(offsets);
        state.flushed = Some(flush);
        Ok(state.covered.clone())
    }

    async fn covered(&self) -> Result<Offsets, StoreError> {
        self.start().await?;
        Ok(self.state().covered.clone())
    }

    fn readable(&self) -> Offsets {
        self.state().readable.clone()
    }

    fn positions(&self) -> Arc<dyn TableProvider> {
        self.table(Table::Positions)
    }

    fn events(&self) -> Arc<dyn TableProvider> {
        self.table(Table::Events)
    }

    /// Compaction and retention are QuestDB's; this looks after its health.
    async fn maintain(&self, _: Timestamp) -> Result<(), StoreError> {
        self.look().await
    }

    /// A table has one time to live, and no row can be removed.
    fn keep_only(&self, _: RetentionRules) {}

    async fn erase(&self, erasure: &Erasure) -> Result<(), StoreError> {
        self.overwrite(erasure).await
    }

    fn damage(&self) -> Vec<String> {
        self.health.complaints()
    }

    /// Files are QuestDB's; this looks whether it takes and shows rows.
    async fn check(&self) -> Result<Vec<String>, StoreError> {
        self.look().await?;
        Ok(self.damage())
    }

    async fn copy_to(&self, _: &Path) -> Result<Copied, StoreError> {
        Err(StoreError::Refused("history is in QuestDB, which has backups of its own".into()))
    }
}
