//! NMEA 0183 logs: RMC and GGA sentences of any talker, joined by their time of day; ZDA for the date.
//!
//! The caller names the device. Lines that are not sentences (comments, other protocols between them) are passed over.

use super::{RowFault, TrackPoint};
use crate::protocol::{Fault, FaultKind, Fix};
use crate::readers::{FixBuilder, malformed, nmea_degrees};
use crate::vocabulary as name;
use chrono::{Days, NaiveDate, NaiveTime, TimeDelta};
use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};
use waystream_domain::{DeviceId, Timestamp};

/// NMEA allows 82 bytes; receivers' own sentences are longer, and binary protocols have no lines at all.
const MAX_LINE_BYTES: u64 = 4096;
/// A time of day that goes back by more than this has passed midnight; less is a late sentence.
const ROLLOVER: TimeDelta = TimeDelta::hours(12);

/// Reads the fixes of an NMEA log.
pub fn read<R: Read>(input: R, device: DeviceId) -> Reader<R> {
    let input = BufReader::with_capacity(1 << 16, input);
    Reader {
        input,
        text: Vec::new(),
        device,
        line: 0,
        clock: Clock::default(),
        epoch: None,
        ready: VecDeque::new(),
        ended: false,
    }
}

/// The fixes of an NMEA log.
pub struct Reader<R> {
    input: BufReader<R>,
    text: Vec<u8>,
    device: DeviceId,
    line: u64,
    clock: Clock,
    epoch: Option<Epoch>,
    ready: VecDeque<Result<TrackPoint, RowFault>>,
    ended: bool,
}

/// The newest date that was told, and the time of day since.
#[derive(Default)]
struct Clock {
    date: Option<NaiveDate>,
    time: Option<NaiveTime>,
}

/// What the sentences of one time of day have said together.
struct Epoch {
    line: u64,
    time: NaiveTime,
    date: Option<NaiveDate>,
    place: Option<(f64, f64)>,
    fix: FixBuilder,
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<TrackPoint, RowFault>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(row) = self.ready.pop_front() {
                return Some(row);
            }
            if self.ended {
                return None;
            }
            match self.next_line() {
                Ok(true) => self.sentence(),
                Ok(false) => {
                    self.ended = true;
                    self.finish_epoch();
                }
                Err(error) => {
                    self.ended = true;
                    self.finish_epoch();
                    self.ready.push_back(Err(RowFault::Unreadable { line: self.line, error }));
                }
            }
        }
    }
}

impl<R: Read> Reader<R> {
    /// A line, or a piece of what is no line.
    fn next_line(&mut self) -> io::Result<bool> {
        let goes_on = self.text.last().is_some_and(|byte| *byte != b'\n');
        self.text.clear();
        let read = Read::take(&mut self.input, MAX_LINE_BYTES).read_until(b'\n', &mut self.text)?;
        self.line += u64::from(read > 0 && !goes_on);
        Ok(read > 0)
    }

    fn sentence(&mut self) {
        let understood = match fields(&self.text) {
            None => return,
            Some(Ok(fields)) => understand(&fields),
            Some(Err(fault)) => Err(fault),
        };
        match understood {
            Ok(None) => {}
            Ok(Some(said)) => self.join(said),
            Err(fault) => self.ready.push_back(Err(RowFault::Row { line: self.line, fault })),
        }
    }

    fn join(&mut self, said: Said) {
        if self.epoch.as_ref().is_none_or(|epoch| epoch.time != said.time) {
            self.finish_epoch();
            let fix = FixBuilder::valid(true);
            self.epoch = Some(Epoch { line: self.line, time: said.time, date: None, place: None, fix });
        }
        let Some(epoch) = &mut self.epoch else { return };
        epoch.date = said.date.or(epoch.date);
        epoch.place = said.place.or(epoch.place);
        // Each sentence has its own word for "no fix"; one of them is enough.
        epoch.fix.valid &= said.valid;
        if let Some(metres) = said.altitude_m {
            epoch.fix.altitude_m(metres);
        }
        if let Some(knots) = said.speed_knots {
            epoch.fix.speed_knots(knots);
        }
        if let Some(degrees) = said.course_deg {
            epoch.fix.course_deg(degrees);
        }
        if let Some(satellites) = said.satellites {
            epoch.fix.set(name::SATELLITES, satellites);
        }
        if let Some(hdop) = said.hdop {
            epoch.fix.set(name::HDOP, hdop);
        }
    }

    /// No more will be said of this time of day.
    fn finish_epoch(&mut self) {
        let Some(epoch) = self.epoch.take() else { return };
        let date = self.clock.advance(epoch.date, epoch.time);
        let Some((lat, lon)) = epoch.place else { return };
        let row = match fix(epoch.fix, date, epoch.time, lat, lon) {
            Ok(fix) => Ok(TrackPoint { device: self.device.clone(), fix }),
            Err(fault) => Err(RowFault::Row { line: epoch.line, fault }),
        };
        self.ready.push_back(row);
    }
}

impl Clock {
    /// The date of this time of day: what was told with it, or the newest date, or the day after if midnight has passed since.
    fn advance(&mut self, told: Option<NaiveDate>, time: NaiveTime) -> Option<NaiveDate> {
        let past_midnight = self.time.is_some_and(|before| before - time > ROLLOVER);
        let days = Days::new(u64::from(past_midnight));
        self.date = told.or_else(|| self.date.and_then(|date| date.checked_add_days(days)));
        self.time = Some(time);
        self.date
    }
}

fn fix(fix: FixBuilder, date: Option<NaiveDate>, time: NaiveTime, lat: f64, lon: f64) -> Result<Fix, Fault> {
    let date = date.ok_or_else(|| Fault::new(FaultKind::BadTime, "a fix before any date"))?;
    let ms = date.and_time(time).and_utc().timestamp_millis();
    fix.at(Timestamp::from_millis(ms).ok_or_else(|| Fault::new(FaultKind::BadTime, format!("{ms} ms since 1970")))?, lat, lon)
}

/// The fields of the sentence in a line, from its name on. `None`: there is no sentence in it.
fn fields(line: &[u8]) -> Option<Result<Vec<&str>, Fault>> {
    let start = line.iter().position(|byte| *byte == b'$')?;
    let sentence = line[start + 1..].trim_ascii_end();
    let (body, checksum) = match sentence.iter().rposition(|byte| *byte == b'*') {
        Some(star) => (&sentence[..star], Some(&sentence[star + 1..])),
        None => (sentence, None),
    };
    let text = std::str::from_utf8(body).ok().filter(|text| text.is_ascii())?;
    let fields: Vec<&str> = text.split(',').collect();
    // What we don't read needs no checksum.
    if !["RMC", "GGA", "ZDA"].contains(&fields[0].get(2..).unwrap_or_default()) {
        return None;
    }
    if let Some(told) = checksum {
        let computed = body.iter().fold(0, |sum, byte| sum ^ byte);
        let told = std::str::from_utf8(told).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok());
        if told != Some(computed) {
            return Some(Err(Fault::new(FaultKind::Checksum, format!("the checksum is {told:02x?}, not {computed:02x}"))));
        }
    }
    Some(Ok(fields))
}

/// What one sentence says.
struct Said {
    time: NaiveTime,
    date: Option<NaiveDate>,
    place: Option<(f64, f64)>,
    valid: bool,
    altitude_m: Option<f64>,
    speed_knots: Option<f64>,
    course_deg: Option<f64>,
    satellites: Option<i64>,
    hdop: Option<f64>,
}

/// `None`: the receiver does not know the time yet, so it knows nothing else.
fn understand(fields: &[&str]) -> Result<Option<Said>, Fault> {
    let field = |i: usize| fields.get(i).copied().unwrap_or_default().trim();
    let number = |i: usize| field(i).parse::<f64>().ok();
    if field(1).is_empty() {
        return Ok(None);
    }
    let said = Said {
        time: time_of_day(field(1))?,
        date: None,
        place: None,
        valid: true,
        altitude_m: None,
        speed_knots: None,
        course_deg: None,
        satellites: None,
        hdop: None,
    };
    Ok(Some(match &fields[0][2..] {
        // time, status, lat, N/S, lon, E/W, knots, course, ddmmyy, variation, E/W, mode
        "RMC" => Said {
            date: date(field(9))?,
            place: place(field(3), field(4), field(5), field(6))?,
            valid: field(2) == "A" && field(12) != "N",
            speed_knots: number(7),
            course_deg: number(8),
            ..said
        },
        // time, lat, N/S, lon, E/W, quality, satellites, HDOP, altitude, M
        "GGA" => Said {
            place: place(field(2), field(3), field(4), field(5))?,
            valid: field(6) != "0",
            satellites: field(7).parse().ok(),
            hdop: number(8),
            altitude_m: number(9),
            ..said
        },
        // time, day, month, year
        _ => Said {
            date: field(4)
                .parse()
                .ok()
                .and_then(|year| NaiveDate::from_ymd_opt(year, field(3).parse().ok()?, field(2).parse().ok()?)),
            ..said
        },
    }))
}

/// `hhmmss` with any number of decimals; a leap second counts as the second before it.
fn time_of_day(text: &str) -> Result<NaiveTime, Fault> {
    let bad = || Fault::new(FaultKind::BadTime, format!("{text:?} is not a time of day"));
    let value: f64 = text.parse().map_err(|_| bad())?;
    if !(0.0..240_000.0).contains(&value) {
        return Err(bad());
    }
    let ms = (value * 1000.0).round() as u32;
    let (hms, ms) = (ms / 1000, ms % 1000);
    NaiveTime::from_hms_milli_opt(hms / 10_000, hms / 100 % 100, (hms % 100).min(59), ms).ok_or_else(bad)
}

/// `ddmmyy`; GPS began in 1980. Empty: not known yet.
fn date(text: &str) -> Result<Option<NaiveDate>, Fault> {
    if text.is_empty() {
        return Ok(None);
    }
    let bad = || Fault::new(FaultKind::BadTime, format!("{text:?} is not a date"));
    let digits: u32 = if text.len() == 6 { text.parse().map_err(|_| bad())? } else { return Err(bad()) };
    let (day, month, year) = (digits / 10_000, digits / 100 % 100, digits % 100);
    let year = if year >= 80 { 1900 + year } else { 2000 + year };
    NaiveDate::from_ymd_opt(year as i32, month, day).map(Some).ok_or_else(bad)
}

/// Empty: no fix.
fn place(lat: &str, north: &str, lon: &str, east: &str) -> Result<Option<(f64, f64)>, Fault> {
    if lat.is_empty() && lon.is_empty() {
        return Ok(None);
    }
    if !matches!(north, "N" | "S") || !matches!(east, "E" | "W") {
        return Err(malformed(format_args!("{lat} {north} {lon} {east} is not a place")));
    }
    Ok(Some((nmea_degrees(lat, north)?, nmea_degrees(lon, east)?)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn rows(lines: &[&str]) -> Vec<Result<TrackPoint, String>> {
        let text = lines.iter().fold(String::new(), |text, line| {
            let sum = line.bytes().fold(0, |sum, byte| sum ^ byte);
            text + &format!("$GP{line}*{:02X}\r\n", sum ^ b'G' ^ b'P')
        });
        read(text.as_bytes(), DeviceId::new("car").unwrap()).map(|row| row.map_err(|fault| fault.to_string())).collect()
    }

    #[test]
    fn sentences_of_one_time_are_one_fix() {
        let all = rows(&[
            "GGA,092835.00,4804.14539,N,01621.54005,E,1,09,1.2,151.3,M,46.8,M,,",
            "RMC,092835.00,A,4804.14539,N,01621.54005,E,10.0,90.5,210615,,,A",
        ]);
        let [Ok(point)] = &all[..] else { panic!("{all:?}") };
        assert_eq!(point.fix.fix_time, Timestamp::parse("2015-06-21T09:28:35Z").unwrap());
        assert_eq!((point.fix.altitude_m, point.fix.course_deg, point.fix.valid), (Some(151.3), Some(90.5), true));
        assert_eq!(point.fix.attributes.get(name::SATELLITES), Some(&9i64.into()));
    }

    #[test]
    fn after_midnight_it_is_the_next_day() {
        let all = rows(&[
            "RMC,235959,A,4804.1,N,01621.5,E,,,311223,,,A",
            "GGA,000001,4804.1,N,01621.5,E,1,09,1.2,151.3,M,46.8,M,,",
            "GGA,000000,4804.1,N,01621.5,E,1,09,1.2,151.3,M,46.8,M,,",
        ]);
        let times: Vec<_> = all.iter().map(|row| row.as_ref().unwrap().fix.fix_time.to_string()).collect();
        assert_eq!(times, ["2023-12-31T23:59:59.000Z", "2024-01-01T00:00:01.000Z", "2024-01-01T00:00:00.000Z"]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_no_fix_is_no_fault() {
        let mut log = b"# a comment\n$GPRMC,092835,A,4804.1,N,01621.5,E,,,210615,,,A*00\n\xff\xfe\x00$GPGSV,1\n".to_vec();
        log.extend(vec![b'x'; 100_000]);
        log.extend(b"\n$GPRMC,092836,V,,,,,,,210615,,,N\n$GPRMC,092837,V,4804.1,N,01621.5,E,,,210615,,,N\n$GPRMC,256161,A\n");
        let all: Vec<_> = read(&log[..], DeviceId::new("car").unwrap()).map(|row| row.map_err(|e| e.to_string())).collect();
        assert_eq!(all.len(), 3, "{all:?}");
        assert!(all[0].as_ref().unwrap_err().starts_with("line 2: "));
        assert!(all[1].as_ref().unwrap_err().starts_with("line 7: "), "{all:?}");
        assert!(!all[2].as_ref().unwrap().fix.valid);
    }
}
