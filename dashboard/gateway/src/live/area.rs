//! The vehicles of fleets that are too many to be told of one by one: each viewport is told of those in it, or, where they are too
//! many, of counted cells.

use super::counted::Counted;
use super::index::Index;
use super::tiles::{Spot, TileKey, Tiles};
use super::view::View;
use crate::wire::cells::CellRecord;
use std::collections::{BTreeMap, HashMap};

/// A viewport with counted cells gets vehicles again when they are so many hundredths of those that made it counted.
const CALM_PERCENT: usize = 80;

/// What sockets that show the same part of the map share.
#[derive(Debug)]
struct Patch {
    users: usize,
    /// Of the vehicles in it; empty while cells are told.
    view: View,
    is_counted: bool,
}

/// What there is of one zoom.
#[derive(Debug)]
struct Level {
    counted: Counted,
    /// The patches that must hear of a vehicle in a tile: those that tell of vehicles and have the tile in or around them.
    watchers: HashMap<TileKey, Vec<Tiles>>,
}

/// See the module. What is told of cells changes with [`Self::tell`] only; its states have numbers, which only grow.
#[derive(Debug)]
pub(crate) struct Area {
    index: Index,
    levels: BTreeMap<u8, Level>,
    patches: HashMap<Tiles, Patch>,
    state: u64,
    individuals: usize,
}

impl Area {
    /// Without vehicles. A viewport with more than `individuals` is told of cells.
    pub(crate) fn new(individuals: usize) -> Self {
        Self { index: Index::default(), levels: BTreeMap::new(), patches: HashMap::new(), state: 0, individuals }
    }

    /// Number of the state that is told.
    pub(crate) fn state(&self) -> u64 {
        self.state
    }

    /// A vehicle is new or somewhere else.
    pub(crate) fn put(&mut self, slot: u32, spot: Spot) {
        let was = self.index.put(slot, spot);
        self.shift(slot, was, Some(spot));
    }

    /// A vehicle is gone.
    pub(crate) fn remove(&mut self, slot: u32) {
        if let Some(was) = self.index.remove(slot) {
            self.shift(slot, Some(was), None);
        }
    }

    fn shift(&mut self, slot: u32, was: Option<Spot>, is: Option<Spot>) {
        for (&zoom, level) in &mut self.levels {
            level.counted.shift(was.as_ref(), is.as_ref());
            let key = |spot: Option<Spot>| spot.map(|s| s.place.tile(zoom));
            let (from, to) = (key(was), key(is));
            let keys = from.into_iter().chain(to.filter(|_| to != from));
            for part in keys.filter_map(|key| level.watchers.get(&key)).flatten() {
                if let Some(patch) = self.patches.get_mut(part) {
                    patch.see(part, slot, is);
                }
            }
        }
    }

    /// A vehicle has another name or fleet.
    pub(crate) fn rename(&mut self, slot: u32) {
        let Some(spot) = self.index.spot(slot) else { return };
        for (&zoom, level) in &self.levels {
            for part in level.watchers.get(&spot.place.tile(zoom)).into_iter().flatten() {
                if let Some(patch) = self.patches.get_mut(part) {
                    patch.view.rename(slot);
                }
            }
        }
    }

    // Viewports

    /// One more socket shows this part.
    pub(crate) fn enter(&mut self, part: Tiles) {
        if let Some(patch) = self.patches.get_mut(&part) {
            patch.users += 1;
            return;
        }
        let is_counted = self.index.has_more(&part, self.individuals);
        self.patches.insert(part, Patch { users: 1, view: View::default(), is_counted });
        self.begin(part);
    }

    /// One socket less.
    pub(crate) fn leave(&mut self, part: Tiles) {
        let Some(patch) = self.patches.get_mut(&part) else { return };
        patch.users -= 1;
        if patch.users == 0 {
            self.end(part);
            self.patches.remove(&part);
        }
    }

    fn begin(&mut self, part: Tiles) {
        let Some(patch) = self.patches.get_mut(&part) else { return };
        let fresh = || Level { counted: Counted::new(part.zoom()), watchers: HashMap::new() };
        let level = self.levels.entry(part.zoom()).or_insert_with(fresh);
        if patch.is_counted {
            patch.view = View::default();
            // A state of its own: whoever had these tiles before, and lost them, has something older.
            self.state += 1;
            level.counted.hold(&part, &self.index, self.state);
        } else {
            patch.view = View::of(self.index.within(&part));
            part.with_ring().keys().for_each(|key| level.watchers.entry(key).or_default().push(part));
        }
    }

    fn end(&mut self, part: Tiles) {
        let (Some(patch), Some(level)) = (self.patches.get(&part), self.levels.get_mut(&part.zoom())) else { return };
        if patch.is_counted {
            level.counted.release(&part);
        } else {
            for key in part.with_ring().keys() {
                if let Some(list) = level.watchers.get_mut(&key) {
                    list.retain(|other| *other != part);
                    if list.is_empty() {
                        level.watchers.remove(&key);
                    }
                }
            }
        }
        if level.counted.is_idle() && level.watchers.is_empty() {
            self.levels.remove(&part.zoom());
        }
    }

    /// The vehicles that are told of one by one in a part that somebody shows.
    pub(crate) fn view(&self, part: &Tiles) -> Option<&View> {
        Some(&self.patches.get(part)?.view)
    }

    /// See [`Self::view`].
    pub(crate) fn view_mut(&mut self, part: &Tiles) -> Option<&mut View> {
        Some(&mut self.patches.get_mut(part)?.view)
    }

    /// What there is to tell of cells to somebody who shows a part and `has` another one, or the same, as of a state. `None`: there
    /// are no cells, vehicles are told of.
    pub(crate) fn cells(&self, part: &Tiles, has: Option<(&Tiles, u64)>) -> Option<Vec<CellRecord>> {
        let level = self.levels.get(&part.zoom()).filter(|_| self.is_counted(part))?;
        Some(level.counted.news(part, has))
    }

    /// Whether cells are told of a part.
    pub(crate) fn is_counted(&self, part: &Tiles) -> bool {
        self.patches.get(part).is_some_and(|patch| patch.is_counted)
    }

    /// A beat: what is so now is told, and parts with too many or few enough vehicles change over to cells and back. Answers those,
    /// with the views as they were: whoever shows them goes on with the present ones.
    pub(crate) fn tell(&mut self) -> Vec<(Tiles, View)> {
        self.state += 1;
        for level in self.levels.values_mut() {
            level.counted.tell(self.state);
        }
        let calm = self.individuals * CALM_PERCENT / 100;
        let changes = self.patches.iter().filter(|(part, patch)| match self.levels.get(&part.zoom()) {
            Some(level) if patch.is_counted => level.counted.count(part) <= calm,
            _ => patch.view.count() > self.individuals,
        });
        let changes: Vec<Tiles> = changes.map(|(part, _)| *part).collect();
        changes.into_iter().filter_map(|part| Some((part, self.change_over(part)?))).collect()
    }

    fn change_over(&mut self, part: Tiles) -> Option<View> {
        self.end(part);
        let patch = self.patches.get_mut(&part)?;
        patch.is_counted = !patch.is_counted;
        let view = std::mem::take(&mut patch.view);
        self.begin(part);
        Some(view)
    }
}

impl Patch {
    /// Who comes in joins; who has gone away some way leaves, so that nobody who drives along the edge does both again and again.
    fn see(&mut self, part: &Tiles, slot: u32, spot: Option<Spot>) {
        let stays = |spot: Spot| part.contains(spot.place) || self.view.shows(slot) && part.is_near(spot.place);
        match spot.is_some_and(stays) {
            true => {
                self.view.join(slot);
                self.view.touch(slot);
            }
            false => self.view.leave(slot),
        }
    }
}

/// From how many vehicles on a browser is no longer told of each.
#[derive(Debug, Clone)]
pub struct DetailLimits {
    /// Fleets with more vehicles than this are told of by what the map shows.
    pub fleet_vehicles: usize,
    /// A viewport with more of their vehicles than this is told of counted cells.
    pub view_vehicles: usize,
}

impl Default for DetailLimits {
    fn default() -> Self {
        Self { fleet_vehicles: 100_000, view_vehicles: 20_000 }
    }
}
