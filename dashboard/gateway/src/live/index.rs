//! Where every vehicle of some fleets is: an index by tiles of one zoom, so that looking at a part of the map costs what is there.

use super::tiles::{Spot, TileKey, Tiles};
use std::collections::HashMap;
use std::ops::ControlFlow;

/// Tiles of about 6 km in Europe: a city has some hundred vehicles in each.
const ZOOM: u8 = 12;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// By slot.
    spots: Vec<Option<Spot>>,
    /// By slot: where it stands in its tile's list.
    at: Vec<u32>,
    tiles: HashMap<TileKey, Vec<u32>>,
}

impl Index {
    /// Where a vehicle is.
    pub(crate) fn spot(&self, slot: u32) -> Option<Spot> {
        *self.spots.get(slot as usize)?
    }

    /// Puts a vehicle in or moves it; answers where it was.
    pub(crate) fn put(&mut self, slot: u32, spot: Spot) -> Option<Spot> {
        if self.spots.len() <= slot as usize {
            self.spots.resize(slot as usize + 1, None);
            self.at.resize(slot as usize + 1, 0);
        }
        let old = self.spots[slot as usize].replace(spot);
        let key = spot.place.tile(ZOOM);
        if old.is_none_or(|old| old.place.tile(ZOOM) != key) {
            if let Some(old) = old {
                self.take_out(slot, old);
            }
            let list = self.tiles.entry(key).or_default();
            self.at[slot as usize] = list.len() as u32;
            list.push(slot);
        }
        old
    }

    /// Takes a vehicle out; answers where it was.
    pub(crate) fn remove(&mut self, slot: u32) -> Option<Spot> {
        let old = self.spots.get_mut(slot as usize)?.take()?;
        self.take_out(slot, old);
        Some(old)
    }

    fn take_out(&mut self, slot: u32, spot: Spot) {
        let key = spot.place.tile(ZOOM);
        let Some(list) = self.tiles.get_mut(&key) else { return };
        let at = self.at[slot as usize];
        list.swap_remove(at as usize);
        match list.get(at as usize) {
            Some(&moved) => self.at[moved as usize] = at,
            None if list.is_empty() => drop(self.tiles.remove(&key)),
            None => {}
        }
    }

    /// The vehicles in a part of the map.
    pub(crate) fn within(&self, part: &Tiles) -> Vec<u32> {
        let mut found = Vec::new();
        let all = self.visit(part, |list, whole| {
            found.extend(list.iter().copied().filter(|&slot| whole || self.spot(slot).is_some_and(|s| part.contains(s.place))));
            ControlFlow::Continue(())
        });
        debug_assert!(all.is_continue(), "nothing stops it");
        found
    }

    /// Whether there are more than so many vehicles in a part of the map.
    pub(crate) fn has_more(&self, part: &Tiles, than: usize) -> bool {
        let mut count = 0;
        let all = self.visit(part, |list, whole| {
            let inside = |slot: &&u32| self.spot(**slot).is_some_and(|s| part.contains(s.place));
            count += if whole { list.len() } else { list.iter().filter(inside).count() };
            if count > than { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        all.is_break()
    }

    /// The lists of the tiles that the part touches, and whether it holds them wholly.
    fn visit(&self, part: &Tiles, mut f: impl FnMut(&[u32], bool) -> ControlFlow<()>) -> ControlFlow<()> {
        // Whatever is less to look at: the tiles there could be, or those there are.
        match part.at(ZOOM, self.tiles.len() as u64) {
            Some(ours) => {
                for key in ours.keys() {
                    if let Some(list) = self.tiles.get(&key) {
                        f(list, part.covers(ZOOM, key))?;
                    }
                }
            }
            None => {
                for (_, list) in self.tiles.iter().filter(|(key, _)| part.covers(ZOOM, **key)) {
                    f(list, true)?;
                }
            }
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::live::Look;
    use crate::live::tiles::Place;
    use crate::wire::Viewport;

    pub(crate) fn spot(lat_e6: i32, lon_e6: i32) -> Spot {
        Spot { place: Place::of(lat_e6, lon_e6), look: Look::Moving, speed_kmh: Some(36), course: 64 }
    }

    #[test]
    fn a_part_of_the_map_holds_who_is_in_it_whatever_its_zoom() {
        // A small generator (Knuth's MMIX constants), so that a failure repeats.
        let mut random = 3u64;
        let mut draw = move |n: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % n
        };
        let mut index = Index::default();
        let mut truth: Vec<Option<Spot>> = vec![None; 300];
        for round in 0..40 {
            for _ in 0..200 {
                let slot = draw(300) as u32;
                // Around the antimeridian, some in one small place.
                let wide = if draw(2) == 0 { 20_000_000 } else { 20_000 };
                let (lat, lon) =
                    (draw(wide) as i32, (170_000_000 + draw(wide) as i32 + 180_000_000) % 360_000_000 - 180_000_000);
                let (was, is) = match draw(4) {
                    0 => (index.remove(slot), None),
                    _ => (index.put(slot, spot(lat, lon)), Some(spot(lat, lon))),
                };
                assert_eq!(was, std::mem::replace(&mut truth[slot as usize], is));
            }
            let zoom = (round % 20) as u8;
            let world = 1u32 << zoom;
            let near = Place::of(10_000, 170_010_000).tile(zoom);
            let (w, h) = (world.min(1 + round % 7), (world - near.1).min(1 + round % 3));
            let part = Tiles::new(&Viewport { zoom, x: near.0, y: near.1, w, h }).expect("a part of the map");
            let mut found = index.within(&part);
            found.sort_unstable();
            let expected: Vec<u32> = (0..300).filter(|&i| truth[i as usize].is_some_and(|s| part.contains(s.place))).collect();
            assert_eq!(found, expected, "zoom {zoom}");
            if let Some(less) = expected.len().checked_sub(1) {
                assert!(index.has_more(&part, less));
            }
            assert!(!index.has_more(&part, expected.len()));
        }
    }
}
