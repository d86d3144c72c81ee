//! KML 2.2: tracks (`gx:Track`, a time for each place) and points with a time stamp. Lines and areas without times are no fixes, and are
//! passed over; geofences read them elsewhere.
//!
//! KML does not say whose track it is; the caller names the device.

use super::xml::{Element, Elements};
use super::{RowFault, TrackPoint};
use crate::protocol::{Fault, FaultKind, Fix};
use crate::readers::{FixBuilder, malformed};
use std::collections::VecDeque;
use std::io::{self, Read};
use waystream_domain::{DeviceId, Timestamp};

/// Times of a track that may wait for their places, and the other way round: some programs write all of the one before the other.
const MAX_WAITING: usize = 1_000_000;
/// Longest of them: nothing longer is a time, or a place.
const MAX_SAID_BYTES: usize = 256;

/// Reads the fixes of a KML file.
pub fn read<R: Read>(input: R, device: DeviceId) -> Reader<R> {
    Reader { xml: Elements::of(input), device, times: VecDeque::new(), places: VecDeque::new(), stamp: None, point: None }
}

/// The fixes of a KML file.
pub struct Reader<R> {
    xml: Elements<R>,
    device: DeviceId,
    /// Of the track that is open, without a place yet.
    times: VecDeque<Said>,
    /// The same without a time.
    places: VecDeque<Said>,
    /// Of the placemark that is open.
    stamp: Option<Said>,
    point: Option<Said>,
}

/// A time and its place. One is missing if the file forgot it.
struct Pair {
    time: Option<Said>,
    place: Option<Said>,
}

/// What an element said.
struct Said {
    line: u64,
    text: String,
}

impl Said {
    fn new(line: u64, text: &str) -> Self {
        let text = text.trim();
        Self { line, text: text[..text.floor_char_boundary(MAX_SAID_BYTES)].to_owned() }
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<TrackPoint, RowFault>;

    fn next(&mut self) -> Option<Self::Item> {
        let found = self.next_pair().map(|pair| pair.map(|pair| (pair.line(), pair.fix())));
        self.xml.row(found, &self.device)
    }
}

impl<R: Read> Reader<R> {
    fn next_pair(&mut self) -> io::Result<Option<Pair>> {
        loop {
            let Some(element) = self.xml.next()? else { return Ok(None) };
            let Element::Close { line, name, text } = element else { continue };
            let said = Said::new(line, &text);
            match (name.as_str(), self.xml.parent()) {
                ("when", Some("TimeStamp")) => self.stamp = Some(said),
                ("coordinates", Some("Point")) => self.point = Some(said),
                ("when", Some("Track")) => self.times.push_back(said),
                ("coord", Some("Track")) => self.places.push_back(said),
                ("Placemark", _) => {
                    // A place without a time is a place to see.
                    if let (Some(time), Some(place)) = (self.stamp.take(), self.point.take()) {
                        return Ok(Some(Pair { time: Some(time), place: Some(place) }));
                    }
                }
                ("Track", _) if !self.times.is_empty() || !self.places.is_empty() => {
                    // One for which there is no partner: told once for the track.
                    let (time, place) = (self.times.pop_front(), self.places.pop_front());
                    self.times.clear();
                    self.places.clear();
                    return Ok(Some(Pair { time, place }));
                }
                _ => {}
            }
            if !self.times.is_empty() && !self.places.is_empty() {
                return Ok(Some(Pair { time: self.times.pop_front(), place: self.places.pop_front() }));
            }
            if self.times.len().max(self.places.len()) > MAX_WAITING {
                let error = format!("a track with more than {MAX_WAITING} times before its places");
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
        }
    }
}

impl Pair {
    fn line(&self) -> u64 {
        self.place.as_ref().or(self.time.as_ref()).map_or(0, |said| said.line)
    }

    /// Places are longitude, latitude and perhaps altitude; in a track with spaces between them, in a point with commas.
    fn fix(&self) -> Result<Fix, Fault> {
        let time = self.time.as_ref().ok_or_else(|| Fault::new(FaultKind::BadTime, "a place without a time"))?.text.trim();
        let place = self.place.as_ref().ok_or_else(|| malformed("a time without a place"))?.text.trim();
        let mut numbers = place.split([',', ' ', '\t', '\n', '\r']).filter(|text| !text.is_empty()).map(str::parse::<f64>);
        let (Some(Ok(lon)), Some(Ok(lat))) = (numbers.next(), numbers.next()) else {
            return Err(malformed(format!("{place:?} is not a longitude and a latitude")));
        };
        let time = Timestamp::parse(time)
            .ok_or_else(|| Fault::new(FaultKind::BadTime, format!("{time:?} is not an ISO 8601 time")))?;
        let mut fix = FixBuilder::valid(true);
        // Where altitudes were not recorded 0 is written.
        if let Some(Ok(altitude_m)) = numbers.next()
            && altitude_m != 0.0
        {
            fix.altitude_m(altitude_m);
        }
        fix.at(time, lat, lon)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    type Row = (String, f64, f64, Option<f32>);

    fn rows(kml: &str) -> Vec<Result<Row, String>> {
        let rows = read(kml.as_bytes(), DeviceId::new("car").unwrap());
        rows.map(|row| {
            let TrackPoint { device, fix } = row.map_err(|fault| fault.to_string())?;
            assert_eq!(device.as_str(), "car");
            Ok((fix.fix_time.to_string(), fix.location.lat_deg(), fix.location.lon_deg(), fix.altitude_m))
        })
        .collect()
    }

    #[test]
    fn a_track_is_read_whether_its_times_stand_before_its_places_or_between_them() {
        let [a, b] = ["2010-05-28T02:02:09Z", "2010-05-28T02:02:35Z"];
        let (at_a, at_b) = ("<gx:coord>-122.207881 37.371915 156.0</gx:coord>", "<gx:coord>-122.205712 37.373288 0</gx:coord>");
        let of = |inner: String| {
            rows(&format!(
                "<kml xmlns='http://www.opengis.net/kml/2.2' xmlns:gx='http://www.google.com/kml/ext/2.2'><Document><Placemark>\
                 <gx:MultiTrack><gx:Track><altitudeMode>absolute</altitudeMode>{inner}</gx:Track></gx:MultiTrack></Placemark>\
                 </Document></kml>"
            ))
        };
        let read = of(format!("<when>{a}</when><when>{b}</when>{at_a}{at_b}"));
        assert_eq!(
            read,
            [
                Ok(("2010-05-28T02:02:09.000Z".into(), 37.371_915, -122.207_881, Some(156.0))),
                Ok(("2010-05-28T02:02:35.000Z".into(), 37.373_288, -122.205_712, None)),
            ]
        );
        assert_eq!(of(format!("<when>{a}</when>{at_a}<when>{b}</when>{at_b}")), read);
        assert_eq!(of(format!("{at_a}{at_b}<when>{a}</when><when>{b}</when>")), read);
        let lacking = of(format!("<when>{a}</when>{at_a}{at_b}"));
        assert_eq!(lacking[0], read[0]);
        assert_eq!(lacking[1..], [Err("line 1: a place without a time (bad_time)".into())]);
    }

    #[test]
    fn a_point_with_a_time_stamp_is_a_fix_and_what_has_no_time_is_none() {
        let read = rows(
            "<kml><Placemark><name>Depot</name><Point><coordinates>1,2</coordinates></Point></Placemark>\n\
             <Placemark><TimeStamp><when>2007-01-14T21:05:02Z</when></TimeStamp><Point><coordinates> -122.536226,37.86047,5 </coordinates></Point></Placemark>\n\
             <Placemark><LineString><coordinates>1,2 3,4</coordinates></LineString></Placemark>\n\
             <Placemark><TimeStamp><when>soon</when></TimeStamp><Point><coordinates>1,2</coordinates></Point></Placemark>\n\
             <Placemark><TimeStamp><when>2007-01-14T21:05:02Z</when></TimeStamp><Point><coordinates>1,92</coordinates></Point></Placemark>",
        );
        assert_eq!(read[0], Ok(("2007-01-14T21:05:02.000Z".into(), 37.860_47, -122.536_226, Some(5.0))));
        assert_eq!(read[1], Err("line 4: \"soon\" is not an ISO 8601 time (bad_time)".into()));
        assert!(read[2].as_ref().unwrap_err().ends_with("(out_of_range)"), "{read:?}");
        assert_eq!(read[3..], [Err("could not read on after line 5".into())], "its end is missing");
    }
}
