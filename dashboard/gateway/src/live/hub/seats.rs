//! Where each socket sits: with all vehicles of its fleets, or, if those are too many, with the part of the map that it shows.

use super::{Client, Hub, Message, Now, TOO_FAR};
use crate::live::area::Area;
use crate::live::board::{Board, Vehicle};
use crate::live::client::ClientView;
use crate::live::client_cells::PartBeat;
use crate::live::tiles::{Spot, Tiles};
use crate::live::turns::calmest;
use crate::live::view::{View, ViewKey};
use crate::wire::DetailMessage;
use crate::wire::frame::flags;
use socketioxide::socket::Sid;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use waystream_domain::{DeviceId, FleetId};

/// An area that nobody watches is kept for so long: to build it costs a look at every vehicle, and pages are loaded again.
const KEEP_AREA: Duration = Duration::from_secs(60);
/// Fleets that are told of by what the map shows are told of whole again below so many hundredths of the limit.
const CALM_PERCENT: usize = 90;
/// Sockets that share a view of all vehicles. More would have their frames written in one go, and the last of them wait for all others;
/// so they have another view of the same, which has its turn at another time.
const SHARING: usize = 200;
/// Vehicles that a socket may follow.
const MAX_FOLLOWED: usize = 16;

/// What sockets watch.
pub(super) struct Watched {
    pub(super) key: ViewKey,
    pub(super) shown: Shown,
    pub(super) sockets: HashSet<Sid>,
    /// When frames of it go out.
    pub(super) turn: u8,
    /// Since when nobody has.
    idle_since: Option<Duration>,
}

/// How.
pub(super) enum Shown {
    /// Every vehicle.
    All(View),
    /// What is in sight.
    Parts(Parts),
}

/// Many vehicles, and who shows which part of the map.
pub(super) struct Parts {
    pub(super) area: Area,
    pub(super) parts: HashMap<Tiles, Part>,
}

/// Who shows a part.
pub(super) struct Part {
    pub(super) sockets: HashSet<Sid>,
    pub(super) beat: PartBeat,
}

/// A socket's place: what it watches, and the part that it shows where that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seat {
    pub(super) view: u64,
    pub(super) part: Option<Tiles>,
}

/// The vehicles that a socket is told of wherever they are.
pub(super) struct Followed {
    pub(super) view: View,
    pub(super) window: ClientView,
}

impl Watched {
    /// The vehicles that are told one by one in a seat.
    pub(super) fn view(&self, part: Option<Tiles>) -> Option<&View> {
        match (&self.shown, part) {
            (Shown::All(view), _) => Some(view),
            (Shown::Parts(parts), Some(part)) => parts.area.view(&part),
            (Shown::Parts(_), None) => None,
        }
    }

    /// Of the cells of a seat: the area, the part, and the state that all who show it have been told of.
    pub(super) fn cells(&self, part: Option<Tiles>) -> Option<(&Area, Tiles, u64)> {
        let (Shown::Parts(parts), Some(part)) = (&self.shown, part) else { return None };
        Some((&parts.area, part, parts.parts.get(&part)?.beat.told))
    }

    /// A vehicle that it shows has moved.
    pub(super) fn touch(&mut self, slot: u32, board: &Board) {
        match &mut self.shown {
            Shown::All(view) => view.touch(slot),
            Shown::Parts(parts) => parts.area.put(slot, Spot::of(&board.record(slot))),
        }
    }

    /// A vehicle is in it from now on, if it was not, and may have another name or fleet.
    pub(super) fn place(&mut self, slot: u32, board: &Board) {
        match &mut self.shown {
            Shown::All(view) => {
                view.join(slot);
                view.rename(slot);
                view.touch(slot);
            }
            Shown::Parts(parts) => {
                parts.area.put(slot, Spot::of(&board.record(slot)));
                parts.area.rename(slot);
            }
        }
    }

    /// A vehicle is not in it any more.
    pub(super) fn remove(&mut self, slot: u32) {
        match &mut self.shown {
            Shown::All(view) => view.leave(slot),
            Shown::Parts(parts) => parts.area.remove(slot),
        }
    }

    fn enter(&mut self, part: Option<Tiles>, sid: Sid) {
        self.sockets.insert(sid);
        self.idle_since = None;
        if let (Shown::Parts(Parts { area, parts }), Some(part)) = (&mut self.shown, part) {
            area.enter(part);
            let fresh = || Part { sockets: HashSet::new(), beat: PartBeat::new(area.state()) };
            parts.entry(part).or_insert_with(fresh).sockets.insert(sid);
        }
    }

    fn leave(&mut self, part: Option<Tiles>, sid: Sid) {
        let (Shown::Parts(Parts { area, parts }), Some(part)) = (&mut self.shown, part) else { return };
        area.leave(part);
        if let Some(shared) = parts.get_mut(&part) {
            shared.sockets.remove(&sid);
            if shared.sockets.is_empty() {
                parts.remove(&part);
            }
        }
    }
}

impl Hub {
    /// Whether a vehicle is shown by a key.
    fn is_shown(&self, key: &ViewKey, vehicle: &Vehicle) -> bool {
        !vehicle.removed && self.catalog.fleets.get(&vehicle.fleet).is_some_and(|f| key.shows(&f.organisation, &f.id))
    }

    fn views_that_show<'h>(&'h self, key: &'h ViewKey, in_parts: bool) -> impl Iterator<Item = (u64, &'h Watched)> {
        let same = move |w: &Watched| w.key == *key && matches!(w.shown, Shown::Parts(_)) == in_parts;
        self.views.iter().filter(move |(_, w)| same(w)).map(|(id, w)| (*id, w))
    }

    /// A view for one more socket, or for one that has its seat in view `now_in`: it stays there if it can.
    fn find_view(&self, key: &ViewKey, in_parts: bool, now_in: Option<u64>) -> Option<u64> {
        let views = self.views_that_show(key, in_parts).map(|(id, w)| (id, w.sockets.len()));
        fullest(views, if in_parts { usize::MAX } else { SHARING }, now_in)
    }

    /// Whether the vehicles are so many that browsers are told of those in sight only.
    fn is_large(&self, key: &ViewKey) -> bool {
        let board = self.board.read().unwrap_or_else(PoisonError::into_inner);
        let fleets = self.catalog.fleets_of(&key.organisation).filter(|f| key.shows(&f.organisation, &f.id));
        let count: usize = fleets.map(|f| board.vehicles_in(&f.id)).sum();
        let limit = self.detail.fleet_vehicles;
        count > if self.views_that_show(key, true).next().is_some() { limit * CALM_PERCENT / 100 } else { limit }
    }

    /// Of what is watched, one fleet; nothing if that is none of them, so that nobody can have areas made of names.
    fn only(&self, watched: &ViewKey, fleet: &FleetId) -> ViewKey {
        let known = self.catalog.fleets.get(fleet).filter(|f| watched.shows(&f.organisation, &f.id));
        let fleets = known.map(|f| f.id.clone()).into_iter().collect();
        ViewKey { organisation: watched.organisation.clone(), fleets: Some(fleets) }
    }

    /// Where a socket sits that watches this, and where that is in parts perhaps `only` a fleet of it; its seat until now is `old`. Its
    /// view exists from then on.
    pub(super) fn seat_for(
        &mut self,
        watched: &ViewKey,
        only: Option<&FleetId>,
        viewport: Option<Tiles>,
        old: Option<Seat>,
    ) -> Seat {
        let part = viewport.filter(|_| self.is_large(watched));
        let key = only.filter(|_| part.is_some()).map_or_else(|| watched.clone(), |fleet| self.only(watched, fleet));
        if let Some(view) = self.find_view(&key, part.is_some(), old.map(|seat| seat.view)) {
            return Seat { view, part };
        }
        let board = self.board.read().unwrap_or_else(PoisonError::into_inner);
        let slots = board.iter().filter(|(_, v)| self.is_shown(&key, v)).map(|(slot, _)| slot);
        let shown = if part.is_some() {
            let mut area = Area::new(self.detail.view_vehicles);
            slots.for_each(|slot| area.put(slot, Spot::of(&board.record(slot))));
            Shown::Parts(Parts { area, parts: HashMap::new() })
        } else {
            Shown::All(View::of(slots))
        };
        drop(board);
        self.next_id += 1;
        let idle_since = Some(self.started.elapsed());
        let turn = calmest(self.views.values().map(|w| (w.turn, w.sockets.len())));
        self.views.insert(self.next_id, Watched { key, shown, sockets: HashSet::new(), turn, idle_since });
        self.views_of_fleet.clear();
        Seat { view: self.next_id, part }
    }

    pub(super) fn enter(&mut self, seat: Seat, sid: Sid) {
        if let Some(watched) = self.views.get_mut(&seat.view) {
            watched.enter(seat.part, sid);
        }
    }

    /// Leaves a seat; `stays`: for another one with the same view.
    pub(super) fn leave_seat(&mut self, seat: Seat, sid: Sid, stays: bool) {
        let up = self.started.elapsed();
        let Some(watched) = self.views.get_mut(&seat.view) else { return };
        watched.leave(seat.part, sid);
        if !stays {
            watched.sockets.remove(&sid);
        }
        if watched.sockets.is_empty() {
            watched.idle_since = Some(up);
            if matches!(watched.shown, Shown::All(_)) {
                self.views.remove(&seat.view);
                self.views_of_fleet.clear();
            }
        }
    }

    /// Moves a socket to where it belongs by now, and tells it the difference only.
    pub(super) fn reseat(&mut self, sid: Sid, now: Now) {
        let Some(Client { seat: old, viewport, watched, only, .. }) = self.clients.get(&sid) else { return };
        let (old, viewport, watched, only) = (*old, *viewport, watched.clone(), only.clone());
        let new = self.seat_for(&watched, only.as_ref(), viewport, Some(old));
        if new == old {
            return;
        }
        self.enter(new, sid);
        let view = |seat: Seat| self.views.get(&seat.view)?.view(seat.part);
        let mut told = true;
        if let (Some(client), Some(from), Some(to)) = (self.clients.get_mut(&sid), view(old), view(new)) {
            client.window.move_to(from, to);
            client.seat = new;
            if old.view != new.view {
                client.cells.leave_area();
                told = client.outbox.push(Message::Detail(DetailMessage { whole: new.part.is_none() }));
                client.flush(now);
            }
        }
        self.leave_seat(old, sid, old.view == new.view);
        if !told {
            return self.cut(sid, TOO_FAR);
        }
        self.follow_and_catch_up(sid, now);
    }

    /// What a socket shows.
    pub(super) fn viewport(&mut self, sid: Sid, viewport: Tiles, now: Now) {
        if let Some(client) = self.clients.get_mut(&sid) {
            client.viewport = Some(viewport);
            self.reseat(sid, now);
        }
    }

    /// Which fleet it is told of where not all are.
    pub(super) fn show_only(&mut self, sid: Sid, fleet: Option<FleetId>, now: Now) {
        if let Some(client) = self.clients.get_mut(&sid) {
            client.only = fleet;
            self.reseat(sid, now);
        }
    }

    /// Fleets grow and shrink, and areas that nobody watches are forgotten.
    pub(super) fn sweep_seats(&mut self, now: Now) {
        let ids: Vec<u64> = self.views.keys().copied().collect();
        for id in ids {
            let Some(watched) = self.views.get(&id) else { continue };
            let in_parts = matches!(watched.shown, Shown::Parts(_));
            if watched.idle_since.is_some_and(|since| now.up.saturating_sub(since) >= KEEP_AREA) {
                self.views.remove(&id);
                self.views_of_fleet.clear();
            } else if self.is_large(&watched.key) != in_parts {
                let sockets: Vec<Sid> = watched.sockets.iter().copied().collect();
                sockets.into_iter().for_each(|sid| self.reseat(sid, now));
            }
        }
    }

    // Followed vehicles

    /// Whom a socket follows from now on.
    pub(super) fn follow_devices(&mut self, sid: Sid, devices: &[String], now: Now) {
        self.forget_followed(sid);
        let Some(client) = self.clients.get_mut(&sid) else { return };
        let ids = devices.iter().filter_map(|text| text.parse::<DeviceId>().ok());
        client.follow = ids.take(MAX_FOLLOWED).collect();
        for device in &client.follow {
            self.followers.entry(device.clone()).or_default().insert(sid);
        }
        self.follow_and_catch_up(sid, now);
    }

    fn follow_and_catch_up(&mut self, sid: Sid, now: Now) {
        let board = self.shared_board();
        self.follow(sid, &board.read().unwrap_or_else(PoisonError::into_inner), now);
        self.catch_up(sid, now);
    }

    pub(super) fn forget_followed(&mut self, sid: Sid) {
        for device in self.clients.get_mut(&sid).map(|c| std::mem::take(&mut c.follow)).unwrap_or_default() {
            if let Some(sockets) = self.followers.get_mut(&device) {
                sockets.remove(&sid);
                if sockets.is_empty() {
                    self.followers.remove(&device);
                }
            }
        }
    }

    /// Finds the vehicles that a socket follows and may see. Where it is told of all vehicles there are none to be told of apart.
    pub(super) fn follow(&mut self, sid: Sid, board: &Board, now: Now) {
        let Some(client) = self.clients.get(&sid) else { return };
        let found = client.follow.iter().filter(|_| client.seat.part.is_some()).filter_map(|device| board.find(device));
        let slots: BTreeSet<u32> = found.filter(|(_, v)| self.is_shown(&client.watched, v)).map(|(slot, _)| slot).collect();
        let Some(client) = self.clients.get_mut(&sid) else { return };
        let before: BTreeSet<u32> = client.followed.iter().flat_map(|f| f.view.slots()).collect();
        if slots == before {
            return;
        }
        let view = View::of(slots).flagged(flags::FOLLOWED);
        match &mut client.followed {
            Some(followed) => {
                followed.window.change_view(&view, now);
                followed.view = view;
            }
            None => client.followed = Some(Followed { window: ClientView::new(&view, now), view }),
        }
    }

    /// The sockets that follow a vehicle.
    pub(super) fn followers_of(&self, device: &DeviceId) -> Vec<Sid> {
        self.followers.get(device).map(|sockets| sockets.iter().copied().collect()).unwrap_or_default()
    }

    /// The board, to be looked at while the hub changes.
    pub(super) fn shared_board(&self) -> crate::live::SharedBoard {
        Arc::clone(&self.board)
    }
}

/// Of views of the same with so many sockets each: where one is by now, or else the fullest that has room for it. So those with few sockets
/// are left in the end, and cost no frames of their own.
fn fullest(views: impl Iterator<Item = (u64, usize)>, most: usize, now_in: Option<u64>) -> Option<u64> {
    let open = views.filter(|&(id, sockets)| Some(id) == now_in || sockets < most);
    open.max_by_key(|&(id, sockets)| (Some(id) == now_in, sockets)).map(|(id, _)| id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_come_together_in_few_views_and_stay_where_they_are() {
        let find = |views: &[(u64, usize)], now_in| fullest(views.iter().copied(), SHARING, now_in);
        let all = [(1, 3), (2, SHARING), (3, SHARING - 1), (4, 150)];
        assert_eq!((find(&all, None), find(&all, Some(1)), find(&all, Some(2))), (Some(3), Some(1), Some(2)));
        assert_eq!((find(&all[1..2], None), find(&all[1..2], Some(9)), find(&[], Some(9))), (None, None, None));
    }
}
