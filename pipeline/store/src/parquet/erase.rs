//! Erasing the history of a device: out of memory, out of the files, and out of what the log brings again.

use super::compact::{self, Task};
use super::file::DataFile;
use super::{Inner, lock};
use crate::{StoreError, Table};
use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::TimestampMillisecondType;
use arrow::error::ArrowError;
use parquet::errors::ParquetError;
use std::collections::HashSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use tracing::info;
use waystream_domain::{Erasure, FleetId};

/// Columns that say whether a row goes.
const COLUMNS: [&str; 3] = ["device", "fleet", "received_at"];

impl Inner {
    /// Rewrites every file that has such rows. Answers the files which are no longer part of the store, but still on disk because
    /// somebody reads them. If it breaks off, it can be repeated.
    pub(super) fn erase(&self, erasure: &Erasure) -> Result<HashSet<PathBuf>, StoreError> {
        if self.options.read_only {
            return Err(StoreError::Refused("store is open read only".into()));
        }
        // Nobody else swaps files meanwhile.
        let _maintaining = lock(&self.maintaining);
        self.change_manifest(&[], |manifest| manifest.erased.add(erasure))?;
        {
            // No append is halfway: what came before this is in files after the next flush, what comes later is left out.
            let _appending = lock(&self.appending);
            lock(&self.erased).add(erasure);
        }
        self.flush()?;
        let mut unreadable = Vec::new();
        for table in Table::ALL {
            let parts = self.parts(table);
            let device = erasure.device.as_str();
            let between = |f: &&Arc<DataFile>| f.entry.device.0.as_str() <= device && device <= f.entry.device.1.as_str();
            for file in parts.files.iter().filter(between) {
                match self.erase_from(file, erasure) {
                    Ok(()) => {}
                    Err(StoreError::Damaged(_)) => unreadable.push(file.entry.path.clone()),
                    Err(error) => return Err(error),
                }
            }
        }
        if !unreadable.is_empty() {
            let files = unreadable.join(", ");
            return Err(StoreError::Damaged(format!("{files}: can't be read, so rows to be erased may be left in there")));
        }
        self.retired_files()
    }

    fn erase_from(&self, file: &Arc<DataFile>, erasure: &Erasure) -> Result<(), StoreError> {
        let unread = |e: ParquetError| StoreError::Damaged(format!("{}: {e}", file.entry.path));
        if file.is_damaged() {
            return Err(StoreError::Damaged(file.entry.path.clone()));
        }
        let mut holds = false;
        for batch in file.read_columns(&COLUMNS).map_err(unread)? {
            let goes = batch.and_then(|batch| goes(&batch, erasure)).map_err(|e| unread(e.into()))?;
            if goes.true_count() > 0 {
                holds = true;
                break;
            }
        }
        if !holds {
            return Ok(());
        }
        let table = file.entry.table;
        let task = Task { table, period: file.entry.period.clone(), files: vec![file.clone()] };
        let new = compact::run(&task, &|rows| without(&rows, erasure), &self.target())?;
        info!(path = file.entry.path, "erasing rows of a device from a file");
        self.replace(table, &task.files, new.into_iter().map(Arc::new).collect())
    }

    /// Files that were part of the store and that somebody still reads; the others are gone.
    pub(super) fn retired_files(&self) -> Result<HashSet<PathBuf>, StoreError> {
        let mut retired = lock(&self.retired);
        let mut failed = None;
        retired.retain(|(path, file)| {
            let is_read = file.strong_count() > 0;
            if is_read || !path.exists() {
                return is_read;
            }
            // It could not be removed when the last reader let go of it, or that is happening just now.
            match self.disk.remove(path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    failed = Some(format!("could not remove {}: {e}", path.display()));
                    true
                }
                _ => false,
            }
        });
        match failed {
            Some(reason) => Err(StoreError::Unavailable(reason)),
            None => Ok(retired.iter().map(|(path, _)| path.clone()).collect()),
        }
    }
}

/// For each row whether it is to be erased.
fn goes(rows: &RecordBatch, erasure: &Erasure) -> Result<BooleanArray, ArrowError> {
    let lacks = |name: &str| ArrowError::SchemaError(format!("a file lacks the column {name}"));
    let text = |name: &str| rows.column_by_name(name).and_then(|c| c.as_string_view_opt()).ok_or_else(|| lacks(name));
    let (devices, fleets) = (text("device")?, text("fleet")?);
    let times = rows.column_by_name("received_at").and_then(|c| c.as_primitive_opt::<TimestampMillisecondType>());
    let times = times.ok_or_else(|| lacks("received_at"))?;
    let concerns = |fleet: &str| erasure.fleets.is_none() || FleetId::new(fleet).is_ok_and(|fleet| erasure.concerns(&fleet));
    let goes = |i: usize| {
        devices.value(i) == erasure.device.as_str() && times.value(i) < erasure.until.as_millis() && concerns(fleets.value(i))
    };
    Ok((0..rows.num_rows()).map(|i| Some(goes(i))).collect())
}

fn without(rows: &RecordBatch, erasure: &Erasure) -> Result<RecordBatch, ArrowError> {
    let stays: BooleanArray = goes(rows, erasure)?.iter().map(|goes| goes.map(|goes| !goes)).collect();
    filter_record_batch(rows, &stays)
}
