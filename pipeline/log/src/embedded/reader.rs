//! A cursor over some partitions: newest records come from memory, older ones from the database.

use super::blob;
use super::db::closed;
use super::layout::Place;
use super::shared::{Found, Open, Shared};
use crate::{Batch, Entry, LogError, LogReader};
use async_trait::async_trait;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::watch;

/// Read ahead from the database: one visit to a blocking thread should bring more than one small batch.
const AHEAD_RECORDS: usize = 4096;
const AHEAD_BYTES: usize = 1 << 20;

pub(super) struct Reader {
    shared: Arc<Shared>,
    bell: watch::Receiver<Open>,
    cursors: Vec<Cursor>,
    /// Whose turn it is.
    turn: usize,
}

struct Cursor {
    place: Place,
    /// Offset of the next record to fetch into `ahead`.
    fetch: u64,
    /// Fetched and not yet returned.
    ahead: VecDeque<Entry>,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>, topic: crate::Topic, places: Vec<(Place, u64)>) -> Self {
        let cursors = places.into_iter().map(|(place, from)| Cursor { place, fetch: from, ahead: VecDeque::new() }).collect();
        Self { bell: shared.bell(topic), shared, cursors, turn: 0 }
    }

    async fn poll(&mut self, max: usize) -> Result<Option<Batch>, LogError> {
        let max = max.max(1);
        for step in 0..self.cursors.len() {
            let at = (self.turn + step) % self.cursors.len();
            let cursor = &mut self.cursors[at];
            if cursor.ahead.is_empty() {
                cursor.fetch(&self.shared, max).await?;
            }
            if let Some(batch) = cursor.take(max) {
                self.turn = at + 1;
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }
}

impl Cursor {
    async fn fetch(&mut self, shared: &Arc<Shared>, max: usize) -> Result<(), LogError> {
        let (place, from) = (self.place, self.fetch);
        match shared.find(place, from, max) {
            Found::End => return Ok(()),
            Found::Recent(blobs) => {
                for b in blobs {
                    blob::entries(b.first, &b.bytes, from, &mut self.ahead).expect("this process packed it");
                }
            }
            Found::Stored => {
                let end = shared.next(place);
                let own = Arc::clone(shared);
                let read = move || own.db.read(place, from, max.max(AHEAD_RECORDS), AHEAD_BYTES);
                self.ahead = tokio::task::spawn_blocking(read).await.map_err(|e| shared.db.unread(&e))??.into();
                if self.ahead.is_empty() {
                    // Compaction or retention has removed all there was up to here.
                    self.fetch = end;
                }
            }
        }
        if let Some(last) = self.ahead.back() {
            self.fetch = last.offset + 1;
        }
        Ok(())
    }

    fn take(&mut self, max: usize) -> Option<Batch> {
        let entries: Vec<_> = self.ahead.drain(..self.ahead.len().min(max)).collect();
        let next = entries.last()?.offset + 1;
        Some(Batch { partition: self.place.partition, entries, next })
    }
}

#[async_trait]
impl LogReader for Reader {
    async fn next(&mut self, max: usize) -> Result<Batch, LogError> {
        loop {
            // Marked as seen before looking, so that what is committed meanwhile rings again.
            let open = *self.bell.borrow_and_update();
            if let Some(batch) = self.poll(max).await? {
                return Ok(batch);
            }
            if open == Open::No || self.bell.changed().await.is_err() {
                return Err(closed());
            }
        }
    }

    async fn try_next(&mut self, max: usize) -> Result<Option<Batch>, LogError> {
        self.poll(max).await
    }
}
