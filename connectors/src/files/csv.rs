//! Track CSV: `device_id,time,lat,lon` and, if the header names them, `speed_kmh` (or `speed_mps`, `speed_knots`),
//! `course_deg,altitude_m,accuracy_m,valid,attributes`. The time is ISO 8601, or seconds or milliseconds since 1970.
//!
//! Columns are found by name, in any order; unknown ones are ignored. Files of others have names of their own: see [`Names`].
//! Empty means "not reported".

use super::{RowFault, TrackPoint, next_line};
use crate::protocol::{Fault, FaultKind};
use crate::readers::{FixBuilder, device_id, malformed};
use ::csv::{ByteRecord, ReaderBuilder};
use std::io::{self, BufReader, Read};
use waystream_domain::{Attributes, Timestamp};

/// What we call columns.
const COLUMNS: [&str; 12] = [
    "device_id",
    "time",
    "lat",
    "lon",
    "speed_kmh",
    "speed_mps",
    "speed_knots",
    "course_deg",
    "altitude_m",
    "accuracy_m",
    "valid",
    "attributes",
];

/// What a file calls its columns, where it has names of its own.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Names(Vec<(&'static str, String)>);

impl Names {
    /// Reads `ours=theirs` for each.
    ///
    /// # Errors
    /// What is no such pair, or which name is none of ours.
    pub fn parse<'a>(pairs: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let pair = |pair: &str| {
            let (ours, theirs) = pair.split_once('=').ok_or_else(|| format!("{pair:?} is not OURS=THEIRS"))?;
            let known = COLUMNS.into_iter().find(|name| *name == ours.trim());
            let known = known.ok_or_else(|| format!("{ours:?} is no column; there are {}", COLUMNS.join(", ")))?;
            Ok((known, theirs.trim().to_owned()))
        };
        pairs.into_iter().map(pair).collect::<Result<_, String>>().map(Self)
    }

    fn of(&self, ours: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| *name == ours).map(|(_, theirs)| theirs.as_str())
    }
}

/// Reads track CSV (not gzipped: [`super::open`] sees to that).
pub fn read<R: Read>(input: R, names: &Names) -> Reader<R> {
    let input = BufReader::with_capacity(1 << 16, input);
    Reader { input, names: names.clone(), text: Vec::new(), record: ByteRecord::new(), columns: None, line: 0, ended: false }
}

/// The points of a CSV file. A row is a line: a quote that is never closed spoils its line, not the rest of the file.
pub struct Reader<R> {
    input: BufReader<R>,
    names: Names,
    text: Vec<u8>,
    record: ByteRecord,
    columns: Option<Columns>,
    line: u64,
    ended: bool,
}

/// Where the header has each column.
struct Columns {
    device: usize,
    time: usize,
    lat: usize,
    lon: usize,
    speed: Option<(usize, SpeedUnit)>,
    course: Option<usize>,
    altitude: Option<usize>,
    accuracy: Option<usize>,
    valid: Option<usize>,
    attributes: Option<usize>,
}

#[derive(Clone, Copy)]
enum SpeedUnit {
    Kmh,
    Mps,
    Knots,
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<TrackPoint, RowFault>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            match next_line(&mut self.input, &mut self.text) {
                Ok(true) => self.line += 1,
                Ok(false) => self.ended = true,
                Err(error) => return self.fail(error),
            }
            if self.text.is_empty() {
                continue;
            }
            if let Err(error) = split(&self.text, &mut self.record) {
                return self.fail(error);
            }
            match &self.columns {
                None => match Columns::from_header(&self.record, &self.names) {
                    Ok(columns) => self.columns = Some(columns),
                    Err(error) => return self.fail(error),
                },
                Some(columns) => {
                    return Some(columns.point(&self.record).map_err(|fault| RowFault::Row { line: self.line, fault }));
                }
            }
        }
        None
    }
}

impl<R> Reader<R> {
    fn fail(&mut self, error: io::Error) -> Option<Result<TrackPoint, RowFault>> {
        self.ended = true;
        Some(Err(RowFault::Unreadable { line: self.line, error }))
    }
}

fn split(line: &[u8], record: &mut ByteRecord) -> io::Result<()> {
    record.clear();
    if line.contains(&b'"') {
        ReaderBuilder::new().has_headers(false).from_reader(line).read_byte_record(record)?;
    } else {
        line.split(|b| *b == b',').for_each(|field| record.push_field(field));
    }
    Ok(())
}

impl Columns {
    fn from_header(header: &ByteRecord, names: &Names) -> io::Result<Self> {
        let has = |name: &str| {
            header.iter().position(|field| {
                let field = field.strip_prefix(b"\xef\xbb\xbf").unwrap_or(field).trim_ascii();
                field.eq_ignore_ascii_case(name.as_bytes())
            })
        };
        let none = |name: &str| io::Error::new(io::ErrorKind::InvalidData, format!("the header line has no column {name:?}"));
        // What was said to be there has to be.
        let find = |usual: &str, also: &str| match names.of(usual) {
            Some(named) => has(named).map(Some).ok_or_else(|| none(named)),
            None => Ok(has(usual).or_else(|| has(also))),
        };
        let need = |usual: &str, also: &str| find(usual, also)?.ok_or_else(|| none(usual));
        let units = [("speed_kmh", SpeedUnit::Kmh), ("speed_mps", SpeedUnit::Mps), ("speed_knots", SpeedUnit::Knots)];
        let mut speed = None;
        for (name, unit) in units {
            speed = speed.or(find(name, name)?.map(|column| (column, unit)));
        }
        Ok(Self {
            device: need("device_id", "device")?,
            time: need("time", "fix_time")?,
            lat: need("lat", "lat")?,
            lon: need("lon", "lon")?,
            speed,
            course: find("course_deg", "course_deg")?,
            altitude: find("altitude_m", "altitude_m")?,
            accuracy: find("accuracy_m", "accuracy_m")?,
            valid: find("valid", "valid")?,
            attributes: find("attributes", "attributes")?,
        })
    }

    fn point(&self, row: &ByteRecord) -> Result<TrackPoint, Fault> {
        let not_a = |what: &str, i: usize| {
            malformed(format_args!("{:?} is not a {what}", String::from_utf8_lossy(row.get(i).unwrap_or_default())))
        };
        let text = |i: usize| row.get(i).and_then(|field| std::str::from_utf8(field).ok()).map_or("", str::trim);
        let number = |i: Option<usize>, what: &str| match i.map(|i| (i, text(i))) {
            None | Some((_, "")) => Ok(None),
            Some((i, field)) => field.parse::<f64>().map(Some).map_err(|_| not_a(what, i)),
        };

        let device = device_id(text(self.device))?;
        let fix_time = time(text(self.time))
            .ok_or_else(|| Fault::new(FaultKind::BadTime, format!("{:?} is not an ISO 8601 time", text(self.time))))?;
        let (Some(lat), Some(lon)) = (number(Some(self.lat), "latitude")?, number(Some(self.lon), "longitude")?) else {
            return Err(malformed("no latitude or longitude"));
        };
        let mut fix = FixBuilder::valid(match self.valid.map(|i| (i, text(i))) {
            None | Some((_, "" | "true" | "1")) => true,
            Some((_, "false" | "0")) => false,
            Some((i, _)) => return Err(not_a("true or false", i)),
        });
        if let Some((column, unit)) = self.speed
            && let Some(speed) = number(Some(column), "speed")?
        {
            match unit {
                SpeedUnit::Kmh => fix.speed_kmh(speed),
                SpeedUnit::Mps => fix.speed_mps(speed),
                SpeedUnit::Knots => fix.speed_knots(speed),
            };
        }
        if let Some(degrees) = number(self.course, "course")? {
            fix.course_deg(degrees);
        }
        if let Some(metres) = number(self.altitude, "altitude")? {
            fix.altitude_m(metres);
        }
        if let Some(metres) = number(self.accuracy, "accuracy")? {
            fix.accuracy_m(metres);
        }
        let mut fix = fix.at(fix_time, lat, lon)?;
        if let Some((i, json)) = self.attributes.map(|i| (i, text(i))).filter(|(_, json)| !json.is_empty()) {
            fix.attributes = serde_json::from_str::<Attributes>(json).map_err(|_| not_a("JSON object of attributes", i))?;
        }
        Ok(TrackPoint { device, fix })
    }
}

/// Like [`Timestamp::parse`], which is several times slower than this on the form that every row of our own files has:
/// `2024-06-03T04:11:04.011Z`.
fn time(text: &str) -> Option<Timestamp> {
    fast_time(text.as_bytes()).or_else(|| Timestamp::parse(text)).or_else(|| unix_time(text))
}

/// Seconds since 1970, or milliseconds if as seconds they would be beyond the year 5000.
fn unix_time(text: &str) -> Option<Timestamp> {
    match text.parse::<f64>().ok()? {
        seconds if seconds.abs() < 1e11 => Timestamp::from_millis((seconds * 1000.0).round() as i64),
        millis => Timestamp::from_millis(millis as i64),
    }
}

fn fast_time(t: &[u8]) -> Option<Timestamp> {
    let digits = |from: usize, to: usize| {
        t[from..to].iter().try_fold(0u32, |n, d| d.is_ascii_digit().then(|| n * 10 + u32::from(d - b'0')))
    };
    if t.len() != 24 || (t[4], t[7], t[10], t[13], t[16], t[19], t[23]) != (b'-', b'-', b'T', b':', b':', b'.', b'Z') {
        return None;
    }
    let date = chrono::NaiveDate::from_ymd_opt(i32::try_from(digits(0, 4)?).ok()?, digits(5, 7)?, digits(8, 10)?)?;
    let at = date.and_hms_milli_opt(digits(11, 13)?, digits(14, 16)?, digits(17, 19)?, digits(20, 23)?)?;
    Timestamp::from_millis(at.and_utc().timestamp_millis())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::path::Path;
    use waystream_domain::{LatLon, units};

    const HEADER: &str = "device_id,time,lat,lon,speed_kmh,course_deg,altitude_m\n";

    fn rows(text: &str) -> Vec<Result<TrackPoint, String>> {
        read(text.as_bytes(), &Names::default()).map(|row| row.map_err(|fault| fault.to_string())).collect()
    }

    #[test]
    fn columns_may_have_names_of_their_own() {
        let names = Names::parse(["device_id=imei", "time=ts", "lat=Latitude", "lon=Longitude", "speed_knots=v"]).unwrap();
        let text = "ts,imei,Latitude,Longitude,v\n1440403256,a,1,2,10\n1440403256500,a,1,2,\n1440403256.5,a,1,2,x\n";
        let all: Vec<_> = read(text.as_bytes(), &names).map(|row| row.map_err(|fault| fault.to_string())).collect();
        let first = all[0].as_ref().unwrap();
        assert_eq!((first.device.as_str(), first.fix.fix_time), ("a", Timestamp::from_secs(1_440_403_256).unwrap()));
        assert_eq!(first.fix.speed_mps, Some(units::mps_from_knots(10.0)));
        assert_eq!(all[1].as_ref().unwrap().fix.fix_time, Timestamp::from_millis(1_440_403_256_500).unwrap());
        assert_eq!(all[2].as_ref().unwrap_err(), "line 4: \"x\" is not a speed (malformed)");

        assert_eq!(Names::parse(["imei"]).unwrap_err(), "\"imei\" is not OURS=THEIRS");
        assert!(Names::parse(["imei=device_id"]).unwrap_err().starts_with("\"imei\" is no column; there are device_id, time"));
        let absent = Names::parse(["course_deg=heading"]).unwrap();
        let mut rows = read(HEADER.as_bytes(), &absent);
        let RowFault::Unreadable { error, .. } = rows.next().unwrap().unwrap_err() else { panic!("the column is not there") };
        assert_eq!(error.to_string(), "the header line has no column \"heading\"");
    }

    #[test]
    fn a_row_becomes_a_fix_in_si_units() {
        let all = rows(&format!("{HEADER}cap-2619,2017-03-21T05:00:31.000Z,30.19826,-97.77679,62.764,,12.5\n"));
        let point = all[0].as_ref().unwrap();
        assert_eq!(point.device.as_str(), "cap-2619");
        assert_eq!(point.fix.fix_time, Timestamp::parse("2017-03-21T05:00:31Z").unwrap());
        assert_eq!(point.fix.location, LatLon::new(30.19826, -97.77679).unwrap());
        assert_eq!(units::kmh_from_mps(point.fix.speed_mps.unwrap()), 62.764);
        assert_eq!((point.fix.course_deg, point.fix.altitude_m, point.fix.valid), (None, Some(12.5), true));
    }

    #[test]
    fn a_bad_row_is_told_with_its_line_and_the_others_are_kept() {
        let all = rows(&format!(
            "{HEADER}a,2017-03-21T05:00:31.000Z,91,181,,,\n\
             a,yesterday,1,2,,,\n\
             \n\
             ,2017-03-21T05:00:31.000Z,1,2,,,\n\
             a,2017-03-21T05:00:31.000Z,,2,,,\n\
             a,2017-03-21T05:00:31.000Z,x,2,,,\n\
             \"a,2017-03-21T05:00:31.000Z,1,2,,,\n\
             a,2017-03-21T05:00\n\
             a,2017-03-21T05:00:31.000Z,0,0,-1,360,\n"
        ));
        let faults: Vec<&str> = all[..7].iter().map(|row| row.as_ref().unwrap_err().as_str()).collect();
        assert_eq!(
            faults,
            [
                "line 2: latitude 91, longitude 181 at 2017-03-21T05:00:31.000Z (out_of_range)",
                "line 3: \"yesterday\" is not an ISO 8601 time (bad_time)",
                "line 5: identifier is empty (no_device)",
                "line 6: no latitude or longitude (malformed)",
                "line 7: \"x\" is not a latitude (malformed)",
                "line 8: \"\" is not an ISO 8601 time (bad_time)",
                "line 9: no latitude or longitude (malformed)",
            ]
        );
        let last = &all[7].as_ref().unwrap().fix;
        assert_eq!((last.valid, last.speed_mps, last.course_deg), (false, None, Some(0.0)));
    }

    #[test]
    fn a_file_without_the_header_is_unreadable() {
        let all = rows("cap-2619,2017-03-21T05:00:31.000Z,30.19826,-97.77679\n");
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].as_ref().unwrap_err(), "could not read on after line 1");
    }

    #[test]
    fn recorded_tracks_have_as_many_rows_as_their_description_says() {
        let tracks = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/tracks"));
        for (set, points, faults) in [
            ("austin_bus", 89_686, 0),
            ("storms_nepac", 26_868, 0),
            ("ais_awkward", 23_205 - 6, 6),
            ("gpsd_receivers", 10_504, 0),
            ("helsinki_phones", 6_030, 0),
        ] {
            let (mut read, mut bad) = (0, 0);
            for row in crate::files::open(&tracks.join(format!("{set}.csv.gz"))).unwrap() {
                match row {
                    Ok(_) => read += 1,
                    Err(_) => bad += 1,
                }
            }
            assert_eq!((set, read, bad), (set, points, faults));
        }
    }
}
