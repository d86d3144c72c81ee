//! A disk that a test may fill.

use crate::common::BINARY;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A file system of its own, in memory, in a namespace of its own: no rights are needed to make it, and nobody else's disk is filled.
pub(crate) struct SmallDisk {
    holder: Child,
    folder: PathBuf,
}

impl SmallDisk {
    /// One that is seen in this folder by who runs in its namespace.
    pub(crate) fn new(folder: &Path, megabytes: usize) -> Self {
        let mount =
            format!("mount -t tmpfs -o size={megabytes}m small {} && echo mounted && exec sleep infinity", folder.display());
        let mut unshare = Command::new("unshare");
        let mut holder =
            unshare.args(["-r", "-m", "sh", "-c", &mount]).stdout(Stdio::piped()).spawn().expect("unshare is there");
        let mut said = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said, "mounted\n");
        Self { holder, folder: folder.to_owned() }
    }

    /// Where it is for us.
    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{}", self.holder.id(), self.folder.display()))
    }

    /// Where it is for who runs in its namespace.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The binary under test, in its namespace.
    pub(crate) fn command(&self) -> Command {
        let holder = self.holder.id().to_string();
        let mut command = Command::new("nsenter");
        command.args(["-t", &holder, "-U", "-m", "--preserve-credentials", BINARY, "run"]);
        command
    }

    /// Writes until nothing more can be written, also where it was full before.
    pub(crate) fn fill(&self) {
        let mut ballast = File::options().create(true).append(true).open(self.path().join("ballast")).unwrap();
        let mut block = vec![1_u8; 1 << 20];
        while !block.is_empty() {
            if ballast.write_all(&block).is_err() {
                block.truncate(block.len() / 2);
            }
        }
    }

    /// Takes away what filled it.
    pub(crate) fn free(&self) {
        std::fs::remove_file(self.path().join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(self.holder.kill());
        drop(self.holder.wait());
    }
}
