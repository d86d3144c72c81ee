//! The track files that can be written, on the command line and by the gateway's `/api/export` alike.

use crate::cli::ExportFormat;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use waystream_connectors::files::write::{self, Format, TrackWriter};
use waystream_domain::Position;
use waystream_gateway::TrackSink;
use waystream_sql::output;
use waystream_store::PositionsFile;

/// A writer of this format.
///
/// # Errors
/// Those of the output.
pub fn writer(format: ExportFormat, out: Box<dyn Write + Send>) -> io::Result<Box<dyn TrackWriter>> {
    let format = match format {
        ExportFormat::Csv => Format::Csv,
        ExportFormat::Gpx => Format::Gpx,
        ExportFormat::Geojson => Format::GeoJson,
        ExportFormat::Xlsx => Format::Xlsx,
        ExportFormat::Kml => Format::Kml,
        ExportFormat::Parquet => return Ok(Box::new(Parquet(PositionsFile::new(out)?))),
    };
    write::writer(format, out)
}

/// The store knows the columns of SQL; connectors don't see it.
struct Parquet(PositionsFile<Box<dyn Write + Send>>);

impl TrackWriter for Parquet {
    fn write(&mut self, position: &Position) -> io::Result<()> {
        self.0.write(position)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.0.finish()
    }
}

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

/// Every format, for the gateway.
pub fn formats() -> Vec<waystream_gateway::ExportFormat> {
    use waystream_gateway::ExportFormat as Offer;
    fn open(format: ExportFormat, out: Box<dyn Write + Send>) -> io::Result<Box<dyn TrackSink>> {
        Ok(Box::new(Sink(writer(format, out)?)))
    }
    let parquet = output::Format::Parquet.media_type();
    vec![
        Offer { name: "csv", media_type: Format::Csv.media_type(), open: |out| open(ExportFormat::Csv, out) },
        Offer { name: "gpx", media_type: Format::Gpx.media_type(), open: |out| open(ExportFormat::Gpx, out) },
        Offer { name: "geojson", media_type: Format::GeoJson.media_type(), open: |out| open(ExportFormat::Geojson, out) },
        Offer { name: "parquet", media_type: parquet, open: |out| open(ExportFormat::Parquet, out) },
        Offer { name: "xlsx", media_type: Format::Xlsx.media_type(), open: |out| open(ExportFormat::Xlsx, out) },
        Offer { name: "kml", media_type: Format::Kml.media_type(), open: |out| open(ExportFormat::Kml, out) },
    ]
}

/// A file that gets its name once it is whole. Until then, and for good if that never comes, it is `….part`: a table that was cut
/// off between two rows looks like a whole one.
pub struct PartFile {
    part: PathBuf,
    whole: PathBuf,
}

impl PartFile {
    fn create(path: &Path) -> io::Result<(Self, File)> {
        // What a link leads to, so that the link stays one.
        let whole = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let mut part = whole.clone().into_os_string();
        part.push(".part");
        let part = PathBuf::from(part);
        let file = File::create(&part)?;
        Ok((Self { part, whole }, file))
    }

    /// It is whole.
    ///
    /// # Errors
    /// If it can't be renamed.
    pub fn complete(self) -> io::Result<()> {
        fs::rename(&self.part, &self.whole)
    }
}

/// Where an export goes: standard output if there is no path, or a file that is to be [completed](PartFile::complete). What is there
/// already and is no file, such as a pipe, is written to as it is.
///
/// # Errors
/// If the file can't be made.
pub fn destination(path: Option<&Path>) -> io::Result<(Box<dyn Write + Send>, Option<PartFile>)> {
    let Some(path) = path else { return Ok((Box::new(io::stdout()), None)) };
    if path.exists() && !path.is_file() {
        return Ok((Box::new(File::create(path)?), None));
    }
    let (part, file) = PartFile::create(path)?;
    Ok((Box::new(file), Some(part)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_file_has_its_name_only_once_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("tracks.csv"), folder.path().join("link.csv"));
        fs::write(&path, "of yesterday").unwrap();
        std::os::unix::fs::symlink(&path, &other).unwrap();
        let (mut out, part) = destination(Some(&other)).unwrap();
        out.write_all(b"half").unwrap();
        drop((out, part));
        assert_eq!(fs::read_to_string(&path).unwrap(), "of yesterday");
        assert_eq!(fs::read_to_string(folder.path().join("tracks.csv.part")).unwrap(), "half");

        let (mut out, part) = destination(Some(&other)).unwrap();
        out.write_all(b"whole").unwrap();
        drop(out);
        part.unwrap().complete().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "whole");
        assert!(fs::symlink_metadata(&other).unwrap().is_symlink() && !folder.path().join("tracks.csv.part").exists());

        assert!(destination(Some(folder.path())).is_err(), "a folder is no file");
        assert!(destination(Some(Path::new("/dev/null"))).unwrap().1.is_none());
    }

    #[test]
    fn every_format_of_the_command_line_is_one_of_the_gateway() {
        let names: Vec<_> = formats().iter().map(|format| format.name).collect();
        let known = <ExportFormat as clap::ValueEnum>::value_variants().iter();
        let known: Vec<_> =
            known.map(|format| clap::ValueEnum::to_possible_value(format).unwrap().get_name().to_owned()).collect();
        assert_eq!(names, known);
    }
}
