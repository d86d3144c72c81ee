//! GPX 1.0 and 1.1: the points of tracks. Waypoints and routes are places to go to, not fixes, and are passed over.
//!
//! GPX does not say whose track it is; the caller names the device. Only in files that we wrote is a track's name its device.

use super::write::CREATOR;
use super::xml::{Element, Elements};
use super::{RowFault, TrackPoint};
use crate::protocol::{Fault, FaultKind, Fix};
use crate::readers::{FixBuilder, malformed};
use crate::vocabulary as name;
use std::io::{self, Read};
use waystream_domain::{DeviceId, Timestamp};

/// Reads the track points of a GPX file.
pub fn read<R: Read>(input: R, device: DeviceId) -> Reader<R> {
    Reader { xml: Elements::of(input), device, ours: false, point: None }
}

/// The points of a GPX file.
pub struct Reader<R> {
    xml: Elements<R>,
    device: DeviceId,
    /// Whether we wrote this file.
    ours: bool,
    point: Option<Point>,
}

/// What a track point has said so far.
#[derive(Default)]
struct Point {
    line: u64,
    lat: Option<f64>,
    lon: Option<f64>,
    time: Option<String>,
    fix: FixBuilder,
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<TrackPoint, RowFault>;

    fn next(&mut self) -> Option<Self::Item> {
        let found = self.next_point().map(|point| point.map(|point| (point.line, point.into_fix())));
        self.xml.row(found, &self.device)
    }
}

impl<R: Read> Reader<R> {
    fn next_point(&mut self) -> io::Result<Option<Point>> {
        loop {
            match self.xml.next()? {
                None => return Ok(None),
                Some(Element::Open(element)) => match element.name.as_str() {
                    "gpx" => self.ours = element.attribute("creator") == Some(CREATOR),
                    "trkpt" => {
                        let number = |name| element.attribute(name).and_then(|value| value.trim().parse().ok());
                        let fix = FixBuilder::valid(true);
                        self.point =
                            Some(Point { line: element.line, lat: number("lat"), lon: number("lon"), time: None, fix });
                    }
                    _ => {}
                },
                Some(Element::Close { name, .. }) if name == "trkpt" => {
                    if let Some(point) = self.point.take() {
                        return Ok(Some(point));
                    }
                }
                Some(Element::Close { name, text, .. }) => match &mut self.point {
                    Some(point) => point.set(&name, text.trim()),
                    None if self.ours && name == "name" && self.xml.parent() == Some("trk") => {
                        if let Ok(device) = DeviceId::new(&text) {
                            self.device = device;
                        }
                    }
                    None => {}
                },
            }
        }
    }
}

impl Point {
    /// Elements of both versions of GPX and of Garmin's track point extension; others say nothing that we keep.
    fn set(&mut self, element: &str, text: &str) {
        if element == "time" {
            self.time = Some(text.to_owned());
            return;
        }
        if element == "fix" {
            self.fix.valid = text != "none";
            return;
        }
        let Ok(value) = text.parse::<f64>() else { return };
        match element {
            "ele" => {
                self.fix.altitude_m(value);
            }
            "speed" => {
                self.fix.speed_mps(value);
            }
            "course" => {
                self.fix.course_deg(value);
            }
            "accuracy" => {
                self.fix.accuracy_m(value);
            }
            "hdop" => {
                self.fix.set(name::HDOP, value);
            }
            "vdop" => {
                self.fix.set(name::VDOP, value);
            }
            "pdop" => {
                self.fix.set(name::PDOP, value);
            }
            "sat" => {
                self.fix.set(name::SATELLITES, value as i64);
            }
            _ => {}
        }
    }

    fn into_fix(self) -> Result<Fix, Fault> {
        let (Some(lat), Some(lon)) = (self.lat, self.lon) else { return Err(malformed("no latitude or longitude")) };
        let time = self.time.ok_or_else(|| Fault::new(FaultKind::BadTime, "a point without a time"))?;
        let time = Timestamp::parse(&time)
            .ok_or_else(|| Fault::new(FaultKind::BadTime, format!("{time:?} is not an ISO 8601 time")))?;
        self.fix.at(time, lat, lon)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::path::Path;

    fn rows(gpx: &str) -> Vec<Result<TrackPoint, String>> {
        let rows = read(gpx.as_bytes(), DeviceId::new("car").unwrap());
        rows.map(|row| row.map_err(|fault| fault.to_string())).collect()
    }

    #[test]
    fn a_track_point_becomes_a_fix() {
        let all = rows(concat!(
            "<gpx xmlns:x='urn:x'><metadata><time>2001-01-01T00:00:00Z</time></metadata><wpt lat='1' lon='1'><time>2002-01-01T00:00:00Z</time></wpt>\n",
            "<trk><name>a &amp; b</name><trkseg/><trkseg>\n<x:trkpt lat='57.01147' lon='9.992874'><ele>23.5</ele>",
            "<time>2015-12-11T15:43:13.994+01:00</time><sat>7</sat><extensions><x:speed>1.5</x:speed></extensions></x:trkpt>",
            "</trkseg></trk></gpx>"
        ));
        let [Ok(point)] = &all[..] else { panic!("{all:?}") };
        assert_eq!((point.device.as_str(), point.fix.fix_time), ("car", Timestamp::parse("2015-12-11T14:43:13.994Z").unwrap()));
        assert_eq!((point.fix.altitude_m, point.fix.speed_mps, point.fix.valid), (Some(23.5), Some(1.5), true));
        assert_eq!(point.fix.attributes.get(name::SATELLITES), Some(&7i64.into()));
    }

    #[test]
    fn points_without_a_time_or_place_are_told_and_a_cut_off_file_too() {
        let all = rows(
            "<gpx><trk><trkseg><trkpt lat='1' lon='2'/>\n<trkpt lat='91' lon='2'><time>2001-01-01T00:00:00Z</time></trkpt>\n<trkpt lat='1'>",
        );
        let faults: Vec<_> = all.iter().map(|row| row.as_ref().unwrap_err().as_str()).collect();
        assert_eq!(faults[0], "line 1: a point without a time (bad_time)");
        assert!(faults[1].starts_with("line 2: ") && faults[1].ends_with("(out_of_range)"), "{}", faults[1]);
        assert_eq!(faults[2..], ["could not read on after line 3"]);
    }

    #[test]
    fn every_recorded_file_is_readable() {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/raw/gpx"));
        let mut totals = (0, 0, 0);
        for file in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            totals.0 += 1;
            for row in crate::files::open(&file).unwrap() {
                match row {
                    Ok(point) => {
                        assert_eq!(point.device.as_str(), file.file_stem().unwrap().to_str().unwrap());
                        totals.1 += 1;
                    }
                    Err(RowFault::Row { fault, .. }) => {
                        assert_eq!(fault.kind, FaultKind::BadTime, "{file:?}: {fault:?}");
                        totals.2 += 1;
                    }
                    Err(unreadable) => panic!("{file:?}: {unreadable:?}"),
                }
            }
        }
        // Counted with another XML parser: 2,695 track points, of which 2,016 have a time.
        assert_eq!((totals.0, totals.1 + totals.2), (28, 2695));
        assert_eq!(totals.1, 2016);
    }
}
