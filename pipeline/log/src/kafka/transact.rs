//! Commits of one group member: records and offsets in one transaction, one after another on a thread of its own.

use super::aside::Aside;
use super::error::{by_code, determinate, is_expelled, is_fenced, tell_error, tell_log};
use super::options::KafkaOptions;
use super::queries::Client;
use super::watch::Watch;
use crate::{Group, LogError, Offsets, Record, Topic, partition_of};
use rdkafka::ClientContext;
use rdkafka::TopicPartitionList;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{Consumer, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext, PurgeConfig};
use rdkafka::topic_partition_list::Offset;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// One call into librdkafka waits for so long; then it is called again.
const STEP: Duration = Duration::from_secs(5);
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// A call that hangs is given up when Kafka has been reached by others so many times.
const IN_VAIN: u32 = 2;
/// If a broker has gone, records that wait for so long to be acknowledged have waited for another one to take its place.
const SLOW: Duration = Duration::from_secs(1);
/// While one stays away, a cluster that is only slow must not cost each commit a new producer.
const RENEWED_EVERY: Duration = Duration::from_secs(10);
/// Pauses between two looks at what librdkafka has to say: the first, and the longest.
const LOOK_AGAIN: Duration = Duration::from_micros(100);
const LOOK_SELDOM: Duration = Duration::from_millis(20);
/// Things that it says in one look, at most.
const NEWS: usize = 16;
/// A call that failed at once, as they do while no broker can be reached, is repeated after so long.
const PAUSE: Duration = Duration::from_millis(100);
/// An idle producer collects what librdkafka has to say until it is polled.
const LISTEN_EVERY: Duration = Duration::from_secs(1);

/// One commit.
pub(super) struct Commit {
    pub(super) records: Vec<(Topic, Record)>,
    pub(super) offsets: Offsets,
    /// Whose offsets, and in which round of the group's membership.
    pub(super) member: ConsumerGroupMetadata,
}

struct Job {
    commit: Commit,
    answer: oneshot::Sender<Result<(), LogError>>,
}

/// The way to a worker's thread. Its end ends the thread.
struct Line {
    jobs: Sender<Job>,
    watch: Arc<Watch>,
}

impl Line {
    fn start(options: Arc<KafkaOptions>, id: String) -> Result<Self, LogError> {
        let (jobs, waiting) = channel();
        let watch = Arc::new(Watch::default());
        let worker = Worker { options, id, watch: Arc::clone(&watch), producer: None, renewed: None, fenced: None };
        let thread = std::thread::Builder::new().name("kafka-commit".into()).spawn(move || worker.run(&waiting));
        thread.map_err(|e| LogError::Unavailable(format!("could not start a thread: {e}")))?;
        Ok(Self { jobs, watch })
    }
}

/// Commits of one group member.
pub(super) struct Transactor {
    options: Arc<KafkaOptions>,
    id: String,
    /// Somebody else's client, to see whether the cluster can be reached.
    other: Arc<Client>,
    /// Callers take turns.
    line: tokio::sync::Mutex<Line>,
}

impl Transactor {
    pub(super) fn start(options: Arc<KafkaOptions>, group: &Group, other: Arc<Client>) -> Result<Self, LogError> {
        let id = format!("{}{}.{}.{}", options.prefix, group.name, options.instance, group.member);
        let line = tokio::sync::Mutex::new(Line::start(Arc::clone(&options), id.clone())?);
        Ok(Self { options, id, other, line })
    }

    pub(super) async fn commit(&self, commit: Commit) -> Result<(), LogError> {
        let mut line = self.line.lock().await;
        let (answer, mut answered) = oneshot::channel();
        let closed = || LogError::Closed("the log is closing".into());
        line.jobs.send(Job { commit, answer }).map_err(|_| closed())?;
        let mut in_vain = 0;
        loop {
            match tokio::time::timeout(WATCH_EVERY, &mut answered).await {
                Ok(answer) => return answer.map_err(|_| LogError::Indeterminate("the commit was interrupted".into()))?,
                // What waits for a broker that comes back goes on in a moment.
                Err(_) if line.watch.hangs() && self.reaches_kafka().await => in_vain += 1,
                Err(_) => in_vain = 0,
            }
            if in_vain >= IN_VAIN && line.watch.abandon() {
                tracing::warn!(id = self.id, "a call into librdkafka does not return; going on with a new producer");
                *line = Line::start(Arc::clone(&self.options), self.id.clone())?;
                return Err(LogError::Indeterminate(format!("could not commit as {}: no answer from librdkafka", self.id)));
            }
        }
    }

    async fn reaches_kafka(&self) -> bool {
        let (client, topic) = (Arc::clone(&self.other), self.options.topic_name(Topic::Positions));
        tokio::task::spawn_blocking(move || client.fetch_metadata(Some(&topic), WATCH_EVERY).is_ok()).await.unwrap_or(false)
    }
}

/// What went wrong.
#[derive(Debug, Default)]
struct Deliveries {
    /// With records of the transaction that is open.
    error: Mutex<Option<RDKafkaErrorCode>>,
    /// A broker could not be reached since the last commit that was made.
    lost: AtomicBool,
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tell_log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::BrokerTransportFailure) {
            self.lost.store(true, Ordering::Relaxed);
        }
        tell_error(&error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            let mut first = self.error.lock().unwrap_or_else(PoisonError::into_inner);
            first.get_or_insert(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown));
        }
    }
}

type Transactional = BaseProducer<Deliveries>;

/// Waits for deliveries, the longer the more patiently. `poll` with a timeout turns in circles through its last millisecond (rdkafka
/// 0.39), which is all of a short one.
struct Waiting(Duration);

impl Waiting {
    fn new() -> Self {
        Self(LOOK_AGAIN)
    }

    fn a_while(&mut self, producer: &Transactional) {
        hear(producer);
        std::thread::sleep(self.0);
        self.0 = (self.0 * 2).min(LOOK_SELDOM);
    }
}

/// What librdkafka has to say, or some of it.
fn hear(producer: &Transactional) {
    for _ in 0..NEWS {
        producer.poll(Duration::ZERO);
    }
}

/// A transaction that was not completed.
struct Failure {
    error: KafkaError,
    /// Whether Kafka has been asked to complete it, and may have.
    ambiguous: bool,
}

impl From<KafkaError> for Failure {
    fn from(error: KafkaError) -> Self {
        Self { error, ambiguous: false }
    }
}

struct Worker {
    options: Arc<KafkaOptions>,
    id: String,
    watch: Arc<Watch>,
    producer: Option<Transactional>,
    /// When the producer was last replaced because a broker had gone.
    renewed: Option<Instant>,
    /// Why this member commits nothing any more.
    fenced: Option<String>,
}

impl Worker {
    fn run(mut self, jobs: &Receiver<Job>) {
        loop {
            match jobs.recv_timeout(LISTEN_EVERY) {
                Ok(Job { commit, answer }) => drop(answer.send(self.commit(&commit))),
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(producer) = &self.producer {
                        hear(producer);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn commit(&mut self, commit: &Commit) -> Result<(), LogError> {
        if let Some(reason) = &self.fenced {
            return Err(LogError::Closed(reason.clone()));
        }
        let mut producer = match self.producer.take() {
            Some(producer) => producer,
            None => self.begin()?,
        };
        if commit.records.is_empty() && commit.offsets.is_empty() {
            self.producer = Some(producer);
            return Ok(());
        }
        let mut started = Instant::now();
        let mut delivered = self.deliver(&producer, commit, started);
        if delivered.is_ok() && self.is_out_of_date(&producer, commit, started) {
            tracing::info!(id = self.id, "a kafka broker has gone: going on with a new producer");
            self.renewed = Some(Instant::now());
            drop(Aside::new(producer));
            // That ends what the old one has begun, so nothing is told twice.
            producer = self.begin()?;
            started = Instant::now();
            delivered = self.deliver(&producer, commit, started);
        }
        match delivered.and_then(|()| self.conclude(&producer, commit, started)) {
            Ok(()) => {
                producer.context().lost.store(false, Ordering::Relaxed);
                self.producer = Some(producer);
                Ok(())
            }
            Err(failure) => Err(self.settle(producer, failure, started)),
        }
    }

    /// Whether this producer may take a broker that has gone for the group's coordinator. librdkafka (2.12.1) remembers coordinators, and
    /// waits for a connection to them before it asks anew; but to a broker that Kafka names no more it does not even try to connect.
    fn is_out_of_date(&self, producer: &Transactional, commit: &Commit, started: Instant) -> bool {
        hear(producer);
        producer.context().lost.load(Ordering::Relaxed)
            && !commit.offsets.is_empty()
            // Without records nothing tells whether there was something to wait for.
            && (commit.records.is_empty() || started.elapsed() > SLOW)
            && self.renewed.is_none_or(|renewed| renewed.elapsed() > RENEWED_EVERY)
    }

    /// A producer for this member. Whatever an earlier one has left open is ended by that, and it commits nothing any more.
    fn begin(&self) -> Result<Transactional, LogError> {
        if self.watch.abandoned() {
            // It would shut its successor out.
            return Err(LogError::Closed("the log has gone on without this producer".into()));
        }
        let mut config = self.options.producer();
        config
            .set("transactional.id", &self.id)
            .set("transaction.timeout.ms", KafkaOptions::millis(self.options.session_timeout))
            // All records of a commit are there at once; nothing more comes.
            .set("linger.ms", "0");
        let producer = Transactional::from_config_and_context(&config, Deliveries::default())
            .map_err(|e| determinate("could not set up the kafka producer", &e))?;
        self.again(Instant::now(), || producer.init_transactions(STEP))
            .map_err(|e| determinate("could not begin to commit", &e))?;
        Ok(producer)
    }

    /// Begins a transaction; returns when Kafka has its records.
    fn deliver(&self, producer: &Transactional, commit: &Commit, started: Instant) -> Result<(), Failure> {
        *producer.context().error.lock().unwrap_or_else(PoisonError::into_inner) = None;
        producer.begin_transaction()?;
        let mut waiting = Waiting::new();
        for (topic, record) in &commit.records {
            let name = self.options.topic_name(*topic);
            let partition = partition_of(&record.key, self.options.partitions(*topic)) as i32;
            let mut message = BaseRecord::to(&name).partition(partition).key(&record.key[..]);
            message.payload = record.value.as_deref();
            while let Err((error, unsent)) = producer.send(message) {
                if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) || self.late(started) {
                    return Err(error.into());
                }
                waiting.a_while(producer);
                message = unsent;
            }
        }
        // `flush` and `commit_transaction` look at deliveries every 100 ms only: these are awaited here.
        let mut waiting = Waiting::new();
        while producer.in_flight_count() > 0 {
            if self.late(started) {
                return Err(KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut).into());
            }
            waiting.a_while(producer);
        }
        if let Some(code) = *producer.context().error.lock().unwrap_or_else(PoisonError::into_inner) {
            return Err(KafkaError::MessageProduction(code).into());
        }
        Ok(())
    }

    /// Adds the offsets and completes the transaction.
    fn conclude(&self, producer: &Transactional, commit: &Commit, started: Instant) -> Result<(), Failure> {
        if !commit.offsets.is_empty() {
            let mut list = TopicPartitionList::with_capacity(commit.offsets.len());
            for ((topic, partition), offset) in &commit.offsets {
                let offset = Offset::Offset(i64::try_from(*offset).unwrap_or(i64::MAX));
                list.add_partition_offset(&self.options.topic_name(*topic), *partition as i32, offset)?;
            }
            self.again(started, || producer.send_offsets_to_transaction(&list, &commit.member, STEP))?;
        }
        self.again(started, || producer.commit_transaction(STEP)).map_err(|error| {
            let surely_not = matches!(&error, KafkaError::Transaction(e) if e.txn_requires_abort());
            Failure { error, ambiguous: !surely_not }
        })
    }

    /// Calls until it is done, can't be, or Kafka has given the transaction up; never for who has been left behind.
    fn again(&self, started: Instant, call: impl Fn() -> Result<(), KafkaError>) -> Result<(), KafkaError> {
        loop {
            match self.watch.call(&call) {
                Some(Err(KafkaError::Transaction(e))) if e.is_retriable() && !self.late(started) => std::thread::sleep(PAUSE),
                Some(other) => return other,
                None => return Err(KafkaError::Canceled),
            }
        }
    }

    fn late(&self, started: Instant) -> bool {
        started.elapsed() > self.options.session_timeout
    }

    /// Gives the open transaction up. False if this producer is of no use any more.
    fn abort(&self, producer: &Transactional, started: Instant) -> bool {
        // Records on their way would be waited for.
        producer.purge(PurgeConfig::default().queue().inflight());
        let mut waiting = Waiting::new();
        while producer.in_flight_count() > 0 {
            waiting.a_while(producer);
        }
        self.again(started, || producer.abort_transaction(STEP)).is_ok()
    }

    /// What the failure means, after the transaction has been given up.
    fn settle(&mut self, producer: Transactional, failure: Failure, started: Instant) -> LogError {
        let Failure { error, ambiguous } = failure;
        let what = format!("could not commit as {}", self.id);
        let fatal = producer.client().fatal_error().map(|(code, _)| code);
        let fenced = error.rdkafka_error_code().is_some_and(is_fenced) || fatal.is_some_and(is_fenced);
        // A transaction that Kafka has given up for its age looks the same.
        if fenced && !self.late(started) {
            let reason = format!("{what}: another process commits under the same name");
            self.fenced = Some(reason.clone());
            return LogError::Closed(reason);
        }
        // The next commit should not wait for a broker that has gone either.
        let lost = producer.context().lost.load(Ordering::Relaxed);
        if fatal.is_none() && !ambiguous && !lost && self.abort(&producer, started) {
            self.producer = Some(producer);
        } else {
            drop(Aside::new(producer));
            // Settles whatever is still open, so that nobody has to wait until Kafka gives it up.
            match self.begin() {
                Ok(new) => self.producer = Some(new),
                Err(error) => tracing::warn!(%error, "kafka producer not replaced yet"),
            }
        }
        if ambiguous {
            LogError::Indeterminate(format!("{what}: {error}"))
        } else if is_expelled(&error) {
            LogError::Indeterminate(format!("{what}: the group has gone on without this process: {error}"))
        } else {
            by_code(&what, error.rdkafka_error_code(), &error)
        }
    }
}
