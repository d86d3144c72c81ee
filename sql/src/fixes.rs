//! Fixes: what a map shows of positions, of many vehicles in order of fix time.
//!
//! A replay of a fleet reads a hundred thousand of them a second. Rows lie by device in the store, so each piece of time costs reading the
//! keys of whole files, however short it is: pieces are as long as memory allows, a fix takes few bytes, and the next piece is read while the
//! last one is played. Of the columns only those are read that a map shows.

use crate::context::Core;
use crate::engine::Rows;
use crate::room::Share;
use crate::roster::Roster;
use crate::track::seen;
use crate::walk::{Kept, Walk};
use crate::{Devices, Scope, SqlEngine, SqlError};
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float32Array, Float64Array, PrimitiveArray, RecordBatch, StringViewArray,
    TimestampMillisecondArray,
};
use datafusion::arrow::datatypes::{ArrowPrimitiveType, Float32Type, Float64Type, TimestampMillisecondType};
use datafusion::logical_expr::col;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use std::fmt;
use tokio::sync::mpsc;
use waystream_domain::{AttributeValue, LatLon, Timestamp};

/// An attribute by its name, and which bits its value sets.
pub type Mark = (&'static str, fn(&AttributeValue) -> u8);

/// A valid position, as far as a map shows it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fix {
    /// Place of its device in the roster that was asked with.
    pub device: u32,
    /// When the fix was taken.
    pub fix_time: Timestamp,
    /// Where, WGS84.
    pub location: LatLon,
    /// Over ground.
    pub speed_mps: Option<f32>,
    /// Clockwise from true north.
    pub course_deg: Option<f32>,
    /// What the marks say of its attributes.
    pub marks: u8,
}

/// Which fixes.
#[derive(Debug, Clone)]
pub struct FixRequest {
    /// Whose rows are read.
    pub devices: Devices,
    /// Of those, who is told of.
    pub roster: Roster,
    /// Fix time at or after this.
    pub from: Timestamp,
    /// Fix time at or before this.
    pub to: Timestamp,
    /// What of the attributes is told.
    pub marks: &'static [Mark],
}

/// Fixes in order of fix time (then device), batch by batch. It works ahead by a piece of history of bounded size. Dropping it stops it.
pub struct FixStream {
    rows: Rows<Vec<Fix>>,
}

impl FixStream {
    /// The next fixes, at least one; `None` at the end or after an error.
    pub async fn next(&mut self) -> Option<Result<Vec<Fix>, SqlError>> {
        self.rows.next().await
    }
}

/// How much more time is tried at once: the first piece is short, so that it comes soon.
const GROW: f64 = 16.0;

/// Fixes per batch that comes out.
const BATCH_FIXES: usize = 4_096;

/// Of a piece so many batches have been taken before the next one is read, or half of them: who only looks at a moment needs no more.
const BATCHES_FIRST: usize = 3;

impl SqlEngine {
    /// Valid positions of a scope's devices that are in the roster, in order of fix time.
    pub fn fixes(&self, scope: &Scope, request: FixRequest) -> FixStream {
        let (core, scope) = (self.core.clone(), scope.clone());
        let rows = self.spawn(None, move |out| async move {
            let mut share = core.fix_room.share();
            let mut walk = Walk::new((request.from, request.to), first_ms(request.roster.len()));
            let mut next = piece(&core, &scope, &request, &mut walk, &mut share).await?;
            while let Some(fixes) = next {
                let batches = fixes.len().div_ceil(BATCH_FIXES);
                let first = batches.div_ceil(2).max(BATCHES_FIRST).saturating_mul(BATCH_FIXES).min(fixes.len());
                if !send(&out, &fixes[..first]).await {
                    return Ok(());
                }
                let reading = piece(&core, &scope, &request, &mut walk, &mut share);
                let (listening, read) = futures::join!(send(&out, &fixes[first..]), reading);
                if !listening {
                    return Ok(());
                }
                next = read?;
            }
            Ok(())
        });
        FixStream { rows }
    }
}

/// A few devices have few rows in a day; a fleet may have many in a minute.
fn first_ms(devices: usize) -> i64 {
    (16 * 86_400_000 / devices.max(1) as i64).clamp(60_000, 86_400_000)
}

/// Whether somebody still listens.
async fn send(out: &mpsc::Sender<Result<Vec<Fix>, SqlError>>, fixes: &[Fix]) -> bool {
    for batch in fixes.chunks(BATCH_FIXES) {
        if out.send(Ok(batch.to_vec())).await.is_err() {
            return false;
        }
    }
    true
}

/// The next fixes of a walk, sorted, as many as there is room for; `None` at its end.
async fn piece(
    core: &Core,
    scope: &Scope,
    request: &FixRequest,
    walk: &mut Walk,
    share: &mut Share,
) -> Result<Option<Vec<Fix>>, SqlError> {
    while let Some(mut range) = walk.piece() {
        let most = share.take();
        let kept = loop {
            let kept = read(core, scope, request, range, most).await?;
            match kept.shorter() {
                Some(shorter) => range = shorter,
                None => break kept,
            }
        };
        let (mut fixes, covered) = kept.finish();
        walk.covered(covered, fixes.len(), most / 4 * 3, GROW);
        share.keep(fixes.len());
        if fixes.is_empty() {
            continue;
        }
        let sorting = tokio::task::spawn_blocking(move || {
            fixes.sort_unstable_by_key(|fix| (fix.fix_time, fix.device));
            fixes.shrink_to_fit();
            fixes
        });
        return sorting.await.map(Some).map_err(|e| SqlError::Store(format!("sorting broke off: {e}")));
    }
    Ok(None)
}

/// All fixes of a range of time, unless there are far too many.
async fn read(
    core: &Core,
    scope: &Scope,
    request: &FixRequest,
    range: (Timestamp, Timestamp),
    most: usize,
) -> Result<Kept<Fix>, SqlError> {
    let mut kept = Kept::new(range, most, |fix: &Fix| fix.fix_time);
    let mut batches = core.read(seen(core, scope, &request.devices, range)?.select(COLUMNS.map(col))?).await?;
    while kept.shorter().is_none()
        && let Some(batch) = batches.next().await?
    {
        let columns = Columns::of(&batch)?;
        let mut fixes = Vec::new();
        for key in columns.keys(&request.roster) {
            let key = key?;
            if kept.wants(key.fix_time) {
                fixes.push(columns.fix(key, request.marks)?);
            }
        }
        kept.extend(fixes);
    }
    Ok(kept)
}

/// What is read of each row.
pub(crate) const COLUMNS: [&str; 8] = ["device", "fix_time", "lat", "lon", "speed_mps", "course_deg", "valid", "attributes"];

/// They, of a batch.
pub(crate) struct Columns<'a> {
    device: &'a StringViewArray,
    fix_time: &'a TimestampMillisecondArray,
    lat: &'a Float64Array,
    lon: &'a Float64Array,
    speed_mps: &'a Float32Array,
    course_deg: &'a Float32Array,
    valid: &'a BooleanArray,
    attributes: &'a StringViewArray,
}

/// Of which device and time a row is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key {
    row: usize,
    pub(crate) device: u32,
    pub(crate) fix_time: Timestamp,
}

impl<'a> Columns<'a> {
    pub(crate) fn of(batch: &'a RecordBatch) -> Result<Self, SqlError> {
        Ok(Self {
            device: text(batch, "device")?,
            fix_time: primitive::<TimestampMillisecondType>(batch, "fix_time")?,
            lat: primitive::<Float64Type>(batch, "lat")?,
            lon: primitive::<Float64Type>(batch, "lon")?,
            speed_mps: primitive::<Float32Type>(batch, "speed_mps")?,
            course_deg: primitive::<Float32Type>(batch, "course_deg")?,
            valid: column(batch, "valid")?.as_boolean_opt().ok_or_else(|| other_type("valid"))?,
            attributes: text(batch, "attributes")?,
        })
    }

    /// Of the valid rows whose devices are in the roster.
    pub(crate) fn keys(&self, roster: &Roster) -> impl Iterator<Item = Result<Key, SqlError>> {
        // Rows of a device lie together.
        let mut last: Option<(&str, Option<u32>)> = None;
        (0..self.device.len()).filter(move |row| self.valid.value(*row)).filter_map(move |row| {
            let id = self.device.value(row);
            let place = match last {
                Some((same, place)) if same == id => place,
                _ => {
                    let place = roster.place(id);
                    last = Some((id, place));
                    place
                }
            };
            let fix_time = Timestamp::from_millis(self.fix_time.value(row)).ok_or_else(|| out_of_range("fix_time"));
            let key = |device| fix_time.map(|fix_time| Key { row, device, fix_time });
            place.map(key)
        })
    }

    /// The whole fix.
    pub(crate) fn fix(&self, key: Key, marks: &[Mark]) -> Result<Fix, SqlError> {
        let Key { row, device, fix_time } = key;
        let location = LatLon::new(self.lat.value(row), self.lon.value(row)).ok_or_else(|| out_of_range("lat, lon"))?;
        let marks = marked(self.attributes.value(row), marks).map_err(|e| SqlError::Store(format!("bad attributes: {e}")))?;
        let optional = |column: &Float32Array| column.is_valid(row).then(|| column.value(row));
        let (speed_mps, course_deg) = (optional(self.speed_mps), optional(self.course_deg));
        Ok(Fix { device, fix_time, location, speed_mps, course_deg, marks })
    }
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef, SqlError> {
    batch.column_by_name(name).ok_or_else(|| SqlError::Store(format!("there is no column {name}")))
}

pub(crate) fn text<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a StringViewArray, SqlError> {
    column(batch, name)?.as_string_view_opt().ok_or_else(|| other_type(name))
}

pub(crate) fn primitive<'a, T: ArrowPrimitiveType>(
    batch: &'a RecordBatch,
    name: &str,
) -> Result<&'a PrimitiveArray<T>, SqlError> {
    column(batch, name)?.as_primitive_opt::<T>().ok_or_else(|| other_type(name))
}

fn other_type(name: &str) -> SqlError {
    SqlError::Store(format!("column {name} is of another type"))
}

pub(crate) fn out_of_range(name: &str) -> SqlError {
    SqlError::Store(format!("{name} is out of range"))
}

/// The bits of all attributes together, read without keeping any.
fn marked(json: &str, marks: &[Mark]) -> Result<u8, serde_json::Error> {
    // Most rows have none, or none of these: don't start a parser for them. A name with an escape in it would be missed.
    let may_have_one = json.contains('\\') || marks.iter().any(|(name, _)| json.contains(*name));
    if !may_have_one {
        return Ok(0);
    }
    let mut from = serde_json::Deserializer::from_str(json);
    let bits = Marked(marks).deserialize(&mut from)?;
    from.end()?;
    Ok(bits)
}

struct Marked<'m>(&'m [Mark]);

impl<'de> DeserializeSeed<'de> for Marked<'_> {
    type Value = u8;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<u8, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Marked<'_> {
    type Value = u8;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("attributes by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut attributes: A) -> Result<u8, A::Error> {
        let mut bits = 0;
        while let Some(mark) = attributes.next_key_seed(Name(self.0))? {
            match mark {
                Some(mark) => bits |= mark(&attributes.next_value::<AttributeValue>()?),
                None => {
                    attributes.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(bits)
    }
}

/// Finds the mark of a name.
struct Name<'m>(&'m [Mark]);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Option<fn(&AttributeValue) -> u8>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Option<fn(&AttributeValue) -> u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().find(|(known, _)| *known == name).map(|(_, mark)| *mark))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_read_without_the_rest() {
        const MARKS: &[Mark] = &[("ignition", |value| u8::from(*value == AttributeValue::Bool(true))), ("alarm", |_| 2)];
        for (json, bits) in [
            ("{}", 0),
            (r#"{"ignition":true}"#, 1),
            (r#"{"ignition":false,"odometer_m":12.5}"#, 0),
            (r#"{"alarm":"sos \"now\"","ignition":true,"note":"{"}"#, 3),
            (r#"{"\u0061larm":1}"#, 2),
            (r#"{"note":"alarm"}"#, 0),
        ] {
            assert_eq!(marked(json, MARKS).ok(), Some(bits), "{json}");
        }
        for bad in ["{\"alarm\"", "[\"alarm\"]", "{\"alarm\":{}}", "{\"alarm\":1}}"] {
            assert!(marked(bad, MARKS).is_err(), "{bad}");
        }
    }
}
