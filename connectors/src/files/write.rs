//! Writing positions as CSV (what [`super::csv`] reads), GPX 1.1, GeoJSON, Excel workbooks and KML 2.2, one at a time.

use super::xlsx::Xlsx;
use ::csv::WriterBuilder;
use quick_xml::escape::escape;
use serde_json::json;
use std::io::{self, Write};
use waystream_domain::{DeviceId, Position, units};

/// Says that a GPX file is ours: then the name of a track is its device.
pub(super) const CREATOR: &str = "waystream";

/// Formats that we write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated, with all that we know.
    Csv,
    /// A track per device.
    Gpx,
    /// A feature per position (RFC 7946).
    GeoJson,
    /// An Excel workbook, a row per position.
    Xlsx,
    /// A placemark per device, of trusted positions only: KML has no word for the others.
    Kml,
}

impl Format {
    /// By its name: `csv`, `gpx`, `geojson`, `xlsx`, `kml`.
    pub fn by_name(name: &str) -> Option<Self> {
        match name {
            "csv" => Some(Self::Csv),
            "gpx" => Some(Self::Gpx),
            "geojson" => Some(Self::GeoJson),
            "xlsx" => Some(Self::Xlsx),
            "kml" => Some(Self::Kml),
            _ => None,
        }
    }

    /// Media type, for HTTP.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8",
            Self::Gpx => "application/gpx+xml",
            Self::GeoJson => "application/geo+json",
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            Self::Kml => "application/vnd.google-earth.kml+xml",
        }
    }
}

/// Takes positions. A change of device begins a new track, so GPX and KML want them by device, then by time.
pub trait TrackWriter: Send {
    /// Writes one position.
    fn write(&mut self, position: &Position) -> io::Result<()>;
    /// Writes what comes after the last position. Without it the file is not complete.
    fn finish(&mut self) -> io::Result<()>;
}

/// A writer of this format.
pub fn writer<W: Write + Send + 'static>(format: Format, output: W) -> io::Result<Box<dyn TrackWriter>> {
    Ok(match format {
        Format::Csv => Box::new(Csv::new(output)?),
        Format::Gpx => Box::new(Gpx::new(output)?),
        Format::GeoJson => Box::new(GeoJson::new(output)?),
        Format::Xlsx => Box::new(Xlsx::new(output)?),
        Format::Kml => Box::new(Kml::new(output)?),
    })
}

struct Csv<W: Write>(::csv::Writer<W>);

impl<W: Write> Csv<W> {
    fn new(output: W) -> io::Result<Self> {
        let mut rows = WriterBuilder::new().from_writer(output);
        rows.write_record([
            "device_id",
            "time",
            "lat",
            "lon",
            "speed_kmh",
            "course_deg",
            "altitude_m",
            "accuracy_m",
            "valid",
            "attributes",
        ])?;
        Ok(Self(rows))
    }
}

impl<W: Write + Send> TrackWriter for Csv<W> {
    fn write(&mut self, p: &Position) -> io::Result<()> {
        let attributes = if p.attributes.is_empty() { String::new() } else { serde_json::to_string(&p.attributes)? };
        self.0.write_record([
            p.device.as_str(),
            &p.fix_time.to_string(),
            &p.location.lat_deg().to_string(),
            &p.location.lon_deg().to_string(),
            &text(p.speed_mps.map(units::kmh_from_mps)),
            &text(p.course_deg),
            &text(p.altitude_m),
            &text(p.accuracy_m),
            if p.valid { "true" } else { "false" },
            &attributes,
        ])?;
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn text(value: Option<impl ToString>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

struct Gpx<W> {
    output: W,
    device: Option<DeviceId>,
}

impl<W: Write> Gpx<W> {
    fn new(mut output: W) -> io::Result<Self> {
        writeln!(output, r#"<?xml version="1.0" encoding="UTF-8"?>"#)?;
        writeln!(output, r#"<gpx version="1.1" creator="{CREATOR}" xmlns="http://www.topografix.com/GPX/1/1""#)?;
        writeln!(output, r#" xmlns:gpxtpx="http://www.garmin.com/xmlschemas/TrackPointExtension/v2">"#)?;
        Ok(Self { output, device: None })
    }

    fn end_track(&mut self) -> io::Result<()> {
        if self.device.take().is_some() {
            writeln!(self.output, "</trkseg></trk>")?;
        }
        Ok(())
    }
}

impl<W: Write + Send> TrackWriter for Gpx<W> {
    fn write(&mut self, p: &Position) -> io::Result<()> {
        if self.device.as_ref() != Some(&p.device) {
            self.end_track()?;
            writeln!(self.output, "<trk><name>{}</name><trkseg>", escape(p.device.as_str()))?;
            self.device = Some(p.device.clone());
        }
        write!(self.output, r#"<trkpt lat="{}" lon="{}">"#, p.location.lat_deg(), p.location.lon_deg())?;
        if let Some(metres) = p.altitude_m {
            write!(self.output, "<ele>{metres}</ele>")?;
        }
        write!(self.output, "<time>{}</time>", p.fix_time)?;
        if !p.valid {
            write!(self.output, "<fix>none</fix>")?;
        }
        if p.speed_mps.is_some() || p.course_deg.is_some() {
            write!(self.output, "<extensions><gpxtpx:TrackPointExtension>")?;
            if let Some(mps) = p.speed_mps {
                write!(self.output, "<gpxtpx:speed>{mps}</gpxtpx:speed>")?;
            }
            if let Some(degrees) = p.course_deg {
                write!(self.output, "<gpxtpx:course>{degrees}</gpxtpx:course>")?;
            }
            write!(self.output, "</gpxtpx:TrackPointExtension></extensions>")?;
        }
        writeln!(self.output, "</trkpt>")
    }

    fn finish(&mut self) -> io::Result<()> {
        self.end_track()?;
        writeln!(self.output, "</gpx>")?;
        self.output.flush()
    }
}

struct GeoJson<W> {
    output: W,
    first: bool,
}

impl<W: Write> GeoJson<W> {
    fn new(mut output: W) -> io::Result<Self> {
        write!(output, r#"{{"type":"FeatureCollection","features":["#)?;
        Ok(Self { output, first: true })
    }
}

impl<W: Write + Send> TrackWriter for GeoJson<W> {
    fn write(&mut self, p: &Position) -> io::Result<()> {
        let mut coordinates = vec![p.location.lon_deg(), p.location.lat_deg()];
        coordinates.extend(p.altitude_m.map(f64::from));
        let feature = json!({
            "type": "Feature",
            "geometry": { "type": "Point", "coordinates": coordinates },
            "properties": {
                "device_id": p.device,
                "time": p.fix_time,
                "valid": p.valid,
                "speed_kmh": p.speed_mps.map(units::kmh_from_mps),
                "course_deg": p.course_deg,
                "accuracy_m": p.accuracy_m,
                "attributes": p.attributes,
            },
        });
        let separator = if std::mem::take(&mut self.first) { "\n" } else { ",\n" };
        write!(self.output, "{separator}{feature}")
    }

    fn finish(&mut self) -> io::Result<()> {
        writeln!(self.output, "\n]}}")?;
        self.output.flush()
    }
}

/// Positions of one `gx:Track`. All its times stand before all its places, so that they have to be kept; a longer way has several.
const KML_TRACK_POSITIONS: usize = 4_096;

struct Kml<W> {
    output: W,
    /// Whose placemark is open.
    device: Option<DeviceId>,
    /// Of the track that is not written yet.
    times: Vec<u8>,
    places: Vec<u8>,
    kept: usize,
}

impl<W: Write> Kml<W> {
    fn new(mut output: W) -> io::Result<Self> {
        writeln!(output, r#"<?xml version="1.0" encoding="UTF-8"?>"#)?;
        write!(output, r#"<kml xmlns="http://www.opengis.net/kml/2.2" xmlns:gx="http://www.google.com/kml/ext/2.2">"#)?;
        writeln!(output, "<Document>")?;
        Ok(Self { output, device: None, times: Vec::new(), places: Vec::new(), kept: 0 })
    }

    fn end_track(&mut self) -> io::Result<()> {
        if self.kept > 0 {
            writeln!(self.output, "<gx:Track><altitudeMode>clampToGround</altitudeMode>")?;
            self.output.write_all(&self.times)?;
            self.output.write_all(&self.places)?;
            writeln!(self.output, "</gx:Track>")?;
            self.times.clear();
            self.places.clear();
            self.kept = 0;
        }
        Ok(())
    }

    fn end_device(&mut self) -> io::Result<()> {
        self.end_track()?;
        if self.device.take().is_some() {
            writeln!(self.output, "</gx:MultiTrack></Placemark>")?;
        }
        Ok(())
    }
}

impl<W: Write + Send> TrackWriter for Kml<W> {
    fn write(&mut self, p: &Position) -> io::Result<()> {
        if !p.valid {
            return Ok(());
        }
        if self.device.as_ref() != Some(&p.device) {
            self.end_device()?;
            writeln!(self.output, "<Placemark><name>{}</name>", escape(p.device.as_str()))?;
            writeln!(self.output, "<gx:MultiTrack><gx:interpolate>1</gx:interpolate>")?;
            self.device = Some(p.device.clone());
        }
        writeln!(self.times, "<when>{}</when>", p.fix_time)?;
        let (lon, lat) = (p.location.lon_deg(), p.location.lat_deg());
        // Where there is no altitude, programs write 0.
        writeln!(self.places, "<gx:coord>{lon} {lat} {}</gx:coord>", p.altitude_m.unwrap_or(0.0))?;
        self.kept += 1;
        if self.kept == KML_TRACK_POSITIONS { self.end_track() } else { Ok(()) }
    }

    fn finish(&mut self) -> io::Result<()> {
        self.end_device()?;
        writeln!(self.output, "</Document></kml>")?;
        self.output.flush()
    }
}
