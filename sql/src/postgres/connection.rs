//! A connection while something runs on it: whatever interrupts that is noticed at once, and nothing of it goes on.

use super::Shared;
use super::cancel::Cancellable;
use super::failure::Failure;
use super::rows::RowStream;
use super::stream::{Inbound, Outbound};
use crate::door::token_ended;
use pgwire::messages::PgWireBackendMessage as Out;
use pgwire::messages::response::CommandComplete;
use std::future::Future;
use std::sync::Arc;
use tokio::time::timeout_at;
use tokio_util::sync::CancellationToken;
use waystream_domain::TokenId;

/// See the module.
pub(super) struct Connection {
    pub(super) inbound: Inbound,
    pub(super) outbound: Outbound,
    pub(super) stop: CancellationToken,
    place: Cancellable,
    token: TokenId,
    shared: Arc<Shared>,
}

impl Connection {
    pub(super) fn new(
        inbound: Inbound,
        outbound: Outbound,
        place: Cancellable,
        token: TokenId,
        shared: &Arc<Shared>,
        stop: CancellationToken,
    ) -> Self {
        Self { inbound, outbound, stop, place, token, shared: Arc::clone(shared) }
    }

    /// Does something that may take long and sends nothing.
    pub(super) async fn guarded<T>(&mut self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let running = self.place.begin();
        let ended = tokio::select! {
            ended = work => ended,
            why = interrupted(&mut self.inbound, &running, &self.stop, &self.shared, &self.token) => Err(why),
        };
        self.place.end();
        ended
    }

    /// Sends rows, at most so many: how many they were, and whether there are no more.
    pub(super) async fn send(&mut self, rows: &mut RowStream, most: usize) -> Result<(usize, bool), Failure> {
        let Self { inbound, outbound, stop, place, token, shared } = self;
        let running = place.begin();
        let deadline = rows.deadline;
        let work = async {
            let mut sent = 0;
            while sent < most {
                let Some((bytes, count)) = rows.take(most - sent).await? else { return Ok((sent, true)) };
                outbound.put_encoded(&bytes);
                sent += count;
                outbound.relieve().await?;
            }
            Ok((sent, false))
        };
        // A client that takes no rows holds the query up: the deadline is for that too.
        let in_time = async {
            match deadline {
                Some(at) => timeout_at(at, work).await.unwrap_or_else(|_| Err(Failure::timed_out())),
                None => work.await,
            }
        };
        let ended = tokio::select! {
            ended = in_time => ended,
            why = interrupted(inbound, &running, stop, shared, token) => Err(why),
        };
        place.end();
        ended
    }

    /// Sends all that waits.
    pub(super) async fn flush(&mut self) -> Result<(), Failure> {
        tokio::select! {
            flushed = self.outbound.flush() => Ok(flushed?),
            () = self.stop.cancelled() => Err(Failure::stopping()),
        }
    }

    /// Sends, if much is waiting.
    pub(super) async fn relieve(&mut self) -> Result<(), Failure> {
        tokio::select! {
            relieved = self.outbound.relieve() => Ok(relieved?),
            () = self.stop.cancelled() => Err(Failure::stopping()),
        }
    }

    /// Adds a message.
    pub(super) fn put(&mut self, message: &Out) -> Result<(), Failure> {
        Ok(self.outbound.put(message)?)
    }

    /// Adds the end of a statement.
    pub(super) fn complete(&mut self, tag: impl Into<String>) -> Result<(), Failure> {
        self.put(&Out::CommandComplete(CommandComplete::new(tag.into())))
    }
}

async fn interrupted(
    inbound: &mut Inbound,
    running: &CancellationToken,
    stop: &CancellationToken,
    shared: &Shared,
    token: &TokenId,
) -> Failure {
    tokio::select! {
        () = inbound.gone() => Failure::Gone,
        () = running.cancelled() => Failure::cancelled(),
        () = token_ended(shared.door.as_ref(), token) => Failure::token_ended(),
        () = stop.cancelled() => Failure::stopping(),
    }
}
