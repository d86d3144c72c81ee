//! Writes down that sessions are used, so that those that nobody uses end. Away from who uses them: no request waits for it.

use crate::now;
use std::collections::BTreeSet;
use std::sync::PoisonError;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use waystream_domain::catalog::{SessionLimits, SessionUse};
use waystream_domain::{Actor, CatalogEdit, CatalogEntry, Timestamp};
use waystream_log::catalog::CatalogHandle;

/// Uses that may wait to be written down. Further ones are told again with the next request.
const WAITING: usize = 1_024;

/// To tell of uses that are due. Cheap to clone.
#[derive(Clone)]
pub(super) struct Used(mpsc::Sender<String>);

impl Used {
    /// A session, by its token's hash.
    pub(super) fn tell(&self, session: &str) {
        if self.0.try_send(session.to_owned()).is_err() {
            tracing::debug!("a session's use is not written down yet");
        }
    }
}

/// Writes down what it is told.
pub(crate) struct Uses {
    catalog: CatalogHandle,
    limits: SessionLimits,
    told: mpsc::Receiver<String>,
}

impl Uses {
    pub(super) fn new(catalog: CatalogHandle, limits: SessionLimits) -> (Used, Self) {
        let (used, told) = mpsc::channel(WAITING);
        (Used(used), Self { catalog, limits, told })
    }

    /// Until cancelled, or until nobody is left who could tell.
    pub(crate) async fn write_down(mut self, cancel: CancellationToken) {
        let by = Actor::Program { doing: "noting that sessions are used".into() };
        let mut sessions = Vec::new();
        while let Some(1..) = cancel.run_until_cancelled(self.told.recv_many(&mut sessions, WAITING)).await {
            let edits = self.edits(sessions.drain(..).collect(), now());
            if edits.is_empty() {
                continue;
            }
            // What can't be written now is told again as long as it is due.
            if let Some(Err(error)) = cancel.run_until_cancelled(self.catalog.edit(&by, edits)).await {
                tracing::warn!(%error, "could not write down that sessions are used");
            }
        }
    }

    fn edits(&self, sessions: BTreeSet<String>, now: Timestamp) -> Vec<CatalogEdit> {
        let shared = self.catalog.shared();
        let catalog = shared.read().unwrap_or_else(PoisonError::into_inner);
        let due = sessions.into_iter().filter(|session| catalog.is_use_due(session, self.limits, now));
        due.map(|token_sha256| CatalogEdit::Put(CatalogEntry::SessionUse(SessionUse { token_sha256, used_at: now }))).collect()
    }
}
