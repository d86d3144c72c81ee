//! The track files that can be written, for the gateway's `/api/export`: the writers of the command line.

use std::io::{self, Write};
use waystream_connectors::files::write::{self, Format, TrackWriter};
use waystream_domain::Position;
use waystream_gateway::{ExportFormat, TrackSink};

/// A writer as the gateway knows it.
struct Sink(Box<dyn TrackWriter>);

impl TrackSink for Sink {
    fn write(&mut self, position: &Position) -> io::Result<()> {
        self.0.write(position)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.0.finish()
    }
}

/// Every format.
pub fn formats() -> Vec<ExportFormat> {
    fn open(format: Format, out: Box<dyn Write + Send>) -> io::Result<Box<dyn TrackSink>> {
        Ok(Box::new(Sink(write::writer(format, out)?)))
    }
    vec![
        ExportFormat { name: "csv", media_type: Format::Csv.media_type(), open: |out| open(Format::Csv, out) },
        ExportFormat { name: "gpx", media_type: Format::Gpx.media_type(), open: |out| open(Format::Gpx, out) },
        ExportFormat { name: "geojson", media_type: Format::GeoJson.media_type(), open: |out| open(Format::GeoJson, out) },
    ]
}
