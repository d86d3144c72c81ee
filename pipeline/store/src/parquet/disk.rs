//! Every change that the store makes on disk, one function per effect, so that a test can die between any two of them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The disk. In tests it stops after so many effects, like a process that is killed: that effect is half done, no later one happens.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disk {
    left: Option<Arc<AtomicU64>>,
}

impl Disk {
    /// A disk that dies at effect number `after` (from 0).
    #[cfg(test)]
    pub(crate) fn dying(after: u64) -> Self {
        Self { left: Some(Arc::new(AtomicU64::new(after))) }
    }

    /// From now on.
    #[cfg(test)]
    pub(crate) fn dies_after(&self, effects: u64) {
        self.left.as_ref().expect("made by dying()").store(effects, Ordering::SeqCst);
    }

    fn effect(&self) -> io::Result<()> {
        let Some(left) = &self.left else { return Ok(()) };
        match left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)) {
            Ok(_) => Ok(()),
            Err(_) => Err(io::Error::other("killed")),
        }
    }

    /// A new file, or an emptied one.
    pub(crate) fn create(&self, path: &Path) -> io::Result<DiskFile> {
        self.effect()?;
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
        let raw = RawFile { file, disk: self.clone(), crc: crc32fast::Hasher::new(), bytes: 0 };
        Ok(DiskFile(BufWriter::with_capacity(1 << 20, raw)))
    }

    /// Atomic; durable only after `sync_folder`.
    pub(crate) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.effect()?;
        fs::rename(from, to)
    }

    /// The same file under another name, or a durable copy of it where that can't be. Nothing is written over.
    pub(crate) fn link_or_copy(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.effect()?;
        match fs::hard_link(from, to) {
            Err(e) if !matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists) => {
                fs::copy(from, to)?;
                File::open(to)?.sync_all()
            }
            linked => linked,
        }
    }

    /// Makes creations, renames and removals in a folder durable.
    pub(crate) fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.effect()?;
        File::open(folder)?.sync_all()
    }

    /// Removes a file.
    pub(crate) fn remove(&self, path: &Path) -> io::Result<()> {
        self.effect()?;
        fs::remove_file(path)
    }
}

/// A file being written, with its checksum.
#[derive(Debug)]
pub(crate) struct DiskFile(BufWriter<RawFile>);

#[derive(Debug)]
struct RawFile {
    file: File,
    disk: Disk,
    crc: crc32fast::Hasher,
    bytes: u64,
}

impl Write for RawFile {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if let Err(killed) = self.disk.effect() {
            self.file.write_all(&buf[..buf.len() / 2])?;
            return Err(killed);
        }
        let n = self.file.write(buf)?;
        self.crc.update(&buf[..n]);
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Write for DiskFile {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl DiskFile {
    /// Makes the contents durable; answers size and CRC-32.
    pub(crate) fn finish(mut self) -> io::Result<(u64, u32)> {
        self.0.flush()?;
        let raw = self.0.get_ref();
        raw.disk.effect()?;
        raw.file.sync_all()?;
        Ok((raw.bytes, raw.crc.clone().finalize()))
    }
}

/// CRC-32 of a file's contents.
pub(crate) fn checksum(path: &Path) -> io::Result<u32> {
    let mut file = File::open(path)?;
    let mut crc = crc32fast::Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match io::Read::read(&mut file, &mut buffer)? {
            0 => return Ok(crc.finalize()),
            n => crc.update(&buffer[..n]),
        }
    }
}
