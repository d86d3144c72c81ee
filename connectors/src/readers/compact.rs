//! The compact form of many Chinese makes: `yymmddA2233.4455N11404.9355E000.1061830323.87…`.

use super::{FixBuilder, nmea_degrees, number, ymd};
use crate::protocol::Fault;
use waystream_domain::Timestamp;

/// Date, validity, place, km/h in 5 characters, time in 6, course in 6, and what follows.
pub(crate) struct Compact<'a> {
    date: &'a str,
    valid: bool,
    lat: (&'a str, &'a str),
    lon: (&'a str, &'a str),
    /// Behind the longitude's letter.
    tail: &'a str,
}

impl<'a> Compact<'a> {
    /// Finds the form in a text, by six digits, `A` or `V`, digits.
    pub(crate) fn find(text: &'a str) -> Option<Self> {
        let bytes = text.as_bytes();
        let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
        let at = (6..bytes.len())
            .find(|at| matches!(bytes[*at], b'A' | b'V') && (at - 6..*at).all(digit) && digit(at + 1) && digit(at + 2))?;
        let mut rest = text.get(at + 1..)?;
        let lat = until(&mut rest, ['N', 'S'])?;
        let lon = until(&mut rest, ['E', 'W'])?;
        Some(Self { date: &text[at - 6..at], valid: bytes[at] == b'A', lat, lon, tail: rest })
    }

    /// Characters of the tail, empty if they are not there.
    pub(crate) fn tail(&self, from: usize, to: usize) -> &'a str {
        self.tail.get(from..to).unwrap_or_default()
    }

    /// The tail from here on, empty if it is not there.
    pub(crate) fn rest(&self, from: usize) -> &'a str {
        self.tail.get(from..).unwrap_or_default()
    }

    pub(crate) fn builder(&self) -> FixBuilder {
        let mut fix = FixBuilder::valid(self.valid);
        fix.speed_kmh(number(self.tail(0, 5)).unwrap_or(-1.0)).course_deg(number(self.tail(11, 17)).unwrap_or(-1.0));
        fix
    }

    pub(crate) fn time(&self) -> Result<Timestamp, Fault> {
        ymd(self.date, self.tail(5, 11))
    }

    pub(crate) fn place(&self) -> Result<(f64, f64), Fault> {
        Ok((nmea_degrees(self.lat.0, self.lat.1)?, nmea_degrees(self.lon.0, self.lon.1)?))
    }
}

/// What stands in front of the next of two letters, and that letter.
fn until<'a>(text: &mut &'a str, letters: [char; 2]) -> Option<(&'a str, &'a str)> {
    let at = text.find(letters)?;
    let (value, rest) = text.split_at(at);
    let (letter, rest) = rest.split_at(1);
    *text = rest;
    Some((value, letter))
}
