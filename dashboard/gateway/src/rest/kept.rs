//! What is an organisation's own is found alike, whatever it is; and what it keeps under names of its choice is listed, counted and removed
//! alike.

use super::{ApiError, DONE, Rest};
use crate::auth::Identity;
use axum::http::StatusCode;
use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;
use waystream_domain::{Catalog, CatalogEdit, CatalogKey, OrganisationId};

/// An organisation's own.
pub(super) trait Owned: Sized {
    /// Its key.
    type Id: FromStr + Ord;
    /// What people call it.
    const ONE: &'static str;

    /// Those of all organisations.
    fn all(catalog: &Catalog) -> &BTreeMap<Self::Id, Arc<Self>>;
    /// Whose it is.
    fn organisation(&self) -> &OrganisationId;
    /// Where it is in the catalog.
    fn key(&self) -> CatalogKey;
}

/// What there may be so many of.
pub(super) trait Kept: Owned {
    /// What people call several.
    const MANY: &'static str;
    /// Most of one organisation.
    const MOST: usize;

    /// For people.
    fn name(&self) -> &str;
}

impl Rest {
    /// All of the identity's organisation, by name.
    pub(super) fn all_kept<T: Kept>(&self, identity: &Identity) -> Vec<Arc<T>> {
        let shared = self.catalog.shared();
        let catalog = self.look(&shared);
        let own = T::all(&catalog).values().filter(|kept| kept.organisation() == identity.organisation());
        let mut own: Vec<Arc<T>> = own.cloned().collect();
        // They came in the order of their keys, in which those of one name stay.
        own.sort_by(|a, b| a.name().cmp(b.name()));
        own
    }

    /// An error if the organisation has as many as it may.
    pub(super) fn room_for<T: Kept>(&self, identity: &Identity) -> Result<(), ApiError> {
        let shared = self.catalog.shared();
        let catalog = self.look(&shared);
        let own = T::all(&catalog).values().filter(|kept| kept.organisation() == identity.organisation());
        if own.count() < T::MOST {
            Ok(())
        } else {
            Err(ApiError::Conflict(format!("there are {} {} already", T::MOST, T::MANY)))
        }
    }

    /// The one of this key, if it is the identity's organisation's.
    pub(super) fn own_entry<T: Owned>(&self, identity: &Identity, id: &str) -> Result<Arc<T>, ApiError> {
        let shared = self.catalog.shared();
        let catalog = self.look(&shared);
        let found = id.parse().ok().and_then(|id: T::Id| T::all(&catalog).get(&id));
        let own = found.filter(|kept| kept.organisation() == identity.organisation());
        own.cloned().ok_or_else(|| ApiError::NotFound(format!("there is no {} {id}", T::ONE)))
    }

    /// Removes the one of this key, if it is the identity's organisation's. Within a turn, so that nobody who is changing it brings it back.
    pub(super) async fn remove_entry<T: Owned>(&self, identity: &Identity, id: &str) -> Result<StatusCode, ApiError> {
        let _turn = self.turn(identity).await;
        let key = self.own_entry::<T>(identity, id)?.key();
        self.catalog.edit(&identity.actor(), vec![CatalogEdit::Remove(key)]).await?;
        Ok(DONE)
    }
}
