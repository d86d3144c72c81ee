//! Scalar functions: NULL if an argument is, and an answer for any other, if only NaN or NULL.

use super::attributes::Attribute;
use super::zones::{Named, Zones};
use super::{Entry, cells, geometry, on_earth};
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, StringArray, StringViewArray, StringViewBuilder,
    TimestampMillisecondArray, new_null_array,
};
use datafusion::arrow::buffer::{BooleanBuffer, NullBuffer};
use datafusion::arrow::compute::concat;
use datafusion::arrow::datatypes::{DataType, Float64Type, TimeUnit};
use datafusion::common::{Result, ScalarValue};
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
        lazy(
            "in_geofence",
            &[DataType::Float64, DataType::Float64, DataType::Utf8View],
            DataType::Boolean,
            move |arguments, rows| in_geofence(&by_name, arguments, rows),
        ),
        attribute("attribute_text", DataType::Utf8, |column, attribute| {
            Arc::new(column.iter().map(|json| attribute.text(json?)).collect::<StringArray>())
        }),
        attribute("attribute_number", DataType::Float64, |column, attribute| {
            Arc::new(column.iter().map(|json| attribute.number(json?)).collect::<Float64Array>())
        }),
        attribute("attribute_time", time_type(), |column, attribute| {
            let times = column.iter().map(|json| attribute.time(json?)).collect::<TimestampMillisecondArray>();
            Arc::new(times.with_timezone("UTC"))
        }),
        attribute("attribute_flag", DataType::Boolean, |column, attribute| {
            Arc::new(column.iter().map(|json| attribute.flag(json?)).collect::<BooleanArray>())
        }),
    ];
    all.extend(geometry::all());
    all
}

fn in_geofence(zones: &Zones, arguments: &[ColumnarValue], rows: usize) -> Result<ArrayRef> {
    let places = [arguments[0].to_array(rows)?, arguments[1].to_array(rows)?];
    let [lats, lons] = [0, 1].map(|i| places[i].as_primitive::<Float64Type>());
    let is_asked = |i: usize| lats.is_valid(i) && lons.is_valid(i);
    let is_place = |i: usize| is_asked(i) && on_earth((lats.value(i), lons.value(i)));
    let cover = |fences: &Named<'_>, i: usize| fences.cover(lats.value(i), lons.value(i));
    // Who asks of no place is not told that there is no such geofence.
    if !(0..rows).any(is_asked) {
        return Ok(new_null_array(&DataType::Boolean, rows));
    }
    // Nearly always.
    if let ColumnarValue::Scalar(ScalarValue::Utf8View(Some(name))) = &arguments[2] {
        let fences = zones.named(name)?;
        let inside = BooleanBuffer::collect_bool(rows, |i| cover(&fences, i));
        return Ok(Arc::new(BooleanArray::new(inside, Some(NullBuffer::new(BooleanBuffer::collect_bool(rows, is_place))))));
    }
    let names = arguments[2].to_array(rows)?;
    let inside = names.as_string_view().iter().enumerate().map(|(i, name)| match name {
        Some(name) if is_asked(i) => zones.named(name).map(|fences| is_place(i).then(|| cover(&fences, i))),
        _ => Ok(None),
    });
    Ok(Arc::new(inside.collect::<Result<BooleanArray>>()?))
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

fn attribute(name: &'static str, returns: DataType, read: fn(&StringViewArray, &Attribute<'_>) -> ArrayRef) -> ScalarUDF {
    lazy(name, &[DataType::Utf8View, DataType::Utf8View], returns.clone(), move |arguments, rows| {
        let objects = arguments[0].to_array(rows)?;
        let objects = objects.as_string_view();
        // Nearly always.
        if let ColumnarValue::Scalar(ScalarValue::Utf8View(Some(name))) = &arguments[1] {
            return Ok(read(objects, &Attribute::new(name)));
        }
        let names = arguments[1].to_array(rows)?;
        let one = |(i, name): (usize, Option<&str>)| match name {
            Some(name) => read(&objects.slice(i, 1), &Attribute::new(name)),
            None => new_null_array(&returns, 1),
        };
        let values: Vec<ArrayRef> = names.as_string_view().iter().enumerate().map(one).collect();
        match values.is_empty() {
            true => Ok(new_null_array(&returns, 0)),
            false => Ok(concat(&values.iter().map(AsRef::as_ref).collect::<Vec<_>>())?),
        }
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
