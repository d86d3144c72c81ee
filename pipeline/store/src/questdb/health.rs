//! Whether QuestDB is there and takes what is written: known without asking it, for `/readyz` and the metrics.

use super::QuestDbStore;
use super::server::Server;
use crate::{StoreError, metrics};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The server is looked at this often.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Who takes the question and doesn't answer in this time can't be reached: `/readyz` has to say so while it is so.
const LOOK_WITHIN: Duration = Duration::from_secs(5);

/// A table with a write-ahead log.
#[derive(Debug, Clone)]
pub(crate) struct WalTable {
    name: String,
    /// Nothing more is applied until an operator resumes it.
    pub(crate) suspended: bool,
    /// Transactions not yet applied.
    pub(crate) waiting: u64,
    reason: String,
}

impl WalTable {
    /// What an operator must know.
    pub(crate) fn complaint(&self) -> String {
        let Self { name, reason, .. } = self;
        format!("table {name} is suspended ({reason}): when the cause is gone, ALTER TABLE {name} RESUME WAL")
    }
}

/// Asks for some tables; those that don't exist are left out.
pub(crate) async fn wal_tables(server: &Server, names: &[String]) -> Result<Vec<WalTable>, StoreError> {
    let list = names.iter().map(|n| format!("'{n}'")).collect::<Vec<_>>().join(",");
    let sql =
        format!("SELECT name, suspended, sequencerTxn - writerTxn, errorMessage FROM wal_tables() WHERE name IN ({list})");
    let rows = server.execute(&sql).await?;
    let table = |row: Vec<serde_json::Value>| {
        Some(WalTable {
            name: row.first()?.as_str()?.to_owned(),
            suspended: row.get(1)?.as_bool()?,
            waiting: row.get(2)?.as_u64().unwrap_or(0),
            reason: row.get(3).and_then(|v| v.as_str()).filter(|t| !t.is_empty()).unwrap_or("without a reason").to_owned(),
        })
    };
    Ok(rows.into_iter().filter_map(table).collect())
}

/// What was found at the last look.
#[derive(Debug, Default)]
pub(crate) struct Health {
    complaints: Mutex<Vec<String>>,
}

impl Health {
    pub(crate) fn complaints(&self) -> Vec<String> {
        self.complaints.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, complaints: Vec<String>) {
        *self.complaints.lock().unwrap_or_else(PoisonError::into_inner) = complaints;
    }

    /// Takes notice of suspended tables.
    pub(crate) fn note(&self, tables: &[WalTable]) {
        let suspended: Vec<String> = tables.iter().filter(|t| t.suspended).map(WalTable::complaint).collect();
        metrics::suspended(suspended.len());
        if !suspended.is_empty() {
            self.set(suspended);
        }
    }

    pub(crate) async fn refuse_if_suspended(&self, server: &Server, names: &[String]) -> Result<(), StoreError> {
        let tables = wal_tables(server, names).await?;
        self.note(&tables);
        match tables.iter().find(|t| t.suspended) {
            Some(table) => Err(StoreError::Unavailable(table.complaint())),
            None => Ok(()),
        }
    }
}

impl QuestDbStore {
    /// Keeps an eye on the server until cancelled.
    pub async fn watch(&self, token: CancellationToken) {
        loop {
            if let Err(error) = self.look().await {
                tracing::debug!(error = &error as &dyn std::error::Error, "looking at QuestDB failed");
            }
            tokio::select! {
                () = token.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    async fn wal_tables(&self) -> Result<Vec<WalTable>, StoreError> {
        let (server, names) = (self.tables.server().await?, self.tables.names.written());
        let looked = tokio::time::timeout(LOOK_WITHIN, wal_tables(server, &names)).await;
        looked.unwrap_or_else(|_| Err(StoreError::Unavailable("QuestDB can't be reached: it does not answer".into())))
    }

    pub(super) async fn look(&self) -> Result<(), StoreError> {
        let looked = self.wal_tables().await;
        metrics::reachable(looked.is_ok());
        match &looked {
            Ok(tables) => {
                self.health.set(Vec::new());
                self.health.note(tables);
            }
            Err(error) => self.health.set(vec![error.to_string()]),
        }
        looked.map(|_| ())
    }
}
