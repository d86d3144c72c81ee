//! A cursor over some partitions, on a consumer of its own that is told what to read.
//!
//! Offsets have gaps that no record tells of: the markers at the ends of transactions. So to know that all up to some offset has
//! been read, a cursor waits for Kafka's word that a partition has ended, on a fetch that began when no transaction was open below
//! that offset (a *probe*).

use super::aside::Aside;
use super::error::{Told, determinate};
use super::options::KafkaOptions;
use super::queries::{Queries, Which};
use crate::{Batch, Entry, LogError, LogReader, Offsets, Topic};
use async_trait::async_trait;
use bytes::Bytes;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::topic_partition_list::Offset;
use rdkafka::{Timestamp, TopicPartitionList};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};

/// A new reader gives each partition so long to say something before it returns the first records: partitions take turns.
const FAIR_START: Duration = Duration::from_secs(1);
/// So long a partition may be silent before it is asked whether it has ended.
const SILENCE: Duration = Duration::from_millis(20);
/// A question that is not answered for so long never will be: librdkafka (2.12.1) loses some when its only broker comes back.
const STUCK: Duration = Duration::from_secs(10);
/// Longest time that a reader which waits for new records looks at something else.
const ASKED_WITHIN: Duration = Duration::from_secs(2);

type Client = BaseConsumer<Told>;

pub(super) struct Reader {
    options: Arc<KafkaOptions>,
    queries: Arc<Queries>,
    topic: Topic,
    name: String,
    /// Rings when there is something in a queue that was empty.
    bell: Arc<Notify>,
    cursors: Vec<Cursor>,
    /// Whose turn it is.
    turn: usize,
    /// What was found behind records that were returned first.
    fault: Option<LogError>,
    state: State,
    /// When it last gave something, or looked whether it should have. That the client has something to say is not enough: it may tell of
    /// the same trouble again and again.
    active: Instant,
    // Behind the cursors: their queues belong to it.
    client: Aside<Arc<Client>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing is fetched yet.
    New,
    /// Until then partitions may say something for the first time.
    Starting(Instant),
    Started,
}

struct Cursor {
    partition: u32,
    /// All records below are taken.
    done: u64,
    /// Everything below will have been read when the partition is next said to have ended.
    probe: Option<u64>,
    /// Whether anything was heard of it.
    heard: bool,
    queue: Option<PartitionQueue<Told>>,
    /// Came before its queue was set up, or was only looked for.
    ahead: VecDeque<Entry>,
}

impl Reader {
    pub(super) fn new(
        options: &Arc<KafkaOptions>,
        queries: Arc<Queries>,
        topic: Topic,
        from: &Offsets,
    ) -> Result<Self, LogError> {
        let mut cursors = Vec::new();
        for ((_, partition), offset) in from.iter().filter(|((t, _), _)| *t == topic) {
            let count = options.partitions(topic);
            if *partition >= count {
                let reason = format!("{} has no partition {partition}, only {count}", topic.name());
                return Err(LogError::Refused(reason));
            }
            let (partition, done) = (*partition, *offset);
            cursors.push(Cursor { partition, done, probe: None, heard: false, queue: None, ahead: VecDeque::new() });
        }
        let bell = Arc::new(Notify::new());
        let (name, client) = (options.topic_name(topic), client(options, &bell)?);
        let options = Arc::clone(options);
        Ok(Self {
            options,
            queries,
            topic,
            name,
            bell,
            cursors,
            turn: 0,
            fault: None,
            state: State::New,
            active: Instant::now(),
            client,
        })
    }

    /// Goes on with a new client where the old one was.
    fn start_anew(&mut self) -> Result<(), LogError> {
        tracing::warn!(topic = self.topic.name(), "a kafka client does not answer, and is replaced");
        for cursor in &mut self.cursors {
            (cursor.queue, cursor.probe) = (None, None);
            cursor.ahead.clear();
        }
        self.client = client(&self.options, &self.bell)?;
        self.start()
    }

    /// Begins to fetch.
    fn start(&mut self) -> Result<(), LogError> {
        let failed = |e: KafkaError| determinate("could not begin to read", &e);
        let mut list = TopicPartitionList::with_capacity(self.cursors.len());
        for cursor in &self.cursors {
            list.add_partition_offset(&self.name, cursor.partition as i32, cursor.offset()).map_err(failed)?;
        }
        self.client.assign(&list).map_err(failed)?;
        for cursor in &mut self.cursors {
            let ring = Arc::clone(&self.bell);
            cursor.queue = self.client.split_partition_queue(&self.name, cursor.partition as i32);
            if let Some(queue) = &mut cursor.queue {
                queue.set_nonempty_callback(move || ring.notify_one());
            }
        }
        self.state = State::Starting(Instant::now() + FAIR_START);
        Ok(())
    }

    /// What has been fetched: records of the partition whose turn it is.
    fn poll(&mut self, max: usize) -> Result<Option<Batch>, LogError> {
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        self.listen()?;
        for step in 0..self.cursors.len() {
            let at = (self.turn + step) % self.cursors.len();
            let cursor = &mut self.cursors[at];
            let mut entries = Vec::new();
            while entries.len() < max.max(1) {
                match cursor.take() {
                    Ok(Some(entry)) => entries.push(entry),
                    Ok(None) => break,
                    Err(fault) if entries.is_empty() => return Err(fault),
                    Err(fault) => {
                        self.fault = Some(fault);
                        break;
                    }
                }
            }
            if let Some(last) = entries.last() {
                self.turn = at + 1;
                let (partition, next) = (cursor.partition, last.offset + 1);
                return Ok(Some(Batch { partition, entries, next }));
            }
        }
        Ok(None)
    }

    /// What is said to the consumer as a whole, and records fetched before their partition had its queue.
    fn listen(&mut self) -> Result<(), LogError> {
        while let Some(said) = self.client.poll(Duration::ZERO) {
            match said {
                Ok(message) => {
                    let cursor = self.cursors.iter_mut().find(|c| c.partition as i32 == message.partition());
                    if let Some(cursor) = cursor {
                        cursor.heard = true;
                        cursor.ahead.push_back(entry(&message));
                    }
                }
                Err(KafkaError::PartitionEOF(partition)) => {
                    if let Some(cursor) = self.cursors.iter_mut().find(|c| c.partition as i32 == partition) {
                        cursor.ended();
                    }
                }
                Err(error) => fault(&error)?,
            }
        }
        Ok(())
    }

    /// Until every partition has said something, or has had its time.
    async fn fair_start(&mut self) -> Result<(), LogError> {
        let State::Starting(until) = self.state else { return Ok(()) };
        loop {
            self.listen()?;
            let mut silent = 0;
            for cursor in self.cursors.iter_mut().filter(|c| !c.heard) {
                cursor.look()?;
                silent += usize::from(!cursor.heard);
            }
            if silent == 0 || timeout_at(until, self.bell.notified()).await.is_err() {
                self.state = State::Started;
                return Ok(());
            }
        }
    }

    /// Asks partitions whether they have ended, anew.
    async fn ask_again(&mut self, ends: &BTreeMap<u32, u64>) -> Result<(), LogError> {
        self.queries.settled(self.topic, ends).await?;
        let failed = |e: KafkaError| determinate("could not go on reading", &e);
        let mut list = TopicPartitionList::new();
        for cursor in &mut self.cursors {
            // What has come meanwhile is returned first.
            cursor.look()?;
            if let Some(end) = ends.get(&cursor.partition)
                && cursor.ahead.is_empty()
                && cursor.done < *end
            {
                cursor.probe = Some(*end);
                list.add_partition_offset(&self.name, cursor.partition as i32, cursor.offset()).map_err(failed)?;
            }
        }
        if list.count() > 0 {
            self.client.seek_partitions(list, Duration::ZERO).map_err(failed)?;
        }
        Ok(())
    }

    /// After a long silence: asks partitions that seem to have more whether they do. If they were asked before, this client never
    /// gets an answer.
    async fn look_behind(&mut self) -> Result<(), LogError> {
        // While Kafka is away there is nothing to be learnt.
        let Ok(mut ends) = self.ends().await else { return Ok(()) };
        if self.cursors.iter().any(|cursor| cursor.probe.is_some()) {
            return self.start_anew();
        }
        ends.retain(|partition, end| self.cursors.iter().any(|c| c.partition == *partition && c.done < *end));
        // As long as a transaction is open, what comes is not waited for here.
        timeout(ASKED_WITHIN, self.ask_again(&ends)).await.unwrap_or(Ok(()))
    }

    async fn ends(&self) -> Result<BTreeMap<u32, u64>, LogError> {
        let partitions: Vec<u32> = self.cursors.iter().map(|c| c.partition).collect();
        let ends = self.queries.offsets(self.topic, &partitions, Which::Next).await?;
        Ok(ends.into_iter().map(|(partition, end)| (partition, end.unwrap_or(0))).collect())
    }
}

fn client(options: &KafkaOptions, bell: &Arc<Notify>) -> Result<Aside<Arc<Client>>, LogError> {
    let mut config = options.consumer("readers");
    config
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        // By default a full queue is looked at again after a second.
        .set("fetch.queue.backoff.ms", "10")
        .set("fetch.error.backoff.ms", "100")
        // A partition that is asked again waits for the fetch before it.
        .set("fetch.wait.max.ms", "100")
        .set("queued.max.messages.kbytes", "16384");
    let mut client = Client::from_config_and_context(&config, Told::default())
        .map_err(|e| determinate("could not set up the kafka consumer", &e))?;
    let ring = Arc::clone(bell);
    client.set_nonempty_callback(move || ring.notify_one());
    Ok(Aside::new(Arc::new(client)))
}

impl Cursor {
    fn offset(&self) -> Offset {
        Offset::Offset(i64::try_from(self.done).unwrap_or(i64::MAX))
    }

    /// The next record that is there.
    fn take(&mut self) -> Result<Option<Entry>, LogError> {
        if self.ahead.is_empty() {
            self.look()?;
        }
        let entry = self.ahead.pop_front();
        if let Some(entry) = &entry {
            self.done = self.done.max(entry.offset + 1);
        }
        Ok(entry)
    }

    /// Fetches one record into `ahead`, if there is one.
    fn look(&mut self) -> Result<(), LogError> {
        while let Some(said) = self.queue.as_ref().and_then(|queue| queue.poll(Duration::ZERO)) {
            match said {
                Ok(message) => {
                    let entry = entry(&message);
                    self.heard = true;
                    self.ahead.push_back(entry);
                    return Ok(());
                }
                // What was fetched before the end has been taken before it is told.
                Err(KafkaError::PartitionEOF(_)) => self.ended(),
                Err(error) => fault(&error)?,
            }
        }
        Ok(())
    }

    fn ended(&mut self) {
        self.heard = true;
        if let Some(end) = self.probe.take() {
            self.done = self.done.max(end);
        }
    }
}

fn entry(message: &BorrowedMessage<'_>) -> Entry {
    let time = match message.timestamp() {
        Timestamp::CreateTime(ms) | Timestamp::LogAppendTime(ms) => ms,
        Timestamp::NotAvailable => 0,
    };
    Entry {
        offset: u64::try_from(message.offset()).expect("records have offsets from 0 on"),
        appended_at_ms: time,
        key: message.key().map(Bytes::copy_from_slice).unwrap_or_default(),
        value: message.payload().map(Bytes::copy_from_slice),
    }
}

/// What the consumer says of trouble: most of it passes by itself.
fn fault(error: &KafkaError) -> Result<(), LogError> {
    match error.rdkafka_error_code() {
        _ if matches!(error, KafkaError::MessageConsumptionFatal(_)) => {
            Err(LogError::Unavailable(format!("the kafka consumer broke down: {error}")))
        }
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
            Err(LogError::Damaged(format!("a topic is gone: {error}")))
        }
        Some(RDKafkaErrorCode::BadMessage) => Err(LogError::Damaged(format!("a batch can't be read: {error}"))),
        _ => match determinate("could not read", error) {
            refused @ LogError::Refused(_) => Err(refused),
            passing => {
                tracing::debug!(error = %passing, "kafka consumer goes on");
                Ok(())
            }
        },
    }
}

#[async_trait]
impl LogReader for Reader {
    async fn next(&mut self, max: usize) -> Result<Batch, LogError> {
        if self.state == State::New {
            self.start()?;
        }
        self.fair_start().await?;
        loop {
            if let Some(batch) = self.poll(max)? {
                self.active = Instant::now();
                return Ok(batch);
            }
            // What came since has rung, and a ring is kept until somebody waits for it.
            if timeout_at(self.active + STUCK, self.bell.notified()).await.is_err() {
                self.active = Instant::now();
                self.look_behind().await?;
            }
        }
    }

    async fn try_next(&mut self, max: usize) -> Result<Option<Batch>, LogError> {
        if self.state != State::New
            && let Some(batch) = self.poll(max)?
        {
            return Ok(Some(batch));
        }
        let ends = self.ends().await?;
        if self.state == State::New {
            self.queries.settled(self.topic, &ends).await?;
            for cursor in &mut self.cursors {
                cursor.probe = ends.get(&cursor.partition).copied();
            }
            self.start()?;
        }
        self.active = Instant::now();
        loop {
            if let Some(batch) = self.poll(max)? {
                return Ok(Some(batch));
            }
            let end = |cursor: &Cursor| ends.get(&cursor.partition).copied().filter(|end| cursor.done < *end);
            let behind: BTreeMap<u32, u64> = self.cursors.iter().filter_map(|c| Some((c.partition, end(c)?))).collect();
            if behind.is_empty() {
                return Ok(None);
            }
            let asked = |partition| self.cursors.iter().any(|c| c.partition == partition && c.probe.is_some());
            let unasked: BTreeMap<u32, u64> = behind.into_iter().filter(|(partition, _)| !asked(*partition)).collect();
            if unasked.is_empty() {
                if timeout_at(self.active + STUCK, self.bell.notified()).await.is_err() {
                    self.ends().await?;
                    self.start_anew()?;
                    self.active = Instant::now();
                }
            } else if timeout(SILENCE, self.bell.notified()).await.is_err() {
                self.ask_again(&unasked).await?;
            }
        }
    }
}
