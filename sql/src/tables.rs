//! The catalog as tables: devices, fleets, geofences and acknowledgements of one scope.

use crate::Scope;
use datafusion::arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::common::Result;
use std::ops::Bound;
use std::sync::{Arc, PoisonError};
use waystream_domain::catalog::Device;
use waystream_domain::geofence::Shape;
use waystream_domain::geofence::geojson::to_feature;
use waystream_domain::{Acknowledgement, DeviceId, Geofence, SharedCatalog, Timestamp};

/// Devices that are looked at before others may have the catalog.
const AT_A_TIME: usize = 4_096;

/// Name and contents of each table. Those not `wanted` are there without rows: a catalog may be large.
pub(crate) fn of_scope(
    catalog: &SharedCatalog,
    scope: &Scope,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<(&'static str, Arc<dyn TableProvider>)>> {
    let devices = if wanted("devices") { devices_of(catalog, scope) } else { Vec::new() };
    let (fleets, geofences, seen) = {
        let catalog = catalog.read().unwrap_or_else(PoisonError::into_inner);
        let fleets = catalog.fleets_of(scope.organisation()).filter(|f| scope.fleets().contains(&f.id));
        let fleets: Vec<_> = fleets.cloned().collect();
        let geofences = wanted("geofences").then(|| catalog.geofences.values()).into_iter().flatten();
        let geofences: Vec<_> = geofences.filter(|g| scope.sees(g)).cloned().collect();
        // Those from before their fleets were noted are for who sees all fleets.
        let sees_all = catalog.fleets_of(scope.organisation()).all(|f| scope.fleets().contains(&f.id));
        let sees = |a: &Acknowledgement| a.fleet.as_ref().map_or(sees_all, |fleet| scope.fleets().contains(fleet));
        let seen = wanted("acknowledgements").then(|| catalog.acknowledgements_of(scope.organisation())).into_iter().flatten();
        let seen: Vec<_> = seen.filter(|a| sees(a)).cloned().collect();
        (fleets, geofences, seen)
    };
    let radius = |g: &Geofence| match g.shape {
        Shape::Circle { radius_m, .. } => Some(radius_m),
        Shape::Polygons { .. } | Shape::Corridor { .. } => None,
    };
    let kind = |g: &Geofence| match g.shape {
        Shape::Circle { .. } => "circle",
        Shape::Polygons { .. } => "polygon",
        Shape::Corridor { .. } => "corridor",
    };
    Ok(vec![
        (
            "devices",
            table(vec![
                ("device", texts(&devices, |d| d.id.as_str()), false),
                ("name", texts(&devices, |d| d.name.as_str()), false),
                ("fleet", texts(&devices, |d| d.fleet.as_str()), false),
            ])?,
        ),
        (
            "fleets",
            table(vec![
                ("fleet", texts(&fleets, |f| f.id.as_str()), false),
                ("name", texts(&fleets, |f| f.name.as_str()), false),
            ])?,
        ),
        (
            "geofences",
            table(vec![
                ("geofence", texts(&geofences, |g| g.id.as_str()), false),
                ("name", texts(&geofences, |g| g.name.as_str()), false),
                ("fleet", optional_texts(&geofences, |g| g.fleet.as_ref().map(|f| f.as_str())), true),
                ("kind", texts(&geofences, |g| kind(g)), false),
                ("radius_m", Arc::new(geofences.iter().map(|g| radius(g)).collect::<Float64Array>()), true),
                ("colour", optional_texts(&geofences, |g| g.colour.as_deref()), true),
                ("version", Arc::new(geofences.iter().map(|g| Some(g.version as i64)).collect::<Int64Array>()), false),
                ("geojson", Arc::new(geofences.iter().map(|g| Some(geometry(g))).collect::<StringArray>()), false),
            ])?,
        ),
        (
            "acknowledgements",
            table(vec![
                ("event_id", texts(&seen, |a| a.event.as_str()), false),
                ("acknowledged_by", texts(&seen, |a| a.by.as_str()), false),
                ("acknowledged_at", times(&seen, |a| a.at), false),
                ("note", optional_texts(&seen, |a| a.note.as_deref()), true),
            ])?,
        ),
    ])
}

/// In pieces: who asks computes behind live tracking, and must not hold up others who need the catalog.
fn devices_of(catalog: &SharedCatalog, scope: &Scope) -> Vec<Arc<Device>> {
    let (mut all, mut last) = (Vec::new(), None::<DeviceId>);
    loop {
        let catalog = catalog.read().unwrap_or_else(PoisonError::into_inner);
        let from = last.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut reached = None;
        for (id, device) in catalog.devices.range::<DeviceId, _>((from, Bound::Unbounded)).take(AT_A_TIME) {
            if scope.fleets().contains(&device.fleet) {
                all.push(Arc::clone(device));
            }
            reached = Some(id);
        }
        let Some(reached) = reached else { return all };
        last = Some(reached.clone());
    }
}

fn texts<T>(rows: &[Arc<T>], f: impl Fn(&T) -> &str) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(rows.iter().map(|r| f(r))))
}

fn optional_texts<T>(rows: &[Arc<T>], f: impl Fn(&T) -> Option<&str>) -> ArrayRef {
    Arc::new(rows.iter().map(|r| f(r)).collect::<StringArray>())
}

fn times<T>(rows: &[Arc<T>], f: impl Fn(&T) -> Timestamp) -> ArrayRef {
    let times = TimestampMillisecondArray::from_iter_values(rows.iter().map(|r| f(r).as_millis()));
    Arc::new(times.with_timezone("UTC"))
}

fn table(columns: Vec<(&'static str, ArrayRef, bool)>) -> Result<Arc<dyn TableProvider>> {
    let batch = RecordBatch::try_from_iter_with_nullable(columns)?;
    Ok(Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?))
}

/// GeoJSON; a circle is its centre (its radius is a column).
fn geometry(fence: &Geofence) -> String {
    to_feature(fence)["geometry"].to_string()
}
