//! How many vehicles are inside of each geofence, told once a second to the sockets that ask for it.

use super::Hub;
use crate::live::outbox::taken;
use crate::wire::InsideMessage;
use socketioxide::socket::Sid;
use std::collections::HashMap;
use std::sync::PoisonError;
use waystream_domain::catalog::Role;
use waystream_domain::{FleetId, GeofenceId};

/// What a socket has been told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inside {
    /// It does not want to be.
    Unasked,
    /// Not all, so all is to come.
    Behind,
    /// All up to the last beat.
    Told,
}

impl Inside {
    /// Of a socket of somebody of this role that asks to be told, or not to be.
    pub(super) fn asked(on: bool, role: Role) -> Self {
        if on && role.looks_around() { Self::Behind } else { Self::Unasked }
    }
}

impl Hub {
    /// A socket wants to be told, or not any more. It is at the next beat, so that asking again and again costs no more.
    pub(super) fn show_inside(&mut self, sid: Sid, on: bool) {
        if let Some(client) = self.clients.get_mut(&sid) {
            client.inside = Inside::asked(on, client.identity.role());
        }
    }

    /// Tells what has changed since the last beat, worked out once for all who watch the same fleets.
    pub(super) fn tell_inside(&mut self) {
        let shared = self.shared_board();
        let changed = shared.write().unwrap_or_else(PoisonError::into_inner).take_occupied();
        let board = shared.read().unwrap_or_else(PoisonError::into_inner);
        let (occupancy, catalog) = (board.occupancy(), &self.catalog);
        let mut messages = HashMap::new();
        for client in self.clients.values_mut().filter(|c| c.inside != Inside::Unasked) {
            let whole = client.inside == Inside::Behind;
            // Who takes nothing now is told all when it does.
            client.inside = Inside::Behind;
            if !client.outbox.is_empty() {
                continue;
            }
            let message: &InsideMessage = messages.entry((client.watched.clone(), whole)).or_insert_with_key(|(key, _)| {
                let own = |id: &&GeofenceId| catalog.geofences.get(*id).is_some_and(|g| g.organisation == key.organisation);
                let shown = |fleet: &FleetId| catalog.fleets.get(fleet).is_some_and(|f| key.shows(&f.organisation, &f.id));
                let count = |id: &GeofenceId| (id.to_string(), occupancy.inside(id, shown));
                let counts = if whole {
                    occupancy.geofences().filter(own).map(count).filter(|(_, n)| *n > 0).collect()
                } else {
                    changed.iter().filter(own).map(count).collect()
                };
                InsideMessage { whole, counts }
            });
            let nothing_new = !message.whole && message.counts.is_empty();
            if nothing_new || taken(client.socket.emit("inside", message)) {
                client.inside = Inside::Told;
            }
        }
    }
}
