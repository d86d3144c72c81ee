//! The log on Kafka, for several processes: topics are Kafka's topics, `append` is an idempotent producer with `acks=all`
//! ([`append`]), `commit` one transaction of a producer per group member ([`transact`]), readers see what is committed
//! ([`reader`]). Which process owns which partitions, a consumer group says ([`member`]); it is *not* used for reading.

mod append;
mod aside;
mod error;
mod member;
mod options;
mod queries;
mod reader;
mod topics;
mod transact;
mod unowned;
mod watch;

pub use options::{KafkaOptions, Sasl, Security, Tls};

use crate::{Bounds, Group, Log, LogError, LogReader, Membership, Offsets, Record, Topic, metrics};
use append::{Appender, bytes_of};
use async_trait::async_trait;
use member::Members;
use queries::{Queries, Which};
use rdkafka::consumer::Consumer;
use reader::Reader;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use transact::{Commit, Transactor};

/// A log on a Kafka cluster.
pub struct KafkaLog {
    options: Arc<KafkaOptions>,
    queries: Arc<Queries>,
    appender: Appender,
    transactors: Mutex<HashMap<Group, Arc<Transactor>>>,
    members: Members,
    closed: AtomicBool,
}

impl KafkaLog {
    /// Connects, makes the topics that are missing, and checks those that are there.
    ///
    /// # Errors
    /// `Unavailable` if the cluster can't be reached, `Refused` if it does not let us or its topics differ from the settings.
    pub async fn open(options: KafkaOptions) -> Result<Arc<Self>, LogError> {
        options.check()?;
        let options = Arc::new(options);
        let queries = Arc::new(Queries::new(Arc::clone(&options))?);
        topics::ensure(&options, &queries.all).await?;
        Ok(Arc::new(Self {
            appender: Appender::new(Arc::clone(&options))?,
            options,
            queries,
            transactors: Mutex::default(),
            members: Members::default(),
            closed: AtomicBool::new(false),
        }))
    }

    /// Everything asked for so far is written and answered; later writes get `Closed`.
    pub async fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.appender.close().await;
        self.transactors.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn check(&self, topic: Topic, record: &Record) -> Result<u64, LogError> {
        let (bytes, most) = (bytes_of(record), self.options.max_record_bytes);
        if bytes > most {
            metrics::refused();
            return Err(LogError::Refused(format!("a record of {bytes} bytes for {}; at most {most}", topic.name())));
        }
        Ok(bytes as u64)
    }

    fn check_open(&self) -> Result<(), LogError> {
        match self.closed.load(Ordering::Acquire) {
            true => Err(LogError::Closed("the log is closed".into())),
            false => Ok(()),
        }
    }

    fn transactor(&self, group: &Group) -> Result<Arc<Transactor>, LogError> {
        let mut transactors = self.transactors.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(transactor) = transactors.get(group) {
            return Ok(Arc::clone(transactor));
        }
        let transactor = Arc::new(Transactor::start(Arc::clone(&self.options), group, Arc::clone(&self.queries.all))?);
        transactors.insert(group.clone(), Arc::clone(&transactor));
        Ok(transactor)
    }

    async fn try_commit(&self, group: &Group, records: Vec<(Topic, Record)>, offsets: Offsets) -> Result<(), LogError> {
        self.check_open()?;
        let mut written: HashMap<Topic, (u64, u64)> = HashMap::new();
        for (topic, record) in &records {
            let (count, bytes) = written.entry(*topic).or_default();
            *count += 1;
            *bytes += self.check(*topic, record)?;
        }
        for (topic, partition) in offsets.keys() {
            let count = self.partitions(*topic);
            if *partition >= count {
                let reason = format!("{} has no partition {partition}, only {count}", topic.name());
                return Err(LogError::Refused(reason));
            }
        }
        let transactor = self.transactor(group)?;
        let membership = self.members.lock().unwrap_or_else(PoisonError::into_inner).get(&group.name).cloned();
        let (queries, name, moved) = (Arc::clone(&self.queries), group.name.clone(), offsets.clone());
        // The client library asks its own thread, which may keep us waiting for a moment.
        let member = tokio::task::spawn_blocking(move || match membership {
            // The catalog is everybody's; all other topics that are read are keyed by device.
            Some(member) => {
                member.right_to(moved.keys().filter(|(t, _)| *t != Topic::Catalog).map(|(_, partition)| *partition))
            }
            None => {
                let metadata = queries.group(&name)?.group_metadata();
                metadata.ok_or_else(|| LogError::Unavailable("the kafka client knows of no group".into()))
            }
        });
        let member = member.await.map_err(|e| LogError::Unavailable(format!("asking kafka failed: {e}")))??;
        transactor.commit(Commit { records, offsets, member }).await?;
        written.into_iter().for_each(|(topic, (count, bytes))| metrics::appended(topic, count, bytes));
        Ok(())
    }
}

#[async_trait]
impl Log for KafkaLog {
    fn partitions(&self, topic: Topic) -> u32 {
        self.options.partitions(topic)
    }

    async fn append(&self, topic: Topic, records: Vec<Record>) -> Result<(), LogError> {
        self.check_open()?;
        let started = Instant::now();
        let count = records.len() as u64;
        let bytes = records.iter().map(|record| self.check(topic, record)).sum::<Result<u64, LogError>>()?;
        if records.is_empty() {
            return Ok(());
        }
        metrics::queued(self.appender.waiting_bytes());
        let appended = self.appender.append(topic, records).await;
        metrics::answered("append", started.elapsed());
        if appended.is_ok() {
            metrics::appended(topic, count, bytes);
        }
        appended
    }

    async fn read(&self, topic: Topic, from: &Offsets) -> Result<Box<dyn LogReader>, LogError> {
        Ok(Box::new(Reader::new(&self.options, Arc::clone(&self.queries), topic, from)?))
    }

    async fn join(&self, group: &str) -> Result<Box<dyn Membership>, LogError> {
        member::join(&self.options, &self.members, group)
    }

    async fn commit(&self, group: &Group, records: Vec<(Topic, Record)>, offsets: &Offsets) -> Result<(), LogError> {
        let started = Instant::now();
        let committed = self.try_commit(group, records, offsets.clone()).await;
        metrics::answered("commit", started.elapsed());
        committed
    }

    async fn committed(&self, group: &str, topic: Topic) -> Result<Offsets, LogError> {
        self.queries.committed(group, topic).await
    }

    async fn bounds(&self, topic: Topic) -> Result<Vec<Bounds>, LogError> {
        let partitions: Vec<u32> = (0..self.partitions(topic)).collect();
        let first = self.queries.offsets(topic, &partitions, Which::First).await?;
        let next = self.queries.offsets(topic, &partitions, Which::Next).await?;
        let bound = |partition: &u32| {
            let next = next[partition].unwrap_or(0);
            Bounds { first: first[partition].unwrap_or(0).min(next), next }
        };
        Ok(partitions.iter().map(bound).collect())
    }

    async fn offsets_at(&self, topic: Topic, time_ms: i64) -> Result<Offsets, LogError> {
        let partitions: Vec<u32> = (0..self.partitions(topic)).collect();
        let next = self.queries.offsets(topic, &partitions, Which::Next).await?;
        let found = self.queries.offsets(topic, &partitions, Which::At(time_ms)).await?;
        let at = |partition: &u32| found[partition].or(next[partition]).unwrap_or(0);
        Ok(partitions.iter().map(|partition| ((topic, *partition), at(partition))).collect())
    }
}
