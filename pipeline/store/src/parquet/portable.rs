//! Taking a store elsewhere: all of its files with a manifest, each compared with its checksum where it arrives.

use super::disk::{Disk, checksum};
use super::manifest::{FileEntry, Manifest};
use super::{Inner, lock, locked};
use crate::{Copied, StoreError, Table};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;

impl Inner {
    /// Writes everything that was appended into a new folder, which is there when it is whole.
    pub(super) fn copy_to(&self, folder: &Path) -> Result<Copied, StoreError> {
        if folder.exists() {
            return Err(StoreError::Refused(format!("{} is there already", folder.display())));
        }
        self.flush()?;
        // No file is replaced meanwhile.
        let _maintaining = lock(&self.maintaining);
        let manifest = lock(&self.manifest).clone();
        let mut name = folder.as_os_str().to_owned();
        name.push(".part");
        let part = Path::new(&name);
        let failed = |e: io::Error| StoreError::Unavailable(format!("could not write {}: {e}", part.display()));
        if part.exists() {
            fs::remove_dir_all(part).map_err(failed)?;
        }
        for table in Table::ALL {
            fs::create_dir_all(part.join(table.name())).map_err(failed)?;
        }
        let copied = copy(&manifest.files, &self.folder, part, &self.disk)?;
        manifest.save(part, &self.disk).map_err(failed)?;
        self.disk.rename(part, folder).map_err(failed)?;
        Ok(copied)
    }

    /// Takes in the files of a store elsewhere, if there are none yet. How far that had covered its log says nothing about ours: all of ours
    /// is read again. Readers see them when the store is opened the next time.
    pub(super) fn import(&self, from: &Path) -> Result<Copied, StoreError> {
        let _unused = locked(from, true)?;
        let none = || StoreError::Refused(format!("there is no store in {}", from.display()));
        let theirs = Manifest::load(from)?.ok_or_else(none)?;
        if !self.files().is_empty() {
            return Err(StoreError::Refused(format!("the store in {} has history already", self.folder.display())));
        }
        let copied = copy(&theirs.files, from, &self.folder, &self.disk)?;
        self.next_file.fetch_max(theirs.next_file, Ordering::Relaxed);
        self.change_manifest(&[], |ours| {
            ours.files = theirs.files;
            ours.erased.extend(theirs.erased);
            ours.uncover();
        })?;
        Ok(copied)
    }
}

/// Copies files between the folders of two stores.
fn copy(files: &[FileEntry], from: &Path, to: &Path, disk: &Disk) -> Result<Copied, StoreError> {
    let mut copied = Copied::default();
    for FileEntry { path, table, rows, bytes, crc32, .. } in files {
        let name = path.strip_prefix(table.name()).and_then(|rest| rest.strip_prefix('/'));
        if name.is_none_or(|name| name.contains(['/', '\\'])) {
            return Err(StoreError::Damaged(format!("{path} can't be a file of a store")));
        }
        let failed = |e: io::Error| StoreError::Unavailable(format!("could not copy {path}: {e}"));
        let target = to.join(path);
        disk.link_or_copy(&from.join(path), &target).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => StoreError::Damaged(format!("{path} is missing")),
            _ => failed(e),
        })?;
        if checksum(&target).map_err(failed)? != *crc32 {
            return Err(StoreError::Damaged(format!("{path}: its checksum is wrong")));
        }
        copied.files += 1;
        copied.rows += rows;
        copied.bytes += bytes;
    }
    for table in Table::ALL {
        let synced = disk.sync_folder(&to.join(table.name()));
        synced.map_err(|e| StoreError::Unavailable(format!("could not write {}: {e}", to.display())))?;
    }
    Ok(copied)
}
