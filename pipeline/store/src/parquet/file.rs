//! One Parquet file: how it is laid out, written, checked, read back, and removed once nobody reads it.
//!
//! Rows are sorted by the table's key, so that a device's day lies together: row groups of 131,072 rows, pages of 8,192 with an index.
//! Times, offsets and places (see [`super::degrees`]) are differences from row to row, in as few bits as they need; heights are split into
//! byte streams, which suits the compressor. Between the last row group and the footer positions have the newest row of each device once
//! more: see [`crate::digest`].

use super::degrees::{converted, file_schema};
use super::disk::{Disk, DiskFile, checksum};
use super::lately::Lately;
use super::manifest::{FileEntry, Section, Thinned};
use crate::digest::{Digester, Newest};
use crate::memory::Bounds;
use crate::{StoreError, Table, metrics};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tracing::{error, warn};

/// Rows per row group.
const GROUP_ROWS: usize = 131_072;
/// Rows per page: the least that is read of a column.
const PAGE_ROWS: usize = 8_192;
/// Pages that compression does not bring below this part of their size are stored without. Differences in few bits hardly shrink (times of
/// vehicles by a twentieth, places not at all), and every question would pay for it.
const WORTHWHILE: f64 = 0.9;

const UNCHECKED: u8 = 0;
const GOOD: u8 = 1;
const DAMAGED: u8 = 2;

/// A file of the store. Snapshots share it; when it has been replaced and the last snapshot is gone, it is removed from disk.
#[derive(Debug)]
pub(crate) struct DataFile {
    pub(crate) entry: FileEntry,
    path: PathBuf,
    disk: Disk,
    state: AtomicU8,
    obsolete: AtomicBool,
    thinned: Mutex<Option<Thinned>>,
    /// Read lately.
    newest: Mutex<Option<Arc<Newest>>>,
}

impl DataFile {
    /// A file that the manifest names. If it is surely not what was written, it is damaged from the start.
    pub(crate) fn of(entry: FileEntry, folder: &Path, disk: &Disk) -> Self {
        let path = folder.join(&entry.path);
        let file = Self::written(entry, path, disk.clone());
        file.state.store(UNCHECKED, Ordering::Relaxed);
        match std::fs::metadata(&file.path) {
            Ok(meta) if meta.len() == file.entry.bytes => {}
            Ok(meta) => file.found_damaged(&format!("it has {} bytes, written were {}", meta.len(), file.entry.bytes)),
            Err(e) => file.found_damaged(&e.to_string()),
        }
        file
    }

    /// A file that has just been written, with its checksum taken on the way.
    fn written(entry: FileEntry, path: PathBuf, disk: Disk) -> Self {
        let (state, obsolete, thinned) = (AtomicU8::new(GOOD), AtomicBool::new(false), Mutex::new(entry.thinned));
        Self { entry, path, disk, state, obsolete, thinned, newest: Mutex::default() }
    }

    /// Its rows are left out of tables.
    pub(crate) fn is_damaged(&self) -> bool {
        self.state.load(Ordering::Relaxed) == DAMAGED
    }

    /// Its checksum has not been looked at since the store was opened.
    pub(crate) fn is_unchecked(&self) -> bool {
        self.state.load(Ordering::Relaxed) == UNCHECKED
    }

    /// Reads all of it and compares the checksum, once. Blocks.
    pub(crate) fn check(&self) -> bool {
        if self.is_unchecked() {
            match checksum(&self.path) {
                Ok(crc) if crc == self.entry.crc32 => self.state.store(GOOD, Ordering::Relaxed),
                Ok(_) => self.found_damaged("its checksum is wrong"),
                Err(e) => self.found_damaged(&e.to_string()),
            }
        }
        !self.is_damaged()
    }

    /// The same, also if it was good before: disks forget.
    pub(crate) fn check_again(&self) -> bool {
        // What is damaged stays so.
        self.state.compare_exchange(GOOD, UNCHECKED, Ordering::Relaxed, Ordering::Relaxed).ok();
        self.check()
    }

    fn found_damaged(&self, why: &str) {
        self.state.store(DAMAGED, Ordering::Relaxed);
        error!(path = self.entry.path, rows = self.entry.rows, why, "file of the store is damaged, its rows are left out");
        metrics::damaged_file();
    }

    /// It has been replaced: remove it once nobody reads it.
    pub(crate) fn retire(&self) {
        self.obsolete.store(true, Ordering::Relaxed);
    }

    /// Its rows in order, read from its own open handle, with the types that they have there.
    pub(crate) fn read(&self) -> Result<ParquetRecordBatchReader, ParquetError> {
        ParquetRecordBatchReaderBuilder::try_new(File::open(&self.path)?)?.with_batch_size(PAGE_ROWS).build()
    }

    /// Some columns of its rows, in order.
    pub(crate) fn read_columns(&self, names: &[&str]) -> Result<ParquetRecordBatchReader, ParquetError> {
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&self.path)?)?.with_batch_size(PAGE_ROWS);
        let columns = ProjectionMask::columns(reader.parquet_schema(), names.iter().copied());
        reader.with_projection(columns).build()
    }

    /// The newest row of each of its devices; `None` if the file doesn't have them beside the others. Blocks.
    pub(crate) fn newest(self: &Arc<Self>, lately: &Lately) -> io::Result<Option<Arc<Newest>>> {
        let Some(section) = self.entry.newest else { return Ok(None) };
        if let Some(newest) = &*self.kept_newest() {
            return Ok(Some(newest.clone()));
        }
        let newest = Arc::new(self.read_newest(section)?);
        if self.kept_newest().replace(newest.clone()).is_none() {
            lately.add(Arc::downgrade(self), newest.bytes());
        }
        Ok(Some(newest))
    }

    fn read_newest(&self, section: Section) -> io::Result<Newest> {
        let bad = || io::Error::new(io::ErrorKind::InvalidData, "its newest rows are not what was written");
        if section.at.checked_add(section.bytes).is_none_or(|end| end > self.entry.bytes) {
            return Err(bad());
        }
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(section.at))?;
        let mut bytes = vec![0; section.bytes as usize];
        file.read_exact(&mut bytes)?;
        if crc32fast::hash(&bytes) != section.crc32 {
            return Err(bad());
        }
        Newest::decode(bytes.into()).map_err(io::Error::other)
    }

    fn kept_newest(&self) -> MutexGuard<'_, Option<Arc<Newest>>> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// They take memory.
    pub(crate) fn forget_newest(&self) {
        *self.kept_newest() = None;
    }

    /// When it was last looked into for rows past their time.
    pub(crate) fn thinned(&self) -> Option<Thinned> {
        *self.thinned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The manifest says so by now.
    pub(crate) fn note_thinned(&self, thinned: Thinned) {
        *self.thinned.lock().unwrap_or_else(PoisonError::into_inner) = Some(thinned);
    }

    /// The same, for the manifest to say so.
    pub(crate) fn with_thinned(mut self, thinned: Thinned) -> Self {
        self.entry.thinned = Some(thinned);
        self.note_thinned(thinned);
        self
    }

    /// Where it lies.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for DataFile {
    fn drop(&mut self) {
        if self.obsolete.load(Ordering::Relaxed)
            && let Err(e) = self.disk.remove(&self.path)
        {
            // The next start removes it: the manifest doesn't name it.
            warn!(path = self.entry.path, error = &e as &dyn std::error::Error, "replaced file could not be removed");
        }
    }
}

/// What a file to be written is called and how hard it is compressed.
#[derive(Debug, Clone)]
pub(crate) struct NewFile {
    pub(crate) table: Table,
    pub(crate) period: String,
    pub(crate) level: u32,
    pub(crate) number: u64,
}

/// Writes one file.
pub(crate) struct FileWriter {
    new: NewFile,
    relative: String,
    path: PathBuf,
    disk: Disk,
    /// Of the columns as the file has them.
    schema: SchemaRef,
    writer: ArrowWriter<DiskFile>,
    bounds: Option<Bounds>,
    rows: u64,
    digester: Digester,
}

impl FileWriter {
    /// Begins a file below the store's folder.
    pub(crate) fn create(new: NewFile, folder: &Path, disk: &Disk) -> Result<Self, StoreError> {
        let relative = format!("{}/{}-{:06}.parquet", new.table.name(), new.period, new.number);
        let path = folder.join(&relative);
        let file = disk.create(&path).map_err(|e| StoreError::Unavailable(format!("could not create {relative}: {e}")))?;
        let schema = file_schema(new.table);
        let writer = ArrowWriter::try_new(file, schema.clone(), Some(properties(new.table, new.level)))
            .map_err(|e| unwritten(&relative, &e))?;
        let digester = Digester::new(new.table);
        Ok(Self { new, relative, path, disk: disk.clone(), schema, writer, bounds: None, rows: 0, digester })
    }

    /// Further rows, in order of the key.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<(), StoreError> {
        let Some(bounds) = Bounds::of(self.new.table, batch) else { return Ok(()) };
        let packed = converted(batch, &self.schema).map_err(|e| unwritten(&self.relative, &e.into()))?;
        self.writer.write(&packed).map_err(|e| unwritten(&self.relative, &e))?;
        self.digester.add(batch).map_err(|e| unwritten(&self.relative, &e.into()))?;
        self.rows += batch.num_rows() as u64;
        match &mut self.bounds {
            Some(all) => all.extend(bounds),
            none => *none = Some(bounds),
        }
        Ok(())
    }

    /// Last device written.
    pub(crate) fn last_device(&self) -> Option<&str> {
        self.bounds.as_ref().map(|b| b.device.1.as_str())
    }

    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Makes it durable (but for its folder). `None` if it has no rows: then it isn't worth keeping.
    pub(crate) fn finish(mut self) -> Result<Option<DataFile>, StoreError> {
        let digest = self.digester.finish().map_err(|e| unwritten(&self.relative, &e.into()))?;
        let newest = digest.newest.as_deref().map(|newest| append(&mut self.writer, newest));
        let newest = newest.transpose().map_err(|e| unwritten(&self.relative, &e))?;
        let file = self.writer.into_inner().map_err(|e| unwritten(&self.relative, &e))?;
        let (bytes, crc32) =
            file.finish().map_err(|e| StoreError::Unavailable(format!("could not write {}: {e}", self.relative)))?;
        let Some(bounds) = self.bounds else {
            // What is left behind in failing is removed at the next start.
            self.disk
                .remove(&self.path)
                .map_err(|e| StoreError::Unavailable(format!("could not remove {}: {e}", self.relative)))?;
            return Ok(None);
        };
        let entry = FileEntry {
            path: self.relative,
            table: self.new.table,
            period: self.new.period,
            level: self.new.level,
            rows: self.rows,
            bytes,
            crc32,
            fix_time: bounds.fix_time,
            device: bounds.device,
            last_offset: bounds.last_offset,
            thinned: None,
            fleets: digest.fleets,
            newest,
        };
        Ok(Some(DataFile::written(entry, self.path, self.disk)))
    }
}

/// Behind the rows that were written.
fn append(writer: &mut ArrowWriter<DiskFile>, newest: &Newest) -> Result<Section, ParquetError> {
    writer.flush()?;
    let encoded = newest.encode()?;
    let at = writer.bytes_written() as u64;
    writer.write_all(&encoded)?;
    Ok(Section { at, bytes: encoded.len() as u64, crc32: crc32fast::hash(&encoded) })
}

fn unwritten(path: &str, error: &ParquetError) -> StoreError {
    StoreError::Unavailable(format!("could not write {path}: {error}"))
}

fn properties(table: Table, level: u32) -> WriterProperties {
    // Flushed files live for minutes: write them fast. Compacted ones stay.
    let compression =
        if level == 0 { Compression::LZ4_RAW } else { Compression::ZSTD(ZstdLevel::try_new(3).expect("3 is a level")) };
    let schema = table.schema();
    let index = |name: &str| schema.index_of(name).expect("key columns are in the schema") as i32;
    let sorting =
        table.key().iter().map(|name| SortingColumn { column_idx: index(name), descending: false, nulls_first: false });
    let mut properties = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_compression(compression)
        .set_data_page_v2_compression_ratio_threshold(WORTHWHILE)
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_write_batch_size(1_024)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_sorting_columns(Some(sorting.collect()));
    for (names, encoding) in [
        (&["fix_time", "received_at", "lat", "lon", "log_offset"][..], Encoding::DELTA_BINARY_PACKED),
        // Where heights are worked out and not rounded, hardly two are the same: a dictionary would be as long as the column, beside it.
        (&["altitude_m"], Encoding::BYTE_STREAM_SPLIT),
    ] {
        for name in names {
            let column = ColumnPath::from(*name);
            properties = properties.set_column_dictionary_enabled(column.clone(), false).set_column_encoding(column, encoding);
        }
    }
    properties.build()
}
