//! Carries out what people ask to be erased: the catalog tells, the store erases, the catalog is told that it is done. And tells the store
//! how long organisations keep their history.

use crate::{RetentionRules, Store, StoreError};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use waystream_domain::{Actor, CatalogEdit, CatalogEntry, CatalogKey, DeviceId, Erasure, Timestamp};
use waystream_log::LogError;
use waystream_log::catalog::CatalogHandle;

/// Waiting after a failed attempt doubles from this …
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// … up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Runs until cancelled, beside the archive of a process: each one has to leave out by itself what is erased.
pub async fn run(catalog: CatalogHandle, store: Arc<dyn Store>, stop: CancellationToken) -> Result<(), LogError> {
    stop.run_until_cancelled(follow(&catalog, store.as_ref())).await.unwrap_or(Ok(()))
}

async fn follow(catalog: &CatalogHandle, store: &dyn Store) -> Result<(), LogError> {
    let mut edits = catalog.subscribe();
    // The store knows by itself what is done.
    let done = all(catalog).into_iter().filter(|erasure| erasure.done_at.is_some());
    let mut seen: BTreeMap<DeviceId, Timestamp> = done.map(|erasure| (erasure.device.clone(), erasure.until)).collect();
    loop {
        store.keep_only(rules(catalog));
        for erasure in all(catalog) {
            if seen.insert(erasure.device.clone(), erasure.until) != Some(erasure.until) {
                let outcome = carry_out(store, &erasure).await;
                tell(catalog, &erasure, outcome).await?;
            }
        }
        loop {
            match edits.recv().await {
                Ok(edit) if matters(&edit) => break,
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => break,
                Err(RecvError::Closed) => return Ok(()),
            }
        }
    }
}

fn matters(edit: &CatalogEdit) -> bool {
    let key = match edit {
        CatalogEdit::Put(entry) => entry.key(),
        CatalogEdit::Remove(key) => key.clone(),
    };
    // Rules are of organisations, rows of fleets.
    matches!(key, CatalogKey::Erasure(_) | CatalogKey::Retention(_) | CatalogKey::Fleet(_))
}

fn rules(catalog: &CatalogHandle) -> RetentionRules {
    RetentionRules::of(&catalog.shared().read().unwrap_or_else(PoisonError::into_inner))
}

fn all(catalog: &CatalogHandle) -> Vec<Arc<Erasure>> {
    let shared = catalog.shared();
    let catalog = shared.read().unwrap_or_else(PoisonError::into_inner);
    catalog.erasures.values().cloned().collect()
}

/// Until it is done, or can't be.
async fn carry_out(store: &dyn Store, erasure: &Erasure) -> Result<(), StoreError> {
    let mut pause = FIRST_PAUSE;
    loop {
        match store.erase(erasure).await {
            Err(StoreError::Unavailable(reason)) => {
                warn!(device = %erasure.device, reason, "history could not be erased, trying again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            outcome => return outcome,
        }
    }
}

async fn tell(catalog: &CatalogHandle, erasure: &Arc<Erasure>, outcome: Result<(), StoreError>) -> Result<(), LogError> {
    let told = match outcome {
        Ok(()) => {
            info!(device = %erasure.device, "history is erased");
            Erasure { done_at: Some(now()), problem: None, ..Erasure::clone(erasure) }
        }
        Err(problem) => {
            error!(device = %erasure.device, error = &problem as &dyn std::error::Error, "history could not be erased");
            Erasure { problem: Some(problem.to_string()), ..Erasure::clone(erasure) }
        }
    };
    let edit = vec![CatalogEdit::Put(CatalogEntry::Erasure(told))];
    let mut pause = FIRST_PAUSE;
    loop {
        // Another process may have told it, or somebody may have asked for more.
        let is_open = all(catalog).iter().any(|known| known == erasure);
        if !is_open {
            return Ok(());
        }
        match catalog.edit(&Actor::Program { doing: "erasing history".into() }, edit.clone()).await {
            Err(LogError::Unavailable(reason)) => {
                warn!(device = %erasure.device, reason, "could not tell that history is erased, trying again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            told => return told,
        }
    }
}

/// The wall clock: when it was done is part of the record.
fn now() -> Timestamp {
    Timestamp::default().plus_millis(chrono::Utc::now().timestamp_millis())
}
