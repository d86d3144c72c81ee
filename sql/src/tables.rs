//! The catalog as tables: devices, fleets, geofences of one scope.

use crate::Scope;
use datafusion::arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::common::Result;
use serde_json::json;
use std::sync::Arc;
use waystream_domain::geofence::{Polygon, Shape};
use waystream_domain::{Geofence, LatLon, SharedCatalog};

/// Name and contents of each table.
pub(crate) fn of_scope(catalog: &SharedCatalog, scope: &Scope) -> Result<Vec<(&'static str, Arc<dyn TableProvider>)>> {
    let (devices, fleets, geofences) = {
        let catalog = catalog.read().expect("nothing panics while it holds this lock");
        let devices: Vec<_> = catalog.devices.values().filter(|d| scope.fleets.contains(&d.fleet)).cloned().collect();
        let fleets: Vec<_> = catalog.fleets_of(&scope.organisation).filter(|f| scope.fleets.contains(&f.id)).cloned().collect();
        let visible =
            |g: &Geofence| g.organisation == scope.organisation && g.fleet.as_ref().is_none_or(|f| scope.fleets.contains(f));
        let geofences: Vec<_> = catalog.geofences.values().filter(|g| visible(g)).cloned().collect();
        (devices, fleets, geofences)
    };
    let radius = |g: &Geofence| match g.shape {
        Shape::Circle { radius_m, .. } => Some(radius_m),
        Shape::Polygons { .. } => None,
    };
    let kind = |g: &Geofence| match g.shape {
        Shape::Circle { .. } => "circle",
        Shape::Polygons { .. } => "polygon",
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
                (
                    "geojson",
                    Arc::new(geofences.iter().map(|g| Some(geometry(&g.shape).to_string())).collect::<StringArray>()),
                    false,
                ),
            ])?,
        ),
    ])
}

fn texts<T>(rows: &[Arc<T>], f: impl Fn(&T) -> &str) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(rows.iter().map(|r| f(r))))
}

fn optional_texts<T>(rows: &[Arc<T>], f: impl Fn(&T) -> Option<&str>) -> ArrayRef {
    Arc::new(rows.iter().map(|r| f(r)).collect::<StringArray>())
}

fn table(columns: Vec<(&'static str, ArrayRef, bool)>) -> Result<Arc<dyn TableProvider>> {
    let batch = RecordBatch::try_from_iter_with_nullable(columns)?;
    Ok(Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?))
}

/// GeoJSON geometry; a circle is its centre (its radius is a column).
fn geometry(shape: &Shape) -> serde_json::Value {
    let place = |at: LatLon| json!([at.lon_deg(), at.lat_deg()]);
    let rings = |p: &Polygon| {
        json!(p.rings.iter().map(|ring| ring.iter().map(|at| place(*at)).collect::<Vec<_>>()).collect::<Vec<_>>())
    };
    match shape {
        Shape::Circle { centre, .. } => json!({"type": "Point", "coordinates": place(*centre)}),
        Shape::Polygons { polygons } => match polygons.as_slice() {
            [one] => json!({"type": "Polygon", "coordinates": rings(one)}),
            many => json!({"type": "MultiPolygon", "coordinates": many.iter().map(rings).collect::<Vec<_>>()}),
        },
    }
}
