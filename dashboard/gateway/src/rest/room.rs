//! What adds to what an organisation has: as far as there is room, and one at a time, so that of many who ask at once each is counted. And what
//! writes an entry whole after a look at it, so that one that is removed in between does not come back.

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

/// A turn of an organisation: nobody else of it adds or changes anything at this gateway while it lasts. Whatever has to hold of what is there already
/// is looked at within it.
pub(super) struct Turn<'a> {
    /// What REST needs.
    pub(super) rest: &'a Rest,
    /// Whose it is.
    pub(super) identity: &'a Identity,
    _held: OwnedMutexGuard<()>,
}

impl Rest {
    /// Waits for a turn to add something to what the identity's organisation has, or to change it.
    pub(super) async fn turn<'a>(&'a self, identity: &'a Identity) -> Turn<'a> {
        Turn { rest: self, identity, _held: self.turns.take(identity.organisation()).await }
    }
}

impl Turn<'_> {
    /// An error if edits add more than the organisation may have.
    pub(super) fn require_room(&self, edits: &[CatalogEdit]) -> Result<(), ApiError> {
        let shared = self.rest.catalog.shared();
        let room = self.rest.look(&shared).room_for(self.identity.organisation(), edits, &self.rest.most);
        room.map_err(|full| ApiError::Conflict(full.to_string()))
    }

    /// Makes edits if there is room for them. Returns when this process knows of them, so that they are counted in the next turn.
    pub(super) async fn add(&self, edits: Vec<CatalogEdit>) -> Result<(), ApiError> {
        self.require_room(&edits)?;
        Ok(self.rest.catalog.edit(&self.identity.actor(), edits).await?)
    }
}
