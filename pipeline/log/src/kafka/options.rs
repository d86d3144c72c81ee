//! What can be set about the Kafka log, and what that means for librdkafka.

use crate::{Keep, LogError, Topic};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// What a batch of one record may weigh beyond its key and value: headers of batch and record.
pub(super) const OVERHEAD_BYTES: usize = 1024;

/// Milliseconds after which an answer is not waited for any more. That a broker has died its clients hear at once; one that stands still,
/// or is behind a wire that swallows everything, they know only by this, and librdkafka's own minute is far more than Kafka takes to
/// make another one the leader. What has been asked is asked again, and written once.
const ANSWER: &str = "10000";

/// Settings of [`super::KafkaLog`].
#[derive(Debug, Clone)]
pub struct KafkaOptions {
    /// Where to find the cluster: `host:port`, several separated by commas.
    pub brokers: String,
    /// Names of topics, groups and transactions begin with it, so that several systems can share a cluster.
    pub prefix: String,
    /// Name of this process, the same after a restart and no other's: who it is in groups, and whose unfinished transactions it
    /// takes over.
    pub instance: String,
    /// Partitions other than [`Topic::partitions`]. Fixed once the topics exist.
    pub partitions: BTreeMap<Topic, u32>,
    /// Times to keep other than [`Topic::keep`].
    pub keep: BTreeMap<Topic, Keep>,
    /// Copies of each record; with more than two, one broker may be missing.
    pub replication: u16,
    /// How long a removed key of a compacted topic is remembered, so that slow readers learn of the removal.
    pub remember_removed: Duration,
    /// Largest key + value of one record.
    pub max_record_bytes: usize,
    /// Longest wait for company before records are sent.
    pub linger: Duration,
    /// Most bytes that wait for Kafka; then `append` waits.
    pub queue_bytes: usize,
    /// An append that is not answered after this time is told to be indeterminate.
    pub delivery_timeout: Duration,
    /// A member of a group that has not been heard of for so long loses its partitions, and a commit that has been going on for so long
    /// is given up by Kafka: who takes the partitions over has to wait for both.
    pub session_timeout: Duration,
    /// A member that has to give up partitions gets so long to finish what it has read of them.
    pub hand_over_timeout: Duration,
    /// How to speak to the cluster.
    pub security: Security,
}

/// Encryption and sign-in towards Kafka.
#[derive(Debug, Clone, Default)]
pub struct Security {
    /// Encrypted, the cluster's certificate checked.
    pub tls: Option<Tls>,
    /// Signed in.
    pub sasl: Option<Sasl>,
}

/// Certificates.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// Who may have signed the cluster's certificate (PEM); none: those that the operating system trusts.
    pub ca: Option<PathBuf>,
    /// Own certificate and its key (PEM), if the cluster wants one.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// How to sign in.
#[derive(Clone)]
pub struct Sasl {
    /// `PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512`.
    pub mechanism: String,
    /// Who.
    pub user: String,
    /// Secret.
    pub password: String,
}

impl fmt::Debug for Sasl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sasl").field("mechanism", &self.mechanism).field("user", &self.user).finish_non_exhaustive()
    }
}

impl Default for KafkaOptions {
    fn default() -> Self {
        Self {
            brokers: "127.0.0.1:9092".into(),
            prefix: "waystream.".into(),
            instance: "waystream".into(),
            partitions: BTreeMap::new(),
            keep: BTreeMap::new(),
            replication: 1,
            remember_removed: Duration::from_secs(24 * 3600),
            max_record_bytes: 4 << 20,
            linger: Duration::from_millis(5),
            queue_bytes: 64 << 20,
            delivery_timeout: Duration::from_secs(60),
            session_timeout: Duration::from_secs(10),
            hand_over_timeout: Duration::from_secs(30),
            security: Security::default(),
        }
    }
}

impl KafkaOptions {
    /// Number of partitions of a topic.
    pub fn partitions(&self, topic: Topic) -> u32 {
        self.partitions.get(&topic).copied().unwrap_or(topic.partitions())
    }

    /// How long a topic's records stay.
    pub fn keep(&self, topic: Topic) -> Keep {
        self.keep.get(&topic).copied().unwrap_or(topic.keep())
    }

    /// Name of a topic in Kafka.
    pub fn topic_name(&self, topic: Topic) -> String {
        format!("{}{}", self.prefix, topic.name())
    }

    /// What can be told to be wrong without asking the cluster.
    pub(super) fn check(&self) -> Result<(), LogError> {
        let refuse = |reason: String| Err(LogError::Refused(reason));
        if self.instance.is_empty() {
            return refuse("a process on Kafka needs a name of its own (instance)".into());
        }
        let devices = self.partitions(Topic::Positions);
        let fits = |topic: Topic| match topic.is_shared_out() {
            true => self.partitions(topic) == devices,
            false => self.partitions(topic) > 0,
        };
        if devices == 0 || !Topic::ALL.into_iter().all(fits) {
            return refuse(
                "topics that processes share out need the same number of partitions, the others at least one".into(),
            );
        }
        let tls_needed = self.security.tls.is_some()
            || self.security.sasl.as_ref().is_some_and(|sasl| !sasl.mechanism.eq_ignore_ascii_case("PLAIN"));
        if tls_needed && !cfg!(feature = "kafka-tls") {
            return refuse("this program was built without TLS and SCRAM for Kafka: build it with --features kafka-tls".into());
        }
        Ok(())
    }

    /// What all clients have in common.
    pub(super) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", &self.instance)
            // A broker that comes back should be found at once; the defaults let a client sleep for ten seconds. And after each attempt
            // that fails it is asked who is coordinator instead.
            .set("reconnect.backoff.max.ms", "500")
            // The same where nobody refuses the attempt, as the machine has gone; by default half a minute.
            .set("socket.connection.setup.timeout.ms", "5000")
            .set("retry.backoff.max.ms", "500")
            .set("socket.keepalive.enable", "true")
            .set_log_level(RDKafkaLogLevel::Warning);
        let Security { tls, sasl } = &self.security;
        let protocol = match (tls, sasl) {
            (None, None) => "plaintext",
            (Some(_), None) => "ssl",
            (None, Some(_)) => "sasl_plaintext",
            (Some(_), Some(_)) => "sasl_ssl",
        };
        config.set("security.protocol", protocol);
        if let Some(Tls { ca, identity }) = tls {
            if let Some(ca) = ca {
                config.set("ssl.ca.location", ca.to_string_lossy());
            }
            if let Some((certificate, key)) = identity {
                config.set("ssl.certificate.location", certificate.to_string_lossy());
                config.set("ssl.key.location", key.to_string_lossy());
            }
        }
        if let Some(Sasl { mechanism, user, password }) = sasl {
            config.set("sasl.mechanism", mechanism).set("sasl.username", user).set("sasl.password", password);
        }
        config
    }

    /// A producer that appends outside of transactions.
    pub(super) fn appender(&self) -> ClientConfig {
        let mut config = self.producer();
        config
            .set("linger.ms", Self::millis(self.linger))
            .set("message.timeout.ms", Self::millis(self.delivery_timeout))
            // Of one with transactions it follows from their timeout.
            .set("socket.timeout.ms", ANSWER);
        config
    }

    /// A producer: nothing is acknowledged before all replicas in sync have it, nothing doubled or reordered by retries.
    pub(super) fn producer(&self) -> ClientConfig {
        let mut config = self.client();
        config
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("compression.type", "lz4")
            .set("batch.size", "262144")
            .set("message.max.bytes", (self.max_record_bytes + OVERHEAD_BYTES).to_string())
            // How much waits is bounded by who appends: these limits must never be reached.
            .set("queue.buffering.max.messages", "0")
            .set("queue.buffering.max.kbytes", "2097151");
        config
    }

    /// A consumer that is told what to read and commits nothing by itself.
    /// What Kafka calls a group.
    pub(super) fn group_name(&self, group: &str) -> String {
        format!("{}{group}", self.prefix)
    }

    pub(super) fn consumer(&self, group: &str) -> ClientConfig {
        let mut config = self.client();
        config
            .set("group.id", self.group_name(group))
            .set("socket.timeout.ms", ANSWER)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("allow.auto.create.topics", "false")
            .set("auto.offset.reset", "earliest")
            // Lines of the log come among what is polled, and one looks like the end of it: what stands behind would wait for the
            // next poll. Errors come by themselves.
            .set_log_level(RDKafkaLogLevel::Emerg);
        config
    }

    /// Milliseconds as librdkafka wants them.
    pub(super) fn millis(time: Duration) -> String {
        time.as_millis().to_string()
    }
}
