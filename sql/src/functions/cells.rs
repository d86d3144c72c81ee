//! Cells that places fall into: H3, geohash, map tiles. `None` for what is no place on Earth or no size of cell.

use h3o::{CellIndex, LatLng, Resolution};
use std::fmt::Write;
use waystream_domain::LatLon;

/// Writes the H3 cell of a place as it is usual; resolution 0 to 15.
pub(super) fn h3(lat: f64, lon: f64, resolution: f64, into: &mut String) -> Option<()> {
    let resolution = Resolution::try_from(whole(resolution, 0, 15)?).ok()?;
    LatLon::new(lat, lon)?;
    write!(into, "{}", LatLng::new(lat, lon).ok()?.to_cell(resolution)).ok()
}

/// Latitude and longitude of the middle of an H3 cell.
pub(super) fn h3_centre(cell: &str) -> Option<(f64, f64)> {
    let centre = LatLng::from(cell.parse::<CellIndex>().ok()?);
    Some((centre.lat(), centre.lng()))
}

/// The alphabet of geohash (base 32 without a, i, l, o).
const GEOHASH: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";

/// Writes the geohash of a place; length 1 to 12.
pub(super) fn geohash(lat: f64, lon: f64, length: f64, into: &mut String) -> Option<()> {
    let length = whole(length, 1, 12)?;
    LatLon::new(lat, lon)?;
    // Half as many of each, longitude first.
    let lon = spread(halvings(lon, 180.0)) << 1;
    let bits = lon | spread(halvings(lat, 90.0));
    into.extend((1..=u32::from(length)).map(|n| char::from(GEOHASH[(bits >> (2 * HALVINGS - 5 * n)) as usize & 31])));
    Some(())
}

/// Of each coordinate, for twelve characters of five bits.
const HALVINGS: u32 = 30;

/// In which of 2³⁰ equal parts of `-most..=most` a value in it is. Bounds of parts are exact numbers, and belong to the upper one.
fn halvings(value: f64, most: f64) -> u32 {
    let parts = f64::from(1_u32 << HALVINGS);
    let from = |part: f64| part * (2.0 * most / parts) - most;
    // May be one off, as the sum is rounded.
    let near = ((value + most) * (parts / (2.0 * most))).floor();
    let part = if value < from(near) {
        near - 1.0
    } else if value >= from(near + 1.0) {
        near + 1.0
    } else {
        near
    };
    part.min(parts - 1.0) as u32
}

/// With a zero above each bit.
fn spread(bits: u32) -> u64 {
    let steps = [(16, 0x0000_FFFF_0000_FFFF), (8, 0x00FF_00FF_00FF_00FF), (4, 0x0F0F_0F0F_0F0F_0F0F)];
    let steps = steps.into_iter().chain([(2, 0x3333_3333_3333_3333), (1, 0x5555_5555_5555_5555)]);
    steps.fold(u64::from(bits), |bits, (shift, mask)| (bits | bits << shift) & mask)
}

/// Writes the map tile `z/x/y` (Web Mercator, XYZ) of a place; zoom 0 to 30. Nearer to the poles than 85.0511° it is the outermost one.
pub(super) fn tile(lat: f64, lon: f64, zoom: f64, into: &mut String) -> Option<()> {
    let zoom = whole(zoom, 0, 30)?;
    LatLon::new(lat, lon)?;
    let tiles = f64::from(1_u32 << zoom);
    let north = (1.0 - lat.to_radians().tan().asinh() / std::f64::consts::PI) / 2.0;
    let index = |share: f64| (share * tiles).floor().clamp(0.0, tiles - 1.0);
    write!(into, "{zoom}/{}/{}", index((lon + 180.0) / 360.0), index(north)).ok()
}

/// A whole number within these bounds.
fn whole(number: f64, least: u8, most: u8) -> Option<u8> {
    (number.fract() == 0.0 && (f64::from(least)..=f64::from(most)).contains(&number)).then_some(number as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As it is defined: half of what is left, again and again.
    fn by_halving(lat: f64, lon: f64) -> String {
        let (mut lats, mut lons) = ((-90.0, 90.0), (-180.0, 180.0));
        let mut by_lon = true;
        let mut halve = || {
            let (range, value): (&mut (f64, f64), f64) = if by_lon { (&mut lons, lon) } else { (&mut lats, lat) };
            by_lon = !by_lon;
            let middle = (range.0 + range.1) / 2.0;
            let upper = value >= middle;
            *(if upper { &mut range.0 } else { &mut range.1 }) = middle;
            usize::from(upper)
        };
        (0..12).map(|_| char::from(GEOHASH[(0..5).fold(0, |index, _| index * 2 + halve())])).collect()
    }

    /// Any, and those at and beside the bounds of cells.
    fn coordinate(most: f64) -> impl Strategy<Value = f64> {
        let bound = (0..=1_u32 << 10, 0_u32..31).prop_map(move |(part, size)| {
            (f64::from(part) * 2.0 * most / f64::from(1_u32 << size.max(10)) - most).clamp(-most, most)
        });
        let beside = (bound, -1..=1).prop_map(move |(bound, side)| match side {
            -1 => bound.next_down().max(-most),
            1 => bound.next_up().min(most),
            _ => bound,
        });
        prop_oneof![-most..=most, beside, prop_oneof![Just(0.0), Just(-1e-300), Just(1e-300), Just(most), Just(-most)]]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5_000))]

        #[test]
        fn a_geohash_is_what_halving_finds(lat in coordinate(90.0), lon in coordinate(180.0), length in 1_u8..=12) {
            let mut hash = String::new();
            prop_assert_eq!(geohash(lat, lon, length.into(), &mut hash), Some(()));
            prop_assert_eq!(&hash, &by_halving(lat, lon)[..usize::from(length)]);
        }
    }
}
