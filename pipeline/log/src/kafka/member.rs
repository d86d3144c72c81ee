//! This process in a consumer group that hands out partitions. Nothing is read through the group: its rounds decide who owns what,
//! and Kafka refuses commits of a member that the group has gone on without.

use super::aside::Aside;
use super::error::{tell_error, tell_log};
use super::options::KafkaOptions;
use super::unowned::Unowned;
use crate::{LogError, Membership, Share, Topic, metrics};
use async_trait::async_trait;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::Offset;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, TopicPartitionList};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// How often the group is listened to without anything happening.
const LISTEN: Duration = Duration::from_millis(200);
/// A member that the group has gone on without is back in this many sessions, or its client never will be: librdkafka (2.12.1) may lose
/// its question for the coordinator when the only broker comes back.
const BACK_IN_SESSIONS: u32 = 3;

/// The memberships of a process, by group.
pub(super) type Members = Arc<Mutex<HashMap<String, Arc<Member>>>>;

/// What is known of a membership.
#[derive(Default)]
struct State {
    /// May be committed.
    owned: BTreeSet<u32>,
    /// Whether the group has said what is owned. Not while it has gone on without this process: that joins it again by itself.
    told: bool,
    /// How many clients have joined; only the last one counts.
    clients: u64,
    /// Since when the group has gone on without this process.
    lost: Option<Instant>,
    /// Whether a share is handed out.
    in_use: bool,
    /// Whether some of it is to be given up.
    giving_up: bool,
    /// Of the share that is handed out.
    ends: CancellationToken,
    /// Why this process is no member any more.
    failed: Option<String>,
    left: bool,
}

struct Shared {
    state: Mutex<State>,
    /// The share has been given back.
    given_back: Condvar,
    /// A share may be due.
    bell: Notify,
    hand_over: Duration,
}

/// A membership, as commits see it.
pub(super) struct Member {
    shared: Arc<Shared>,
    consumer: Mutex<Arc<Client>>,
}

pub(super) type Client = Aside<BaseConsumer<Watch>>;

/// A membership, as its holder sees it.
struct Holder {
    shared: Arc<Shared>,
    members: Members,
    group: String,
}

/// Hears of the rounds of the group.
pub(super) struct Watch {
    shared: Arc<Shared>,
    /// Its number.
    client: u64,
    /// What is shared out; the group may hand out another topic beside it.
    topic: String,
}

/// Joins a group.
pub(super) fn join(options: &KafkaOptions, members: &Members, group: &str) -> Result<Box<dyn Membership>, LogError> {
    let mut held = members.lock().unwrap_or_else(PoisonError::into_inner);
    if held.contains_key(group) {
        return Err(LogError::Refused(format!("this process is a member of {group} already")));
    }
    let shared = Arc::new(Shared {
        state: Mutex::default(),
        given_back: Condvar::new(),
        bell: Notify::new(),
        hand_over: options.hand_over_timeout,
    });
    let consumer = Mutex::new(Arc::new(client(options, group, &shared)?));
    let member = Arc::new(Member { shared: Arc::clone(&shared), consumer });
    let (options, listener, name) = (options.clone(), Arc::clone(&member), group.to_owned());
    let thread = std::thread::Builder::new().name("kafka-group".into()).spawn(move || listen(&options, &name, &listener));
    thread.map_err(|e| LogError::Unavailable(format!("could not start a thread: {e}")))?;
    held.insert(group.to_owned(), member);
    Ok(Box::new(Holder { shared, members: Arc::clone(members), group: group.to_owned() }))
}

/// A client that joins the group.
fn client(options: &KafkaOptions, group: &str, shared: &Arc<Shared>) -> Result<Client, LogError> {
    let mut config = options.consumer(group);
    config
        .set("isolation.level", "read_committed")
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("group.instance.id", &options.instance)
        .set("session.timeout.ms", KafkaOptions::millis(options.session_timeout))
        .set("heartbeat.interval.ms", KafkaOptions::millis(options.session_timeout / 4))
        // While partitions are handed over nothing is polled.
        .set("max.poll.interval.ms", KafkaOptions::millis(options.session_timeout + options.hand_over_timeout * 2));
    let failed = |e: KafkaError| LogError::Unavailable(format!("could not join the group {group}: {e}"));
    let client = {
        let mut state = shared.state();
        state.clients += 1;
        state.clients
    };
    let watch = Watch { shared: Arc::clone(shared), client, topic: options.topic_name(Topic::Positions) };
    let consumer = BaseConsumer::from_config_and_context(&config, watch).map_err(failed)?;
    consumer.subscribe(&[&options.topic_name(Topic::Positions)]).map_err(failed)?;
    Ok(Aside::new(consumer))
}

/// Until the membership is dropped.
///
/// Whoever joins a group under a name shuts out who is in it under that name. That need not be another process: it may be a client that
/// has been replaced here and has come back after all, or a broker that slept and took this process in anew without leading the group
/// any more, so that for the one that leads it what the process says comes from a stranger of its name. So it joins anew, and ends if it is
/// shut out again at once. Of two processes of one name the one that was there first ends.
fn listen(options: &KafkaOptions, group: &str, member: &Member) {
    let shared = &member.shared;
    let mut consumer = member.consumer();
    let mut unowned = Unowned::new(options, group);
    let late = options.session_timeout * BACK_IN_SESSIONS;
    let (mut shut_out, mut is_shut_out) = (None::<Instant>, false);
    while !shared.state().left {
        let is_gone = shared.state().lost.is_some_and(|lost| lost.elapsed() > late);
        if is_gone || is_shut_out {
            shared.state().lost = Some(Instant::now());
            match client(options, group, shared) {
                Ok(new) => {
                    let why = if is_shut_out { "shut_out" } else { "lost" };
                    tracing::warn!(group, why, "a member of a kafka group joins it anew");
                    metrics::joined_anew(group, why);
                    is_shut_out = false;
                    consumer = Arc::new(new);
                    unowned = Unowned::new(options, group);
                    *member.consumer.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&consumer);
                }
                Err(error) => tracing::warn!(group, %error, "a member of a kafka group has not come back to it"),
            }
        }
        match consumer.poll(LISTEN) {
            None | Some(Ok(_)) => {}
            Some(Err(KafkaError::MessageConsumptionFatal(RDKafkaErrorCode::FencedInstanceId))) => {
                if shut_out.is_some_and(|before| before.elapsed() < late) && !is_shut_out {
                    let name = &options.instance;
                    return shared.fail(format!("another process is in the group {group} under the name {name}"));
                }
                let owned = shared.state().owned.clone();
                shared.lose(&owned);
                (shut_out, is_shut_out) = (Some(Instant::now()), true);
                std::thread::sleep(LISTEN);
                continue;
            }
            Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => {
                shared.fail(error.to_string());
                return;
            }
            Some(Err(error)) => tracing::debug!(%error, "kafka group"),
        }
        unowned.look(&consumer);
    }
}

impl Member {
    fn consumer(&self) -> Arc<Client> {
        Arc::clone(&self.consumer.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The right to commit these partitions of device topics, in this round of the group.
    pub(super) fn right_to(&self, partitions: impl Iterator<Item = u32>) -> Result<ConsumerGroupMetadata, LogError> {
        // Held until the round is known: the group goes on only after it was told here.
        let state = self.shared.state();
        for partition in partitions {
            if !state.owned.contains(&partition) {
                return Err(LogError::Indeterminate(format!("partition {partition} is no longer this process's")));
            }
        }
        let metadata = self.consumer().group_metadata();
        metadata.ok_or_else(|| LogError::Unavailable("the kafka client knows of no group".into()))
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn gain(&self, partitions: BTreeSet<u32>) {
        let mut state = self.state();
        if !partitions.is_empty() {
            state.ends.cancel();
        }
        state.owned.extend(partitions);
        (state.told, state.lost) = (true, None);
        drop(state);
        self.bell.notify_one();
    }

    /// In order: whoever holds the share finishes and commits first.
    fn give_up(&self, partitions: &BTreeSet<u32>) {
        let mut state = self.state();
        state.giving_up = true;
        state.ends.cancel();
        let waited = self.given_back.wait_timeout_while(state, self.hand_over, |state| state.in_use && !state.left);
        let (mut state, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            tracing::warn!("partitions are given up with unfinished work: another process does it again");
        }
        state.owned.retain(|partition| !partitions.contains(partition));
        state.giving_up = false;
        drop(state);
        self.bell.notify_one();
    }

    /// They may be another's already.
    fn lose(&self, partitions: &BTreeSet<u32>) {
        let mut state = self.state();
        state.owned.retain(|partition| !partitions.contains(partition));
        (state.told, state.lost) = (false, Some(Instant::now()));
        state.ends.cancel();
        drop(state);
        self.bell.notify_one();
    }

    fn fail(&self, reason: String) {
        let mut state = self.state();
        state.owned.clear();
        state.ends.cancel();
        state.failed = Some(reason);
        drop(state);
        self.bell.notify_one();
    }
}

impl ClientContext for Watch {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tell_log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tell_error(&error, reason);
    }
}

impl ConsumerContext for Watch {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, what: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let elements = list.elements();
        let shared_out = elements.iter().filter(|element| element.topic() == self.topic);
        let partitions: BTreeSet<u32> = shared_out.map(|element| element.partition() as u32).collect();
        let shared = &self.shared;
        if shared.state().clients != self.client {
            // It has been replaced and only ends, with or without what it is told to give up.
            return consumer.incremental_unassign(list).unwrap_or_default();
        }
        let done = if what == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            tracing::info!(?partitions, "partitions gained");
            // Nothing is read through the group.
            let assigned = list.set_all_offsets(Offset::End).and_then(|()| consumer.incremental_assign(list));
            let paused = assigned.and_then(|()| consumer.pause(list));
            shared.gain(partitions);
            paused
        } else {
            let lost = consumer.assignment_lost();
            tracing::info!(?partitions, lost, "partitions given up");
            if lost {
                shared.lose(&partitions)
            } else if !partitions.is_empty() {
                shared.give_up(&partitions)
            }
            consumer.incremental_unassign(list)
        };
        if let Err(error) = done {
            shared.fail(format!("could not follow the group: {error}"));
        }
    }
}

#[async_trait]
impl Membership for Holder {
    async fn share(&mut self) -> Result<Share, LogError> {
        self.shared.state().in_use = false;
        self.shared.given_back.notify_all();
        loop {
            {
                let mut state = self.shared.state();
                if let Some(reason) = &state.failed {
                    return Err(LogError::Closed(reason.clone()));
                }
                if state.told && !state.giving_up {
                    state.in_use = true;
                    state.ends = CancellationToken::new();
                    let partitions = state.owned.iter().copied().collect();
                    return Ok(Share { partitions, ends: state.ends.clone() });
                }
            }
            self.shared.bell.notified().await;
        }
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.shared.state().left = true;
        self.shared.given_back.notify_all();
        self.members.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.group);
    }
}
