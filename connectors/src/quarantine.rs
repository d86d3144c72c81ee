//! Messages that nothing here understands, kept as they came so that they can be looked at, and decoded again after an upgrade.
//!
//! They are lines of JSON in two files of a folder, of which the older is dropped when the newer is full: what strangers send cannot
//! fill the disk. Keeping one is never waited for.

use crate::metrics;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tokio::sync::mpsc;
use tracing::error;
use waystream_domain::{DeviceId, Timestamp};

const NEWER: &str = "newer.jsonl";
const OLDER: &str = "older.jsonl";
/// Messages that wait to be written; more are dropped, and counted.
const WAITING: usize = 256;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// When it came.
    pub received_at: Timestamp,
    /// Name of the protocol, or `any` if not even that was recognised.
    pub protocol: SmolStr,
    /// Whose it is, if that was known.
    pub device: Option<DeviceId>,
    /// Where it came from.
    pub peer: Option<SocketAddr>,
    /// Why it was set aside.
    pub reason: SmolStr,
    /// It came as a datagram.
    pub datagram: bool,
    /// The message by which the connection had said whose it is, hexadecimal.
    pub login_hex: Option<String>,
    /// The message, hexadecimal.
    pub hex: String,
}

/// Takes messages. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Quarantine(Option<mpsc::Sender<Option<Kept>>>);

/// Writes what [`Quarantine`] takes.
#[derive(Debug)]
pub struct Writer {
    kept: mpsc::Receiver<Option<Kept>>,
    folder: PathBuf,
    max_file_bytes: u64,
}

impl Quarantine {
    /// Keeps nothing.
    pub const fn off() -> Self {
        Self(None)
    }

    /// Keeps at most `max_bytes` in a folder, which is made when there is something to keep.
    pub fn in_folder(folder: &Path, max_bytes: u64) -> (Self, Writer) {
        let (sender, kept) = mpsc::channel(WAITING);
        (Self(Some(sender)), Writer { kept, folder: folder.to_owned(), max_file_bytes: max_bytes / 2 })
    }

    pub(crate) fn keep(&self, message: Kept) {
        let Some(sender) = &self.0 else { return };
        let protocol = message.protocol.clone();
        match sender.try_send(Some(message)) {
            Ok(()) => metrics::quarantined(protocol),
            Err(_) => metrics::not_quarantined(protocol),
        }
    }

    /// Lets the writer end once everything before is written.
    pub(crate) async fn close(&self) {
        if let Some(sender) = &self.0 {
            // An error says that it has ended already.
            drop(sender.send(None).await);
        }
    }
}

impl Writer {
    /// Writes until the quarantine is closed. Blocks its thread.
    pub(crate) fn run(mut self) {
        let mut file = None;
        while let Some(Some(message)) = self.kept.blocking_recv() {
            if let Err(error) = self.write(&mut file, &message) {
                error!(%error, folder = %self.folder.display(), "message not quarantined");
                metrics::not_quarantined(message.protocol);
                file = None;
            }
        }
    }

    fn write(&self, file: &mut Option<File>, message: &Kept) -> io::Result<()> {
        let newer = self.folder.join(NEWER);
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        if let Some(open) = &*file
            && open.metadata()?.len() + line.len() as u64 > self.max_file_bytes
        {
            fs::rename(&newer, self.folder.join(OLDER))?;
            *file = None;
        }
        let file = match file {
            Some(file) => file,
            None => {
                fs::create_dir_all(&self.folder)?;
                file.insert(OpenOptions::new().create(true).append(true).open(newer)?)
            }
        };
        // In one call, so that a line is whole or, after a crash, the last one.
        file.write_all(&line)
    }
}

/// The messages in a folder, oldest first; none if there is no folder. A line that a crash has cut off is left out.
pub fn read(folder: &Path) -> io::Result<Vec<Kept>> {
    let mut all = Vec::new();
    for name in [OLDER, NEWER] {
        match File::open(folder.join(name)) {
            Ok(file) => {
                for line in BufReader::new(file).lines() {
                    all.extend(serde_json::from_str::<Kept>(&line?));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn message(n: u32) -> Kept {
        Kept {
            received_at: Timestamp::from_secs(1_700_000_000 + i64::from(n)).unwrap(),
            protocol: "gt06".into(),
            device: DeviceId::new("358899058314017").ok(),
            peer: None,
            reason: "message ff".into(),
            datagram: false,
            login_hex: None,
            hex: format!("{n:08x}"),
        }
    }

    #[test]
    fn the_oldest_are_dropped_and_the_newest_are_read_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("quarantine");
        let (quarantine, writer) = Quarantine::in_folder(&folder, 4_000);
        assert_eq!(read(&folder).unwrap(), []);
        for n in 0..100 {
            quarantine.keep(message(n));
        }
        quarantine.0.as_ref().unwrap().try_send(None).unwrap();
        writer.run();
        let kept = read(&folder).unwrap();
        let first = 100 - kept.len() as u32;
        assert!((5..50).contains(&kept.len()), "{}", kept.len());
        assert_eq!(kept, (first..100).map(message).collect::<Vec<_>>());
        let bytes: u64 = [OLDER, NEWER].iter().map(|name| fs::metadata(folder.join(name)).unwrap().len()).sum();
        assert!(bytes <= 4_000, "{bytes}");
    }

    #[test]
    fn what_a_crash_has_cut_off_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let whole = serde_json::to_string(&message(1)).unwrap();
        fs::write(folder.path().join(NEWER), format!("{whole}\n{}", &whole[..40])).unwrap();
        assert_eq!(read(folder.path()).unwrap(), [message(1)]);
    }
}
