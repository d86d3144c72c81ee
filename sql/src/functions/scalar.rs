//! Scalar functions: NULL if an argument is, and an answer for any other, if only NaN or NULL.

use super::zones::{Named, Zones};
use super::{Entry, cells, geometry, on_earth};
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, StringArray, StringViewArray, StringViewBuilder,
    TimestampMillisecondArray,
};
use datafusion::arrow::datatypes::{DataType, Float64Type, TimeUnit};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use waystream_domain::{bearing_of_degrees_deg, geodesic_degrees_m, haversine_degrees_m};

/// All of them; the zones are those of one scope.
pub(super) fn all(zones: Arc<Zones>) -> Vec<ScalarUDF> {
    let by_name = zones.clone();
    let mut all = vec![
        number("haversine_m", |[a, b, c, d]| between((a, b), (c, d), haversine_degrees_m)),
        number("geodesic_m", |[a, b, c, d]| geodesic_degrees_m((a, b), (c, d))),
        number("bearing_deg", |[a, b, c, d]| between((a, b), (c, d), bearing_of_degrees_deg)),
        truth("dwithin_m", |[a, b, c, d, most_m]| {
            let metres = between((a, b), (c, d), haversine_degrees_m);
            // Of what is no number nobody can say whether it is more.
            (!metres.is_nan() && !most_m.is_nan()).then_some(metres <= most_m)
        }),
        number("speed_kmh", |[mps]| rounded(mps * 3.6)),
        number("speed_mph", |[mps]| rounded(mps * 3600.0 / 1609.344)),
        number("speed_kn", |[mps]| rounded(mps * 3600.0 / 1852.0)),
        text("h3_cell", |[lat, lon, resolution], into| cells::h3(lat, lon, resolution, into)),
        of_text("h3_lat", |cell| cells::h3_centre(cell).map(|(lat, _)| lat)),
        of_text("h3_lon", |cell| cells::h3_centre(cell).map(|(_, lon)| lon)),
        text("geohash", |[lat, lon, length], into| cells::geohash(lat, lon, length, into)),
        text("tile", |[lat, lon, zoom], into| cells::tile(lat, lon, zoom, into)),
        text("zone_id", move |[lat, lon], into| zones.id_at(lat, lon, into)),
        function(
            "in_geofence",
            &[DataType::Float64, DataType::Float64, DataType::Utf8View],
            DataType::Boolean,
            move |columns| {
                let (lats, lons) = (columns[0].as_primitive::<Float64Type>(), columns[1].as_primitive::<Float64Type>());
                let names = columns[2].as_string_view();
                // The name is nearly always a constant.
                let mut last: Option<(&str, Named<'_>)> = None;
                let rows = lats.iter().zip(lons).zip(names).map(|((lat, lon), name)| {
                    let (Some(lat), Some(lon), Some(name)) = (lat, lon, name) else { return Ok(None) };
                    let fences = match &last {
                        Some((same, fences)) if *same == name => fences,
                        _ => &last.insert((name, by_name.named(name)?)).1,
                    };
                    Ok(fences.cover(lat, lon))
                });
                Ok(Arc::new(rows.collect::<Result<BooleanArray>>()?))
            },
        ),
        attribute("attribute_text", DataType::Utf8, |column, name| {
            Arc::new(column.iter().map(|json| super::attributes::text(json?, name?)).collect::<StringArray>())
        }),
        attribute("attribute_number", DataType::Float64, |column, name| {
            Arc::new(column.iter().map(|json| super::attributes::number(json?, name?)).collect::<Float64Array>())
        }),
        attribute("attribute_time", time_type(), |column, name| {
            let times = column.iter().map(|json| super::attributes::time(json?, name?)).collect::<TimestampMillisecondArray>();
            Arc::new(times.with_timezone("UTC"))
        }),
        attribute("attribute_flag", DataType::Boolean, |column, name| {
            Arc::new(column.iter().map(|json| super::attributes::flag(json?, name?)).collect::<BooleanArray>())
        }),
    ];
    all.extend(geometry::all());
    all
}

/// Of two (latitude, longitude) in degrees; NaN if one of them is not a place on Earth.
fn between(a: (f64, f64), b: (f64, f64), f: fn((f64, f64), (f64, f64)) -> f64) -> f64 {
    if on_earth(a) && on_earth(b) { f(a, b) } else { f64::NAN }
}

/// Of every time column.
fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))
}

/// A speed is a `real`: as a double it has digits that nobody measured.
fn rounded(speed: f64) -> f64 {
    (speed * 1e4).round() / 1e4
}

type Call = dyn Fn(&[ColumnarValue], usize) -> Result<ArrayRef> + Send + Sync;

/// Of columns; constants are columns too.
pub(super) fn function(
    name: &'static str,
    arguments: &[DataType],
    returns: DataType,
    call: impl Fn(&[ArrayRef]) -> Result<ArrayRef> + Send + Sync + 'static,
) -> ScalarUDF {
    lazy(name, arguments, returns, move |arguments, rows| {
        call(&arguments.iter().map(|a| a.to_array(rows)).collect::<Result<Vec<_>>>()?)
    })
}

/// Of arguments as they are, and a number of rows.
pub(super) fn lazy(
    name: &'static str,
    arguments: &[DataType],
    returns: DataType,
    call: impl Fn(&[ColumnarValue], usize) -> Result<ArrayRef> + Send + Sync + 'static,
) -> ScalarUDF {
    let signature = Signature::exact(arguments.to_vec(), Volatility::Immutable);
    ScalarUDF::from(Function { name, signature, returns, documentation: Entry::of(name).documentation(), call: Arc::new(call) })
}

fn number<const N: usize>(name: &'static str, f: impl Fn([f64; N]) -> f64 + Send + Sync + 'static) -> ScalarUDF {
    let call = move |columns: &[ArrayRef]| Ok(Arc::new(each(columns, |a| Some(f(a))).collect::<Float64Array>()) as ArrayRef);
    function(name, &vec![DataType::Float64; N], DataType::Float64, call)
}

fn truth<const N: usize>(name: &'static str, f: impl Fn([f64; N]) -> Option<bool> + Send + Sync + 'static) -> ScalarUDF {
    let call = move |columns: &[ArrayRef]| Ok(Arc::new(each(columns, &f).collect::<BooleanArray>()) as ArrayRef);
    function(name, &vec![DataType::Float64; N], DataType::Boolean, call)
}

/// The text is written into what is given, empty.
pub(super) fn text<const N: usize>(
    name: &'static str,
    f: impl Fn([f64; N], &mut String) -> Option<()> + Send + Sync + 'static,
) -> ScalarUDF {
    let call = move |columns: &[ArrayRef]| {
        let (mut texts, mut text) = (StringViewBuilder::new(), String::new());
        for arguments in each(columns, Some) {
            text.clear();
            let is_one = arguments.and_then(|arguments| f(arguments, &mut text)).is_some();
            texts.append_option(is_one.then_some(&text));
        }
        Ok(Arc::new(texts.finish()) as ArrayRef)
    };
    function(name, &vec![DataType::Float64; N], DataType::Utf8View, call)
}

fn of_text(name: &'static str, f: fn(&str) -> Option<f64>) -> ScalarUDF {
    let call = move |columns: &[ArrayRef]| {
        Ok(Arc::new(columns[0].as_string_view().iter().map(|text| f(text?)).collect::<Float64Array>()) as ArrayRef)
    };
    function(name, &[DataType::Utf8View], DataType::Float64, call)
}

fn attribute(name: &'static str, returns: DataType, read: fn(&StringViewArray, Option<&str>) -> ArrayRef) -> ScalarUDF {
    function(name, &[DataType::Utf8View, DataType::Utf8View], returns.clone(), move |columns| {
        let (attributes, names) = (columns[0].as_string_view(), columns[1].as_string_view());
        // The name is nearly always a constant.
        let first = (!names.is_empty()).then(|| names.is_valid(0).then(|| names.value(0))).flatten();
        if names.iter().all(|name| name == first) {
            return Ok(read(attributes, first));
        }
        let rows: Vec<ArrayRef> =
            (0..attributes.len()).map(|i| read(&attributes.slice(i, 1), names.is_valid(i).then(|| names.value(i)))).collect();
        Ok(datafusion::arrow::compute::concat(&rows.iter().map(AsRef::as_ref).collect::<Vec<_>>())?)
    })
}

/// Row by row; `None` where an argument is NULL.
fn each<const N: usize, T>(columns: &[ArrayRef], f: impl Fn([f64; N]) -> Option<T>) -> impl Iterator<Item = Option<T>> {
    let columns: [&Float64Array; N] = std::array::from_fn(|i| columns[i].as_primitive::<Float64Type>());
    (0..columns[0].len()).map(move |i| if columns.iter().any(|c| c.is_null(i)) { None } else { f(columns.map(|c| c.value(i))) })
}

/// Its name is its identity.
struct Function {
    name: &'static str,
    signature: Signature,
    returns: DataType,
    documentation: Documentation,
    call: Arc<Call>,
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Function {}

impl Hash for Function {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.returns.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(ColumnarValue::Array((self.call)(&args.args, args.number_rows)?))
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}
