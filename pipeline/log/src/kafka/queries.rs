//! Questions to the cluster about offsets: ends of partitions, times, what groups have committed.

use super::error::{Told, determinate};
use super::options::KafkaOptions;
use crate::{LogError, Offsets, Topic};
use rdkafka::TopicPartitionList;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::Offset;
use std::collections::{BTreeMap, HashMap};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

/// A consumer that is used for questions only.
pub(super) type Client = BaseConsumer<Told>;

/// Longest time for one question: at first, as one that was put to a broker that has gone is not answered by who leads in its place;
/// and once it is clear that Kafka is slow, or away.
const REQUEST: Duration = Duration::from_secs(3);
const REQUEST_LATER: Duration = Duration::from_secs(10);
const LATER: Duration = Duration::from_secs(12);
/// Longest time for all attempts at it.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(100);
/// Clients that nobody reads from collect what librdkafka has to say until they are polled.
const LISTEN_EVERY: Duration = Duration::from_secs(1);
/// How often it is looked whether open transactions have ended: at first, and once it is clear that it takes a while.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
const LOOK_SELDOM: Duration = Duration::from_millis(100);
const SETTLED_SOON: Duration = Duration::from_secs(1);
const SETTLED_LATE: Duration = Duration::from_secs(5);
/// Kafka ends what is older than the session timeout within ten seconds more; so many of them mean that it doesn't.
const FORGOTTEN: u32 = 6;

/// Which offset of a partition.
#[derive(Debug, Clone, Copy)]
pub(super) enum Which {
    /// The oldest that is still there.
    First,
    /// The end, records of open transactions included.
    Next,
    /// The first at or after this time, milliseconds since 1970.
    At(i64),
}

/// Clients to ask with.
pub(super) struct Queries {
    options: Arc<KafkaOptions>,
    /// Sees everything.
    pub(super) all: Arc<Client>,
    /// Sees no further than the first open transaction.
    stable: Arc<Client>,
    groups: Mutex<HashMap<String, Arc<Client>>>,
    listened: Sender<Weak<Client>>,
}

impl Queries {
    pub(super) fn new(options: Arc<KafkaOptions>) -> Result<Self, LogError> {
        let client = |isolation| {
            let mut config = options.consumer("queries");
            Client::from_config_and_context(config.set("isolation.level", isolation), Told::default())
                .map(Arc::new)
                .map_err(|e| LogError::Refused(format!("could not set up the kafka client: {e}")))
        };
        let (all, stable) = (client("read_uncommitted")?, client("read_committed")?);
        let listened = listen()?;
        for client in [&all, &stable] {
            drop(listened.send(Arc::downgrade(client)));
        }
        Ok(Self { options, all, stable, groups: Mutex::default(), listened })
    }

    /// One offset of each of these partitions. For [`Which::At`] none if nothing is that young.
    pub(super) async fn offsets(
        &self,
        topic: Topic,
        partitions: &[u32],
        which: Which,
    ) -> Result<BTreeMap<u32, Option<u64>>, LogError> {
        self.list(&self.all, topic, partitions, which).await
    }

    /// Returns when no transaction is open below these ends.
    pub(super) async fn settled(&self, topic: Topic, ends: &BTreeMap<u32, u64>) -> Result<(), LogError> {
        let partitions: Vec<u32> = ends.keys().copied().collect();
        let started = Instant::now();
        let mut told = 0;
        loop {
            let stable = self.list(&self.stable, topic, &partitions, Which::Next).await?;
            let open = ends.iter().find(|(partition, end)| stable[*partition].is_none_or(|at| at < **end));
            let Some((partition, end)) = open else { return Ok(()) };
            let begins = stable[partition];
            let topic = self.options.topic_name(topic);
            match started.elapsed() {
                // A coordinator that is without a leader for a moment may forget to end it (Kafka 4.3.1: ARCHITECTURE.md).
                age if age > self.options.session_timeout * FORGOTTEN && told < 2 => {
                    told = 2;
                    tracing::error!(
                        topic,
                        partition,
                        begins,
                        end,
                        "Kafka has not ended a transaction; if `kafka-transactions.sh find-hanging` lists it, end it with \
                         `kafka-transactions.sh abort`, this topic, this partition and `--start-offset` where it begins"
                    );
                }
                age if age > SETTLED_LATE && told == 0 => {
                    told = 1;
                    tracing::warn!(topic, partition, begins, end, "waiting for a transaction that its writer has left open");
                }
                _ => {}
            }
            tokio::time::sleep(if started.elapsed() > SETTLED_SOON { LOOK_SELDOM } else { LOOK_AGAIN }).await;
        }
    }

    /// What a group has committed, open transactions awaited.
    pub(super) async fn committed(&self, group: &str, topic: Topic) -> Result<Offsets, LogError> {
        let name = self.options.topic_name(topic);
        let count = self.options.partitions(topic);
        let mut client = self.group(group)?;
        let mut tried = false;
        let found = patiently("could not read what is committed", || {
            // One that has lost its question for the group's coordinator never finds it (librdkafka 2.12.1).
            if std::mem::replace(&mut tried, true) {
                client = self.replace(group).unwrap_or_else(|_| Arc::clone(&client));
            }
            let (client, name) = (Arc::clone(&client), name.clone());
            move |request: Duration| {
                let mut list = TopicPartitionList::with_capacity(count as usize);
                list.add_partition_range(&name, 0, count as i32 - 1);
                client.committed_offsets(list, request)
            }
        })
        .await?;
        Ok(found.into_iter().map(|(partition, offset)| ((topic, partition), offset.unwrap_or(0))).collect())
    }

    /// A client that belongs to a group without being a member.
    pub(super) fn group(&self, group: &str) -> Result<Arc<Client>, LogError> {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = groups.get(group) {
            return Ok(Arc::clone(client));
        }
        let mut config = self.options.consumer(group);
        let client = Client::from_config_and_context(config.set("isolation.level", "read_committed"), Told::default())
            .map_err(|e| determinate("could not set up the kafka client", &e))?;
        let client = Arc::new(client);
        drop(self.listened.send(Arc::downgrade(&client)));
        groups.insert(group.to_owned(), Arc::clone(&client));
        Ok(client)
    }

    fn replace(&self, group: &str) -> Result<Arc<Client>, LogError> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner).remove(group);
        self.group(group)
    }

    async fn list(
        &self,
        client: &Arc<Client>,
        topic: Topic,
        partitions: &[u32],
        which: Which,
    ) -> Result<BTreeMap<u32, Option<u64>>, LogError> {
        if partitions.is_empty() {
            return Ok(BTreeMap::new());
        }
        let name = self.options.topic_name(topic);
        let asked = match which {
            Which::First => Offset::Beginning,
            Which::Next => Offset::End,
            Which::At(time_ms) => Offset::Offset(time_ms.max(0)),
        };
        let mut tried = false;
        patiently("could not ask for offsets", || {
            let (client, name, partitions) = (Arc::clone(client), name.clone(), partitions.to_vec());
            let again = std::mem::replace(&mut tried, true);
            move |request: Duration| {
                // A partition that had no leader when librdkafka (2.12.1) was last told has none for it until it is told again: it does not
                // ask because of a question for offsets.
                if again {
                    client.fetch_metadata(Some(&name), request)?;
                }
                let mut list = TopicPartitionList::with_capacity(partitions.len());
                for partition in partitions {
                    list.add_partition_offset(&name, partition as i32, asked)?;
                }
                // Times -2 and -1 stand for the beginning and the end in Kafka's protocol.
                client.offsets_for_times(list, request)
            }
        })
        .await
    }
}

/// Asks until there is an answer for every partition, or it has taken too long. A question is told how long it may take.
async fn patiently<Q>(what: &str, mut question: impl FnMut() -> Q) -> Result<BTreeMap<u32, Option<u64>>, LogError>
where
    Q: FnOnce(Duration) -> KafkaResult<TopicPartitionList> + Send + 'static,
{
    let started = Instant::now();
    loop {
        let ask = question();
        let request = if started.elapsed() > LATER { REQUEST_LATER } else { REQUEST };
        let answer = tokio::task::spawn_blocking(move || ask(request).and_then(|list| read(&list))).await;
        let error = match answer.map_err(|e| LogError::Unavailable(format!("{what}: {e}")))? {
            Ok(offsets) => return Ok(offsets),
            Err(error) => determinate(what, &error),
        };
        if matches!(error, LogError::Refused(_)) || started.elapsed() > PATIENCE {
            return Err(error);
        }
        tracing::info!(%error, what, for_s = started.elapsed().as_secs(), "kafka is asked again");
        tokio::time::sleep(PAUSE).await;
    }
}

fn read(list: &TopicPartitionList) -> Result<BTreeMap<u32, Option<u64>>, KafkaError> {
    let mut offsets = BTreeMap::new();
    for element in list.elements() {
        element.error()?;
        let offset = match element.offset() {
            Offset::Offset(offset) => u64::try_from(offset).ok(),
            _ => None,
        };
        offsets.insert(element.partition() as u32, offset);
    }
    Ok(offsets)
}

/// A thread that listens to clients from which nobody reads, as long as they live and are still asked for.
fn listen() -> Result<Sender<Weak<Client>>, LogError> {
    let (listened, new) = channel::<Weak<Client>>();
    let run = move || {
        let mut clients = Vec::new();
        loop {
            match new.recv_timeout(LISTEN_EVERY) {
                Ok(client) => clients.push(client),
                Err(RecvTimeoutError::Timeout) => clients.retain(|client| {
                    let Some(client) = client.upgrade() else { return false };
                    while client.poll(Duration::ZERO).is_some() {}
                    true
                }),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    };
    let thread = std::thread::Builder::new().name("kafka-listen".into()).spawn(run);
    thread.map(|_| listened).map_err(|e| LogError::Unavailable(format!("could not start a thread: {e}")))
}
