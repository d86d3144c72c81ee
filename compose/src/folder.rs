//! The data folder: one process owns it at a time, and tells others on this machine how to reach it.

use anyhow::Context;
use rand::RngExt;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Locked while a process owns the folder; the system frees it whatever way the process ends.
const LOCK: &str = "lock";
/// How to reach the owner: readable by the folder's user only.
const CONTROL: &str = "control.json";

/// A folder that this process owns.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    _lock: File,
}

/// Where in a data folder the messages are that were not understood.
pub fn quarantine(data: &Path) -> PathBuf {
    data.join("quarantine")
}

/// Where in a data folder the embedded store is.
pub fn store(data: &Path) -> PathBuf {
    data.join("store")
}

/// Who owns a folder.
#[derive(Debug)]
pub enum Owner {
    /// This process, from now on.
    Us(DataFolder),
    /// Another one, which can be reached so.
    Other(Contact),
}

/// How to reach the process that owns a folder.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Contact {
    /// Its control port, on loopback.
    pub address: SocketAddr,
    /// Whoever can read the file may use it.
    pub token: String,
    /// Its other ports, by name of the listener; the dashboard's is `dashboard`.
    #[serde(default)]
    pub listeners: BTreeMap<String, SocketAddr>,
}

impl DataFolder {
    /// Takes a folder, creating it if there is none. If another process owns it: how to reach that.
    pub fn take(path: &Path) -> anyhow::Result<Owner> {
        std::fs::create_dir_all(path).with_context(|| format!("could not create the data folder {}", path.display()))?;
        let file = path.join(LOCK);
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&file);
        let lock = lock.with_context(|| format!("could not write into the data folder {}", path.display()))?;
        match lock.try_lock() {
            Ok(()) => {
                let folder = Self { path: path.to_owned(), _lock: lock };
                // Left behind by a process that was killed.
                folder.withdraw();
                Ok(Owner::Us(folder))
            }
            Err(TryLockError::WouldBlock) => Ok(Owner::Other(Contact::read(path)?)),
            Err(TryLockError::Error(e)) => Err(e).with_context(|| format!("could not lock {}", file.display())),
        }
    }

    /// Takes a folder that no other process may own.
    pub fn take_alone(path: &Path) -> anyhow::Result<Self> {
        match Self::take(path)? {
            Owner::Us(folder) => Ok(folder),
            Owner::Other(_) => anyhow::bail!("another waystream runs on the data folder {}", path.display()),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Tells others on this machine how to reach this process.
    pub fn announce(&self, contact: &Contact) -> anyhow::Result<()> {
        let path = self.path.join(CONTROL);
        // A reader sees the old file or the whole new one.
        let new = self.path.join(format!("{CONTROL}.new"));
        let write = || -> std::io::Result<()> {
            let mut options = OpenOptions::new();
            options.create(true).truncate(true).write(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let mut file = options.open(&new)?;
            file.write_all(serde_json::to_string(contact)?.as_bytes())?;
            std::fs::rename(&new, &path)
        };
        write().with_context(|| format!("could not write {}", path.display()))
    }

    /// Nobody can be reached any more. Where the file stays, callers find its port closed.
    fn withdraw(&self) {
        drop(std::fs::remove_file(self.path.join(CONTROL)));
    }
}

impl Drop for DataFolder {
    fn drop(&mut self) {
        self.withdraw();
    }
}

impl Contact {
    /// A new secret for this address.
    pub fn new(address: SocketAddr) -> Self {
        let secret: [u8; 32] = rand::rng().random();
        Self { address, token: secret.iter().map(|b| format!("{b:02x}")).collect(), listeners: BTreeMap::new() }
    }

    /// How to reach the process that owns this folder now.
    pub fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(CONTROL);
        let text = std::fs::read_to_string(&path);
        let text = text.with_context(|| format!("a waystream is starting or stopping on {}: try again", folder.display()))?;
        serde_json::from_str(&text).with_context(|| format!("could not understand {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_folder_has_one_owner_whom_others_can_reach() {
        let dir = tempfile::tempdir().unwrap();
        let folder = DataFolder::take_alone(dir.path()).unwrap();
        assert!(DataFolder::take(dir.path()).is_err(), "owned, and nobody to reach yet");
        let contact = Contact::new(([127, 0, 0, 1], 4000).into());
        folder.announce(&contact).unwrap();
        let Owner::Other(reached) = DataFolder::take(dir.path()).unwrap() else { panic!("two owners") };
        assert_eq!((reached.address, &reached.token), (contact.address, &contact.token));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(dir.path().join(CONTROL)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        drop(folder);
        assert!(matches!(DataFolder::take(dir.path()).unwrap(), Owner::Us(_)));
    }
}
