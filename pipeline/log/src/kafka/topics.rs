//! Topics with the right settings: made if they are missing, checked if they are there.

use super::error::{Told, by_code, determinate};
use super::options::{KafkaOptions, OVERHEAD_BYTES};
use super::queries::Client;
use crate::{Keep, LogError, Topic};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::Consumer;
use rdkafka::error::RDKafkaErrorCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest time for one request to the cluster.
const REQUEST: Duration = Duration::from_secs(30);
/// How often a cluster is asked that does not answer.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// How often new topics are looked for.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// How a setting that a topic has may stand to ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Must {
    Equal,
    AtLeast,
}

/// A topic as it should be.
struct Plan {
    name: String,
    partitions: u32,
    settings: Vec<(&'static str, String, Must)>,
}

impl Plan {
    fn new(options: &KafkaOptions, topic: Topic) -> Self {
        use Must::{AtLeast, Equal};
        // Times by the broker's clock: they never go back within a partition, whatever the clocks of those who append.
        let mut settings = vec![
            ("message.timestamp.type", "LogAppendTime".to_owned(), Equal),
            // Not what the broker may prefer: this client reads no zstd.
            ("compression.type", "producer".to_owned(), Equal),
            ("max.message.bytes", (options.max_record_bytes + OVERHEAD_BYTES).to_string(), AtLeast),
            ("min.insync.replicas", (options.replication / 2 + 1).min(options.replication).to_string(), AtLeast),
        ];
        let removed = KafkaOptions::millis(options.remember_removed);
        match options.keep(topic) {
            Keep::For(time) => {
                settings.push(("cleanup.policy", "delete".to_owned(), Equal));
                settings.push(("retention.ms", KafkaOptions::millis(time), Equal));
                // Only whole segments are dropped: none should hold records of much more than a quarter of the time.
                let segment = (time / 4).clamp(Duration::from_secs(60), Duration::from_secs(24 * 3600));
                settings.push(("segment.ms", KafkaOptions::millis(segment), AtLeast));
            }
            Keep::Newest => {
                settings.push(("cleanup.policy", "compact".to_owned(), Equal));
                settings.push(("delete.retention.ms", removed, AtLeast));
                // The newest segment is never compacted: small ones keep what has to be read at a start small.
                settings.push(("segment.bytes", (32 << 20).to_string(), AtLeast));
                settings.push(("min.cleanable.dirty.ratio", "0.3".to_owned(), AtLeast));
            }
        }
        Self { name: options.topic_name(topic), partitions: options.partitions(topic), settings }
    }

    /// What is wrong with a setting that the topic has.
    fn difference(&self, key: &str, wanted: &str, must: Must, found: &str) -> Option<String> {
        let fine = match must {
            Must::Equal => found == wanted,
            // Settings whose number only says how soon Kafka tidies up may be anything.
            Must::AtLeast if matches!(key, "segment.ms" | "segment.bytes" | "min.cleanable.dirty.ratio") => true,
            Must::AtLeast => match (found.parse::<u64>(), wanted.parse::<u64>()) {
                (Ok(found), Ok(wanted)) => found >= wanted,
                _ => false,
            },
        };
        let least = if must == Must::AtLeast { "at least " } else { "" };
        (!fine).then(|| format!("topic {}: {key} is {found}, but the settings say {least}{wanted}", self.name))
    }
}

/// Makes what is missing and checks what is there.
pub(super) async fn ensure(options: &Arc<KafkaOptions>, client: &Arc<Client>) -> Result<(), LogError> {
    let plans: Vec<Plan> = Topic::ALL.into_iter().map(|topic| Plan::new(options, topic)).collect();
    let admin = AdminClient::from_config_and_context(&options.client(), Told::default())
        .map_err(|e| determinate("could not set up the kafka client", &e))?;
    let how = AdminOptions::new().request_timeout(Some(REQUEST)).operation_timeout(Some(REQUEST));
    let mut missing = Vec::new();
    for plan in &plans {
        if look(client, plan).await?.is_none() {
            missing.push(plan);
        }
    }
    if !missing.is_empty() {
        let new: Vec<NewTopic<'_>> = missing
            .iter()
            .map(|plan| {
                let replication = TopicReplication::Fixed(i32::from(options.replication));
                let new = NewTopic::new(&plan.name, i32::try_from(plan.partitions).unwrap_or(i32::MAX), replication);
                plan.settings.iter().fold(new, |new, (key, value, _)| new.set(key, value))
            })
            .collect();
        let made = admin.create_topics(&new, &how).await.map_err(|e| determinate("could not make the topics", &e))?;
        for result in made {
            match result {
                // Another process was faster.
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((name, code)) => return Err(by_code(&format!("could not make the topic {name}"), Some(code), &code)),
            }
        }
    }
    let mut wrong = Vec::new();
    for plan in &plans {
        wrong.extend(differences(options, client, plan).await?);
    }
    wrong.extend(settings_that_differ(&admin, &how, &plans).await?);
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(LogError::Refused(format!("{}; change the one or the other", wrong.join("; ")))),
    }
}

/// Which settings of the topics are not as they should be. Which broker is asked is chance, and of a topic just made each hears for
/// itself: one that has not yet says that nothing is set, or that there is no such topic.
async fn settings_that_differ(admin: &AdminClient<Told>, how: &AdminOptions, plans: &[Plan]) -> Result<Vec<String>, LogError> {
    let what = "could not read the topics' settings";
    let names: Vec<ResourceSpecifier<'_>> = plans.iter().map(|plan| ResourceSpecifier::Topic(&plan.name)).collect();
    let started = Instant::now();
    loop {
        let (mut wrong, mut unheard) = (Vec::new(), None);
        for (plan, found) in plans.iter().zip(admin.describe_configs(&names, how).await.map_err(|e| determinate(what, &e))?) {
            let found = match found {
                Ok(found) => found,
                Err(code) => {
                    unheard = Some(by_code(what, Some(code), &code));
                    continue;
                }
            };
            for (key, wanted, must) in &plan.settings {
                match found.get(key).and_then(|entry| entry.value.as_deref()) {
                    Some(value) => wrong.extend(plan.difference(key, wanted, *must, value)),
                    None => unheard = Some(LogError::Refused(format!("topic {}: {key} is not set", plan.name))),
                }
            }
        }
        match unheard {
            None => return Ok(wrong),
            Some(error) if started.elapsed() > REQUEST => return Err(error),
            Some(_) => tokio::time::sleep(LOOK_AGAIN).await,
        }
    }
}

/// What the cluster says of a topic.
struct Found {
    partitions: usize,
    /// Of the partition that has the fewest.
    replicas: usize,
}

/// None if there is no such topic.
async fn look(client: &Arc<Client>, plan: &Plan) -> Result<Option<Found>, LogError> {
    let (client, name) = (Arc::clone(client), plan.name.clone());
    let looked = tokio::task::spawn_blocking(move || wait_for_leaders(&client, &name)).await;
    looked.map_err(|e| LogError::Unavailable(format!("asking kafka failed: {e}")))?
}

/// Looks until every partition has a leader.
fn wait_for_leaders(client: &Client, name: &str) -> Result<Option<Found>, LogError> {
    let started = Instant::now();
    loop {
        let metadata = match client.fetch_metadata(Some(name), ASK_AGAIN) {
            Ok(metadata) => metadata,
            Err(error) => match client.context().refusal() {
                Some(refused) => return Err(refused),
                None if started.elapsed() < REQUEST => continue,
                None => return Err(determinate("could not ask kafka for its topics", &error)),
            },
        };
        let Some(topic) = metadata.topics().iter().find(|topic| topic.name() == name) else { return Ok(None) };
        let partitions = topic.partitions();
        match topic.error().map(RDKafkaErrorCode::from) {
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => return Ok(None),
            None if !partitions.is_empty() && partitions.iter().all(|p| p.leader() >= 0) => {
                let replicas = partitions.iter().map(|p| p.replicas().len()).min().unwrap_or(0);
                return Ok(Some(Found { partitions: partitions.len(), replicas }));
            }
            None | Some(RDKafkaErrorCode::LeaderNotAvailable) if started.elapsed() < REQUEST => std::thread::sleep(LOOK_AGAIN),
            None => return Err(LogError::Unavailable(format!("topic {name} has partitions without a leader"))),
            Some(code) => return Err(by_code(&format!("topic {name}"), Some(code), &code)),
        }
    }
}

/// Numbers of partitions and replicas that are not as they should be. A topic just made takes a moment to appear.
async fn differences(options: &KafkaOptions, client: &Arc<Client>, plan: &Plan) -> Result<Vec<String>, LogError> {
    let started = Instant::now();
    let Found { partitions, replicas } = loop {
        match look(client, plan).await? {
            Some(found) => break found,
            None if started.elapsed() > REQUEST => {
                return Err(LogError::Unavailable(format!("topic {} does not appear", plan.name)));
            }
            None => tokio::time::sleep(LOOK_AGAIN).await,
        }
    };
    let mut wrong = Vec::new();
    if partitions != plan.partitions as usize {
        let wanted = plan.partitions;
        wrong.push(format!("topic {} has {partitions} partitions, but the settings say {wanted}", plan.name));
    }
    if replicas < usize::from(options.replication) {
        let wanted = options.replication;
        wrong.push(format!("topic {} has {replicas} replicas, but the settings say at least {wanted}", plan.name));
    }
    Ok(wrong)
}
