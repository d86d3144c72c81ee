//! Newest rows of files that were asked for lately, kept in memory up to so many bytes: those that came first go first.

use super::file::DataFile;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError, Weak};

/// Some hundred thousand rows.
const KEPT_BYTES: usize = 64 << 20;

/// The files that hold theirs.
#[derive(Debug, Default)]
pub(crate) struct Lately(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    files: VecDeque<(Weak<DataFile>, usize)>,
    bytes: usize,
}

impl Lately {
    /// The file holds so many bytes from now on; others let go of theirs where that is too much.
    pub(crate) fn add(&self, file: Weak<DataFile>, bytes: usize) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.files.push_back((file, bytes));
        kept.bytes += bytes;
        while kept.bytes > KEPT_BYTES {
            let Some((file, bytes)) = kept.files.pop_front() else { return };
            kept.bytes -= bytes;
            if let Some(file) = file.upgrade() {
                file.forget_newest();
            }
        }
    }
}
