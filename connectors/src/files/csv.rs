//! Track CSV: `device_id,time,lat,lon` and, if the header names them, `speed_kmh` (or `speed_mps`, `speed_knots`),
//! `course_deg,altitude_m,accuracy_m,valid,attributes`. The time is ISO 8601, or seconds or milliseconds since 1970.
//!
//! Columns are found by name, in any order; unknown ones are ignored. Files of others have names of their own: see [`Names`].
//! Empty means "not reported". Between columns stand commas, semicolons, tabs or bars, whichever the header has most of; where it is
//! no comma, numbers may have one. A file that doesn't say whose its rows are is of one device, which the caller names.

use super::{MAX_LINE_BYTES, RowFault, TrackPoint, next_line};
use crate::protocol::{Fault, FaultKind};
use crate::readers::{FixBuilder, device_id, malformed};
use ::csv::{ByteRecord, ReaderBuilder};
use std::collections::VecDeque;
use std::io::{self, BufReader, Read};
use waystream_domain::{Attributes, DeviceId, Timestamp};

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

/// What may stand between columns.
const SEPARATORS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// A header with one of these (letters and digits only) says whose its rows are, in a column that we don't know by its name.
const LIKE_A_DEVICE: [&str; 12] = [
    "id",
    "imei",
    "deviceid",
    "devicename",
    "uniqueid",
    "vehicle",
    "vehicleid",
    "tracker",
    "trackerid",
    "unit",
    "unitid",
    "plate",
];

/// Lines of one row at most, where line breaks are quoted.
const MAX_LINES: usize = 32;

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

/// Reads track CSV (not gzipped: [`super::open`] sees to that). `device`: whose it is if it doesn't say so.
pub fn read<R: Read>(input: R, names: &Names, device: Option<DeviceId>) -> Reader<R> {
    Reader {
        input: BufReader::with_capacity(1 << 16, input),
        names: names.clone(),
        device,
        text: Vec::new(),
        ahead: VecDeque::new(),
        failed: None,
        record: ByteRecord::new(),
        columns: None,
        line: 0,
        ended: false,
    }
}

/// The points of a CSV file. A row is a line, or some, if quotes are open between them: one that is never closed spoils its line, not
/// the rest of the file.
pub struct Reader<R> {
    input: BufReader<R>,
    names: Names,
    device: Option<DeviceId>,
    text: Vec<u8>,
    /// Lines that have been read, but not yet as rows.
    ahead: VecDeque<Vec<u8>>,
    /// Why there are no more behind those.
    failed: Option<io::Error>,
    record: ByteRecord,
    columns: Option<Columns>,
    line: u64,
    ended: bool,
}

/// Where the header has each column.
struct Columns {
    separator: u8,
    device: Whose,
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

/// Where a row says whose it is.
enum Whose {
    Column(usize),
    /// Nowhere: all are this one's.
    All(DeviceId),
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
            match self.next_text() {
                Ok(true) => self.line += 1,
                Ok(false) => self.ended = true,
                Err(error) => return self.fail(error),
            }
            if self.text.is_empty() {
                continue;
            }
            let (line, separator) = (self.line, self.columns.as_ref().map(|columns| columns.separator));
            if let Some(separator) = separator {
                self.line += self.join(separator);
            }
            let separator = separator.unwrap_or_else(|| separator_of(&self.text));
            if let Err(error) = split(&self.text, separator, &mut self.record) {
                return self.fail(error);
            }
            match &self.columns {
                None => match Columns::from_header(&self.record, separator, &self.names, self.device.take()) {
                    Ok(columns) => self.columns = Some(columns),
                    Err(error) => return self.fail(error),
                },
                Some(columns) => {
                    return Some(columns.point(&self.record).map_err(|fault| RowFault::Row { line, fault }));
                }
            }
        }
        None
    }
}

impl<R: Read> Reader<R> {
    /// The next line; `Ok(false)` at the end.
    fn next_text(&mut self) -> io::Result<bool> {
        if let Some(line) = self.ahead.pop_front() {
            self.text = line;
            return Ok(true);
        }
        match self.failed.take() {
            Some(error) => Err(error),
            None => next_line(&mut self.input, &mut self.text),
        }
    }

    /// Takes the lines to the row that close the quote which is open at its end, and gives how many; none if they don't.
    fn join(&mut self, separator: u8) -> u64 {
        if !self.text.contains(&b'"') || quotes(&self.text, separator) != Quotes::Open {
            return 0;
        }
        let mut joined = self.text.clone();
        for taken in 0..MAX_LINES {
            if taken == self.ahead.len() {
                if self.failed.is_some() {
                    return 0;
                }
                let mut line = Vec::new();
                match next_line(&mut self.input, &mut line) {
                    Ok(true) => self.ahead.push_back(line),
                    Ok(false) => return 0,
                    Err(error) => {
                        self.failed = Some(error);
                        return 0;
                    }
                }
            }
            joined.push(b'\n');
            joined.extend(&self.ahead[taken]);
            if joined.len() as u64 > MAX_LINE_BYTES {
                return 0;
            }
            match quotes(&joined, separator) {
                Quotes::Open => {}
                Quotes::Wrong => return 0,
                Quotes::Closed => {
                    self.text = joined;
                    self.ahead.drain(..=taken);
                    return taken as u64 + 1;
                }
            }
        }
        0
    }
}

impl<R> Reader<R> {
    fn fail(&mut self, error: io::Error) -> Option<Result<TrackPoint, RowFault>> {
        self.ended = true;
        Some(Err(RowFault::Unreadable { line: self.line, error }))
    }
}

/// What a header has between its names.
fn separator_of(header: &[u8]) -> u8 {
    let count = |separator: u8| header.iter().filter(|byte| **byte == separator).count();
    // Of as many the first: a comma.
    SEPARATORS.into_iter().rev().max_by_key(|separator| count(*separator)).unwrap_or(b',')
}

fn split(line: &[u8], separator: u8, record: &mut ByteRecord) -> io::Result<()> {
    record.clear();
    if line.contains(&b'"') {
        ReaderBuilder::new().has_headers(false).delimiter(separator).from_reader(line).read_byte_record(record)?;
    } else {
        line.split(|b| *b == separator).for_each(|field| record.push_field(field));
    }
    Ok(())
}

/// How quotes stand at the end of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quotes {
    Closed,
    Open,
    /// One that was closed has something behind it.
    Wrong,
}

fn quotes(text: &[u8], separator: u8) -> Quotes {
    let (mut open, mut begins) = (false, true);
    let mut bytes = text.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match (open, byte) {
            (true, b'"') => match bytes.peek().copied() {
                // A doubled one stands for itself.
                Some(b'"') => {
                    bytes.next();
                }
                Some(next) if next != separator => return Quotes::Wrong,
                _ => open = false,
            },
            (true, _) => {}
            (false, b'"') if begins => open = true,
            (false, _) => {}
        }
        begins = !open && byte == separator;
    }
    if open { Quotes::Open } else { Quotes::Closed }
}

impl Columns {
    fn from_header(header: &ByteRecord, separator: u8, names: &Names, device: Option<DeviceId>) -> io::Result<Self> {
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
        let time = need("time", "fix_time")?;
        let whose = match (find("device_id", "device")?, device) {
            (Some(column), _) => Whose::Column(column),
            (None, Some(device)) => match like_a_device(header) {
                Some(name) => {
                    let error = format!("the header line has no column \"device_id\"; --columns device_id={name}?");
                    return Err(io::Error::new(io::ErrorKind::InvalidData, error));
                }
                None => Whose::All(device),
            },
            (None, None) => return Err(none("device_id")),
        };
        Ok(Self {
            separator,
            device: whose,
            time,
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
            Some((i, field)) => self.number(field).map(Some).ok_or_else(|| not_a(what, i)),
        };

        let device = match &self.device {
            Whose::Column(column) => device_id(text(*column))?,
            Whose::All(device) => device.clone(),
        };
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

    fn number(&self, text: &str) -> Option<f64> {
        match text.parse() {
            Ok(number) => Some(number),
            Err(_) if self.separator != b',' => text.replacen(',', ".", 1).parse().ok(),
            Err(_) => None,
        }
    }
}

/// The column that seems to say whose the rows are.
fn like_a_device(header: &ByteRecord) -> Option<String> {
    let mut names = header.iter().map(|name| String::from_utf8_lossy(name).trim().to_owned());
    names.find(|name| {
        let plain: String = name.chars().filter(|c| c.is_alphanumeric()).collect();
        LIKE_A_DEVICE.contains(&plain.to_lowercase().as_str())
    })
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
        read(text.as_bytes(), &Names::default(), None).map(|row| row.map_err(|fault| fault.to_string())).collect()
    }

    #[test]
    fn columns_are_separated_by_what_the_header_has_between_them() {
        let expected = rows("device_id,time,lat,lon,speed_kmh\na,2017-03-21T05:00:31Z,30.5,-97.25,62.5\n");
        assert!(expected[0].is_ok(), "{expected:?}");
        for text in [
            "device_id;time;lat;lon;speed_kmh\na;2017-03-21T05:00:31Z;30,5;-97,25;62,5\n",
            "device_id\ttime\tlat\tlon\tspeed_kmh\na\t2017-03-21T05:00:31Z\t30.5\t-97,25\t62.5\n",
            "device_id|time|lat|lon|speed_kmh\na|2017-03-21T05:00:31Z|30.5|\"-97.25\"|62.5\n",
        ] {
            assert_eq!(rows(text), expected, "{text}");
        }
        let thousands = rows("device_id;time;lat;lon;altitude_m\na;2017-03-21T05:00:31Z;1;2;1.234,5\n");
        assert_eq!(thousands, [Err("line 2: \"1.234,5\" is not a altitude (malformed)".into())]);
        let comma = rows("device_id,time,lat,lon\na,2017-03-21T05:00:31Z,\"30,5\",2\n");
        assert_eq!(comma, [Err("line 2: \"30,5\" is not a latitude (malformed)".into())]);
    }

    #[test]
    fn a_row_ends_where_its_quotes_are_closed() {
        let text = "device_id,time,lat,lon,driver\n\
             a,2017-03-21T05:00:31Z,1,2,\"Jo\n\"\"the\"\"\n\nthird\"\n\
             a,2017-03-21T05:00:32Z,1,x,\"of\ntwo lines\"\n\
             a,2017-03-21T05:00:33Z,1,2,\"never closed\n\
             a,2017-03-21T05:00:34Z,1,2,Jo\n\
             \"a,2017-03-21T05:00:35Z,1,2,\n\
             \"a\",2017-03-21T05:00:36Z,1,2,\n";
        let all: Vec<_> = rows(text).into_iter().map(|row| row.map(|point| point.fix.fix_time.to_string())).collect();
        let at = |second: u32| Ok(format!("2017-03-21T05:00:{second}.000Z"));
        assert_eq!(all[..2], [at(31), Err("line 6: \"x\" is not a longitude (malformed)".into())]);
        assert_eq!(all[2..4], [at(33), at(34)]);
        assert_eq!(all[4..], [Err("line 10: \"\" is not an ISO 8601 time (bad_time)".into()), at(36)]);
    }

    #[test]
    fn a_file_that_does_not_say_whose_it_is_is_of_the_device_that_is_named() {
        let of = |text: &str| -> Vec<_> {
            let rows = read(text.as_bytes(), &Names::default(), Some("van-7".parse().unwrap()));
            rows.map(|row| row.map(|point| point.device.to_string()).map_err(|fault| fault.to_string())).collect()
        };
        assert_eq!(of("time,lat,lon\n2017-03-21T05:00:31Z,1,2\n"), [Ok("van-7".into())]);
        assert_eq!(of("device,time,lat,lon\nb,2017-03-21T05:00:31Z,1,2\n"), [Ok("b".into())]);
        // Many vehicles must not become one.
        let mut rows = read("IMEI,time,lat,lon\n".as_bytes(), &Names::default(), Some("van-7".parse().unwrap()));
        let RowFault::Unreadable { error, .. } = rows.next().unwrap().unwrap_err() else { panic!("it says whose it is") };
        assert!(error.to_string().ends_with("--columns device_id=IMEI?"), "{error}");
    }

    #[test]
    fn columns_may_have_names_of_their_own() {
        let names = Names::parse(["device_id=imei", "time=ts", "lat=Latitude", "lon=Longitude", "speed_knots=v"]).unwrap();
        let text = "ts,imei,Latitude,Longitude,v\n1440403256,a,1,2,10\n1440403256500,a,1,2,\n1440403256.5,a,1,2,x\n";
        let all: Vec<_> = read(text.as_bytes(), &names, None).map(|row| row.map_err(|fault| fault.to_string())).collect();
        let first = all[0].as_ref().unwrap();
        assert_eq!((first.device.as_str(), first.fix.fix_time), ("a", Timestamp::from_secs(1_440_403_256).unwrap()));
        assert_eq!(first.fix.speed_mps, Some(units::mps_from_knots(10.0)));
        assert_eq!(all[1].as_ref().unwrap().fix.fix_time, Timestamp::from_millis(1_440_403_256_500).unwrap());
        assert_eq!(all[2].as_ref().unwrap_err(), "line 4: \"x\" is not a speed (malformed)");

        assert_eq!(Names::parse(["imei"]).unwrap_err(), "\"imei\" is not OURS=THEIRS");
        assert!(Names::parse(["imei=device_id"]).unwrap_err().starts_with("\"imei\" is no column; there are device_id, time"));
        let absent = Names::parse(["course_deg=heading"]).unwrap();
        let mut rows = read(HEADER.as_bytes(), &absent, None);
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
