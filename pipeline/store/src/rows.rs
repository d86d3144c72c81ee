//! Positions and events as columns, and back.

use crate::Archived;
use crate::table::Table;
use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, Float32Array, Float64Array, Int32Array, Int64Array,
    PrimitiveArray, RecordBatch, StringViewArray, StringViewBuilder, TimestampMillisecondArray,
};
use arrow::datatypes::{Float32Type, Float64Type, Int32Type, Int64Type, TimestampMillisecondType};
use smol_str::SmolStr;
use std::sync::Arc;
use waystream_domain::{
    Attributes, DeviceId, Event, EventId, EventKind, FleetId, GeofenceId, IdError, LatLon, Position, Timestamp,
};

/// Why rows can't be read back.
#[derive(Debug, thiserror::Error)]
pub enum RowError {
    /// A column is missing or has another type.
    #[error("column {0} is missing or of another type")]
    Column(&'static str),
    /// A value is out of its range.
    #[error("{0} is out of range")]
    OutOfRange(&'static str),
    /// An identifier is none.
    #[error("bad identifier")]
    Id(#[from] IdError),
    /// Attributes are no JSON object of simple values.
    #[error("bad attributes")]
    Attributes(#[from] serde_json::Error),
}

fn times(values: impl Iterator<Item = Timestamp>) -> ArrayRef {
    Arc::new(TimestampMillisecondArray::from_iter_values(values.map(Timestamp::as_millis)).with_timezone("UTC"))
}

/// Short and repeated texts: equal neighbours share their bytes.
fn texts<'a>(values: impl Iterator<Item = &'a str>) -> ArrayRef {
    let mut builder = StringViewBuilder::new().with_deduplicate_strings();
    values.for_each(|v| builder.append_value(v));
    Arc::new(builder.finish())
}

fn attributes<'a>(values: impl Iterator<Item = &'a Attributes>) -> ArrayRef {
    let mut builder = StringViewBuilder::new().with_deduplicate_strings();
    for v in values {
        let json = serde_json::to_string(v).expect("attributes are finite numbers, booleans and texts under text keys");
        builder.append_value(json);
    }
    Arc::new(builder.finish())
}

/// Offsets are signed in columns; a log never gets to 2^63.
fn offset(offset: u64) -> i64 {
    i64::try_from(offset).unwrap_or(i64::MAX)
}

/// Positions as one batch of [`Table::Positions`], in the given order.
pub fn positions_batch(rows: &[Archived<Position>]) -> RecordBatch {
    let mut columns = position_columns(rows.iter().map(|r| &r.row));
    columns.push(Arc::new(rows.iter().map(|r| r.partition as i32).collect::<Int32Array>()));
    columns.push(Arc::new(rows.iter().map(|r| offset(r.offset)).collect::<Int64Array>()));
    RecordBatch::try_new(Table::Positions.schema(), columns).expect("columns are built in the schema's order and types")
}

/// Positions as one batch of what people see of them ([`POSITION_COLUMNS`](crate::POSITION_COLUMNS)), in the given order.
pub fn positions_for_people(rows: &[Position]) -> RecordBatch {
    let schema = Table::Positions.schema_for_people();
    RecordBatch::try_new(schema, position_columns(rows.iter())).expect("columns are built in the schema's order and types")
}

/// The columns that people see, in the order of [`POSITION_COLUMNS`](crate::POSITION_COLUMNS).
fn position_columns<'a>(all: impl Iterator<Item = &'a Position> + Clone) -> Vec<ArrayRef> {
    let all = || all.clone();
    let f32s = |f: fn(&Position) -> Option<f32>| Arc::new(all().map(f).collect::<Float32Array>()) as ArrayRef;
    let f64s = |f: fn(&Position) -> f64| Arc::new(all().map(f).map(Some).collect::<Float64Array>()) as ArrayRef;
    vec![
        times(all().map(|p| p.fix_time)),
        times(all().map(|p| p.received_at)),
        texts(all().map(|p| p.device.as_str())),
        texts(all().map(|p| p.fleet.as_str())),
        f64s(|p| p.location.lat_deg()),
        f64s(|p| p.location.lon_deg()),
        f32s(|p| p.altitude_m),
        f32s(|p| p.speed_mps),
        f32s(|p| p.course_deg),
        f32s(|p| p.accuracy_m),
        Arc::new(all().map(|p| Some(p.valid)).collect::<BooleanArray>()),
        texts(all().map(|p| p.protocol.as_str())),
        attributes(all().map(|p| &p.attributes)),
    ]
}

/// Events as one batch of [`Table::Events`], in the given order.
pub fn events_batch(rows: &[Archived<Event>]) -> RecordBatch {
    let all = || rows.iter().map(|r| &r.row);
    let columns: Vec<ArrayRef> = vec![
        texts(all().map(|e| e.id.as_str())),
        texts(all().map(|e| e.kind.as_str())),
        times(all().map(|e| e.fix_time)),
        times(all().map(|e| e.received_at)),
        texts(all().map(|e| e.device.as_str())),
        texts(all().map(|e| e.fleet.as_str())),
        Arc::new(all().map(|e| e.geofence.as_ref().map(GeofenceId::as_str)).collect::<StringViewArray>()),
        Arc::new(all().map(|e| e.geofence_version.map(offset)).collect::<Int64Array>()),
        Arc::new(all().map(|e| Some(e.location.lat_deg())).collect::<Float64Array>()),
        Arc::new(all().map(|e| Some(e.location.lon_deg())).collect::<Float64Array>()),
        Arc::new(all().map(|e| e.revises.as_ref().map(EventId::as_str)).collect::<StringViewArray>()),
        Arc::new(all().map(|e| Some(e.retracted)).collect::<BooleanArray>()),
        attributes(all().map(|e| &e.attributes)),
        Arc::new(rows.iter().map(|r| r.partition as i32).collect::<Int32Array>()),
        Arc::new(rows.iter().map(|r| offset(r.offset)).collect::<Int64Array>()),
    ];
    RecordBatch::try_new(Table::Events.schema(), columns).expect("columns are built in the schema's order and types")
}

/// Typed access to the columns of a batch by name.
struct Columns<'a>(&'a RecordBatch);

impl<'a> Columns<'a> {
    fn primitive<T: ArrowPrimitiveType>(&self, name: &'static str) -> Result<&'a PrimitiveArray<T>, RowError> {
        self.0.column_by_name(name).and_then(|c| c.as_primitive_opt()).ok_or(RowError::Column(name))
    }

    fn text(&self, name: &'static str) -> Result<&'a StringViewArray, RowError> {
        self.0.column_by_name(name).and_then(|c| c.as_string_view_opt()).ok_or(RowError::Column(name))
    }

    fn bool(&self, name: &'static str) -> Result<&'a BooleanArray, RowError> {
        self.0.column_by_name(name).and_then(|c| c.as_boolean_opt()).ok_or(RowError::Column(name))
    }

    fn time(&self, name: &'static str) -> Result<impl Fn(usize) -> Result<Timestamp, RowError> + 'a, RowError> {
        let column = self.primitive::<TimestampMillisecondType>(name)?;
        Ok(move |i| Timestamp::from_millis(column.value(i)).ok_or(RowError::OutOfRange(name)))
    }
}

fn optional<T: ArrowPrimitiveType>(column: &PrimitiveArray<T>, i: usize) -> Option<T::Native> {
    column.is_valid(i).then(|| column.value(i))
}

/// Reads positions back; the batch has at least the columns for people, in any order.
pub fn positions_from(batch: &RecordBatch) -> Result<Vec<Position>, RowError> {
    let c = Columns(batch);
    let (fix_time, received_at) = (c.time("fix_time")?, c.time("received_at")?);
    let (device, fleet, protocol, attributes) =
        (c.text("device")?, c.text("fleet")?, c.text("protocol")?, c.text("attributes")?);
    let (lat, lon) = (c.primitive::<Float64Type>("lat")?, c.primitive::<Float64Type>("lon")?);
    let [altitude, speed, course, accuracy] =
        ["altitude_m", "speed_mps", "course_deg", "accuracy_m"].map(|name| c.primitive::<Float32Type>(name));
    let (altitude, speed, course, accuracy) = (altitude?, speed?, course?, accuracy?);
    let valid = c.bool("valid")?;
    (0..batch.num_rows())
        .map(|i| {
            Ok(Position {
                device: DeviceId::new(device.value(i))?,
                fleet: FleetId::new(fleet.value(i))?,
                fix_time: fix_time(i)?,
                received_at: received_at(i)?,
                location: LatLon::new(lat.value(i), lon.value(i)).ok_or(RowError::OutOfRange("lat, lon"))?,
                valid: valid.value(i),
                altitude_m: optional(altitude, i),
                speed_mps: optional(speed, i),
                course_deg: optional(course, i),
                accuracy_m: optional(accuracy, i),
                protocol: SmolStr::new(protocol.value(i)),
                attributes: parse_attributes(attributes.value(i))?,
            })
        })
        .collect()
}

/// Reads events back with their places; the batch has all columns of [`Table::Events`], in any order.
pub fn events_from(batch: &RecordBatch) -> Result<Vec<Archived<Event>>, RowError> {
    let c = Columns(batch);
    let (fix_time, received_at) = (c.time("fix_time")?, c.time("received_at")?);
    let (id, kind, device, fleet) = (c.text("event_id")?, c.text("kind")?, c.text("device")?, c.text("fleet")?);
    let (geofence, revises, attributes) = (c.text("geofence")?, c.text("revises")?, c.text("attributes")?);
    let (lat, lon) = (c.primitive::<Float64Type>("lat")?, c.primitive::<Float64Type>("lon")?);
    let version = c.primitive::<Int64Type>("geofence_version")?;
    let retracted = c.bool("retracted")?;
    let (partition, offset) = (c.primitive::<Int32Type>("log_partition")?, c.primitive::<Int64Type>("log_offset")?);
    (0..batch.num_rows())
        .map(|i| {
            let row = Event {
                id: EventId::from_text(id.value(i)),
                kind: EventKind::parse(kind.value(i)).ok_or(RowError::OutOfRange("kind"))?,
                device: DeviceId::new(device.value(i))?,
                fleet: FleetId::new(fleet.value(i))?,
                geofence: geofence.is_valid(i).then(|| GeofenceId::new(geofence.value(i))).transpose()?,
                geofence_version: optional(version, i).map(|v| v as u64),
                fix_time: fix_time(i)?,
                received_at: received_at(i)?,
                location: LatLon::new(lat.value(i), lon.value(i)).ok_or(RowError::OutOfRange("lat, lon"))?,
                revises: revises.is_valid(i).then(|| EventId::from_text(revises.value(i))),
                retracted: retracted.value(i),
                attributes: parse_attributes(attributes.value(i))?,
            };
            Ok(Archived { partition: partition.value(i) as u32, offset: offset.value(i) as u64, row })
        })
        .collect()
}

/// Most rows have none: don't start a parser for `{}`.
fn parse_attributes(json: &str) -> Result<Attributes, serde_json::Error> {
    if json == "{}" { Ok(Attributes::default()) } else { serde_json::from_str(json) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use waystream_domain::AttributeValue;

    fn position() -> Position {
        Position {
            device: DeviceId::new("356307042441013").expect("an id"),
            fleet: FleetId::new("north").expect("an id"),
            fix_time: Timestamp::parse("1949-06-11T06:00:00.001Z").expect("a time"),
            received_at: Timestamp::parse("2024-06-03T04:11:04.011Z").expect("a time"),
            location: LatLon::new(52.2421311, -180.0).expect("on Earth"),
            valid: true,
            altitude_m: Some(-3.5),
            speed_mps: None,
            course_deg: Some(359.9),
            accuracy_m: None,
            protocol: SmolStr::new("teltonika"),
            attributes: [("ignition", AttributeValue::from(true)), ("alarm", AttributeValue::from("sos \"now\""))]
                .into_iter()
                .collect(),
        }
    }

    #[test]
    fn a_position_is_read_back_as_it_was_written() {
        let batch = positions_batch(&[Archived { partition: 3, offset: 9, row: position() }]);
        assert_eq!(positions_from(&batch).expect("readable"), [position()]);
    }

    #[test]
    fn an_event_is_read_back_as_it_was_written() {
        let p = position();
        let geofence = GeofenceId::new("depot").expect("an id");
        let event = Event {
            id: EventId::of(&p.device, Some(&geofence), EventKind::Exit, p.fix_time),
            kind: EventKind::Exit,
            device: p.device,
            fleet: p.fleet,
            geofence: Some(geofence),
            geofence_version: Some(1_717_387_864_011),
            fix_time: p.fix_time,
            received_at: p.received_at,
            location: p.location,
            revises: None,
            retracted: true,
            attributes: p.attributes,
        };
        let archived = Archived { partition: 15, offset: 1, row: event };
        assert_eq!(events_from(&events_batch(std::slice::from_ref(&archived))).expect("readable"), [archived]);
    }
}
