//! Whose the id of a fleet is. History is kept under it, so it stays with the organisation that had it first, also when the fleet is gone.

use crate::catalog::Fleet;
use crate::{Catalog, CatalogEdit, CatalogEntry, CatalogKey, FleetId, OrganisationId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// That the id of a fleet is an organisation's. Of several that claim one the first counts; none is ever removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetOwner {
    /// The id.
    pub fleet: FleetId,
    /// Whose it is.
    pub organisation: OrganisationId,
}

impl Catalog {
    /// Whose the id of a fleet is, also of one that is gone.
    pub fn owner_of_fleet(&self, fleet: &FleetId) -> Option<&OrganisationId> {
        let claimed = self.fleet_owners.get(fleet).map(|owner| &owner.organisation);
        // In a catalog of before there are no claims.
        claimed.or_else(|| self.fleets.get(fleet).map(|known| &known.organisation))
    }

    /// What has to be in the catalog before these edits are: claims of the ids of fleets that are made or removed. An error names an
    /// id that is another organisation's.
    pub fn fleet_claims(&self, edits: &[CatalogEdit]) -> Result<Vec<CatalogEdit>, FleetId> {
        let mut claims: BTreeMap<&FleetId, &OrganisationId> = BTreeMap::new();
        for edit in edits {
            let (fleet, wanted_by) = match edit {
                CatalogEdit::Put(CatalogEntry::Fleet(fleet)) => (&fleet.id, Some(&fleet.organisation)),
                CatalogEdit::Remove(CatalogKey::Fleet(id)) => (id, None),
                _ => continue,
            };
            let owner = self.owner_of_fleet(fleet).or_else(|| claims.get(fleet).copied()).or(wanted_by);
            if wanted_by.is_some_and(|organisation| owner != Some(organisation)) {
                return Err(fleet.clone());
            }
            if let Some(owner) = owner
                && !self.fleet_owners.contains_key(fleet)
            {
                claims.insert(fleet, owner);
            }
        }
        let claim = |(fleet, organisation): (&FleetId, &OrganisationId)| {
            let owner = FleetOwner { fleet: fleet.clone(), organisation: organisation.clone() };
            CatalogEdit::Put(CatalogEntry::FleetOwner(owner))
        };
        Ok(claims.into_iter().map(claim).collect())
    }

    fn may_have(&self, fleet: &FleetId, organisation: &OrganisationId) -> bool {
        self.owner_of_fleet(fleet).is_none_or(|owner| owner == organisation)
    }

    pub(crate) fn put_fleet(&mut self, fleet: Fleet) {
        if self.may_have(&fleet.id, &fleet.organisation) {
            self.fleets.insert(fleet.id.clone(), Arc::new(fleet));
        }
    }

    pub(crate) fn put_fleet_owner(&mut self, owner: FleetOwner) {
        if self.may_have(&owner.fleet, &owner.organisation) {
            self.fleet_owners.insert(owner.fleet.clone(), Arc::new(owner));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{decode_catalog, encode_catalog};

    fn fleet(id: &str, organisation: &str) -> CatalogEdit {
        let (id, organisation) = (id.parse().expect("an id"), organisation.parse().expect("an id"));
        CatalogEdit::Put(CatalogEntry::Fleet(Fleet { id, organisation, name: "Vans".into(), rules: Default::default() }))
    }

    fn removal(id: &str) -> CatalogEdit {
        CatalogEdit::Remove(CatalogKey::Fleet(id.parse().expect("an id")))
    }

    /// As the log makes them: claims first.
    fn edit(catalog: &mut Catalog, edits: &[CatalogEdit]) -> Result<(), FleetId> {
        let claims = catalog.fleet_claims(edits)?;
        claims.into_iter().chain(edits.iter().cloned()).for_each(|edit| catalog.apply(edit));
        Ok(())
    }

    #[test]
    fn an_id_stays_with_who_had_it_first() {
        let mut catalog = Catalog::default();
        edit(&mut catalog, &[fleet("vans", "ours"), removal("vans")]).expect("it is free");
        assert!(catalog.fleets.is_empty());
        assert_eq!(edit(&mut catalog, &[fleet("vans", "theirs")]), Err("vans".parse().expect("an id")));
        // Whatever wrote it, it does not count.
        catalog.apply(fleet("vans", "theirs"));
        assert!(catalog.fleets.is_empty());
        edit(&mut catalog, &[fleet("vans", "ours")]).expect("it is theirs");
        assert_eq!(catalog.fleets.len(), 1);
        let both = [fleet("a", "ours"), fleet("a", "theirs")];
        assert_eq!(edit(&mut Catalog::default(), &both), Err("a".parse().expect("an id")));
    }

    #[test]
    fn a_fleet_of_a_catalog_without_claims_is_claimed_when_it_goes() {
        let mut catalog = Catalog::default();
        catalog.apply(fleet("vans", "ours"));
        edit(&mut catalog, &[removal("vans")]).expect("a removal is fine");
        assert_eq!(catalog.owner_of_fleet(&"vans".parse().expect("an id")), Some(&"ours".parse().expect("an id")));
        assert_eq!(catalog.fleet_claims(&[removal("vans"), removal("never was")]), Ok(Vec::new()));
    }

    #[test]
    fn claims_of_different_organisations_have_different_keys() {
        let key = |organisation: &str, fleet: &str| {
            CatalogKey::FleetOwner(organisation.parse().expect("an id"), fleet.parse().expect("an id"))
        };
        assert_ne!(key("a/b", "c").to_string(), key("a", "b/c").to_string());
        assert_eq!(CatalogKey::parse(&key("ä/b", "c/d").to_string()), Some(key("ä/b", "c/d")));
        assert_eq!(CatalogKey::parse("fleet_owner/2/ä"), None);
        let claims = Catalog::default().fleet_claims(&[fleet("c/d", "ä/b")]).expect("it is free");
        let (name, value) = encode_catalog(&claims[0]);
        assert_eq!(name, key("ä/b", "c/d").to_string());
        assert_eq!(decode_catalog(&name, value.as_deref()).expect("it is one"), claims[0]);
    }
}
