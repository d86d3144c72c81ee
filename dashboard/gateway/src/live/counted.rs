//! Counted cells of one zoom, kept up to date by every move, of the tiles that somebody looks at.

use super::index::Index;
use super::tiles::{Spot, TileKey, Tiles};
use crate::wire::cells::{CELL_SPEED_UNKNOWN, CELLS_PER_TILE, CellRecord, CellSum, Look};
use std::collections::HashMap;

/// What has been added up of a cell's vehicles: all of it can be taken away again.
#[derive(Debug, Clone, Copy, Default)]
struct Counter {
    looks: [u32; Look::ALL.len()],
    telling_speed: u32,
    speed_kmh: u64,
    course: u64,
    west: u64,
    north: u64,
}

impl Counter {
    /// `count`: adding or taking one away, whichever of the two is passed.
    fn change(&mut self, spot: &Spot, zoom: u8, count: fn(u64, u64) -> u64) {
        let change = |n: &mut u32| *n = count(u64::from(*n), 1) as u32;
        change(&mut self.looks[spot.look as usize]);
        if let Some(speed_kmh) = spot.speed_kmh {
            change(&mut self.telling_speed);
            self.speed_kmh = count(self.speed_kmh, u64::from(speed_kmh));
        }
        let (west, north) = spot.place.in_cell(zoom);
        self.course = count(self.course, u64::from(spot.course));
        self.west = count(self.west, u64::from(west));
        self.north = count(self.north, u64::from(north));
    }

    fn count(&self) -> u64 {
        self.looks.iter().map(|&n| u64::from(n)).sum()
    }

    fn sum(&self) -> CellSum {
        let count = self.count();
        if count == 0 {
            return CellSum::EMPTY;
        }
        let speed = self.speed_kmh.checked_div(u64::from(self.telling_speed));
        let sixteenth = |sum: u64| (sum / count / 16) as u8;
        CellSum {
            looks: self.looks,
            speed_kmh: speed.map_or(CELL_SPEED_UNKNOWN, |v| v as u8),
            course: if count == 1 { self.course as u8 } else { 0 },
            place: sixteenth(self.west) | sixteenth(self.north) << 4,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Cell {
    counter: Counter,
    /// As browsers are told.
    told: CellSum,
    /// Since this state.
    since: u64,
}

#[derive(Debug)]
struct Tile {
    users: u32,
    cells: Box<[Cell; CELLS_PER_TILE.pow(2) as usize]>,
}

/// See the module. What is told changes with [`Self::tell`] only; states are numbered by the caller, ascending.
#[derive(Debug)]
pub(crate) struct Counted {
    zoom: u8,
    tiles: HashMap<TileKey, Tile>,
}

impl Counted {
    /// Nobody looks yet.
    pub(crate) fn new(zoom: u8) -> Self {
        Self { zoom, tiles: HashMap::new() }
    }

    /// Whether nobody looks.
    pub(crate) fn is_idle(&self) -> bool {
        self.tiles.is_empty()
    }

    /// Somebody looks at these tiles. Those that nobody looked at before are counted, and told of as they are, in a new state.
    pub(crate) fn hold(&mut self, part: &Tiles, index: &Index, state: u64) {
        for key in part.keys() {
            if let Some(tile) = self.tiles.get_mut(&key) {
                tile.users += 1;
                continue;
            }
            let empty = Cell { counter: Counter::default(), told: CellSum::EMPTY, since: state };
            let mut cells = Box::new([empty; CELLS_PER_TILE.pow(2) as usize]);
            for spot in index.within(&Tiles::one(self.zoom, key)).into_iter().filter_map(|slot| index.spot(slot)) {
                cells[spot.place.cell(self.zoom)].counter.change(&spot, self.zoom, u64::wrapping_add);
            }
            cells.iter_mut().for_each(|cell| cell.told = cell.counter.sum());
            self.tiles.insert(key, Tile { users: 1, cells });
        }
    }

    /// The contrary of [`Self::hold`].
    pub(crate) fn release(&mut self, part: &Tiles) {
        for key in part.keys() {
            let Some(tile) = self.tiles.get_mut(&key) else { continue };
            tile.users -= 1;
            if tile.users == 0 {
                self.tiles.remove(&key);
            }
        }
    }

    /// A vehicle has gone from one place to another; from nowhere: it is new; to nowhere: it is gone.
    pub(crate) fn shift(&mut self, was: Option<&Spot>, is: Option<&Spot>) {
        let mut change = |spot: &Spot, count| {
            if let Some(tile) = self.tiles.get_mut(&spot.place.tile(self.zoom)) {
                tile.cells[spot.place.cell(self.zoom)].counter.change(spot, self.zoom, count);
            }
        };
        was.into_iter().for_each(|spot| change(spot, u64::wrapping_sub));
        is.into_iter().for_each(|spot| change(spot, u64::wrapping_add));
    }

    /// From now on browsers are told what is so now.
    pub(crate) fn tell(&mut self, state: u64) {
        for cell in self.tiles.values_mut().flat_map(|tile| tile.cells.iter_mut()) {
            let now = cell.counter.sum();
            if now != cell.told {
                (cell.told, cell.since) = (now, state);
            }
        }
    }

    /// Vehicles in a part that is held.
    pub(crate) fn count(&self, part: &Tiles) -> usize {
        let held = part.keys().filter_map(|key| self.tiles.get(&key));
        held.flat_map(|tile| tile.cells.iter()).map(|cell| cell.counter.count() as usize).sum()
    }

    /// What a browser that shows this part has to be told if it `has` another one (or the same) as of a state; `None`: nothing.
    pub(crate) fn news(&self, part: &Tiles, has: Option<(&Tiles, u64)>) -> Vec<CellRecord> {
        let mut news = Vec::new();
        for key in part.keys() {
            let Some(tile) = self.tiles.get(&key) else { continue };
            let known = has.filter(|(old, _)| old.has(key)).map(|(_, state)| state);
            for (at, cell) in tile.cells.iter().enumerate() {
                let is_news = known.map_or(cell.told.count() > 0, |state| cell.since > state);
                if is_news {
                    news.push(CellRecord { cell: part.number(key, at), sum: cell.told });
                }
            }
        }
        news.sort_unstable_by_key(|record| record.cell);
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::index::tests::spot;
    use crate::live::tiles::Place;
    use crate::wire::Viewport;

    /// A tile of 45 degrees of longitude and its neighbour to the east.
    fn part() -> Tiles {
        Tiles::new(&Viewport { zoom: 3, x: 4, y: 3, w: 2, h: 1 }).expect("a part of the map")
    }

    fn of(look: Look, speed_kmh: Option<u8>) -> Spot {
        Spot { look, speed_kmh, ..spot(10_000_000, 1_000_000) }
    }

    #[test]
    fn a_cell_tells_how_many_of_each_status() {
        let mut counted = Counted::new(3);
        counted.hold(&part(), &Index::default(), 1);
        counted.shift(None, Some(&of(Look::Parked, None)));
        counted.tell(2);
        let number = part().number((4, 3), 12);
        let lone = CellSum { looks: [0, 0, 1, 0, 0, 0], speed_kmh: CELL_SPEED_UNKNOWN, course: 64, place: 0x11 };
        assert_eq!(counted.news(&part(), None), [CellRecord { cell: number, sum: lone }]);
        for (look, speed) in [(Look::Moving, Some(50)), (Look::Moving, Some(101)), (Look::Late, Some(0))] {
            counted.shift(None, Some(&of(look, speed)));
        }
        // Told is what was so at the last beat.
        assert_eq!(counted.news(&part(), None)[0].sum, lone);
        assert_eq!(counted.news(&part(), Some((&part(), 2))), []);
        counted.tell(3);
        let four = CellSum { looks: [2, 0, 1, 1, 0, 0], speed_kmh: 50, course: 0, place: 0x11 };
        assert_eq!(counted.news(&part(), Some((&part(), 2))), [CellRecord { cell: number, sum: four }]);
        assert_eq!(counted.news(&part(), Some((&part(), 3))), []);
        counted.shift(Some(&of(Look::Late, Some(0))), Some(&of(Look::Alarm, None)));
        counted.tell(4);
        assert_eq!(counted.news(&part(), None)[0].sum, CellSum { looks: [2, 0, 1, 0, 0, 1], speed_kmh: 75, ..four });
        assert_eq!(counted.count(&part()), 4);
    }

    #[test]
    fn a_cell_that_has_become_empty_is_told_of_once() {
        let mut counted = Counted::new(3);
        let mut index = Index::default();
        index.put(7, of(Look::Moving, None));
        counted.hold(&part(), &index, 1);
        counted.shift(Some(&of(Look::Moving, None)), None);
        counted.tell(2);
        let gone = counted.news(&part(), Some((&part(), 1)));
        assert_eq!((gone.len(), gone[0].sum), (1, CellSum::EMPTY));
        assert_eq!(counted.news(&part(), Some((&part(), 2))), []);
        assert_eq!(counted.news(&part(), None), []);
    }

    #[test]
    fn who_comes_from_the_neighbouring_part_is_told_what_is_new_there() {
        let mut counted = Counted::new(3);
        let mut index = Index::default();
        let (west, east) = (spot(10_000_000, 1_000_000), spot(10_000_000, 46_000_000));
        index.put(1, west);
        index.put(2, east);
        let old = Tiles::one(3, Place::of(10_000_000, 1_000_000).tile(3));
        counted.hold(&old, &index, 1);
        counted.hold(&part(), &index, 2);
        let news = counted.news(&part(), Some((&old, 1)));
        assert_eq!(news.iter().map(|r| r.cell).collect::<Vec<_>>(), [part().number((5, 3), 12)]);
        counted.release(&old);
        counted.release(&part());
        assert!(counted.is_idle());
    }
}
