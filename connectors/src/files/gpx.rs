//! GPX 1.0 and 1.1: the points of tracks. Waypoints and routes are places to go to, not fixes, and are passed over.
//!
//! GPX does not say whose track it is; the caller names the device. Only in files that we wrote is a track's name its device.

use super::write::CREATOR;
use super::{RowFault, TrackPoint};
use crate::protocol::{Fault, FaultKind, Fix};
use crate::readers::{FixBuilder, malformed};
use crate::vocabulary as name;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader as XmlReader, XmlVersion};
use std::io::{self, BufRead, BufReader, Read};
use waystream_domain::{DeviceId, Timestamp};

/// Longest text of an element that we look at; longer ones are cut.
const MAX_TEXT_BYTES: usize = 4096;

/// Reads the track points of a GPX file.
pub fn read<R: Read>(input: R, device: DeviceId) -> Reader<R> {
    let input = CountedLines { inner: BufReader::with_capacity(1 << 16, input), lines: 1 };
    Reader {
        xml: XmlReader::from_reader(input),
        buffer: Vec::new(),
        device,
        ours: false,
        point: None,
        path: Vec::new(),
        text: String::new(),
        ended: false,
    }
}

/// The points of a GPX file.
pub struct Reader<R> {
    xml: XmlReader<CountedLines<R>>,
    buffer: Vec<u8>,
    device: DeviceId,
    /// Whether we wrote this file.
    ours: bool,
    point: Option<Point>,
    /// Names of the open elements, without prefixes.
    path: Vec<String>,
    text: String,
    ended: bool,
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

/// What an XML event means for the iterator.
enum Step {
    More,
    Point(Point),
    End,
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<TrackPoint, RowFault>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            match self.step() {
                Ok(Step::More) => {}
                Ok(Step::End) => self.ended = true,
                Ok(Step::Point(point)) => {
                    let line = point.line;
                    let fix = point.into_fix().map_err(|fault| RowFault::Row { line, fault });
                    return Some(fix.map(|fix| TrackPoint { device: self.device.clone(), fix }));
                }
                Err(error) => {
                    self.ended = true;
                    return Some(Err(RowFault::Unreadable { line: self.xml.get_ref().lines, error }));
                }
            }
        }
        None
    }
}

impl<R: Read> Reader<R> {
    fn step(&mut self) -> io::Result<Step> {
        self.buffer.clear();
        let mut buffer = std::mem::take(&mut self.buffer);
        let line = self.xml.get_ref().lines;
        let step = match self.xml.read_event_into(&mut buffer).map_err(unreadable)? {
            Event::Start(element) => self.open(&element, line)?,
            Event::Empty(element) => {
                self.open(&element, line)?;
                self.close()
            }
            Event::End(_) => self.close(),
            Event::Text(text) => self.say(&text.xml10_content()),
            Event::CData(text) => self.say(&text.xml10_content()),
            Event::GeneralRef(reference) => {
                let character = reference.resolve_char_ref().map_err(unreadable)?.map(String::from);
                let entity = character.as_deref().or_else(|| quick_xml::escape::resolve_predefined_entity(&reference));
                self.say(entity.unwrap_or_default())
            }
            Event::Eof if self.path.is_empty() => Step::End,
            Event::Eof => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is cut off")),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => Step::More,
        };
        self.buffer = buffer;
        Ok(step)
    }

    fn open(&mut self, element: &BytesStart<'_>, line: u64) -> io::Result<Step> {
        let attribute = |name: &str| -> io::Result<Option<String>> {
            let found = element.try_get_attribute(name).map_err(unreadable)?;
            found.map(|value| value.normalized_value(XmlVersion::Implicit1_0).map(Into::into).map_err(unreadable)).transpose()
        };
        let number = |name: &str| Ok::<_, io::Error>(attribute(name)?.and_then(|value| value.trim().parse().ok()));
        let local_name = element.local_name();
        match local_name.as_ref() {
            "gpx" if self.path.is_empty() => self.ours = attribute("creator")?.as_deref() == Some(CREATOR),
            "trkpt" => {
                let fix = FixBuilder::valid(true);
                self.point = Some(Point { line, lat: number("lat")?, lon: number("lon")?, time: None, fix });
            }
            _ => {}
        }
        self.path.push(local_name.as_ref().to_owned());
        self.text.clear();
        Ok(Step::More)
    }

    fn say(&mut self, text: &str) -> Step {
        let room = MAX_TEXT_BYTES.saturating_sub(self.text.len());
        self.text.push_str(&text[..text.floor_char_boundary(room)]);
        Step::More
    }

    fn close(&mut self) -> Step {
        let Some(element) = self.path.pop() else { return Step::More };
        let text = std::mem::take(&mut self.text);
        if element == "trkpt" {
            return self.point.take().map_or(Step::More, Step::Point);
        }
        match &mut self.point {
            Some(point) => point.set(&element, text.trim()),
            None if self.ours && element == "name" && self.path.last().is_some_and(|parent| parent == "trk") => {
                if let Ok(device) = DeviceId::new(&text) {
                    self.device = device;
                }
            }
            None => {}
        }
        Step::More
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

fn unreadable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Counts the lines that have been read.
struct CountedLines<R> {
    inner: BufReader<R>,
    lines: u64,
}

impl<R: Read> Read for CountedLines<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(out)?;
        self.consume(read);
        Ok(read)
    }
}

impl<R: Read> BufRead for CountedLines<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, bytes: usize) {
        let read = &self.inner.buffer()[..bytes];
        self.lines += read.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.inner.consume(bytes);
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
