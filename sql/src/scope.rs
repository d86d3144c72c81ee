//! Whose data a question may touch.

use std::collections::BTreeSet;
use waystream_domain::{Catalog, FleetId, Geofence, OrganisationId};

/// What one user may see. There is no way to ask anything without one, and none to make one that sees more than an organisation has.
/// `compose/tests/architecture.rs` says which files may make one: those that have checked who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    organisation: OrganisationId,
    fleets: BTreeSet<FleetId>,
}

impl Scope {
    /// All fleets of an organisation.
    pub fn of_organisation(organisation: OrganisationId, catalog: &Catalog) -> Self {
        let fleets = catalog.fleets_of(&organisation).map(|f| f.id.clone()).collect();
        Self { organisation, fleets }
    }

    /// Some of it: fleets that are so.
    #[must_use]
    pub fn only(mut self, so: impl Fn(&FleetId) -> bool) -> Self {
        self.fleets.retain(so);
        self
    }

    /// Rows of these fleets only, in every table.
    pub fn fleets(&self) -> &BTreeSet<FleetId> {
        &self.fleets
    }

    /// Whose geofences and fleets.
    pub fn organisation(&self) -> &OrganisationId {
        &self.organisation
    }

    /// Whether it may know of this geofence.
    pub(crate) fn sees(&self, fence: &Geofence) -> bool {
        fence.organisation == self.organisation && fence.fleet.as_ref().is_none_or(|fleet| self.fleets.contains(fleet))
    }
}
