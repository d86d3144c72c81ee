//! Whose data a question may touch.

use std::collections::BTreeSet;
use waystream_domain::{Catalog, FleetId, Geofence, OrganisationId};

/// What one user may see. There is no way to ask anything without one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// Whose geofences and fleets.
    pub organisation: OrganisationId,
    /// Rows of these fleets only, in every table.
    pub fleets: BTreeSet<FleetId>,
}

impl Scope {
    /// Some fleets of an organisation.
    pub fn new(organisation: OrganisationId, fleets: impl IntoIterator<Item = FleetId>) -> Self {
        Self { organisation, fleets: fleets.into_iter().collect() }
    }

    /// All fleets of an organisation.
    pub fn of_organisation(organisation: OrganisationId, catalog: &Catalog) -> Self {
        let fleets = catalog.fleets_of(&organisation).map(|f| f.id.clone()).collect();
        Self { organisation, fleets }
    }

    /// Whether it may know of this geofence.
    pub(crate) fn sees(&self, fence: &Geofence) -> bool {
        fence.organisation == self.organisation && fence.fleet.as_ref().is_none_or(|fleet| self.fleets.contains(fleet))
    }
}
