//! What an edit of the catalog changes on open dashboards.

use super::{Hub, Inside, Message, Now, TOO_FAR};
use crate::live::board::{Board, changes_hands, is_over};
use crate::wire::{CatalogMessage, DeviceInfo, fleet_info, geofence_feature};
use socketioxide::socket::Sid;
use std::sync::{Arc, PoisonError};
use waystream_domain::{Catalog, CatalogEdit, CatalogKey, DeviceId, FleetId, OrganisationId};

impl Hub {
    pub(super) fn edit(&mut self, edit: &CatalogEdit, now: Now) {
        let key = match edit {
            CatalogEdit::Put(entry) => entry.key(),
            CatalogEdit::Remove(key) => key.clone(),
        };
        if let CatalogKey::Acknowledgement(event) = &key {
            return self.acknowledge_event(event, edit);
        }
        let before = visible(&self.catalog, &key);
        self.catalog.apply(edit.clone());
        let after = visible(&self.catalog, &key);
        match &key {
            CatalogKey::Fleet(fleet) => {
                self.views_of_fleet.clear();
                self.place_fleet(fleet, now);
            }
            CatalogKey::Device(device) | CatalogKey::Erasure(device) => {
                let slot = {
                    let mut board = self.board.write().unwrap_or_else(PoisonError::into_inner);
                    match &key {
                        CatalogKey::Erasure(_) => erase_on(&mut board, &self.catalog, device),
                        _ => edit_on(&mut board, &self.catalog, device),
                    }
                };
                let board = self.shared_board();
                let board = board.read().unwrap_or_else(PoisonError::into_inner);
                slot.into_iter().for_each(|slot| self.place(slot, &board, now));
            }
            CatalogKey::User(_) | CatalogKey::Session(_) => self.check_sessions(now),
            CatalogKey::Organisation(_)
            | CatalogKey::Geofence(_)
            | CatalogKey::SessionUse(_)
            | CatalogKey::UserPassword(_)
            | CatalogKey::UserPreferences(_)
            | CatalogKey::Query(_)
            | CatalogKey::Command(..)
            | CatalogKey::Channel(_)
            | CatalogKey::NotificationRule(_)
            | CatalogKey::Report(_)
            | CatalogKey::ApiToken(_)
            | CatalogKey::SignInLink(_)
            | CatalogKey::SecondFactor(_)
            | CatalogKey::UnknownDevice(_)
            // Whoever watches by one looks after it: see `auth::Shares`.
            | CatalogKey::ShareLink(_)
            | CatalogKey::Acknowledgement(_)
            | CatalogKey::Transfer(_)
            | CatalogKey::Handover(_)
            | CatalogKey::FleetOwner(..)
            | CatalogKey::DeviceToken(_)
            | CatalogKey::DeviceAddresses(_)
            | CatalogKey::Retention(_)
            | CatalogKey::UnknownDeviceRule(_) => {}
        }
        if let Some((organisation, message)) = before
            && after.as_ref().is_none_or(|(now_of, _)| *now_of != organisation)
        {
            self.tell_edit(&organisation, gone(message));
        }
        if let Some((organisation, message)) = after {
            self.tell_edit(&organisation, message);
        }
    }

    fn place_fleet(&mut self, fleet: &FleetId, now: Now) {
        let board = self.shared_board();
        let board = board.read().unwrap_or_else(PoisonError::into_inner);
        let slots = board.iter().filter(|(_, v)| v.fleet == *fleet).map(|(slot, _)| slot);
        slots.for_each(|slot| self.place(slot, &board, now));
    }

    pub(super) fn tell_edit(&mut self, organisation: &OrganisationId, message: CatalogMessage) {
        // Which counts are told depends on both.
        let counts_anew = matches!(message, CatalogMessage::Geofence { .. } | CatalogMessage::Fleet { .. });
        let message = Arc::new(message);
        let mut too_far = Vec::new();
        for (sid, client) in self.clients.iter_mut().filter(|(_, c)| c.identity.organisation() == organisation) {
            if counts_anew && client.inside == Inside::Told {
                client.inside = Inside::Behind;
            }
            if !client.outbox.push(Message::Catalog(Arc::clone(&message))) {
                too_far.push(*sid);
            }
        }
        too_far.into_iter().for_each(|sid| self.cut(sid, TOO_FAR));
    }

    /// Takes over the catalog as it is, where too many edits came at once to follow them one by one.
    pub(super) fn start_anew(&mut self, now: Now) {
        let shared = self.handle.shared();
        let before = {
            let catalog = shared.read().unwrap_or_else(PoisonError::into_inner);
            self.edits = self.handle.subscribe();
            std::mem::replace(&mut self.catalog, catalog.clone())
        };
        edit_all_on(&mut self.board.write().unwrap_or_else(PoisonError::into_inner), &before, &self.catalog);
        // Whoever looks connects again.
        let all: Vec<Sid> = self.clients.keys().copied().collect();
        all.into_iter().for_each(|sid| self.cut(sid, TOO_FAR));
        // Areas outlive their sockets: they would show who was there before.
        self.views.clear();
        self.views_of_fleet.clear();
        self.check_sessions(now);
    }
}

/// Takes in what has changed of all devices since the catalog was as before.
fn edit_all_on(board: &mut Board, before: &Catalog, catalog: &Catalog) {
    let seen: Vec<_> = board.iter().map(|(_, v)| (v.device.clone(), is_over(&v.live, catalog))).collect();
    for (device, is_over) in seen {
        if is_over {
            board.hand_over(&device);
        }
        // Who is in neither reports without being entered, and stays.
        if before.devices.contains_key(&device) || catalog.devices.contains_key(&device) {
            edit_on(board, catalog, &device);
        }
    }
}

/// Takes a device's entry in; what was known of it while it was another organisation's is shown to nobody. Answers its slot, if
/// something changed.
fn edit_on(board: &mut Board, catalog: &Catalog, device: &DeviceId) -> Option<u32> {
    let entry = catalog.devices.get(device);
    let was_in = board.find(device).map(|(_, vehicle)| vehicle.fleet.clone());
    let gone = match (was_in, entry) {
        (Some(was), Some(entry)) if changes_hands(catalog, &was, &entry.fleet) => board.hand_over(device),
        _ => None,
    };
    board.edit(device, entry.map(AsRef::as_ref)).or(gone)
}

/// What was known of a device is shown to nobody until it reports again, if that was asked for. Answers as [`edit_on`] does.
fn erase_on(board: &mut Board, catalog: &Catalog, device: &DeviceId) -> Option<u32> {
    let asked = catalog.erasures.get(device).filter(|erasure| erasure.done_at.is_none())?;
    board.find(device).filter(|(_, vehicle)| asked.concerns(&vehicle.fleet))?;
    let gone = board.hand_over(device);
    board.edit(device, catalog.devices.get(device).map(AsRef::as_ref)).or(gone)
}

/// Whose an entry is, and how browsers are told about it.
fn visible(catalog: &Catalog, key: &CatalogKey) -> Option<(OrganisationId, CatalogMessage)> {
    match key {
        CatalogKey::Fleet(fleet) => {
            let f = catalog.fleets.get(fleet)?;
            let value = fleet_info(f);
            Some((f.organisation.clone(), CatalogMessage::Fleet { id: value.id.clone(), value: Some(value) }))
        }
        CatalogKey::Device(device) => {
            let d = catalog.devices.get(device)?;
            let organisation = catalog.fleets.get(&d.fleet)?.organisation.clone();
            let value = DeviceInfo { id: d.id.to_string(), name: d.name.clone(), fleet: d.fleet.to_string() };
            Some((organisation, CatalogMessage::Device { id: value.id.clone(), value: Some(value) }))
        }
        CatalogKey::Geofence(geofence) => {
            let g = catalog.geofences.get(geofence)?;
            let value = Some(Box::new(geofence_feature(g)));
            Some((g.organisation.clone(), CatalogMessage::Geofence { id: g.id.to_string(), value }))
        }
        CatalogKey::Organisation(_)
        | CatalogKey::User(_)
        | CatalogKey::Session(_)
        | CatalogKey::SessionUse(_)
        | CatalogKey::UserPassword(_)
        | CatalogKey::UserPreferences(_)
        | CatalogKey::Query(_)
        | CatalogKey::Command(..)
        | CatalogKey::Channel(_)
        | CatalogKey::NotificationRule(_)
        | CatalogKey::Report(_)
        | CatalogKey::ApiToken(_)
        | CatalogKey::SignInLink(_)
        | CatalogKey::SecondFactor(_)
        | CatalogKey::UnknownDevice(_)
        | CatalogKey::ShareLink(_)
        | CatalogKey::Transfer(_)
        | CatalogKey::Handover(_)
        | CatalogKey::FleetOwner(..)
        | CatalogKey::DeviceToken(_)
        | CatalogKey::DeviceAddresses(_)
        | CatalogKey::Erasure(_)
        | CatalogKey::Retention(_)
        | CatalogKey::UnknownDeviceRule(_)
        // Those of a tick are told in one message.
        | CatalogKey::Acknowledgement(_) => None,
    }
}

fn gone(message: CatalogMessage) -> CatalogMessage {
    match message {
        CatalogMessage::Fleet { id, .. } => CatalogMessage::Fleet { id, value: None },
        CatalogMessage::Device { id, .. } => CatalogMessage::Device { id, value: None },
        CatalogMessage::Geofence { id, .. } => CatalogMessage::Geofence { id, value: None },
        // It says itself what is gone.
        said @ CatalogMessage::Acknowledgements { .. } => said,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::auth::Sessions;
    use crate::live::area::DetailLimits;
    use crate::live::board::LinkLimits;
    use crate::live::board::tests::{at, live};
    use crate::live::hub::HubStart;
    use crate::live::kills::Kills;
    use crate::live::tiles::Tiles;
    use crate::live::view::ViewKey;
    use crate::wire::Viewport;
    use std::sync::RwLock;
    use std::time::Duration;
    use tokio::sync::mpsc;
    use tokio_util::sync::CancellationToken;
    use waystream_domain::catalog::{Device, Fleet, SessionLimits};
    use waystream_domain::{Actor, CatalogEntry, Erasure};
    use waystream_log::catalog::CatalogFollower;
    use waystream_log::embedded::{EmbeddedLog, EmbeddedOptions};

    #[tokio::test]
    async fn where_edits_were_missed_nobody_is_shown_any_more_who_is_another_s_removed_or_erased() {
        let dir = tempfile::tempdir().unwrap();
        let log = EmbeddedLog::open(dir.path(), EmbeddedOptions::default()).unwrap();
        let (handle, follower) = CatalogFollower::start(log.clone()).await.unwrap();
        tokio::spawn(follower.run(CancellationToken::new()));
        let device = |id: &str, fleet: &str| {
            let device = Device { id: id.parse().unwrap(), fleet: fleet.parse().unwrap(), name: id.into() };
            CatalogEdit::Put(CatalogEntry::Device(device))
        };
        let fleets = [("f", "ours"), ("g", "theirs")].map(|(id, organisation)| {
            let (id, organisation) = (id.parse().unwrap(), organisation.parse().unwrap());
            CatalogEdit::Put(CatalogEntry::Fleet(Fleet { id, organisation, name: "Fleet".into(), rules: Default::default() }))
        });
        let devices = ["stays", "sold", "removed", "erased"].map(|id| device(id, "f"));
        handle.edit(&Actor::CommandLine, fleets.into_iter().chain(devices).collect()).await.unwrap();
        let catalog = handle.shared().read().unwrap().clone();
        let mut board = Board::new(1, LinkLimits::default());
        for id in ["stays", "sold", "removed", "erased", "never-entered"] {
            board.apply(live(id, "f", 1, 1.0, 2.0), &catalog, at(1_000));
        }
        let mut hub = Hub::new(HubStart {
            log,
            sessions: Sessions::of_catalog(handle.clone(), false, SessionLimits::default()).0,
            kills: Kills::default(),
            board: Arc::new(RwLock::new(board)),
            catalog,
            handle: handle.clone(),
            edits: handle.subscribe(),
            cursor: [(0, 0)].into_iter().collect(),
            cut_after: Duration::from_secs(30),
            detail: DetailLimits { fleet_vehicles: 0, view_vehicles: 100 },
            commands: mpsc::channel(1).0,
        });
        let key = ViewKey { organisation: "ours".parse().unwrap(), fleets: None };
        hub.seat_for(&key, None, Tiles::new(&Viewport { zoom: 2, x: 0, y: 0, w: 4, h: 4 }), None);
        assert_eq!(hub.views.len(), 1, "an area is kept for a while");

        let all = Erasure {
            device: "erased".parse().unwrap(),
            organisation: None,
            fleets: None,
            until: at(10_000),
            done_at: Some(at(11_000)),
            problem: None,
        };
        let removed = CatalogEdit::Remove(CatalogKey::Device("removed".parse().unwrap()));
        let missed = vec![device("sold", "g"), removed, CatalogEdit::Put(CatalogEntry::Erasure(all))];
        handle.edit(&Actor::CommandLine, missed).await.unwrap();
        hub.start_anew(Now { wall: at(20_000), up: Duration::ZERO });
        let board = hub.shared_board();
        let board = board.read().unwrap();
        let shown: Vec<&str> = board.iter().filter(|(_, v)| !v.removed).map(|(_, v)| v.device.as_str()).collect();
        assert_eq!(shown, ["stays", "never-entered"]);
        assert!(hub.views.is_empty(), "an area shows who was there before");
    }
}
