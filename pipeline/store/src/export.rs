//! Positions as one Parquet file for others' programs: what people see of them in SQL, written in row groups as it comes.
//!
//! Unlike the files of a store it is in no order but that in which it was written, and everybody can read it: plain strings, times
//! in UTC, zstd.

use crate::{Table, rows};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use std::io::{self, Write};
use waystream_domain::Position;

/// Positions that are gathered before they become columns.
const BATCH_ROWS: usize = 4_096;

/// How much is in memory, encoded, before it is written.
#[derive(Debug, Clone, Copy)]
struct RowGroup {
    rows: usize,
    bytes: usize,
}

impl Default for RowGroup {
    fn default() -> Self {
        Self { rows: 65_536, bytes: 32 << 20 }
    }
}

/// Takes positions and writes a Parquet file. Until it is finished nobody can read it.
pub struct PositionsFile<W: Write + Send> {
    writer: ArrowWriter<W>,
    waiting: Vec<Position>,
}

impl<W: Write + Send> PositionsFile<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// Those of the output.
    pub fn new(output: W) -> io::Result<Self> {
        Self::in_groups(output, RowGroup::default())
    }

    fn in_groups(output: W, group: RowGroup) -> io::Result<Self> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(group.rows))
            .set_max_row_group_bytes(Some(group.bytes))
            .build();
        // Arrow's own types would be kept beside Parquet's, and not every reader knows views of strings.
        let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(output, Table::Positions.schema_for_people(), options)?;
        Ok(Self { writer, waiting: Vec::with_capacity(BATCH_ROWS) })
    }

    /// One more position.
    ///
    /// # Errors
    /// Those of the output.
    pub fn write(&mut self, position: &Position) -> io::Result<()> {
        self.waiting.push(position.clone());
        if self.waiting.len() >= BATCH_ROWS { self.encode() } else { Ok(()) }
    }

    /// There are no more: writes what makes it a file.
    ///
    /// # Errors
    /// Those of the output, and that it is finished already.
    pub fn finish(&mut self) -> io::Result<()> {
        self.encode()?;
        self.writer.finish()?;
        Ok(())
    }

    fn encode(&mut self) -> io::Result<()> {
        self.writer.write(&rows::positions_for_people(&self.waiting))?;
        self.waiting.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::POSITION_COLUMNS;
    use bytes::Bytes;
    use datafusion::prelude::{ParquetReadOptions, SessionContext};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use std::sync::{Arc, Mutex};
    use waystream_domain::{AttributeValue, LatLon, Timestamp};

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Shared {
        fn bytes(&self) -> Bytes {
            self.0.lock().unwrap().clone().into()
        }
    }

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn position(n: i32) -> Position {
        Position {
            device: ["356307042441013", "=1+2 \"o'clock\", …"][usize::from(n % 2 == 1)].parse().unwrap(),
            fleet: "north".parse().unwrap(),
            fix_time: Timestamp::from_millis(-649_000_000_001 + i64::from(n) * 1_000).unwrap(),
            received_at: Timestamp::from_millis(1_718_000_100_000).unwrap(),
            location: LatLon::from_e7(-521_234_567 + n * 7_919, 1_799_999_999 - n * 104_729).unwrap(),
            valid: n % 3 != 0,
            altitude_m: (n % 2 == 0).then_some(-12.5),
            speed_mps: (n % 5 != 0).then_some(17.434_444),
            course_deg: Some(359.5),
            accuracy_m: None,
            protocol: "teltonika".into(),
            attributes: [("ignition", AttributeValue::from(true)), ("alarm", AttributeValue::from("sos \"now\""))]
                .into_iter()
                .collect(),
        }
    }

    #[tokio::test]
    async fn datafusion_reads_back_what_was_exported() {
        let output = Shared::default();
        let mut file = PositionsFile::in_groups(output.clone(), RowGroup { rows: 1_000, ..RowGroup::default() }).unwrap();
        let positions: Vec<_> = (0..5_000).map(position).collect();
        positions.iter().for_each(|position| file.write(position).unwrap());
        let begun = output.bytes();
        assert!(begun.len() > 8_000, "{} bytes: row groups are written when they are full", begun.len());
        assert!(ParquetRecordBatchReaderBuilder::try_new(begun).is_err(), "a file that is cut off looks whole");
        file.finish().unwrap();

        let read = ParquetRecordBatchReaderBuilder::try_new(output.bytes()).unwrap();
        assert_eq!(read.metadata().num_row_groups(), 5);
        let names: Vec<_> = read.schema().fields().iter().map(|field| field.name().clone()).collect();
        assert_eq!(names, POSITION_COLUMNS);

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tracks.parquet");
        std::fs::write(&path, output.bytes()).unwrap();
        let context = SessionContext::new();
        let frame = context.read_parquet(path.to_str().unwrap(), ParquetReadOptions::default()).await.unwrap();
        let batches = frame.collect().await.unwrap();
        let mut read: Vec<Position> = batches.iter().flat_map(|batch| rows::positions_from(batch).unwrap()).collect();
        read.sort_by_key(|position| position.fix_time);
        assert!(read == positions, "{} positions", read.len());
    }

    #[test]
    fn an_export_of_nothing_is_a_file_with_columns() {
        let output = Shared::default();
        PositionsFile::new(output.clone()).unwrap().finish().unwrap();
        let read = ParquetRecordBatchReaderBuilder::try_new(output.bytes()).unwrap();
        assert_eq!(read.schema().fields().len(), POSITION_COLUMNS.len());
        assert_eq!(read.build().unwrap().count(), 0);
    }
}
