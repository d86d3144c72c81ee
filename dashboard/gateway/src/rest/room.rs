//! What adds to what an organisation has: as far as there is room, and one at a time, so that of many who ask at once each is counted.

use super::{ApiError, Rest};
use crate::auth::Identity;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use tokio::sync::{Mutex, OwnedMutexGuard};
use waystream_domain::{CatalogEdit, OrganisationId};

/// Whose turn it is, by organisation.
#[derive(Default)]
pub(crate) struct Turns(std::sync::Mutex<BTreeMap<OrganisationId, Arc<Mutex<()>>>>);

impl Turns {
    /// Waits for those of the organisation who came before.
    async fn take(&self, organisation: &OrganisationId) -> OwnedMutexGuard<()> {
        let turns = {
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(known.entry(organisation.clone()).or_default())
        };
        turns.lock_owned().await
    }
}

impl Rest {
    /// A turn to make these edits: nobody else of the identity's organisation adds anything at this gateway while it lasts. An error if they
    /// add more than the organisation may have.
    pub(super) async fn require_room(
        &self,
        identity: &Identity,
        edits: &[CatalogEdit],
    ) -> Result<OwnedMutexGuard<()>, ApiError> {
        let turn = self.turns.take(identity.organisation()).await;
        let shared = self.catalog.shared();
        let room = self.look(&shared).room_for(identity.organisation(), edits, &self.most);
        room.map_err(|full| ApiError::Conflict(full.to_string()))?;
        Ok(turn)
    }

    /// Makes edits that may add to what the identity's organisation has.
    pub(super) async fn add(&self, identity: &Identity, edits: Vec<CatalogEdit>) -> Result<(), ApiError> {
        // Until this process knows of them, so that they are counted with the next.
        let _turn = self.require_room(identity, &edits).await?;
        Ok(self.catalog.edit(&identity.actor(), edits).await?)
    }
}
