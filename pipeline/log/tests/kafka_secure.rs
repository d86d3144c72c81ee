//! The log on a Kafka that speaks TLS and wants to know who asks.
#![cfg(feature = "kafka-tls")]

#[path = "support/kafka.rs"]
mod kafka;
mod support;

use kafka::Broker;
use std::time::Duration;
use support::{numbers, record};
use waystream_log::kafka::{KafkaLog, KafkaOptions, Sasl, Security, Tls};
use waystream_log::{Group, Log, LogError, Offsets, Topic};

const USER: &str = "waystream";
const PASSWORD: &str = "so secret";

/// Gives up before a test does.
async fn open(options: KafkaOptions) -> Result<std::sync::Arc<KafkaLog>, LogError> {
    tokio::time::timeout(Duration::from_secs(100), KafkaLog::open(options)).await.expect("an answer")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kafka_that_wants_tls_and_a_password_is_used_and_one_that_refuses_says_why() {
    let broker = tokio::task::spawn_blocking(|| Broker::start_secure(USER, PASSWORD)).await.expect("starts");
    let options = |mechanism: &str, password: &str, ca| KafkaOptions {
        brokers: broker.secure_address(),
        security: Security {
            tls: Some(Tls { ca, identity: None }),
            sasl: Some(Sasl { mechanism: mechanism.into(), user: USER.into(), password: password.into() }),
        },
        ..broker.options()
    };

    for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"] {
        let log = open(options(mechanism, PASSWORD, Some(broker.authority()))).await.expect(mechanism);
        log.append(Topic::Positions, vec![record("a", 1)]).await.expect("appends");
        let share = log.join("dataflow").await.expect("joins").share().await.expect("a share");
        assert_eq!(share.partitions.len(), 6, "alone");
        let at = Offsets::from([((Topic::Positions, 0), 1)]);
        let group = Group { name: "archive".into(), member: 0 };
        log.commit(&group, vec![(Topic::Events, record("a", 2))], &at).await.expect("commits");
        assert_eq!(numbers(&*log, Topic::Positions).await["a"], [1]);
        assert_eq!(numbers(&*log, Topic::Events).await["a"], [2]);
        log.close().await;
    }

    for (mechanism, password, ca, reason) in
        [("SCRAM-SHA-256", "guessed", Some(broker.authority()), "uthentication"), ("PLAIN", PASSWORD, None, "certificate")]
    {
        let refused = open(options(mechanism, password, ca)).await;
        assert!(matches!(&refused, Err(LogError::Refused(told)) if told.contains(reason)), "{:?}", refused.err());
    }
}
