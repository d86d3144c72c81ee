//! Messages between gateways by Redis' publish and subscribe, over a connection that is made again whenever it breaks.
//!
//! Nobody here waits for Redis: what is to be sent is queued, and while Redis is away the oldest of it stays queued and the rest is
//! counted as lost. It is sent as soon as Redis is back. A gateway that has come back to Redis says so, and the others send again what
//! it may have missed. A driver of Socket.IO's Redis adapter; the adapter's own gives up with its first connection.

use super::again::{Node, Sent, Taken};
use super::server::{RedisConfig, RedisConfigError, Server};
use crate::metrics as names;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ErrorKind, FromRedisValue, PushInfo, PushKind, RedisError, RedisResult};
use socketioxide_redis::drivers::{ChanItem, Driver, MessageStream};
use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

/// Messages that may wait for Redis.
const WAITING: usize = 1_024;
/// Redis answers within this time or counts as gone.
const ANSWER: Duration = Duration::from_secs(1);
/// How often it is asked whether it is still there.
const PING_EVERY: Duration = Duration::from_secs(5);
/// Where a gateway says that it has come back.
const BACK: &str = "waystream#back";
/// First and longest pause before it is tried again.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// The way to the other gateways; none if this one is alone. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Nodes(Option<Arc<Shared>>);

struct Shared {
    outgoing: mpsc::Sender<ChanItem>,
    channels: Mutex<HashMap<String, mpsc::Sender<ChanItem>>>,
    /// There are channels to subscribe to.
    changed: Notify,
    taken: Mutex<Taken>,
    /// This gateway among those on Redis.
    node: Node,
    /// Another gateway has come back.
    other_is_back: Notify,
    /// While there is one.
    connection: Mutex<Option<MultiplexedConnection>>,
}

/// Keeps the connection.
pub(crate) struct Supervisor {
    server: Server,
    shared: Arc<Shared>,
    outgoing: mpsc::Receiver<ChanItem>,
    sent: Sent,
    /// Taken from the queue, but not surely sent.
    unsent: Option<ChanItem>,
}

impl Nodes {
    /// There are no other gateways.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// The other gateways on this Redis. They are reached while the supervisor runs.
    pub(crate) fn on(config: &RedisConfig) -> Result<(Self, Supervisor), RedisConfigError> {
        let server = config.server()?;
        let (outgoing, queue) = mpsc::channel(WAITING);
        let (channels, changed, connection, taken, other_is_back) = Default::default();
        let node = rand::random();
        let shared = Arc::new(Shared { outgoing, channels, changed, connection, taken, node, other_is_back });
        let supervisor =
            Supervisor { server, shared: Arc::clone(&shared), outgoing: queue, sent: Sent::new(node), unsent: None };
        Ok((Self(Some(shared)), supervisor))
    }
}

impl Shared {
    fn channels(&self) -> MutexGuard<'_, HashMap<String, mpsc::Sender<ChanItem>>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connection(&self) -> MutexGuard<'_, Option<MultiplexedConnection>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the connection says by itself.
    fn take(&self, push: PushInfo, lost: &CancellationToken) {
        match push.kind {
            PushKind::Disconnection => lost.cancel(),
            PushKind::Message => {
                let mut parts = push.data.into_iter();
                let mut part = || parts.next();
                let (Some(channel), Some(frame)) = (part(), part()) else { return };
                let (Ok(channel), Ok(frame)) = (String::from_redis_value(channel), Vec::from_redis_value(frame)) else {
                    return;
                };
                if channel == BACK {
                    if frame != self.node.to_be_bytes() {
                        self.other_is_back.notify_one();
                    }
                    return;
                }
                let to = self.channels().get(&channel).cloned();
                let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
                let Some(message) = taken.first(&frame) else { return };
                if to.is_some_and(|to| to.try_send((channel, message.to_vec())).is_err()) {
                    metrics::counter!(names::NODE_MESSAGES_LOST).increment(1);
                }
            }
            _ => {}
        }
    }
}

impl Supervisor {
    /// Until cancelled.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut pause = RETRY.0;
        loop {
            let mut reached = false;
            let Some(ended) = stop.run_until_cancelled(self.follow(&mut reached)).await else { return };
            *self.shared.connection() = None;
            if reached || pause == RETRY.0 {
                let server = self.server.address();
                tracing::warn!(%server, error = %ended, "other gateways can't be reached over Redis: notices for them wait");
                pause = RETRY.0;
            }
            if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return;
            }
            pause = (pause * 2).min(RETRY.1);
        }
    }

    /// Until the connection breaks.
    async fn follow(&mut self, reached: &mut bool) -> RedisError {
        let lost = CancellationToken::new();
        let (shared, gone) = (Arc::clone(&self.shared), lost.clone());
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(ANSWER))
            .set_response_timeout(Some(ANSWER))
            .set_push_sender(move |push: PushInfo| {
                shared.take(push, &gone);
                Ok::<(), Infallible>(())
            });
        match self.server.connect(&config, ANSWER).await {
            Ok((connection, _alive)) => match self.serve(connection, &lost, reached).await {
                Ok(()) => (ErrorKind::Io, "the connection has broken").into(),
                Err(error) => error,
            },
            Err(error) => error,
        }
    }

    async fn serve(
        &mut self,
        mut connection: MultiplexedConnection,
        lost: &CancellationToken,
        reached: &mut bool,
    ) -> RedisResult<()> {
        let mut subscribed = BTreeSet::new();
        let mut ping = tokio::time::interval(PING_EVERY);
        connection.subscribe(BACK).await?;
        loop {
            let missing: Vec<String> =
                self.shared.channels().keys().filter(|name| !subscribed.contains(*name)).cloned().collect();
            if !missing.is_empty() {
                for channel in missing {
                    connection.subscribe(&channel).await?;
                    subscribed.insert(channel);
                }
                publish(&mut connection, BACK, &self.shared.node.to_be_bytes()).await?;
            }
            if !*reached {
                tracing::info!("other gateways are reached over Redis");
                *reached = true;
                *self.shared.connection() = Some(connection.clone());
            }
            if let Some((channel, frame)) = &self.unsent {
                publish(&mut connection, channel, frame).await?;
            }
            if let Some((channel, frame)) = self.unsent.take() {
                self.sent.keep(channel, frame, Instant::now());
            }
            tokio::select! {
                () = lost.cancelled() => return Ok(()),
                () = self.shared.changed.notified() => {}
                () = self.shared.other_is_back.notified() => {
                    for (channel, frame) in self.sent.again(Instant::now()) {
                        publish(&mut connection, &channel, &frame).await?;
                    }
                }
                _ = ping.tick() => redis::cmd("PING").query_async(&mut connection).await?,
                // There is always a sender: `self.shared` has one.
                message = self.outgoing.recv() => {
                    self.unsent = message.map(|(channel, message)| (channel, self.sent.frame(&message)));
                }
            }
        }
    }
}

async fn publish(connection: &mut MultiplexedConnection, channel: &str, frame: &[u8]) -> RedisResult<()> {
    redis::cmd("PUBLISH").arg(channel).arg(frame).query_async(connection).await
}

impl Driver for Nodes {
    type Error = Infallible;

    async fn publish(&self, channel: String, message: Vec<u8>) -> Result<(), Infallible> {
        if let Some(shared) = &self.0
            && shared.outgoing.try_send((channel, message)).is_err()
        {
            metrics::counter!(names::NODE_MESSAGES_LOST).increment(1);
        }
        Ok(())
    }

    async fn subscribe(&self, channel: String, size: usize) -> Result<MessageStream<ChanItem>, Infallible> {
        let Some(shared) = &self.0 else { return Ok(MessageStream::new_empty()) };
        let (to, messages) = mpsc::channel(size);
        shared.channels().insert(channel, to);
        shared.changed.notify_one();
        Ok(MessageStream::new(messages))
    }

    /// Redis forgets the subscription with the connection; until then its messages are dropped here.
    async fn unsubscribe(&self, channel: String) -> Result<(), Infallible> {
        if let Some(shared) = &self.0 {
            shared.channels().remove(&channel);
        }
        Ok(())
    }

    /// Just this one where Redis can't tell: then nobody waits for answers of others.
    async fn num_serv(&self, channel: &str) -> Result<u16, Infallible> {
        let connection = self.0.as_ref().and_then(|shared| shared.connection().clone());
        let Some(mut connection) = connection else { return Ok(1) };
        let counted: RedisResult<(String, u16)> =
            redis::cmd("PUBSUB").arg("NUMSUB").arg(channel).query_async(&mut connection).await;
        Ok(counted.map_or(1, |(_, gateways)| gateways.max(1)))
    }
}
