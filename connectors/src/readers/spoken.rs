//! The place as a sentence, which is how several makes answer a question for it.

use super::{FixBuilder, civil, number, pairs};
use crate::protocol::{Fault, Fix};

/// `…Lat:N54.7,Lon:E25.2,Course:126.5,Speed:0.0,DateTime:2017-05-26 10:27:47`; the device's time is `utc_offset_ms` ahead of UTC.
pub(crate) fn spoken_place(text: &str, utc_offset_ms: i64) -> Option<Result<Fix, Fault>> {
    let value = |key: &str| {
        let (_, rest) = text.split_once(key)?;
        Some(rest.split(',').next().unwrap_or_default().trim().trim_end_matches(['\0', '!']))
    };
    let degrees = |key: &str| {
        let text = value(key)?;
        let degrees = number(text.get(1..)?)?;
        Some(if text.starts_with(['S', 'W']) { -degrees } else { degrees })
    };
    let (lat, lon) = (degrees("Lat:")?, degrees("Lon:")?);
    let digits: String = value("DateTime:")?.chars().filter(char::is_ascii_digit).collect();
    let read = || {
        let [century, year, month, day, hour, minute, second] = pairs(&digits)?;
        let mut fix = FixBuilder::valid(true);
        fix.speed_kmh(value("Speed:").and_then(|text| number(text.trim_end_matches("km/h"))).unwrap_or(-1.0));
        fix.course_deg(value("Course:").and_then(number).unwrap_or(-1.0));
        fix.at(civil([century * 100 + year, month, day], [hour, minute, second])?.plus_millis(-utc_offset_ms), lat, lon)
    };
    Some(read())
}
