//! The states of many devices: found by device, and by place when geofences change.
//!
//! An edit of a geofence concerns the devices that are where it is or was, so they are filed by cells of a grid. A few more have to do
//! with it though they are elsewhere: outside, but not for long enough yet, or with a fix too vague to tell. Those are known by
//! name. So an edit costs what the devices near it cost, not what all do.

use crate::cell::{cell_at, cell_of};
use crate::geofence::index::Bounds;
use crate::geofence::{GeofenceIndex, Touched};
use crate::{DeviceId, DeviceState};
use hashbrown::{DefaultHashBuilder, HashTable};
use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;

const NONE: u32 = u32::MAX;

/// See the module. A state's number is its place here: given once, for ever.
#[derive(Debug, Default)]
pub struct States {
    /// Numbers by device. Without the ids, which the states have: a million of them in two million places are 50 MB.
    by_device: HashTable<u32>,
    hasher: DefaultHashBuilder,
    slots: Vec<Slot>,
    /// Some device of each cell that has any; the others follow it.
    cells: HashMap<u32, u32>,
    /// Devices that have to do with a geofence that does not reach to where they are.
    astray: HashSet<u32>,
}

#[derive(Debug)]
struct Slot {
    /// Boxed: the list grows by doubling.
    state: Box<DeviceState>,
    /// Where it is filed, or [`NONE`].
    cell: u32,
    /// Its neighbours in the cell, or [`NONE`].
    before: u32,
    after: u32,
}

impl States {
    /// Number of devices.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The number of a device's state.
    pub fn find(&self, device: &DeviceId) -> Option<u32> {
        let hash = self.hasher.hash_one(device);
        self.by_device.find(hash, |number| self.get(*number).device == *device).copied()
    }

    /// Puts a state in, or in the place of the one that the device has. It is found by place when it has been filed.
    pub fn put(&mut self, state: DeviceState) -> u32 {
        if let Some(known) = self.find(&state.device) {
            *self.slots[known as usize].state = state;
            return known;
        }
        let new =
            u32::try_from(self.slots.len()).ok().filter(|n| *n < NONE).expect("fewer than 2^32 - 1 devices fit into memory");
        let hash = self.hasher.hash_one(&state.device);
        self.slots.push(Slot { state: Box::new(state), cell: NONE, before: NONE, after: NONE });
        let Self { by_device, slots, hasher, .. } = self;
        by_device.insert_unique(hash, new, |number| hasher.hash_one(&slots[*number as usize].state.device));
        new
    }

    /// A state by its number.
    pub fn get(&self, number: u32) -> &DeviceState {
        &self.slots[number as usize].state
    }

    /// A state by its number; to be filed when it has changed.
    pub fn get_mut(&mut self, number: u32) -> &mut DeviceState {
        &mut self.slots[number as usize].state
    }

    /// Files a state by where it is now, and packs it until it reports again.
    pub fn file(&mut self, number: u32, index: &GeofenceIndex) {
        let Slot { state, cell, .. } = &mut self.slots[number as usize];
        state.pack();
        let at = state.last.map_or(NONE, |fix| cell_at(fix.location));
        let was = *cell;
        if is_astray(state, index) {
            self.astray.insert(number);
        } else if !self.astray.is_empty() {
            self.astray.remove(&number);
        }
        if at != was {
            self.take_out(number);
            self.put_into(number, at);
        }
    }

    fn put_into(&mut self, number: u32, cell: u32) {
        let after = if cell == NONE { None } else { self.cells.insert(cell, number) };
        let slot = &mut self.slots[number as usize];
        (slot.cell, slot.before, slot.after) = (cell, NONE, after.unwrap_or(NONE));
        if let Some(after) = after {
            self.slots[after as usize].before = number;
        }
    }

    fn take_out(&mut self, number: u32) {
        let Slot { cell, before, after, .. } = self.slots[number as usize];
        if cell == NONE {
            return;
        }
        match (before, after) {
            (NONE, NONE) => drop(self.cells.remove(&cell)),
            (NONE, after) => drop(self.cells.insert(cell, after)),
            (before, _) => self.slots[before as usize].after = after,
        }
        if after != NONE {
            self.slots[after as usize].before = before;
        }
    }

    /// The states that edits concern, in the order of their numbers. All must have been filed since they changed, with the geofences
    /// from before the edits.
    pub fn concerned(&self, touched: &Touched) -> Vec<u32> {
        let mut found = Vec::new();
        if touched.fleets().next().is_some() {
            found.extend(0..self.slots.len() as u32);
        } else {
            found.extend(touched.devices().filter_map(|device| self.find(device)));
            found.extend(&self.astray);
            touched.places().for_each(|bounds| self.find_in(bounds, &mut found));
            found.sort_unstable();
            found.dedup();
        }
        found.retain(|number| touched.concerns(self.get(*number)));
        found
    }

    fn find_in(&self, [west, south, east, north]: Bounds, found: &mut Vec<u32>) {
        let (first, last) = (cell_of(west, south), cell_of(east, north));
        let (columns, rows) = (first & 0xffff..=last & 0xffff, first >> 16..=last >> 16);
        let mut take = |head: u32| {
            let mut at = head;
            while at != NONE {
                found.push(at);
                at = self.slots[at as usize].after;
            }
        };
        let all = (columns.end() - columns.start() + 1) as usize * (rows.end() - rows.start() + 1) as usize;
        if all > self.cells.len() {
            let inside = |cell: u32| columns.contains(&(cell & 0xffff)) && rows.contains(&(cell >> 16));
            self.cells.iter().filter(|(cell, _)| inside(**cell)).for_each(|(_, head)| take(*head));
            return;
        }
        for row in rows {
            for column in columns.clone() {
                if let Some(head) = self.cells.get(&(row << 16 | column)) {
                    take(*head);
                }
            }
        }
    }
}

/// Whether it has to do with a geofence that does not reach to where it is.
fn is_astray(state: &DeviceState, index: &GeofenceIndex) -> bool {
    let standing = &state.standing;
    if standing.members.is_empty() && standing.inside.is_empty() {
        return false;
    }
    let Some(fix) = &state.last else { return false };
    let ids = standing.members.iter().map(|m| &m.geofence).chain(standing.inside.iter().map(|i| &i.geofence));
    ids.into_iter().any(|id| !index.get(id).is_some_and(|fence| fence.reaches(fix.location)))
}
