//! Cells that places fall into: H3, geohash, map tiles. `None` for what is no place on Earth or no size of cell.

use h3o::{CellIndex, LatLng, Resolution};
use waystream_domain::LatLon;

/// The H3 cell of a place as it is usually written; resolution 0 to 15.
pub(super) fn h3(lat: f64, lon: f64, resolution: f64) -> Option<String> {
    let resolution = Resolution::try_from(whole(resolution, 0, 15)?).ok()?;
    LatLon::new(lat, lon)?;
    Some(LatLng::new(lat, lon).ok()?.to_cell(resolution).to_string())
}

/// Latitude and longitude of the middle of an H3 cell.
pub(super) fn h3_centre(cell: &str) -> Option<(f64, f64)> {
    let centre = LatLng::from(cell.parse::<CellIndex>().ok()?);
    Some((centre.lat(), centre.lng()))
}

/// The alphabet of geohash (base 32 without a, i, l, o).
const GEOHASH: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";

/// The geohash of a place; length 1 to 12.
pub(super) fn geohash(lat: f64, lon: f64, length: f64) -> Option<String> {
    let length = whole(length, 1, 12)?;
    LatLon::new(lat, lon)?;
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
    Some((0..length).map(|_| char::from(GEOHASH[(0..5).fold(0, |index, _| index * 2 + halve())])).collect())
}

/// The map tile `z/x/y` (Web Mercator, XYZ) of a place; zoom 0 to 30. Nearer to the poles than 85.0511° it is the outermost one.
pub(super) fn tile(lat: f64, lon: f64, zoom: f64) -> Option<String> {
    let zoom = whole(zoom, 0, 30)?;
    LatLon::new(lat, lon)?;
    let tiles = f64::from(1_u32 << zoom);
    let north = (1.0 - lat.to_radians().tan().asinh() / std::f64::consts::PI) / 2.0;
    let index = |share: f64| (share * tiles).floor().clamp(0.0, tiles - 1.0);
    Some(format!("{zoom}/{}/{}", index((lon + 180.0) / 360.0), index(north)))
}

/// A whole number within these bounds.
fn whole(number: f64, least: u8, most: u8) -> Option<u8> {
    (number.fract() == 0.0 && (f64::from(least)..=f64::from(most)).contains(&number)).then_some(number as u8)
}
