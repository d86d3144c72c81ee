//! The redb database under the log: tables, opening, checks, and reads of blobs. Blocking: never call it on a runtime thread.

use super::blob::{self, Header};
use super::layout::{Layout, Place, topic_id};
use super::options::EmbeddedOptions;
use crate::{Bounds, Entry, LogError, Topic};
use bytes::Bytes;
use redb::{Builder, Database, ReadableDatabase, ReadableTable, TableDefinition};
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};
use tokio::task::JoinError;
use tracing::info;

/// Topic number, partition, offset of the first record in the blob.
pub(super) type Key = (u8, u32, u64);
/// All blobs of all partitions.
pub(super) const BLOBS: TableDefinition<'static, Key, &'static [u8]> = TableDefinition::new("blobs");
/// Group, topic number, partition → offset.
pub(super) const OFFSETS: TableDefinition<'static, (&'static str, u8, u32), u64> = TableDefinition::new("offsets");
/// Topic name → number of partitions.
const PARTITIONS: TableDefinition<'static, &'static str, u32> = TableDefinition::new("partitions");
/// Setting of the format: `version`.
const FORMAT: TableDefinition<'static, &'static str, u32> = TableDefinition::new("format");
const FORMAT_VERSION: u32 = 1;

pub(super) const FILE: &str = "log.redb";

/// The open database. Closing and reopening wait for the reads in progress.
#[derive(Debug)]
pub(super) struct Db {
    path: PathBuf,
    cache_bytes: usize,
    state: RwLock<State>,
}

#[derive(Debug)]
enum State {
    Open(Database),
    /// After an I/O error it could not be opened again yet.
    Broken,
    Closed,
}

/// What the trouble means for a write or read that surely did not happen. A closed database is passing trouble: it means that
/// it was opened anew during a long read.
pub(super) fn trouble(doing: &str, error: impl Into<redb::Error>) -> LogError {
    match error.into() {
        redb::Error::Corrupted(what) => LogError::Damaged(format!("{doing}: {what}")),
        other => LogError::Unavailable(format!("{doing}: {other}")),
    }
}

pub(super) fn closed() -> LogError {
    LogError::Closed("the log is closed".into())
}

/// Trouble with what is stored, and in which file.
fn named(path: &Path, error: LogError) -> LogError {
    match error {
        LogError::Damaged(what) => LogError::Damaged(format!("{}: {what}", path.display())),
        LogError::Unavailable(what) => LogError::Unavailable(format!("{}: {what}", path.display())),
        other => other,
    }
}

fn damaged(place: Place, first: u64) -> LogError {
    let Place { topic, partition } = place;
    LogError::Damaged(format!("records of {} partition {partition} from offset {first}: checksum mismatch", topic.name()))
}

impl Db {
    /// Opens or creates the database of a folder and checks that it is one of this program, with these partitions.
    pub(super) fn open(dir: &Path, layout: &Layout, options: &EmbeddedOptions) -> Result<Self, LogError> {
        std::fs::create_dir_all(dir)
            .map_err(|e| LogError::Unavailable(format!("could not create folder {}: {e}", dir.display())))?;
        let path = dir.join(FILE);
        let database = open_file(&path, options.cache_bytes)?;
        check_format(&database, layout).map_err(|e| named(&path, e))?;
        Ok(Self { path, cache_bytes: options.cache_bytes, state: RwLock::new(State::Open(database)) })
    }

    /// Runs `work` on the open database.
    pub(super) fn with<T>(&self, work: impl FnOnce(&Database) -> Result<T, LogError>) -> Result<T, LogError> {
        match &*self.state.read().unwrap_or_else(PoisonError::into_inner) {
            State::Open(database) => work(database).map_err(|e| named(&self.path, e)),
            State::Broken => Err(LogError::Unavailable(format!("{} could not be opened again", self.path.display()))),
            State::Closed => Err(closed()),
        }
    }

    /// What it means that redb panicked: it trusts its file, and panics at some that were changed behind its back.
    pub(super) fn panicked(&self) -> LogError {
        LogError::Damaged(format!("{} can't be read", self.path.display()))
    }

    /// What it means that a read on another thread has come to nothing.
    pub(super) fn unread(&self, error: &JoinError) -> LogError {
        if error.is_panic() { self.panicked() } else { closed() }
    }

    /// Closes the database, and with it the lock on its file.
    pub(super) fn close(&self) -> Result<(), LogError> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *state, State::Closed) {
            State::Open(database) => database.close().map_err(|e| trouble("close the log", e)),
            State::Broken | State::Closed => Ok(()),
        }
    }

    /// After an I/O error redb wants to be opened anew, which also decides whether the last write happened.
    pub(super) fn reopen(&self) -> Result<(), LogError> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        // Dropping closes the database; its error would be the one that brought us here.
        *state = State::Broken;
        *state = State::Open(open_file(&self.path, self.cache_bytes)?);
        Ok(())
    }

    /// Offset after the newest record of a partition. Maintenance never removes a partition's newest blob, so this never goes back.
    pub(super) fn next(&self, place: Place) -> Result<u64, LogError> {
        self.with(|db| {
            let blobs = blobs(db)?;
            Ok(last_before(&blobs, place, u64::MAX)?.map_or(0, |(_, header, _)| header.last + 1))
        })
    }

    /// Bounds of a partition whose next offset is `next`.
    pub(super) fn bounds(&self, place: Place, next: u64) -> Result<Bounds, LogError> {
        self.with(|db| {
            let mut range = blobs(db)?.range(range_of(place, 0)).map_err(|e| trouble("read", e))?;
            let first = range.next().transpose().map_err(|e| trouble("read", e))?.map(|(key, _)| key.value().2);
            Ok(Bounds { first: first.unwrap_or(next), next })
        })
    }

    /// Records of a partition from an offset on: at least one if there is one, at most about `max_records` and `max_bytes`.
    pub(super) fn read(&self, place: Place, from: u64, max_records: usize, max_bytes: usize) -> Result<Vec<Entry>, LogError> {
        let mut entries = Vec::new();
        let mut bytes = 0;
        for found in self.blobs_from(place, from)? {
            let (first, blob) = found?;
            bytes += blob.len();
            let last = entries.last().map(|entry: &Entry| entry.offset);
            // A page of the file in another's place gives records again.
            let sound = if last.is_none_or(|last| last < first) {
                decode(place, first, &blob, from, &mut entries)
            } else {
                Err(damaged(place, first))
            };
            sound.map_err(|e| named(&self.path, e))?;
            if !entries.is_empty() && (entries.len() >= max_records || bytes >= max_bytes) {
                break;
            }
        }
        Ok(entries)
    }

    /// The blobs of a partition from the one that holds offset `from`, copied out one by one.
    pub(super) fn blobs_from(
        &self,
        place: Place,
        from: u64,
    ) -> Result<impl Iterator<Item = Result<(u64, Bytes), LogError>> + use<>, LogError> {
        self.with(|db| {
            let blobs = blobs(db)?;
            let start = match last_before(&blobs, place, from)? {
                Some((first, header, _)) if header.last >= from => first,
                _ => from,
            };
            let range = blobs.range_owned(range_of(place, start)).map_err(|e| trouble("read", e))?;
            let path = self.path.clone();
            Ok(range.map(move |found| {
                let (key, value) = found.map_err(|e| named(&path, trouble("read", e)))?;
                Ok((key.value().2, Bytes::copy_from_slice(value.value())))
            }))
        })
    }

    /// First offset of a partition appended at or after a time; `next` if there is none. Times may go back a little where the
    /// clock was set; the answer is then one of the fitting places.
    pub(super) fn offset_at(&self, place: Place, next: u64, time_ms: i64) -> Result<u64, LogError> {
        self.with(|db| {
            let blobs = blobs(db)?;
            let (mut low, mut high, mut found) = (0, next, None);
            while low < high {
                let middle = low + (high - low) / 2;
                match last_before(&blobs, place, middle)? {
                    Some((first, header, bytes)) if header.last_ms >= time_ms => {
                        (high, found) = (first, Some((first, bytes)));
                    }
                    Some((_, header, _)) => low = middle.max(header.last) + 1,
                    None => low = middle + 1,
                }
            }
            let Some((first, bytes)) = found else { return Ok(next) };
            let mut entries = Vec::new();
            decode(place, first, &bytes, 0, &mut entries)?;
            Ok(entries.iter().find(|e| e.appended_at_ms >= time_ms).map_or(next, |e| e.offset))
        })
    }

    /// The oldest blobs of a partition whose last record is from before `cutoff_ms`, with their numbers of records; at most
    /// `max`, and never the newest blob.
    pub(super) fn expired(&self, place: Place, cutoff_ms: i64, max: usize) -> Result<Vec<(u64, u32)>, LogError> {
        self.with(|db| {
            let mut expired = Vec::new();
            let mut range = blobs(db)?.range(range_of(place, 0)).map_err(|e| trouble("read", e))?.peekable();
            while let Some(found) = range.next() {
                let (key, value) = found.map_err(|e| trouble("read", e))?;
                let first = key.value().2;
                let header = blob::header(value.value()).ok_or_else(|| damaged(place, first))?;
                if header.last_ms >= cutoff_ms || range.peek().is_none() || expired.len() >= max {
                    break;
                }
                expired.push((first, header.count));
            }
            Ok(expired)
        })
    }

    /// What a group has committed of a topic.
    pub(super) fn committed(&self, group: &str, topic: Topic) -> Result<Vec<(u32, u64)>, LogError> {
        self.with(|db| {
            let read = db.begin_read().map_err(|e| trouble("read offsets", e))?;
            let offsets = read.open_table(OFFSETS).map_err(|e| trouble("read offsets", e))?;
            let topic = topic_id(topic);
            let range = offsets.range((group, topic, 0)..=(group, topic, u32::MAX)).map_err(|e| trouble("read offsets", e))?;
            range
                .map(|found| {
                    let (key, offset) = found.map_err(|e| trouble("read offsets", e))?;
                    Ok((key.value().2, offset.value()))
                })
                .collect()
        })
    }
}

/// Checks and unpacks a blob; `from`: leave out records before this offset.
pub(super) fn decode(place: Place, first: u64, bytes: &Bytes, from: u64, out: &mut Vec<Entry>) -> Result<(), LogError> {
    if !blob::is_sound(place, first, bytes) {
        return Err(damaged(place, first));
    }
    blob::entries(first, bytes, from, out).ok_or_else(|| damaged(place, first))
}

fn open_file(path: &Path, cache_bytes: usize) -> Result<Database, LogError> {
    let mut builder = Builder::new();
    builder.set_cache_size(cache_bytes);
    let file = path.display().to_string();
    let told = Cell::new(None);
    builder.set_repair_callback(move |repair| {
        let tenths = (repair.progress() * 10.0) as u32;
        if told.replace(Some(tenths)) != Some(tenths) {
            info!(file, percent = tenths * 10, "log was not closed properly, reading it once to repair it");
        }
    });
    builder.create(path).map_err(|e| match e {
        redb::DatabaseError::DatabaseAlreadyOpen => {
            LogError::Closed(format!("{} is in use by another process", path.display()))
        }
        redb::DatabaseError::Storage(redb::StorageError::Io(e)) if e.kind() == std::io::ErrorKind::InvalidData => {
            LogError::Damaged(format!("{} is not a log: {e}", path.display()))
        }
        other => trouble(&format!("open {}", path.display()), other),
    })
}

/// Creates the tables at the first open; later checks that format and partitions are still the same.
fn check_format(database: &Database, layout: &Layout) -> Result<(), LogError> {
    let doing = "check the log's format";
    let write = database.begin_write().map_err(|e| trouble(doing, e))?;
    {
        write.open_table(BLOBS).map_err(|e| trouble(doing, e))?;
        write.open_table(OFFSETS).map_err(|e| trouble(doing, e))?;
        let mut format = write.open_table(FORMAT).map_err(|e| trouble(doing, e))?;
        let version = format.get("version").map_err(|e| trouble(doing, e))?.map(|v| v.value());
        match version {
            None => drop(format.insert("version", FORMAT_VERSION).map_err(|e| trouble(doing, e))?),
            Some(FORMAT_VERSION) => {}
            Some(other) => return Err(LogError::Refused(format!("the log has format {other}, this program {FORMAT_VERSION}"))),
        }
        let mut partitions = write.open_table(PARTITIONS).map_err(|e| trouble(doing, e))?;
        for topic in Topic::ALL {
            let (name, wanted) = (topic.name(), layout.partitions(topic));
            let stored = partitions.get(name).map_err(|e| trouble(doing, e))?.map(|n| n.value());
            match stored {
                None => drop(partitions.insert(name, wanted).map_err(|e| trouble(doing, e))?),
                Some(stored) if stored == wanted => {}
                Some(stored) => {
                    let why = "a device must stay in its partition";
                    return Err(LogError::Refused(format!("topic {name} has {stored} partitions, not {wanted}; {why}")));
                }
            }
        }
    }
    write.commit().map_err(|e| trouble(doing, e))
}

fn blobs(database: &Database) -> Result<redb::ReadOnlyTable<Key, &'static [u8]>, LogError> {
    let read = database.begin_read().map_err(|e| trouble("read", e))?;
    read.open_table(BLOBS).map_err(|e| trouble("read", e))
}

fn range_of(place: Place, from: u64) -> std::ops::RangeInclusive<Key> {
    let topic = topic_id(place.topic);
    (topic, place.partition, from)..=(topic, place.partition, u64::MAX)
}

/// The last blob of a partition that starts at or before an offset.
fn last_before(
    blobs: &redb::ReadOnlyTable<Key, &'static [u8]>,
    place: Place,
    offset: u64,
) -> Result<Option<(u64, Header, Bytes)>, LogError> {
    let topic = topic_id(place.topic);
    let mut range =
        blobs.range((topic, place.partition, 0)..=(topic, place.partition, offset)).map_err(|e| trouble("read", e))?;
    let Some((key, value)) = range.next_back().transpose().map_err(|e| trouble("read", e))? else { return Ok(None) };
    let first = key.value().2;
    let bytes = Bytes::copy_from_slice(value.value());
    let header = blob::header(&bytes).filter(|_| blob::is_sound(place, first, &bytes)).ok_or_else(|| damaged(place, first))?;
    Ok(Some((first, header, bytes)))
}
