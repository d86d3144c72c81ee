//! Trackers that report for as long as it lasts: each comes back when its connection ends, and sends again what was not answered.

use super::{LOOK_AGAIN, Looks, PATIENCE, Pauses, Samples, now_ms};
use crate::teltonika::{Tracker, imei};
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

/// New connections a second, at the beginning.
const RATE: u32 = 1_000;

/// Fix times, in milliseconds, by device.
pub type Fixes = BTreeMap<String, Vec<i64>>;

/// Trackers at work.
pub struct Trackers {
    shared: Arc<Shared>,
    tasks: JoinSet<(u32, Vec<i64>)>,
}

struct Shared {
    address: SocketAddr,
    period: Duration,
    count: u32,
    /// When the first ones connect, by both clocks.
    started: (Instant, i64),
    connected: AtomicUsize,
    latencies: Samples,
    looks: Mutex<Looks>,
    stop: CancellationToken,
}

impl Trackers {
    /// So many, with numbers from 0; each reports once a period, at its own moment of it.
    pub fn start(address: SocketAddr, count: u32, period: Duration) -> Self {
        let shared = Arc::new(Shared {
            address,
            period,
            count,
            started: (Instant::now(), now_ms()),
            connected: AtomicUsize::new(0),
            latencies: Samples::default(),
            looks: Mutex::default(),
            stop: CancellationToken::new(),
        });
        let mut tasks = JoinSet::new();
        for number in 0..count {
            tasks.spawn(report(number, Arc::clone(&shared)));
        }
        tokio::spawn(look(Arc::clone(&shared)));
        Self { shared, tasks }
    }

    /// Until each had time to report so often.
    pub async fn have_reported(&self, times: u32) {
        let Shared { started, period, .. } = &*self.shared;
        sleep_until(started.0 + self.shared.all_connected_after() + *period * times).await;
    }

    /// How many have no connection.
    pub fn missing(&self) -> usize {
        self.shared.missing()
    }

    /// From when a report was due until it was answered.
    pub fn latencies(&self) -> &Samples {
        &self.shared.latencies
    }

    /// How many had no connection, and when.
    pub fn looks(&self) -> Looks {
        self.shared.looks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// No more reports; what has been answered, once all have been.
    pub async fn end(&mut self, deadline: Duration) -> Result<Fixes> {
        self.shared.stop.cancel();
        let mut answered = Fixes::new();
        let all = async {
            while let Some(ended) = self.tasks.join_next().await {
                let (number, fixes) = ended?;
                answered.insert(imei(number), fixes);
            }
            anyhow::Ok(())
        };
        let in_time = timeout(deadline, all).await;
        in_time.with_context(|| format!("{} trackers still wait for an answer", self.tasks.len()))??;
        Ok(answered)
    }
}

impl Shared {
    fn missing(&self) -> usize {
        (self.count as usize).saturating_sub(self.connected.load(Ordering::Relaxed))
    }

    fn all_connected_after(&self) -> Duration {
        Duration::from_secs(1) + Duration::from_secs(1) * self.count / RATE
    }
}

async fn look(shared: Arc<Shared>) {
    let mut again = tokio::time::interval(LOOK_AGAIN);
    while !shared.stop.is_cancelled() {
        again.tick().await;
        shared.looks.lock().unwrap_or_else(PoisonError::into_inner).push((now_ms(), shared.missing()));
    }
}

/// The life of one; gives the fix times that were answered.
async fn report(number: u32, shared: Arc<Shared>) -> (u32, Vec<i64>) {
    let (started, started_ms) = shared.started;
    sleep_until(started + Duration::from_secs(1) * number / RATE).await;
    let mut line = Line { shared: &shared, number, tracker: None, pauses: Pauses::default() };
    line.connected().await;
    let phase = shared.period.mul_f64(f64::from(number) / f64::from(shared.count));
    // What could not be sent in time is sent all the same: a tracker keeps it.
    let mut due = interval_at(started + shared.all_connected_after() + phase, shared.period);
    let mut answered = Vec::new();
    loop {
        let at = tokio::select! {
            // The end comes before another report.
            biased;
            () = shared.stop.cancelled() => break,
            at = due.tick() => at,
            () = line.ended() => {
                line.end();
                line.pauses.pause().await;
                line.connected().await;
                continue;
            }
        };
        let fix_ms = started_ms + (at - started).as_millis() as i64;
        line.deliver(fix_ms).await;
        shared.latencies.note([at.elapsed()]);
        answered.push(fix_ms);
    }
    line.end();
    (number, answered)
}

/// A tracker's connection, if it has one.
struct Line<'a> {
    shared: &'a Shared,
    number: u32,
    tracker: Option<Tracker>,
    pauses: Pauses,
}

impl Line<'_> {
    /// The connection, tried for until there is one.
    async fn connected(&mut self) -> &mut Tracker {
        while self.tracker.is_none() {
            match timeout(PATIENCE, Tracker::connect(self.shared.address, self.number)).await {
                Ok(Ok(tracker)) => {
                    self.tracker = Some(tracker);
                    self.pauses = Pauses::default();
                    self.shared.connected.fetch_add(1, Ordering::Relaxed);
                }
                _ => self.pauses.pause().await,
            }
        }
        self.tracker.as_mut().expect("it was just made")
    }

    /// Until the connection has ended.
    async fn ended(&self) {
        if let Some(tracker) = &self.tracker {
            tracker.ended().await;
        }
    }

    fn end(&mut self) {
        if self.tracker.take().is_some() {
            self.shared.connected.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Sends a fix until it is answered.
    async fn deliver(&mut self, fix_ms: i64) {
        while !matches!(timeout(PATIENCE, self.connected().await.send(fix_ms, 1)).await, Ok(Ok(_))) {
            self.end();
            self.pauses.pause().await;
        }
    }
}
