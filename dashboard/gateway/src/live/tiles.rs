//! Parts of the map: places on the Web Mercator square, and rectangles of whole tiles.

use super::Look;
use crate::wire::Viewport;
use crate::wire::cells::{CELLS_PER_TILE, MAX_TILES};
use crate::wire::frame::{FrameRecord, SPEED_UNKNOWN};
use std::f64::consts::TAU;

/// Deepest zoom of a viewport.
const MAX_ZOOM: u8 = 22;

/// A place on the square that the world is, in 2^-32 of its edge: x grows east, y grows south.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    x: u32,
    y: u32,
}

impl Place {
    /// Of coordinates, 1e-6 degree. Beyond the square's ends is at them.
    pub(crate) fn of(lat_e6: i32, lon_e6: i32) -> Self {
        let sine = (f64::from(lat_e6) / 1e6).to_radians().sin().clamp(-0.999_999, 0.999_999);
        let (x, y) = (f64::from(lon_e6) / 360e6 + 0.5, 0.5 - ((1.0 + sine) / (1.0 - sine)).ln() / (2.0 * TAU));
        // A cast saturates: 180 degrees west and east lie at the two ends.
        let scaled = |v: f64| (v.clamp(0.0, 1.0) * 4_294_967_296.0) as u32;
        Self { x: scaled(x), y: scaled(y) }
    }

    /// Tile column and row.
    pub(crate) fn tile(self, zoom: u8) -> TileKey {
        (at_zoom(self.x, zoom), at_zoom(self.y, zoom))
    }

    /// Which of the cells of its tile, row by row.
    pub(crate) fn cell(self, zoom: u8) -> usize {
        let column = |v: u32| at_zoom(v, zoom + 2) % CELLS_PER_TILE;
        (column(self.y) * CELLS_PER_TILE + column(self.x)) as usize
    }

    /// How far into its cell from the west and the north, in 256ths.
    pub(crate) fn in_cell(self, zoom: u8) -> (u8, u8) {
        let share = |v: u32| (v >> (22 - zoom)) as u8;
        (share(self.x), share(self.y))
    }
}

/// The first bits.
fn at_zoom(v: u32, zoom: u8) -> u32 {
    (u64::from(v) >> (32 - zoom)) as u32
}

/// Column and row of a tile.
pub(crate) type TileKey = (u32, u32);

/// What the map needs to know of a vehicle that is only counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) place: Place,
    pub(crate) look: Look,
    /// Up to 254.
    pub(crate) speed_kmh: Option<u8>,
    /// 360/256 degree.
    pub(crate) course: u8,
}

impl Spot {
    /// Of a vehicle as it goes into a frame.
    pub(crate) fn of(r: &FrameRecord) -> Self {
        let speed_kmh = (r.speed != SPEED_UNKNOWN).then(|| (r.speed / 10).min(254) as u8);
        Self { place: Place::of(r.lat_e6, r.lon_e6), look: Look::of(r.status), speed_kmh, course: r.course }
    }
}

/// A rectangle of tiles of one zoom: what a browser shows. Checked: it lies in the world, and is not too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Tiles {
    zoom: u8,
    x: u32,
    y: u32,
    w: u32,
    h: u32,
}

impl Tiles {
    /// `None` if there is no such part of the map.
    pub(crate) fn new(viewport: &Viewport) -> Option<Self> {
        let &Viewport { zoom, x, y, w, h } = viewport;
        let world = 1u32.checked_shl(u32::from(zoom)).filter(|_| zoom <= MAX_ZOOM)?;
        let lies = x < world && (1..=world).contains(&w) && h >= 1 && y < world && h <= world - y;
        (lies && u64::from(w) * u64::from(h) <= u64::from(MAX_TILES)).then_some(Self { zoom, x, y, w, h })
    }

    /// One tile.
    pub(crate) fn one(zoom: u8, (x, y): TileKey) -> Self {
        Self { zoom, x, y, w: 1, h: 1 }
    }

    /// As browsers say it.
    pub(crate) fn viewport(&self) -> Viewport {
        let &Self { zoom, x, y, w, h } = self;
        Viewport { zoom, x, y, w, h }
    }

    /// Of the tiles.
    pub(crate) fn zoom(&self) -> u8 {
        self.zoom
    }

    fn world(&self) -> u32 {
        1 << self.zoom
    }

    /// Whether a tile of the same zoom is in it.
    pub(crate) fn has(&self, (x, y): TileKey) -> bool {
        self.column(x) < self.w && (self.y..self.y + self.h).contains(&y)
    }

    /// Columns east of the westernmost.
    fn column(&self, x: u32) -> u32 {
        x.wrapping_sub(self.x) & (self.world() - 1)
    }

    /// Its tiles.
    pub(crate) fn keys(self) -> impl Iterator<Item = TileKey> {
        let mask = self.world() - 1;
        (self.y..self.y + self.h).flat_map(move |y| (0..self.w).map(move |column| (self.x.wrapping_add(column) & mask, y)))
    }

    /// It and the tiles around it.
    pub(crate) fn with_ring(self) -> Self {
        let w = (self.w + 2).min(self.world());
        let x = if w == self.w { self.x } else { self.x.wrapping_sub(1) & (self.world() - 1) };
        let y = self.y.saturating_sub(1);
        Self { x, w, y, h: (self.y + self.h + 1).min(self.world()) - y, ..self }
    }

    /// Whether a place is in it.
    pub(crate) fn contains(&self, place: Place) -> bool {
        self.has(place.tile(self.zoom))
    }

    /// Whether a place is in it or not farther from it than a quarter of a tile.
    pub(crate) fn is_near(&self, place: Place) -> bool {
        let deep = self.zoom + 2;
        let edge = |v: u32| u64::from(v) * 4;
        let (x, y) = (u64::from(at_zoom(place.x, deep)), u64::from(at_zoom(place.y, deep)));
        let east_of = (x + 1).wrapping_sub(edge(self.x)) & (edge(self.world()) - 1);
        let wide = (edge(self.w) + 2).min(edge(self.world()));
        east_of < wide && y + 1 >= edge(self.y) && y < edge(self.y + self.h) + 1
    }

    /// Number of a cell in frames, given its tile and its place in it.
    pub(crate) fn number(&self, (x, y): TileKey, cell: usize) -> u32 {
        let (row, column) = (cell as u32 / CELLS_PER_TILE, cell as u32 % CELLS_PER_TILE);
        ((y - self.y) * CELLS_PER_TILE + row) * self.w * CELLS_PER_TILE + self.column(x) * CELLS_PER_TILE + column
    }

    /// The tiles of another zoom that cover it; too many are `None`.
    pub(crate) fn at(&self, zoom: u8, most: u64) -> Option<Self> {
        if zoom <= self.zoom {
            let up = self.zoom - zoom;
            let world = 1u32 << zoom;
            let (x, y) = (self.x >> up, self.y >> up);
            // The last column, were the world not round.
            let last = (u64::from(self.x) + u64::from(self.w) - 1) >> up;
            let w = (last - u64::from(x) + 1).min(u64::from(world)) as u32;
            return Some(Self { zoom, x, y, w, h: ((self.y + self.h - 1) >> up) - y + 1 });
        }
        let down = zoom - self.zoom;
        let tiles = (u64::from(self.w) * u64::from(self.h)).checked_shl(2 * u32::from(down))?;
        let deeper = |v: u32| v << down;
        (tiles <= most).then(|| Self { zoom, x: deeper(self.x), y: deeper(self.y), w: deeper(self.w), h: deeper(self.h) })
    }

    /// Whether a tile of a deeper or the same zoom lies in it wholly.
    pub(crate) fn covers(&self, zoom: u8, (x, y): TileKey) -> bool {
        zoom >= self.zoom && self.has((x >> (zoom - self.zoom), y >> (zoom - self.zoom)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiles(zoom: u8, x: u32, y: u32, w: u32, h: u32) -> Tiles {
        Tiles::new(&Viewport { zoom, x, y, w, h }).expect("a part of the map")
    }

    #[test]
    fn places_lie_where_the_usual_tiles_have_them() {
        // Berlin and Sydney, as any map of tiles has them.
        for (lat, lon, zoom, tile) in [
            (52_520_000, 13_405_000, 10, (550, 335)),
            (-33_868_820, 151_209_290, 12, (3768, 2457)),
            (0, 0, 0, (0, 0)),
            (90_000_000, 180_000_000, 3, (7, 0)),
            (-90_000_000, -180_000_000, 3, (0, 7)),
        ] {
            assert_eq!(Place::of(lat, lon).tile(zoom), tile);
        }
    }

    #[test]
    fn what_is_not_of_this_world_is_refused() {
        for (zoom, x, y, w, h) in [
            (23, 0, 0, 1, 1),
            (255, 0, 0, 1, 1),
            (2, 4, 0, 1, 1),
            (2, 0, 3, 1, 2),
            (2, 0, u32::MAX, 1, 1),
            (2, 0, 0, 0, 1),
            (2, 0, 0, 1, 0),
            (2, 0, 0, 5, 1),
            (10, 0, 0, 321, 1),
            (22, 0, 0, 1 << 20, 1 << 20),
        ] {
            assert_eq!(Tiles::new(&Viewport { zoom, x, y, w, h }), None);
        }
    }

    #[test]
    fn a_part_of_the_map_may_lie_across_the_antimeridian() {
        let part = tiles(4, 15, 3, 3, 2);
        assert_eq!(part.keys().collect::<Vec<_>>(), [(15, 3), (0, 3), (1, 3), (15, 4), (0, 4), (1, 4)]);
        assert!(part.has((0, 4)) && !part.has((2, 4)) && !part.has((14, 3)) && !part.has((0, 5)));
        assert_eq!(part.with_ring().viewport(), Viewport { zoom: 4, x: 14, y: 2, w: 5, h: 4 });
        assert_eq!((part.number((15, 3), 0), part.number((0, 4), 5)), (0, 5 * 12 + 5));
        assert_eq!(tiles(1, 1, 0, 2, 2).with_ring().viewport(), Viewport { zoom: 1, x: 1, y: 0, w: 2, h: 2 });
        assert_eq!(part.at(3, 0).map(|t| t.viewport()), Some(Viewport { zoom: 3, x: 7, y: 1, w: 2, h: 2 }));
        assert_eq!(part.at(5, 24).map(|t| t.viewport()), Some(Viewport { zoom: 5, x: 30, y: 6, w: 6, h: 4 }));
        assert_eq!(part.at(5, 23), None);
    }

    #[test]
    fn near_is_a_quarter_of_a_tile_around() {
        // One tile of 45 degrees, from 0 to 45 degrees east: a quarter is 11.25.
        let part = tiles(3, 4, 3, 1, 1);
        for (lon, contains, near) in
            [(1, true, true), (-1, false, true), (-11, false, true), (-12, false, false), (56, false, true), (57, false, false)]
        {
            let place = Place::of(10_000_000, lon * 1_000_000);
            assert_eq!((part.contains(place), part.is_near(place)), (contains, near), "{lon}");
        }
        let around = tiles(3, 0, 3, 8, 1);
        assert!(around.is_near(Place::of(10_000_000, 179_900_000)) && !around.is_near(Place::of(-30_000_000, 0)));
    }

    #[test]
    fn cells_are_quarters_of_quarters() {
        let place = Place::of(10_000_000, 1_000_000);
        // 1 degree of 45: the first cell from the west; 10 degrees north of 0 to 40.98: the last from the north.
        assert_eq!((place.tile(3), place.cell(3)), ((4, 3), 12));
        let (west, _) = place.in_cell(3);
        assert_eq!(west, (256.0 / 11.25) as u8);
    }
}
