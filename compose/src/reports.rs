//! The figures of reports: one question to SQL for all vehicles of an organisation, written as a table.

use anyhow::Context;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use waystream_connectors::files::xlsx::{Columns, Row, Workbook};
use waystream_domain::notify::{Per, Period, ReportFormat};
use waystream_domain::{FleetId, OrganisationId, SharedCatalog, Timestamp};
use waystream_notify::{Making, Reports};
use waystream_sql::output::{self, Format};
use waystream_sql::{Scope, SqlEngine};

/// Of a line for each vehicle, in the order of the question. Times end in the zone they are in.
const OF_VEHICLES: Columns = &[
    ("device", 20),
    ("name", 24),
    ("fleet", 14),
    ("distance_km", 12),
    ("driving_min", 12),
    ("idle_min", 10),
    ("trips", 8),
    ("stops", 8),
    ("max_speed_kmh", 14),
    ("first_start (UTC)", 24),
    ("last_stop (UTC)", 24),
    ("geofence_enters", 15),
    ("alarms", 8),
];

/// Of a line for each fleet.
const OF_FLEETS: Columns = &[
    ("fleet", 14),
    ("name", 24),
    ("vehicles", 10),
    ("vehicles_driven", 15),
    ("distance_km", 12),
    ("driving_min", 12),
    ("idle_min", 10),
    ("trips", 8),
    ("stops", 8),
    ("max_speed_kmh", 14),
    ("first_start (UTC)", 24),
    ("last_stop (UTC)", 24),
    ("geofence_enters", 15),
    ("alarms", 8),
];

/// Makes reports from history.
pub struct FleetReports {
    /// Questions.
    pub sql: Arc<SqlEngine>,
    /// Whose fleets there are.
    pub catalog: SharedCatalog,
}

impl Reports for FleetReports {
    fn make<'a>(
        &'a self,
        organisation: &'a OrganisationId,
        fleets: &'a BTreeSet<FleetId>,
        per: Per,
        period: Period,
        format: ReportFormat,
    ) -> Making<'a> {
        Box::pin(async move {
            let made = self.file(&self.scope(organisation, fleets), per, period, format).await;
            made.map_err(|error| format!("the report could not be made: {error:#}"))
        })
    }
}

impl FleetReports {
    async fn file(&self, scope: &Scope, per: Per, period: Period, format: ReportFormat) -> anyhow::Result<Vec<u8>> {
        let (columns, question) = match per {
            Per::Vehicle => (OF_VEHICLES, of_vehicles(period)),
            Per::Fleet => (OF_FLEETS, of_fleets(period)),
        };
        let result = self.sql.query(scope, &question).await?;
        let mut answer = Vec::new();
        output::write(result, Format::Json, &mut answer).await?;
        let answer: Answer = serde_json::from_slice(&answer).context("the answer of SQL")?;
        anyhow::ensure!(!answer.truncated, "there are more lines than one answer may have ([sql] max_rows)");
        match format {
            ReportFormat::Csv => csv(columns, &answer.rows),
            ReportFormat::Xlsx => xlsx(columns, &answer.rows),
        }
    }

    fn scope(&self, organisation: &OrganisationId, fleets: &BTreeSet<FleetId>) -> Scope {
        let catalog = self.catalog.read().unwrap_or_else(PoisonError::into_inner);
        let scope = Scope::of_organisation(organisation.clone(), &catalog);
        if fleets.is_empty() { scope } else { scope.only(|fleet| fleets.contains(fleet)) }
    }
}

/// As SQL writes it.
#[derive(Deserialize)]
struct Answer {
    rows: Vec<Vec<Value>>,
    truncated: bool,
}

/// An end of a trip is told some minutes after it, or hours, if the device was silent.
const TOLD_WITHIN_MS: i64 = 86_400_000;

/// What was told of a period, and the trips that ended in it. Trips count where they end, so that each counts once and only events of about
/// the period are read; the tables `trips` and `stops` would read all of history. A trip may have been told several times: the last telling
/// counts, as in `trips`.
fn told(Period { from, to }: Period) -> String {
    let told_by = to.plus_millis(TOLD_WITHIN_MS);
    format!(
        "told AS (
            SELECT device, fleet, kind, fix_time, received_at, attributes FROM events
            WHERE NOT retracted AND fix_time >= '{from}' AND fix_time < '{told_by}'
              AND kind IN ('trip_end', 'stopped', 'enter', 'alarm')),
        ended AS (
            SELECT *, row_number() OVER (PARTITION BY device, started_at ORDER BY received_at DESC) AS place FROM (
                SELECT device, fleet, received_at,
                       attribute_time(attributes, 'started_at') AS started_at, attribute_time(attributes, 'ended_at') AS ended_at,
                       attribute_number(attributes, 'distance_m') AS distance_m,
                       attribute_number(attributes, 'driving_s') AS driving_s, attribute_number(attributes, 'idle_s') AS idle_s,
                       attribute_number(attributes, 'max_speed_mps') AS max_speed_mps
                FROM told WHERE kind = 'trip_end') AS ends),
        driven AS (SELECT * FROM ended WHERE place = 1 AND ended_at >= '{from}' AND ended_at < '{to}')"
    )
}

/// What is summed up of trips, by vehicle or fleet.
const DRIVEN: &str = "count(*) AS trips, sum(distance_m) / 1000 AS distance_km, sum(driving_s) / 60 AS driving_min,
                   sum(idle_s) / 60 AS idle_min, max(max_speed_mps) * 3.6 AS max_speed_kmh, min(started_at) AS first_start,
                   max(ended_at) AS last_stop";

/// What is counted of other events.
fn counted(to: Timestamp) -> String {
    let count =
        |kind: &str, name: &str| format!("sum(CASE WHEN kind = '{kind}' AND fix_time < '{to}' THEN 1 ELSE 0 END) AS {name}");
    [count("stopped", "stops"), count("enter", "enters"), count("alarm", "alarms")].join(", ")
}

/// The columns that reports have in common.
const FIGURES: &str =
    "round(coalesce(t.distance_km, 0.0), 3) AS distance_km, round(coalesce(t.driving_min, 0.0), 1) AS driving_min,
               round(coalesce(t.idle_min, 0.0), 1) AS idle_min, coalesce(t.trips, 0) AS trips, coalesce(c.stops, 0) AS stops,
               round(t.max_speed_kmh, 1) AS max_speed_kmh, t.first_start, t.last_stop, coalesce(c.enters, 0) AS enters,
               coalesce(c.alarms, 0) AS alarms";

fn of_vehicles(period: Period) -> String {
    let (told, counted) = (told(period), counted(period.to));
    format!(
        "WITH {told},
        summed AS (SELECT device, {DRIVEN} FROM driven GROUP BY device),
        counted AS (SELECT device, max(fleet) AS fleet, {counted} FROM told GROUP BY device)
        SELECT coalesce(d.device, c.device) AS device, d.name, coalesce(d.fleet, c.fleet) AS fleet, {FIGURES}
        FROM devices AS d FULL OUTER JOIN counted AS c ON d.device = c.device
             LEFT JOIN summed AS t ON t.device = c.device
        ORDER BY 1"
    )
}

/// Everything counts for the fleet in which it happened.
fn of_fleets(period: Period) -> String {
    let (told, counted) = (told(period), counted(period.to));
    format!(
        "WITH {told},
        summed AS (SELECT fleet, count(DISTINCT device) AS vehicles_driven, {DRIVEN} FROM driven GROUP BY fleet),
        counted AS (SELECT fleet, {counted} FROM told GROUP BY fleet),
        held AS (SELECT fleet, count(*) AS vehicles FROM devices GROUP BY fleet)
        SELECT f.fleet, f.name, coalesce(h.vehicles, 0) AS vehicles, coalesce(t.vehicles_driven, 0) AS vehicles_driven, {FIGURES}
        FROM fleets AS f LEFT JOIN held AS h ON h.fleet = f.fleet
             LEFT JOIN counted AS c ON c.fleet = f.fleet
             LEFT JOIN summed AS t ON t.fleet = f.fleet
        ORDER BY 1"
    )
}

fn csv(columns: Columns, rows: &[Vec<Value>]) -> anyhow::Result<Vec<u8>> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(columns.iter().map(|(name, _)| name))?;
    for row in rows {
        csv.write_record(row.iter().map(|value| match value {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }))?;
    }
    csv.into_inner().context("the report as CSV")
}

fn xlsx(columns: Columns, rows: &[Vec<Value>]) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut workbook = Workbook::new(&mut bytes, "report", columns)?;
    for row in rows {
        workbook.row(|cells| columns.iter().zip(row).for_each(|((name, _), value)| cell(cells, name, value)))?;
    }
    workbook.finish()?;
    drop(workbook);
    Ok(bytes)
}

fn cell(cells: &mut Row<'_>, column: &str, value: &Value) {
    match value {
        Value::String(text) => match Timestamp::parse(text).filter(|_| column.ends_with("(UTC)")) {
            Some(time) => cells.time(time),
            None => cells.anything(text),
        },
        other => cells.number(other.as_f64()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::RwLock;
    use waystream_domain::catalog::{Device, Fleet, Organisation};
    use waystream_domain::{AttributeValue, Catalog, CatalogEdit, CatalogEntry, DeviceId, Event, EventId, EventKind, LatLon};
    use waystream_log::Topic;
    use waystream_sql::SqlOptions;
    use waystream_store::parquet::{ParquetOptions, ParquetStore};
    use waystream_store::{ArchiveBatch, Archived, Store};

    fn at(time: &str) -> Timestamp {
        Timestamp::parse(time).unwrap()
    }

    fn event(device: &str, kind: EventKind, time: &str, attributes: &[(&str, AttributeValue)]) -> Event {
        let device: DeviceId = device.parse().unwrap();
        Event {
            id: EventId::of(&device, None, kind, at(time)),
            kind,
            device,
            fleet: "north".parse().unwrap(),
            geofence: None,
            geofence_version: None,
            fix_time: at(time),
            received_at: at(time),
            location: LatLon::new(52.0, 21.0).unwrap(),
            revises: None,
            retracted: false,
            attributes: attributes.iter().cloned().collect(),
        }
    }

    fn trip(device: &str, started_at: &str, ended_at: &str, told_at: &str, distance_m: f64) -> Event {
        let text = |text: &str| AttributeValue::from(text);
        let figures = [
            ("started_at", text(started_at)),
            ("ended_at", text(ended_at)),
            ("distance_m", AttributeValue::Float(distance_m)),
            ("driving_s", AttributeValue::Int(1_800)),
            ("idle_s", AttributeValue::Int(90)),
            ("max_speed_mps", AttributeValue::Float(25.0)),
        ];
        event(device, EventKind::TripEnd, told_at, &figures)
    }

    async fn reports(folder: &std::path::Path, events: Vec<Event>) -> FleetReports {
        let mut catalog = Catalog::default();
        for entry in [
            CatalogEntry::Organisation(Organisation { id: "o".parse().unwrap(), name: "O".into() }),
            CatalogEntry::Fleet(Fleet {
                id: "north".parse().unwrap(),
                organisation: "o".parse().unwrap(),
                name: "North".into(),
                rules: Default::default(),
            }),
            CatalogEntry::Fleet(Fleet {
                id: "south".parse().unwrap(),
                organisation: "o".parse().unwrap(),
                name: "South".into(),
                rules: Default::default(),
            }),
            CatalogEntry::Device(Device { id: "van-1".parse().unwrap(), fleet: "north".parse().unwrap(), name: "=Van".into() }),
            CatalogEntry::Device(Device { id: "van-3".parse().unwrap(), fleet: "north".parse().unwrap(), name: "Idle".into() }),
        ] {
            catalog.apply(CatalogEdit::Put(entry));
        }
        let catalog: SharedCatalog = Arc::new(RwLock::new(catalog));
        let store = ParquetStore::open(folder, ParquetOptions::default()).unwrap();
        let count = events.len() as u64;
        let archived = |(offset, row): (usize, Event)| Archived { partition: 0, offset: offset as u64, row };
        let events = events.into_iter().enumerate().map(archived).collect();
        let offsets = [((Topic::Events, 0), count)].into_iter().collect();
        store.append(Arc::new(ArchiveBatch { positions: Vec::new(), events, offsets })).await.unwrap();
        let sql = SqlEngine::new(store, Arc::clone(&catalog), SqlOptions::default()).unwrap();
        FleetReports { sql: Arc::new(sql), catalog }
    }

    #[tokio::test]
    async fn a_report_has_a_line_for_every_vehicle_with_what_it_did_in_the_period() {
        let folder = tempfile::tempdir().unwrap();
        let events = vec![
            // Of the day before; told twice, with more the second time; told after midnight; of the next day.
            trip("van-1", "2026-11-27T22:00:00.000Z", "2026-11-27T23:30:00.000Z", "2026-11-27T23:35:00Z", 9_999.0),
            trip("van-1", "2026-11-28T08:00:00.000Z", "2026-11-28T08:30:00.000Z", "2026-11-28T08:35:00Z", 10_000.0),
            trip("van-1", "2026-11-28T08:00:00.000Z", "2026-11-28T08:40:00.000Z", "2026-11-28T08:45:00Z", 12_345.6),
            trip("van-1", "2026-11-28T23:00:00.000Z", "2026-11-28T23:58:00.000Z", "2026-11-29T00:03:00Z", 1_000.0),
            trip("van-1", "2026-11-28T23:59:00.000Z", "2026-11-29T00:30:00.000Z", "2026-11-29T00:35:00Z", 9_999.0),
            event("van-1", EventKind::Stopped, "2026-11-28T08:45:00Z", &[]),
            event("van-1", EventKind::Stopped, "2026-11-29T00:03:00Z", &[]),
            event("van-2", EventKind::Enter, "2026-11-28T10:00:00Z", &[]),
            event("van-2", EventKind::Alarm, "2026-11-28T11:00:00Z", &[]),
        ];
        let reports = reports(folder.path(), events).await;
        let day = Period { from: at("2026-11-28T00:00:00Z"), to: at("2026-11-29T00:00:00Z") };
        let (organisation, all) = ("o".parse().unwrap(), BTreeSet::new());
        let csv = reports.make(&organisation, &all, Per::Vehicle, day, ReportFormat::Csv).await.unwrap();
        let lines: Vec<String> = String::from_utf8(csv).unwrap().lines().map(str::to_owned).collect();
        assert_eq!(
            lines[1..],
            [
                "van-1,=Van,north,13.346,60.0,3.0,2,1,90.0,2026-11-28T08:00:00.000Z,2026-11-28T23:58:00.000Z,0,0",
                "van-2,,north,0.0,0.0,0.0,0,0,,,,1,1",
                "van-3,Idle,north,0.0,0.0,0.0,0,0,,,,0,0",
            ]
        );
        assert!(lines[0].starts_with("device,name,fleet,distance_km,") && lines[0].split(',').count() == OF_VEHICLES.len());
        let workbook = reports.make(&organisation, &all, Per::Vehicle, day, ReportFormat::Xlsx).await.unwrap();
        assert!(workbook.starts_with(b"PK"));

        // A line for a fleet: its figures are those of its vehicles, of which two are entered and one has driven.
        let csv = reports.make(&organisation, &all, Per::Fleet, day, ReportFormat::Csv).await.unwrap();
        let lines: Vec<String> = String::from_utf8(csv).unwrap().lines().map(str::to_owned).collect();
        let north = "north,North,2,1,13.346,60.0,3.0,2,1,90.0,2026-11-28T08:00:00.000Z,2026-11-28T23:58:00.000Z,1,1";
        assert_eq!(lines[1..], [north, "south,South,0,0,0.0,0.0,0.0,0,0,,,,0,0"]);
        assert!(lines[0].starts_with("fleet,name,vehicles,") && lines[0].split(',').count() == OF_FLEETS.len());
        let workbook = reports.make(&organisation, &all, Per::Fleet, day, ReportFormat::Xlsx).await.unwrap();
        assert!(workbook.starts_with(b"PK"));
        let south = BTreeSet::from(["south".parse().unwrap()]);
        let csv = reports.make(&organisation, &south, Per::Fleet, day, ReportFormat::Csv).await.unwrap();
        assert_eq!(String::from_utf8(csv).unwrap().lines().skip(1).collect::<Vec<_>>(), [&lines[2]]);

        // Others see nothing of it.
        for (organisation, fleets) in [("o", BTreeSet::from(["south".parse().unwrap()])), ("other", BTreeSet::new())] {
            let csv =
                reports.make(&organisation.parse().unwrap(), &fleets, Per::Vehicle, day, ReportFormat::Csv).await.unwrap();
            assert_eq!(String::from_utf8(csv).unwrap().lines().count(), 1);
        }
    }
}
