//! A grid over the Earth, to find what is near without looking at all.

use crate::LatLon;
use crate::geofence::index::Bounds;

/// A cell of the grid is 2^16 · 1e-7 degree wide and high: 730 m at most.
const SHIFT: u32 = 16;
const SOUTH: i64 = -900_000_000;
const WEST: i64 = -1_800_000_000;

/// Row and column, 16 bits each.
pub(crate) fn cell_of(x: i32, y: i32) -> u32 {
    let count = |from: i64| (from >> SHIFT) as u32;
    count(i64::from(y) - SOUTH) << 16 | count(i64::from(x) - WEST)
}

/// The cell of a place.
pub(crate) fn cell_at(at: LatLon) -> u32 {
    cell_of(at.lon_e7(), at.lat_e7())
}

/// The places of a cell, its edges included.
pub(crate) fn bounds_of(cell: u32) -> Bounds {
    let clamp = |n: i64| n.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32;
    let (west, south) = (WEST + (i64::from(cell & 0xffff) << SHIFT), SOUTH + (i64::from(cell >> 16) << SHIFT));
    let last = (1 << SHIFT) - 1;
    [clamp(west), clamp(south), clamp(west + last), clamp(south + last)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_place_lies_in_its_cell(x in -1_800_000_000..=1_800_000_000i32, y in -900_000_000..=900_000_000i32) {
            let [west, south, east, north] = bounds_of(cell_of(x, y));
            prop_assert!(west <= x && x <= east && south <= y && y <= north);
            prop_assert_eq!(cell_of(west, south), cell_of(x, y));
            prop_assert_eq!(cell_of(east, north), cell_of(x, y));
        }
    }
}
