//! The two tables: their columns, what makes two rows the same, and which of them is kept.

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, LazyLock};

/// The tables of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Table {
    /// One row per (device, fix_time).
    Positions,
    /// One row per event id.
    Events,
}

/// Columns of `positions` that people see, in order. Units are in the names; `fix_time` and `received_at` are UTC.
pub const POSITION_COLUMNS: [&str; 13] = [
    "fix_time",
    "received_at",
    "device",
    "fleet",
    "lat",
    "lon",
    "altitude_m",
    "speed_mps",
    "course_deg",
    "accuracy_m",
    "valid",
    "protocol",
    "attributes",
];

/// Columns of `events` that people see, in order.
pub const EVENT_COLUMNS: [&str; 12] = [
    "event_id",
    "kind",
    "fix_time",
    "received_at",
    "device",
    "fleet",
    "geofence",
    "lat",
    "lon",
    "revises",
    "retracted",
    "attributes",
];

/// Time columns: milliseconds, UTC.
pub(crate) fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))
}

static POSITIONS: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        Field::new("fix_time", time_type(), false),
        Field::new("received_at", time_type(), false),
        Field::new("device", DataType::Utf8View, false),
        Field::new("fleet", DataType::Utf8View, false),
        Field::new("lat", DataType::Float64, false),
        Field::new("lon", DataType::Float64, false),
        Field::new("altitude_m", DataType::Float32, true),
        Field::new("speed_mps", DataType::Float32, true),
        Field::new("course_deg", DataType::Float32, true),
        Field::new("accuracy_m", DataType::Float32, true),
        Field::new("valid", DataType::Boolean, false),
        Field::new("protocol", DataType::Utf8View, false),
        Field::new("attributes", DataType::Utf8View, false),
        Field::new("log_partition", DataType::Int32, false),
        Field::new("log_offset", DataType::Int64, false),
    ]))
});

static EVENTS: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        Field::new("event_id", DataType::Utf8View, false),
        Field::new("kind", DataType::Utf8View, false),
        Field::new("fix_time", time_type(), false),
        Field::new("received_at", time_type(), false),
        Field::new("device", DataType::Utf8View, false),
        Field::new("fleet", DataType::Utf8View, false),
        Field::new("geofence", DataType::Utf8View, true),
        Field::new("geofence_version", DataType::Int64, true),
        Field::new("lat", DataType::Float64, false),
        Field::new("lon", DataType::Float64, false),
        Field::new("revises", DataType::Utf8View, true),
        Field::new("retracted", DataType::Boolean, false),
        Field::new("attributes", DataType::Utf8View, false),
        Field::new("log_partition", DataType::Int32, false),
        Field::new("log_offset", DataType::Int64, false),
    ]))
});

impl Table {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Positions, Self::Events];

    /// Name in SQL and in file names.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Positions => "positions",
            Self::Events => "events",
        }
    }

    /// All columns, those for people first.
    pub fn schema(self) -> SchemaRef {
        match self {
            Self::Positions => POSITIONS.clone(),
            Self::Events => EVENTS.clone(),
        }
    }

    /// The columns that people see, in order.
    pub(crate) fn schema_for_people(self) -> SchemaRef {
        let names: &[&str] = match self {
            Self::Positions => &POSITION_COLUMNS,
            Self::Events => &EVENT_COLUMNS,
        };
        let schema = self.schema();
        let field = |name: &&str| schema.fields().find(name).map(|(_, field)| Arc::clone(field));
        Arc::new(Schema::new(names.iter().filter_map(field).collect::<Vec<_>>()))
    }

    /// Rows are kept sorted by these columns, and rows equal in all of them are versions of one row. (An event's id implies its
    /// device and fix time, so events too lie by device and time.)
    pub const fn key(self) -> &'static [&'static str] {
        match self {
            Self::Positions => &["device", "fix_time"],
            Self::Events => &["device", "fix_time", "event_id"],
        }
    }

    /// Of several versions the one greatest in these columns is kept. The offset decides last: versions of one row are of one
    /// device, hence of one partition.
    pub const fn version(self) -> &'static [&'static str] {
        match self {
            Self::Positions => &["received_at", "log_offset"],
            Self::Events => &["log_offset"],
        }
    }
}
