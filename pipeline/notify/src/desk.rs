//! One share of the work: events are looked at, deliveries tried, and what comes of both is written.

use crate::book::{AT_ONCE, Book};
use crate::config::NotifyConfig;
use crate::send::Senders;
use crate::tidy::tidy;
use crate::{GROUP, group, metrics, now};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use waystream_domain::codec::decode_event;
use waystream_domain::notify::{Content, Delivery, DeliveryState, LATEST_MS, MAX_AGE_MS, Matcher, Retries, Verdict};
use waystream_domain::{DeliveryId, SharedCatalog, Timestamp};
use waystream_log::{Batch, Entry, Log, LogError, LogReader, Offsets, Record, Topic, partition_of};

/// Records read at a time.
const BATCH: usize = 512;
/// Events of which nothing follows need no commit of their own: how far they were read is committed so often.
const COMMIT_EVERY: Duration = Duration::from_secs(5);
/// Old deliveries are forgotten so often.
const TIDY_EVERY: Duration = Duration::from_secs(3_600);
/// It is looked so often whether a report is due.
const REPORTS_EVERY: Duration = Duration::from_secs(20);
/// What is being tried at the end gets so long.
const LAST_PATIENCE: Duration = Duration::from_secs(2);
/// Between attempts to write down what came of attempts.
const APPEND_PAUSE: Duration = Duration::from_millis(500);
/// All channels together: more than so many times one channel's share don't wait.
const CHANNELS_FULL: usize = 10;

/// See the module.
pub(crate) struct Desk {
    log: Arc<dyn Log>,
    catalog: SharedCatalog,
    config: NotifyConfig,
    retries: Retries,
    senders: Arc<Senders>,
    partitions: BTreeSet<u32>,
    matcher: Matcher,
    book: Book,
    events: Box<dyn LogReader>,
    deliveries: Box<dyn LogReader>,
    /// Reports that were begun lately, and when.
    reported: HashMap<DeliveryId, Timestamp>,
    /// How far events were read since the last commit.
    read: Offsets,
    trying: JoinSet<Delivery>,
}

/// What a round of the loop is about.
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
enum Turn {
    Stop,
    Events(Batch),
    Deliveries(Batch),
    Tried(Delivery),
    Due,
    Commit,
    Reports,
    Tidy,
}

impl Desk {
    /// Reads what has been told and what is still to be delivered.
    pub(crate) async fn open(
        log: Arc<dyn Log>,
        catalog: SharedCatalog,
        config: &NotifyConfig,
        senders: Arc<Senders>,
        partitions: &[u32],
    ) -> Result<Self, LogError> {
        let partitions: BTreeSet<u32> = partitions.iter().copied().collect();
        // All of them: who has told what of a device may be another process' now, and a correction waits for what it corrects.
        let all = (0..log.partitions(Topic::Deliveries)).map(|partition| ((Topic::Deliveries, partition), 0)).collect();
        let deliveries = log.read(Topic::Deliveries, &all).await?;
        // What was appended before is older still when it is looked at.
        let mut from = log.offsets_at(Topic::Events, now().plus_millis(-MAX_AGE_MS).as_millis()).await?;
        for (place, committed) in log.committed(GROUP, Topic::Events).await? {
            let at = from.entry(place).or_insert(0);
            *at = committed.max(*at);
        }
        from.retain(|(_, partition), _| partitions.contains(partition));
        let events = log.read(Topic::Events, &from).await?;
        let mut desk = Self {
            log,
            catalog,
            config: config.clone(),
            retries: config.retries(),
            senders,
            partitions,
            matcher: Matcher::default(),
            book: Book::default(),
            events,
            deliveries,
            reported: HashMap::new(),
            read: Offsets::new(),
            trying: JoinSet::new(),
        };
        while let Some(batch) = desk.deliveries.try_next(BATCH).await? {
            desk.learn(&batch, true);
        }
        desk.matcher.forget(now());
        let (waiting, _) = desk.book.counts();
        info!(waiting, "what was told lately is known");
        Ok(desk)
    }

    /// Until cancelled, until the share ends, or the first error.
    pub(crate) async fn run(mut self, token: &CancellationToken, ends: &CancellationToken) -> Result<(), LogError> {
        let mut commit = tokio::time::interval(COMMIT_EVERY);
        let mut reports = tokio::time::interval(REPORTS_EVERY);
        let mut tidying = tokio::time::interval(TIDY_EVERY);
        for ticks in [&mut commit, &mut reports, &mut tidying] {
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        loop {
            self.start_due();
            let due = self.book.next_due().map(|at| Duration::from_millis(u64::try_from(at.millis_since(now())).unwrap_or(0)));
            let turn = tokio::select! {
                biased;
                () = token.cancelled() => Turn::Stop,
                () = ends.cancelled() => Turn::Stop,
                Some(tried) = self.trying.join_next() => Turn::Tried(tried.unwrap_or_else(broken)),
                batch = self.deliveries.next(BATCH) => Turn::Deliveries(batch?),
                () = sleep(due.unwrap_or_default()), if due.is_some() => Turn::Due,
                _ = commit.tick() => Turn::Commit,
                _ = reports.tick() => Turn::Reports,
                _ = tidying.tick() => Turn::Tidy,
                batch = self.events.next(BATCH) => Turn::Events(batch?),
            };
            match turn {
                Turn::Stop => break,
                Turn::Events(batch) => self.judge(&batch).await?,
                Turn::Deliveries(batch) => {
                    if self.learn(&batch, false) {
                        self.catch_up().await?;
                    }
                }
                Turn::Tried(delivery) => self.conclude(delivery, token).await?,
                Turn::Due => {}
                Turn::Commit => self.commit(Vec::new()).await?,
                Turn::Reports => self.report().await?,
                Turn::Tidy => {
                    let now_is = now();
                    self.matcher.forget(now_is);
                    self.reported.retain(|_, begun| now_is.millis_since(*begun) <= 2 * LATEST_MS);
                    let mine: Vec<u32> = self.partitions.iter().copied().collect();
                    tidy(self.log.as_ref(), &mine, &self.config, now()).await?;
                }
            }
        }
        self.end(token).await
    }

    /// What is being tried may end; what doesn't in time is tried again by whoever goes on.
    async fn end(mut self, token: &CancellationToken) -> Result<(), LogError> {
        let until = Instant::now() + LAST_PATIENCE;
        while let Ok(Some(tried)) = timeout_at(until, self.trying.join_next()).await {
            self.conclude(tried.unwrap_or_else(broken), token).await?;
        }
        self.commit(Vec::new()).await
    }

    /// Reads all that the log has of deliveries by now. What a correction corrects stands in another partition, and has to be known
    /// before the correction is tried.
    async fn catch_up(&mut self) -> Result<(), LogError> {
        while let Some(batch) = self.deliveries.try_next(BATCH).await? {
            self.learn(&batch, false);
        }
        Ok(())
    }

    /// Takes in what the log says of deliveries; true if there is a correction among them. `recall`: also for what is to be told
    /// next, which otherwise is known already.
    fn learn(&mut self, batch: &Batch, recall: bool) -> bool {
        let mine = self.partitions.contains(&batch.partition);
        let mut corrections = false;
        for Entry { key, value, offset, .. } in &batch.entries {
            match value.as_deref().map(Delivery::decode) {
                Some(Ok(delivery)) => {
                    if recall {
                        self.matcher.recall(&delivery);
                    }
                    corrections |= delivery.earlier_turn().is_some();
                    if matches!(delivery.content, Content::Report { .. }) {
                        self.reported.insert(delivery.id.clone(), delivery.matched_at);
                    }
                    self.book.apply(delivery, mine);
                }
                Some(Err(error)) => {
                    metrics::unreadable(Topic::Deliveries.name());
                    warn!(partition = batch.partition, offset, %error, "delivery left out");
                }
                None => {
                    if let Some(id) = std::str::from_utf8(key).ok().and_then(|id| id.parse().ok()) {
                        self.book.remove(&id);
                    }
                }
            }
        }
        corrections
    }

    /// Decides what is told of events, and commits that together with how far they were read.
    async fn judge(&mut self, batch: &Batch) -> Result<(), LogError> {
        let now = now();
        let mut told: Vec<Delivery> = Vec::new();
        for entry in &batch.entries {
            let event = match decode_event(entry.value.as_deref().unwrap_or_default()) {
                Ok(event) => event,
                Err(error) => {
                    metrics::unreadable(Topic::Events.name());
                    warn!(partition = batch.partition, offset = entry.offset, %error, "event left out");
                    continue;
                }
            };
            let verdicts = {
                let catalog = self.catalog.read().unwrap_or_else(PoisonError::into_inner);
                self.matcher.judge(&event, &catalog, now)
            };
            for verdict in verdicts {
                metrics::judged(&verdict);
                if let Verdict::Tell(delivery) = verdict {
                    let delivery = self.admit(delivery, &told, now);
                    told.push(delivery);
                }
            }
        }
        self.read.insert((Topic::Events, batch.partition), batch.next);
        match told.is_empty() {
            true => Ok(()),
            false => self.commit(told.iter().map(record).collect()).await,
        }
    }

    /// Begins the reports that are due. Each is the business of who has its partition, and in the log before it is tried, so that
    /// another process, or this one after a restart, doesn't begin it again.
    async fn report(&mut self) -> Result<(), LogError> {
        let (now, partitions) = (now(), self.log.partitions(Topic::Deliveries));
        let due: Vec<Delivery> = {
            let is_new = |id: &DeliveryId| {
                let partition = partition_of(id.as_str().as_bytes(), partitions);
                self.partitions.contains(&partition) && !self.reported.contains_key(id)
            };
            let catalog = self.catalog.read().unwrap_or_else(PoisonError::into_inner);
            catalog.reports.values().filter_map(|report| report.due(now, is_new)).collect()
        };
        if due.is_empty() {
            return Ok(());
        }
        self.reported.extend(due.iter().map(|delivery| (delivery.id.clone(), now)));
        self.commit(due.iter().map(record).collect()).await
    }

    /// A channel for which too much waits takes no more: what is over is dead, and can be tried again by hand.
    fn admit(&self, delivery: Delivery, told: &[Delivery], now: Timestamp) -> Delivery {
        let new = told.iter().filter(|d| d.channel == delivery.channel).count();
        let waiting = self.book.waiting_for(&delivery.channel) + new;
        let all = self.book.counts().0 + told.len();
        if waiting < self.config.max_waiting && all < self.config.max_waiting.saturating_mul(CHANNELS_FULL) {
            return delivery;
        }
        metrics::not_tried();
        delivery.dead(format!("{waiting} notifications wait for this channel already"), now)
    }

    async fn commit(&mut self, deliveries: Vec<(Topic, Record)>) -> Result<(), LogError> {
        if deliveries.is_empty() && self.read.is_empty() {
            return Ok(());
        }
        // An error of any kind ends this desk: the next one learns from the log whether it has happened.
        self.log.commit(&group(), deliveries, &self.read).await?;
        self.read.clear();
        Ok(())
    }

    /// Writes down what came of attempts. They have happened: that is tried for as long as it takes.
    async fn conclude(&mut self, tried: Delivery, token: &CancellationToken) -> Result<(), LogError> {
        let mut records = vec![record(&tried).1];
        while records.len() < AT_ONCE
            && let Some(tried) = self.trying.try_join_next()
        {
            records.push(record(&tried.unwrap_or_else(broken)).1);
        }
        loop {
            match self.log.append(Topic::Deliveries, records.clone()).await {
                Ok(()) => return Ok(()),
                Err(error @ (LogError::Unavailable(_) | LogError::Indeterminate(_))) if !token.is_cancelled() => {
                    warn!(%error, "what came of notifications could not be written, will be repeated");
                    sleep(APPEND_PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Begins the attempts that are due.
    fn start_due(&mut self) {
        for delivery in self.book.take_due(now()) {
            let channel = {
                let catalog = self.catalog.read().unwrap_or_else(PoisonError::into_inner);
                catalog.channels.get(&delivery.channel).filter(|c| c.organisation == delivery.organisation).cloned()
            };
            let (senders, retries) = (Arc::clone(&self.senders), self.retries);
            self.trying.spawn(async move {
                let Some(channel) = channel else {
                    metrics::not_tried();
                    return delivery.dead("the channel is gone", now());
                };
                let outcome = senders.send(&channel, &delivery, now()).await;
                let after = delivery.after(outcome, &retries, now(), rand::random());
                metrics::attempted(channel.kind(), &after.state);
                if let DeliveryState::Dead { reason } = &after.state {
                    warn!(delivery = %after.id, channel = %channel.id, reason, "notification given up");
                }
                after
            });
        }
        let (waiting, trying) = self.book.counts();
        metrics::open(waiting, trying);
    }
}

fn record(delivery: &Delivery) -> (Topic, Record) {
    (Topic::Deliveries, Record::new(delivery.id.to_string(), delivery.encode()))
}

/// A task of ours that ended without an answer is a fault of this program.
fn broken(error: tokio::task::JoinError) -> Delivery {
    match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(error) => unreachable!("an attempt is never cancelled while it is awaited: {error}"),
    }
}
