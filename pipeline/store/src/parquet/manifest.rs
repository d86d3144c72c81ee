//! The manifest: which files make up the store, and how far they cover the log. What it doesn't name is not there.
//!
//! One JSON line, then its CRC-32 in hex on a line of its own. It is replaced atomically: temporary file, fsync, rename, fsync
//! of the folder.

use super::disk::Disk;
use crate::erased::Erased;
use crate::{StoreError, Table};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use waystream_log::{Offsets, Topic};

/// Raised whenever older programs would misread what is written.
const VERSION: u32 = 1;
const NAME: &str = "manifest.json";

/// That a file has been looked into for rows past their time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Thinned {
    /// See [`RetentionRules::print`](crate::RetentionRules::print).
    pub(crate) rules: u32,
    /// When, milliseconds since 1970.
    pub(crate) at_ms: i64,
}

/// Part of a file that holds something else than its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Section {
    /// Where it begins.
    pub(crate) at: u64,
    pub(crate) bytes: u64,
    pub(crate) crc32: u32,
}

/// One Parquet file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct FileEntry {
    /// Path below the store's folder.
    pub(crate) path: String,
    pub(crate) table: Table,
    /// `2026-03-04`, `2026-03`, `2026` or `years`: the UTC day, month, year or years of fix time that it is for. See [`super::period`].
    pub(crate) period: String,
    /// 0 as flushed; one more with each compaction.
    pub(crate) level: u32,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) crc32: u32,
    /// Bounds of fix time, milliseconds since 1970, both included.
    pub(crate) fix_time: (i64, i64),
    /// Bounds of device, both included.
    pub(crate) device: (String, String),
    /// Largest log offset in it, over all partitions.
    pub(crate) last_offset: i64,
    /// `None`: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) thinned: Option<Thinned>,
    /// Rows of each fleet; `None`: there are too many fleets, or an older program wrote the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fleets: Option<BTreeMap<String, u64>>,
    /// Where the newest row of each device lies once more, together with the others'; `None`: nowhere, as in files of older programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) newest: Option<Section>,
}

/// Contents of the manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    version: u32,
    /// Number of the next file; never used again.
    pub(crate) next_file: u64,
    /// Topic name → partition → offset after the last one covered.
    covered: BTreeMap<String, BTreeMap<u32, u64>>,
    pub(crate) files: Vec<FileEntry>,
    /// What must not come back from the log.
    #[serde(default, skip_serializing_if = "Erased::is_empty")]
    pub(crate) erased: Erased,
}

impl Default for Manifest {
    fn default() -> Self {
        Self { version: VERSION, next_file: 0, covered: BTreeMap::new(), files: Vec::new(), erased: Erased::default() }
    }
}

impl Manifest {
    /// Reads the manifest of a folder; `None` if there is none.
    pub(crate) fn load(folder: &Path) -> Result<Option<Self>, StoreError> {
        let path = folder.join(NAME);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) if e.kind() == io::ErrorKind::InvalidData => return Err(damaged(&path, "it is not text")),
            Err(e) => return Err(StoreError::Unavailable(format!("could not read {}: {e}", path.display()))),
        };
        let (json, crc) = text.trim_end().rsplit_once('\n').ok_or_else(|| damaged(&path, "it is cut off"))?;
        if u32::from_str_radix(crc, 16).ok() != Some(crc32fast::hash(json.as_bytes())) {
            return Err(damaged(&path, "its checksum is wrong"));
        }
        let manifest: Self = serde_json::from_str(json).map_err(|e| damaged(&path, &e.to_string()))?;
        if manifest.version > VERSION {
            return Err(StoreError::Refused(format!("{} was written by a newer version of waystream", path.display())));
        }
        Ok(Some(manifest))
    }

    /// Replaces the manifest of a folder; all or nothing, durable on return.
    pub(crate) fn save(&self, folder: &Path, disk: &Disk) -> io::Result<()> {
        let json = serde_json::to_string(self).expect("a manifest is plain values under text keys");
        let temporary = folder.join(format!("{NAME}.tmp"));
        let mut file = disk.create(&temporary)?;
        write!(file, "{json}\n{:08x}\n", crc32fast::hash(json.as_bytes()))?;
        file.finish()?;
        disk.rename(&temporary, &folder.join(NAME))?;
        disk.sync_folder(folder)
    }

    /// How far the log is covered.
    pub(crate) fn covered(&self) -> Offsets {
        let topic = |name: &str| Topic::ALL.into_iter().find(|t| t.name() == name);
        let of = |(name, partitions): (&String, &BTreeMap<u32, u64>)| {
            let topic = topic(name)?;
            Some(partitions.iter().map(move |(p, o)| ((topic, *p), *o)).collect::<Vec<_>>())
        };
        self.covered.iter().filter_map(of).flatten().collect()
    }

    /// Covers nothing.
    pub(crate) fn uncover(&mut self) {
        self.covered.clear();
    }

    /// Covers more of the log. (An offset may go down: if the log was replaced by an empty one.)
    pub(crate) fn cover(&mut self, offsets: &Offsets) {
        for ((topic, partition), offset) in offsets {
            self.covered.entry(topic.name().to_owned()).or_default().insert(*partition, *offset);
        }
    }
}

fn damaged(path: &Path, why: &str) -> StoreError {
    StoreError::Damaged(format!("{}: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let mut manifest = Manifest::default();
        manifest.cover(&[((Topic::Events, 3), 17), ((Topic::Positions, 0), 5)].into());
        manifest
    }

    #[test]
    fn a_manifest_is_read_as_it_was_saved() {
        let dir = tempfile::tempdir().expect("a folder");
        assert_eq!(Manifest::load(dir.path()).expect("readable"), None);
        manifest().save(dir.path(), &Disk::default()).expect("saved");
        let loaded = Manifest::load(dir.path()).expect("readable").expect("there");
        assert_eq!(loaded, manifest());
        assert_eq!(loaded.covered(), [((Topic::Events, 3), 17), ((Topic::Positions, 0), 5)].into());
    }

    #[test]
    fn a_damaged_manifest_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        manifest().save(dir.path(), &Disk::default()).expect("saved");
        let path = dir.path().join(NAME);
        let bytes = std::fs::read(&path).expect("readable");
        for i in [0, bytes.len() / 2, bytes.len() - 2] {
            let mut bad = bytes.clone();
            bad[i] ^= 1;
            std::fs::write(&path, &bad).expect("writable");
            assert!(matches!(Manifest::load(dir.path()), Err(StoreError::Damaged(_))), "byte {i}");
        }
        std::fs::write(&path, &bytes[..bytes.len() / 2]).expect("writable");
        assert!(matches!(Manifest::load(dir.path()), Err(StoreError::Damaged(_))));
    }

    #[test]
    fn a_save_that_dies_leaves_the_old_manifest_or_the_new_one() {
        for after in 0..6 {
            let dir = tempfile::tempdir().expect("a folder");
            Manifest::default().save(dir.path(), &Disk::default()).expect("saved");
            let saved = manifest().save(dir.path(), &Disk::dying(after));
            let loaded = Manifest::load(dir.path()).expect("readable").expect("there");
            assert!(loaded == manifest() || (saved.is_err() && loaded == Manifest::default()), "after {after} effects");
        }
    }
}
