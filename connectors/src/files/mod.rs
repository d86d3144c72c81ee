//! Track files: readers yield one [`TrackPoint`] or one [`RowFault`] at a time, writers take positions.
//!
//! Reading keeps nothing but the row at hand, so files may be larger than memory.

pub mod csv;
pub mod gpx;
pub mod kml;
pub mod nmea;
pub mod owntracks;
pub mod traccar;
pub mod write;
pub mod xlsx;
mod xml;

use crate::protocol::{Fault, Fix};
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use waystream_domain::DeviceId;

/// One row of a track file.
#[derive(Debug, Clone, PartialEq)]
pub struct TrackPoint {
    /// Whose fix it is.
    pub device: DeviceId,
    /// The fix.
    pub fix: Fix,
}

/// Why there is no point for a row, or no further rows.
#[derive(Debug, thiserror::Error)]
pub enum RowFault {
    /// This row is not a fix; the next ones may be.
    #[error("line {line}: {} ({})", fault.detail, fault.kind.as_str())]
    Row {
        /// Line in the file, from 1.
        line: u64,
        /// What is wrong with it.
        fault: Fault,
    },
    /// Nothing can be read after this line: the iterator ends.
    #[error("could not read on after line {line}")]
    Unreadable {
        /// Last line that was read, from 1; 0: none.
        line: u64,
        /// Why.
        #[source]
        error: io::Error,
    },
}

/// The points of a file.
pub type Points = Box<dyn Iterator<Item = Result<TrackPoint, RowFault>> + Send>;

/// Opens a track file, gzipped or not, of any format that we read. GPX, KML, NMEA and CSV without a column for it do not say whose track
/// they hold: it is that of a device named like the file, without its extensions; that of a file of OwnTracks' recorder is named by its folders.
pub fn open(path: &Path) -> io::Result<Points> {
    open_with(path, &csv::Names::default())
}

/// Like [`open`], for CSV whose columns have names of their own.
pub fn open_with(path: &Path, columns: &csv::Names) -> io::Result<Points> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let device = DeviceId::new(stem).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error));
    let mut input = open_plain(path)?;
    Ok(match Format::of(input.fill_buf()?, path) {
        Format::Csv => Box::new(csv::read(input, columns, device.ok())),
        Format::Gpx => Box::new(gpx::read(input, device?)),
        Format::Kml => Box::new(kml::read(input, device?)),
        Format::Nmea => Box::new(nmea::read(input, device?)),
        Format::OwnTracks => Box::new(owntracks::read(input, owntracks::device(path).map_or(device, Ok)?)),
    })
}

/// Formats that we read.
enum Format {
    Csv,
    Gpx,
    Kml,
    Nmea,
    OwnTracks,
}

impl Format {
    /// Told by what the file begins with; NMEA logs may begin with anything, but have names of their own, as recordings of
    /// OwnTracks do.
    fn of(beginning: &[u8], path: &Path) -> Self {
        let name = path.to_string_lossy().to_ascii_lowercase();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        let beginning = beginning.strip_prefix(b"\xef\xbb\xbf").unwrap_or(beginning).trim_ascii_start();
        match beginning.first() {
            Some(b'<') if name.ends_with(".kml") || beginning.windows(4).any(|tag| tag == b"<kml") => Self::Kml,
            Some(b'<') => Self::Gpx,
            Some(b'$' | b'!') => Self::Nmea,
            _ if name.ends_with(".rec") => Self::OwnTracks,
            _ if [".nmea", ".log"].iter().any(|extension| name.ends_with(extension)) => Self::Nmea,
            _ => Self::Csv,
        }
    }
}

/// The bytes of a file, unpacked if it is gzipped.
pub fn open_plain(path: &Path) -> io::Result<Box<dyn BufRead + Send>> {
    plain(BufReader::new(File::open(path)?))
}

/// The bytes of a file that may be gzipped (told by its first two bytes, whatever its name).
fn plain(mut input: BufReader<File>) -> io::Result<Box<dyn BufRead + Send>> {
    let gzipped = input.fill_buf()?.starts_with(&[0x1f, 0x8b]);
    Ok(if gzipped { Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(input))) } else { Box::new(input) })
}

/// Limits a reader so that one endless line can't fill the memory.
pub(crate) const MAX_LINE_BYTES: u64 = 64 * 1024;

/// One line without its end into `line` (cleared first); `Ok(false)` at the end of the input. A longer line than
/// [`MAX_LINE_BYTES`] is an error: the rest of such a file is not text.
pub(crate) fn next_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let n = io::Read::take(input, MAX_LINE_BYTES).read_until(b'\n', line)?;
    if n as u64 == MAX_LINE_BYTES && line.last() != Some(&b'\n') {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a line of more than {MAX_LINE_BYTES} bytes")));
    }
    while let Some(b'\n' | b'\r') = line.last() {
        line.pop();
    }
    Ok(n > 0)
}
