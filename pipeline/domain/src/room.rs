//! How much one organisation may have: every process holds the catalog in memory, so who fills it takes the place of all.

use crate::catalog::Device;
use crate::geofence::Shape;
use crate::{Catalog, CatalogEdit, CatalogEntry, DeviceId, Erasure, FleetId, Geofence, OrganisationId};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Ids of fleets that an organisation may have had, for one fleet that it may have: they are kept for ever.
const IDS_PER_FLEET: usize = 10;
/// What erasures of an organisation may count together, for one device that it may have: they are kept for ever, too.
const ERASED_PER_DEVICE: usize = 10;

/// Most of one organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrganisationLimits {
    /// In all its fleets.
    pub devices: usize,
    /// At a time.
    pub fleets: usize,
    /// Whatever their shape.
    pub geofences: usize,
    /// Of all its geofences together.
    pub vertices: usize,
}

impl Default for OrganisationLimits {
    fn default() -> Self {
        Self { devices: 250_000, fleets: 10_000, geofences: 50_000, vertices: 2_000_000 }
    }
}

/// An organisation has as many as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// Of devices.
    #[error("an organisation has at most {0} devices")]
    Devices(usize),
    /// Of fleets.
    #[error("an organisation has at most {0} fleets")]
    Fleets(usize),
    /// Of ids of fleets, also of those that are gone.
    #[error("ids of fleets are kept for ever, and an organisation has had at most {0}: take one of a fleet that is gone")]
    FleetIds(usize),
    /// Of geofences.
    #[error("an organisation has at most {0} geofences")]
    Geofences(usize),
    /// Of vertices.
    #[error("the geofences of an organisation have at most {0} vertices together")]
    Vertices(usize),
    /// Of erasures, each with the fleets that it names.
    #[error("erasures are kept for ever, and those of an organisation count at most {0}, each once and once for each fleet")]
    Erasures(usize),
}

/// What edits add to an organisation, or take away.
#[derive(Default)]
struct Growth {
    devices: usize,
    fleets: usize,
    fleet_ids: usize,
    geofences: usize,
    vertices_before: usize,
    vertices_after: usize,
    erased_before: usize,
    erased_after: usize,
}

impl Catalog {
    /// How many devices an organisation has.
    pub fn device_count(&self, organisation: &OrganisationId) -> usize {
        self.fleets_of(organisation).filter_map(|fleet| self.fleet_sizes.get(&fleet.id)).sum()
    }

    /// Whether an organisation may make these edits. Those that add nothing it may make also where it has too much already.
    pub fn room_for(
        &self,
        organisation: &OrganisationId,
        edits: &[CatalogEdit],
        most: &OrganisationLimits,
    ) -> Result<(), Full> {
        let growth = self.growth(organisation, edits);
        let fits = |more: usize, most: usize, now: &dyn Fn() -> usize| more == 0 || now().saturating_add(more) <= most;
        if !fits(growth.devices, most.devices, &|| self.device_count(organisation)) {
            return Err(Full::Devices(most.devices));
        }
        if !fits(growth.fleets, most.fleets, &|| self.fleets_of(organisation).count()) {
            return Err(Full::Fleets(most.fleets));
        }
        let most_ids = most.fleets.saturating_mul(IDS_PER_FLEET);
        let ids = || self.fleet_owners.values().filter(|owner| owner.organisation == *organisation).count();
        if !fits(growth.fleet_ids, most_ids, &ids) {
            return Err(Full::FleetIds(most_ids));
        }
        if !fits(growth.geofences, most.geofences, &|| self.geofences_of(organisation).count()) {
            return Err(Full::Geofences(most.geofences));
        }
        let more = growth.vertices_after.saturating_sub(growth.vertices_before);
        if !fits(more, most.vertices, &|| self.geofences_of(organisation).map(|fence| vertices(fence)).sum::<usize>()) {
            return Err(Full::Vertices(most.vertices));
        }
        let more = growth.erased_after.saturating_sub(growth.erased_before);
        let most_erased = most.devices.saturating_mul(ERASED_PER_DEVICE);
        if !fits(more, most_erased, &|| self.erasures_of(organisation).map(|erasure| size_of_erasure(erasure)).sum::<usize>()) {
            return Err(Full::Erasures(most_erased));
        }
        Ok(())
    }

    fn geofences_of<'a>(&'a self, organisation: &'a OrganisationId) -> impl Iterator<Item = &'a Arc<Geofence>> {
        self.geofences.values().filter(move |fence| fence.organisation == *organisation)
    }

    fn erasures_of<'a>(&'a self, organisation: &'a OrganisationId) -> impl Iterator<Item = &'a Arc<Erasure>> {
        self.erasures.values().filter(move |erasure| erasure.organisation.as_ref() == Some(organisation))
    }

    fn growth(&self, organisation: &OrganisationId, edits: &[CatalogEdit]) -> Growth {
        let mut growth = Growth::default();
        for edit in edits {
            match edit {
                CatalogEdit::Put(CatalogEntry::Device(device)) if self.owner_of(&device.id) != Some(organisation) => {
                    growth.devices += 1;
                }
                CatalogEdit::Put(CatalogEntry::Fleet(fleet)) if !self.fleets.contains_key(&fleet.id) => {
                    growth.fleets += 1;
                    growth.fleet_ids += usize::from(self.owner_of_fleet(&fleet.id).is_none());
                }
                CatalogEdit::Put(CatalogEntry::Geofence(fence)) => {
                    let was = self.geofences.get(&fence.id);
                    growth.geofences += usize::from(was.is_none());
                    growth.vertices_before += was.map_or(0, |was| vertices(was));
                    growth.vertices_after += vertices(fence);
                }
                CatalogEdit::Put(CatalogEntry::Erasure(erasure)) => {
                    let was = self.erasures.get(&erasure.device);
                    let was = was.filter(|was| was.organisation.as_ref() == Some(organisation));
                    growth.erased_before += was.map_or(0, |was| size_of_erasure(was));
                    growth.erased_after += size_of_erasure(erasure);
                }
                _ => {}
            }
        }
        growth
    }

    pub(crate) fn put_device(&mut self, device: Device) {
        *self.fleet_sizes.entry(device.fleet.clone()).or_default() += 1;
        if let Some(was) = self.devices.insert(device.id.clone(), Arc::new(device)) {
            self.one_less_in(&was.fleet);
        }
    }

    pub(crate) fn remove_device(&mut self, id: &DeviceId) {
        if let Some(was) = self.devices.remove(id) {
            self.one_less_in(&was.fleet);
        }
    }

    fn one_less_in(&mut self, fleet: &FleetId) {
        if let Some(size) = self.fleet_sizes.get_mut(fleet) {
            *size -= 1;
            if *size == 0 {
                self.fleet_sizes.remove(fleet);
            }
        }
    }
}

fn vertices(fence: &Geofence) -> usize {
    match &fence.shape {
        Shape::Polygons { polygons } => polygons.iter().flat_map(|polygon| &polygon.rings).map(Vec::len).sum(),
        Shape::Circle { .. } => 1,
        Shape::Corridor { line, .. } => line.len(),
    }
}

fn size_of_erasure(erasure: &Erasure) -> usize {
    1 + erasure.fleets.as_ref().map_or(0, BTreeSet::len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Fleet;
    use crate::{CatalogKey, LatLon, Timestamp};

    const MOST: OrganisationLimits = OrganisationLimits { devices: 2, fleets: 2, geofences: 2, vertices: 6 };

    fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
        text.parse().expect("an id")
    }

    fn fleet(fleet: &str, organisation: &str) -> CatalogEdit {
        let (id, organisation) = (id(fleet), id(organisation));
        CatalogEdit::Put(CatalogEntry::Fleet(Fleet { id, organisation, name: "Vans".into(), rules: Default::default() }))
    }

    fn device(device: &str, fleet: &str) -> CatalogEdit {
        CatalogEdit::Put(CatalogEntry::Device(Device { id: id(device), fleet: id(fleet), name: device.into() }))
    }

    fn road(name: &str, vertices: usize) -> CatalogEdit {
        let place = LatLon::new(52.0, 21.0).expect("a place");
        CatalogEdit::Put(CatalogEntry::Geofence(Geofence {
            id: id(name),
            organisation: id("ours"),
            fleet: None,
            group: None,
            name: name.into(),
            version: 1,
            shape: Shape::Corridor { line: vec![place; vertices], width_m: 10.0 },
            colour: None,
            rules: Default::default(),
        }))
    }

    /// Makes the edits if there is room for them.
    fn make(catalog: &mut Catalog, organisation: &str, edits: Vec<CatalogEdit>) -> Result<(), Full> {
        // As they are claimed before fleets are made.
        let claims = catalog.fleet_claims(&edits).expect("nobody else's");
        catalog.room_for(&id(organisation), &edits, &MOST)?;
        claims.into_iter().chain(edits).for_each(|edit| catalog.apply(edit));
        Ok(())
    }

    #[test]
    fn one_organisation_has_so_much_and_the_others_have_their_own() {
        let mut catalog = Catalog::default();
        for (name, organisation) in [("north", "ours"), ("south", "ours"), ("their", "theirs")] {
            assert_eq!(make(&mut catalog, organisation, vec![fleet(name, organisation)]), Ok(()));
        }
        assert_eq!(make(&mut catalog, "ours", vec![fleet("west", "ours")]), Err(Full::Fleets(2)));
        for (name, into) in [("a", "north"), ("b", "south"), ("a", "south"), ("a", "south")] {
            assert_eq!(make(&mut catalog, "ours", vec![device(name, into)]), Ok(()), "{name} in {into}");
        }
        assert_eq!(catalog.device_count(&id("ours")), 2);
        assert_eq!(make(&mut catalog, "ours", vec![device("c", "north")]), Err(Full::Devices(2)));
        assert_eq!(make(&mut catalog, "theirs", vec![device("c", "their")]), Ok(()));
        // One that is handed over is one more.
        assert_eq!(make(&mut catalog, "ours", vec![device("c", "north")]), Err(Full::Devices(2)));
        catalog.apply(CatalogEdit::Remove(CatalogKey::Device(id("a"))));
        assert_eq!(make(&mut catalog, "ours", vec![device("c", "north")]), Ok(()));
        assert_eq!((catalog.device_count(&id("ours")), catalog.device_count(&id("theirs"))), (2, 0));
        catalog.apply(CatalogEdit::Remove(CatalogKey::Device(id("unknown"))));
        assert_eq!(catalog.device_count(&id("ours")), 2);
    }

    #[test]
    fn geofences_are_counted_and_their_vertices_and_what_makes_them_fewer_is_never_refused() {
        let mut catalog = Catalog::default();
        let mut make = |edits: Vec<CatalogEdit>| make(&mut catalog, "ours", edits);
        assert_eq!(make(vec![road("a", 4), road("b", 3)]), Err(Full::Vertices(6)));
        assert_eq!(make(vec![road("a", 4), road("b", 2)]), Ok(()));
        assert_eq!(make(vec![road("c", 2)]), Err(Full::Geofences(2)));
        assert_eq!(make(vec![road("b", 3)]), Err(Full::Vertices(6)));
        assert_eq!(make(vec![road("a", 3), road("b", 3)]), Ok(()));
        assert_eq!(make(vec![road("b", 2)]), Ok(()));
    }

    #[test]
    fn ids_of_fleets_that_are_gone_are_counted_for_ever() {
        let mut catalog = Catalog::default();
        for n in 0..20 {
            let name = format!("fleet-{n}");
            assert_eq!(make(&mut catalog, "ours", vec![fleet(&name, "ours")]), Ok(()));
            catalog.apply(CatalogEdit::Remove(CatalogKey::Fleet(id(&name))));
        }
        assert_eq!(make(&mut catalog, "ours", vec![fleet("one-more", "ours")]), Err(Full::FleetIds(20)));
        assert_eq!(make(&mut catalog, "ours", vec![fleet("fleet-7", "ours")]), Ok(()));
    }

    #[test]
    fn erasures_are_counted_with_the_fleets_that_they_name_and_one_may_be_asked_for_again() {
        let mut catalog = Catalog::default();
        for (name, organisation) in [("north", "ours"), ("south", "ours"), ("their", "theirs")] {
            assert_eq!(make(&mut catalog, organisation, vec![fleet(name, organisation)]), Ok(()));
        }
        let mut erase = |device: &str, organisation: &str| {
            let erasure = Erasure::by_organisation(id(device), id(organisation), &catalog, Timestamp::default());
            make(&mut catalog, organisation, vec![CatalogEdit::Put(CatalogEntry::Erasure(erasure))])
        };
        for n in 0..6 {
            assert_eq!(erase(&format!("van-{n}"), "ours"), Ok(()));
        }
        assert_eq!(erase("one-more", "ours"), Err(Full::Erasures(20)));
        assert_eq!((erase("van-3", "ours"), erase("one-more", "theirs")), (Ok(()), Ok(())));
    }
}
