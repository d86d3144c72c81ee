//! What is kept of sorted rows beside them: how many each fleet has, and of each device its newest row. From it questions for counts and
//! for newest rows are answered without reading the rows.

use crate::Table;
use crate::memory::compact_texts;
use crate::merge::missing;
use arrow::array::{Array, AsArray, BooleanArray, Int64Array, RecordBatch, StringViewArray, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimestampMillisecondType};
use arrow::error::ArrowError;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

/// Rows are counted for so many fleets: the manifest, which is written with every flush, has these counts for every file.
const MAX_FLEETS: usize = 64;

/// Rows that are read at once.
const BATCH_ROWS: usize = 1 << 16;

/// Columns behind those of the table, as newest rows are stored.
static STORED: LazyLock<SchemaRef> = LazyLock::new(|| {
    let table = Table::Positions.schema();
    let own = [Field::new("first_fix_time_ms", DataType::Int64, false), Field::new("fleets_differ", DataType::Boolean, false)];
    Arc::new(Schema::new(table.fields().iter().cloned().chain(own.map(Arc::new)).collect::<Vec<_>>()))
});

/// The newest row of each device among some positions, and what else is known of the device's rows there.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Newest {
    /// All columns of the table, one row for each device, sorted by device.
    pub(crate) rows: RecordBatch,
    first_fix_time_ms: Int64Array,
    fleets_differ: BooleanArray,
}

impl Newest {
    /// First fix time of the device of a row, milliseconds since 1970.
    pub(crate) fn first_fix_time_ms(&self, row: usize) -> i64 {
        self.first_fix_time_ms.value(row)
    }

    /// Whether the device of a row has other rows under another fleet.
    pub(crate) fn fleets_differ(&self, row: usize) -> bool {
        self.fleets_differ.value(row)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.rows.get_array_memory_size()
    }

    /// A small Parquet file.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, ParquetError> {
        let mut columns = self.rows.columns().to_vec();
        columns.push(Arc::new(self.first_fix_time_ms.clone()));
        columns.push(Arc::new(self.fleets_differ.clone()));
        let properties = WriterProperties::builder()
            .set_compression(Compression::LZ4_RAW)
            .set_statistics_enabled(EnabledStatistics::None)
            .set_offset_index_disabled(true);
        let mut writer = ArrowWriter::try_new(Vec::new(), STORED.clone(), Some(properties.build()))?;
        writer.write(&RecordBatch::try_new(STORED.clone(), columns)?)?;
        writer.into_inner()
    }

    /// Reads it back.
    pub(crate) fn decode(bytes: Bytes) -> Result<Self, ParquetError> {
        let batches = ParquetRecordBatchReaderBuilder::try_new(bytes)?.with_batch_size(BATCH_ROWS).build()?;
        // The reader may call "UTC" or nullability by another name.
        let batches = batches.map(|batch| RecordBatch::try_new(STORED.clone(), batch?.columns().to_vec()));
        let all = concat_batches(&STORED, &batches.collect::<Result<Vec<_>, _>>()?)?;
        let lacks = || ParquetError::General("newest rows lack a column".into());
        let first_fix_time_ms = all.column_by_name("first_fix_time_ms").and_then(|c| c.as_primitive_opt::<Int64Type>());
        let fleets_differ = all.column_by_name("fleets_differ").and_then(|c| c.as_boolean_opt());
        Ok(Self {
            first_fix_time_ms: first_fix_time_ms.ok_or_else(lacks)?.clone(),
            fleets_differ: fleets_differ.ok_or_else(lacks)?.clone(),
            rows: all.project(&(0..Table::Positions.schema().fields().len()).collect::<Vec<_>>())?,
        })
    }
}

/// Both, for rows that are complete.
#[derive(Debug, Clone, Default)]
pub(crate) struct Digest {
    /// Rows of each fleet; `None` if there are too many fleets.
    pub(crate) fleets: Option<BTreeMap<String, u64>>,
    /// `None` of events, where several may be newest.
    pub(crate) newest: Option<Arc<Newest>>,
}

impl Digest {
    /// Of rows sorted by key, each once.
    pub(crate) fn of(table: Table, sorted: &RecordBatch) -> Result<Self, ArrowError> {
        let mut digester = Digester::new(table);
        digester.add(sorted)?;
        digester.finish()
    }
}

/// Looks at rows as they go by in order of the key.
#[derive(Debug)]
pub(crate) struct Digester {
    table: Table,
    fleets: Option<BTreeMap<String, u64>>,
    /// The device whose rows are going by.
    open: Option<Open>,
    /// Newest rows of the devices before it.
    done: Vec<RecordBatch>,
    first_fix_time_ms: Vec<i64>,
    fleets_differ: Vec<bool>,
}

#[derive(Debug)]
struct Open {
    device: String,
    fleet: String,
    first_fix_time_ms: i64,
    fleets_differ: bool,
    /// The last row of the batches before.
    row: Option<RecordBatch>,
}

impl Digester {
    pub(crate) fn new(table: Table) -> Self {
        Self {
            table,
            fleets: Some(BTreeMap::new()),
            open: None,
            done: Vec::new(),
            first_fix_time_ms: Vec::new(),
            fleets_differ: Vec::new(),
        }
    }

    /// The next rows.
    pub(crate) fn add(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        let text = |name| batch.column_by_name(name).and_then(|c| c.as_string_view_opt());
        let times = batch.column_by_name("fix_time").and_then(|c| c.as_primitive_opt::<TimestampMillisecondType>());
        let (Some(devices), Some(fleets), Some(times)) = (text("device"), text("fleet"), times) else {
            return Err(missing(self.table));
        };
        self.count(fleets);
        if self.table != Table::Positions || batch.num_rows() == 0 {
            return Ok(());
        }
        let mut newest: Vec<u32> = Vec::new();
        for i in 0..batch.num_rows() {
            let fleet = fleets.value(i);
            match &mut self.open {
                Some(open) if open.device == devices.value(i) => open.fleets_differ |= open.fleet != fleet,
                _ => {
                    let row = self.close();
                    self.done.extend(row.filter(|_| i == 0));
                    newest.extend(i.checked_sub(1).map(|before| before as u32));
                    self.open = Some(Open {
                        device: devices.value(i).to_owned(),
                        fleet: fleet.to_owned(),
                        first_fix_time_ms: times.value(i),
                        fleets_differ: false,
                        row: None,
                    });
                }
            }
        }
        if !newest.is_empty() {
            self.done.push(picked(batch, newest)?);
        }
        if let Some(open) = &mut self.open {
            open.row = Some(picked(batch, vec![batch.num_rows() as u32 - 1])?);
        }
        Ok(())
    }

    fn count(&mut self, fleets: &StringViewArray) {
        let Some(counts) = &mut self.fleets else { return };
        let mut from = 0;
        while from < fleets.len() {
            let fleet = fleets.value(from);
            let rows = (from..fleets.len()).take_while(|i| fleets.value(*i) == fleet).count();
            match counts.get_mut(fleet) {
                Some(count) => *count += rows as u64,
                None => {
                    counts.insert(fleet.to_owned(), rows as u64);
                }
            }
            from += rows;
        }
        if counts.len() > MAX_FLEETS {
            self.fleets = None;
        }
    }

    /// The device has no more rows; its last row of the batches before.
    fn close(&mut self) -> Option<RecordBatch> {
        let open = self.open.take()?;
        self.first_fix_time_ms.push(open.first_fix_time_ms);
        self.fleets_differ.push(open.fleets_differ);
        open.row
    }

    /// There are no more rows.
    pub(crate) fn finish(mut self) -> Result<Digest, ArrowError> {
        let row = self.close();
        self.done.extend(row);
        if self.done.is_empty() {
            return Ok(Digest { fleets: self.fleets, newest: None });
        }
        let newest = Newest {
            rows: concat_batches(&self.table.schema(), &self.done)?,
            first_fix_time_ms: self.first_fix_time_ms.into(),
            fleets_differ: self.fleets_differ.into(),
        };
        Ok(Digest { fleets: self.fleets, newest: Some(Arc::new(newest)) })
    }
}

/// Some rows, with texts of their own: they outlive the batch.
fn picked(batch: &RecordBatch, rows: Vec<u32>) -> Result<RecordBatch, ArrowError> {
    compact_texts(&take_record_batch(batch, &UInt32Array::from(rows))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Archived;
    use crate::contract;
    use crate::rows::{positions_batch, positions_from};
    use waystream_domain::{FleetId, Position, Timestamp};

    fn position(device: &str, fleet: &str, ms: i64) -> Position {
        Position {
            fleet: FleetId::new(fleet).expect("an id"),
            attributes: [("driver_id", "a text that is longer than a view holds")].into_iter().collect(),
            ..contract::position(device, Timestamp::from_millis(ms).expect("a time"))
        }
    }

    #[test]
    fn the_newest_row_of_each_device_is_kept_however_the_rows_come() {
        let told = [("a", "x", 1), ("a", "x", 2), ("b", "x", 5), ("c", "x", 1), ("c", "y", 3), ("c", "x", 4), ("d", "y", 9)];
        let rows: Vec<_> = told.map(|(d, f, ms)| Archived { partition: 0, offset: ms as u64, row: position(d, f, ms) }).into();
        let batch = positions_batch(&rows);
        for size in 1..=rows.len() {
            let mut digester = Digester::new(Table::Positions);
            for from in (0..rows.len()).step_by(size) {
                digester.add(&batch.slice(from, size.min(rows.len() - from))).expect("added");
            }
            let digest = digester.finish().expect("finished");
            assert_eq!(digest.fleets, Some(BTreeMap::from([("x".to_owned(), 5), ("y".to_owned(), 2)])));
            let newest = digest.newest.expect("there are rows");
            let read = Newest::decode(newest.encode().expect("encoded").into()).expect("decoded");
            assert_eq!(read, *newest, "in batches of {size}");
            let expected = [1, 2, 5, 6].map(|i: usize| rows[i].row.clone());
            assert_eq!(positions_from(&read.rows).expect("readable"), expected, "in batches of {size}");
            assert_eq!([0, 1, 2, 3].map(|i| read.first_fix_time_ms(i)), [1, 5, 1, 9]);
            assert_eq!([0, 1, 2, 3].map(|i| read.fleets_differ(i)), [false, false, true, false]);
        }
    }

    #[test]
    fn rows_of_very_many_fleets_are_not_counted() {
        let rows: Vec<_> = (0..=MAX_FLEETS as i64)
            .map(|i| Archived { partition: 0, offset: i as u64, row: position(&format!("d{i:03}"), &format!("f{i}"), i) })
            .collect();
        let digest = Digest::of(Table::Positions, &positions_batch(&rows)).expect("a digest");
        assert_eq!(digest.fleets, None);
        assert_eq!(digest.newest.map(|newest| newest.rows.num_rows()), Some(rows.len()));
    }
}
