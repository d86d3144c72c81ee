//! What librdkafka's errors mean for callers, and where what it says is told.

use crate::LogError;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Instant;

/// Clients of a cluster that is away say so all at once, a thousand times a second; it is told once in this time.
const AWAY_EVERY_S: u64 = 10;

/// Passes on what librdkafka says of itself.
#[derive(Debug, Default)]
pub(super) struct Told {
    refused: Mutex<Option<String>>,
}

impl Told {
    /// Why the cluster will not speak with this client, or this client not with it: calls say only that there was no answer.
    pub(super) fn refusal(&self) -> Option<LogError> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.as_ref().map(|reason| LogError::Refused(format!("no connection to kafka: {reason}")))
    }
}

/// Whether it is time to tell again that brokers are away.
fn tell_away() -> bool {
    static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);
    /// Seconds since the start, from which on it is told again.
    static AGAIN: AtomicU64 = AtomicU64::new(0);
    let now = STARTED.elapsed().as_secs();
    let next = |again| (now >= again).then_some(now + AWAY_EVERY_S);
    AGAIN.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
}

/// Passes on a line of the log.
pub(super) fn tell_log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        // The error below tells it.
        RDKafkaLogLevel::Error if facility == "FAIL" => tracing::debug!(message, "connection to a kafka broker failed"),
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
            tracing::warn!(facility, message, "kafka client");
        }
        _ => tracing::debug!(facility, message, "kafka client"),
    }
}

/// Passes on an error that no call has returned.
pub(super) fn tell_error(error: &KafkaError, reason: &str) {
    match error.rdkafka_error_code() {
        // Told to the reader; no trouble at all.
        Some(Code::PartitionEOF) => {}
        // One line a connection that breaks would bury the one that counts.
        Some(Code::BrokerTransportFailure) => tracing::debug!(reason, "connection to a kafka broker failed"),
        Some(Code::AllBrokersDown) => {
            if tell_away() {
                tracing::warn!(reason, "kafka is away");
            }
        }
        _ => tracing::warn!(%error, reason, "kafka client in trouble"),
    }
}

impl ClientContext for Told {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tell_log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if let Some(Code::Authentication | Code::SSL) = error.rdkafka_error_code() {
            *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
        }
        tell_error(&error, reason);
    }
}

impl ConsumerContext for Told {}

/// Whether the same request can never succeed.
fn is_refusal(code: Code) -> bool {
    matches!(
        code,
        Code::MessageSizeTooLarge
            | Code::InvalidMessageSize
            | Code::InvalidRecord
            | Code::MessageBatchTooLarge
            | Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed
            | Code::SaslAuthenticationFailed
            | Code::Authentication
            | Code::UnsupportedVersion
            | Code::PolicyViolation
            | Code::InvalidReplicationFactor
            | Code::InvalidConfig
            | Code::InvalidTransactionTimeout
    )
}

/// A request that changed nothing.
pub(super) fn determinate(what: &str, error: &KafkaError) -> LogError {
    by_code(what, error.rdkafka_error_code(), error)
}

/// The same, by code.
pub(super) fn by_code(what: &str, code: Option<Code>, said: &dyn std::fmt::Display) -> LogError {
    let text = format!("{what}: {said}");
    if code.is_some_and(is_refusal) { LogError::Refused(text) } else { LogError::Unavailable(text) }
}

/// What became of an appended record that was not acknowledged.
pub(super) fn undelivered(code: Code) -> LogError {
    match code {
        code if is_refusal(code) => LogError::Refused(format!("kafka took no record: {code}")),
        Code::PurgeQueue | Code::PurgeInflight => LogError::Indeterminate("the connection to kafka was closed".into()),
        code => LogError::Indeterminate(format!("kafka has not acknowledged: {code}")),
    }
}

/// Another producer has taken over, or Kafka has given the transaction up.
pub(super) fn is_fenced(code: Code) -> bool {
    matches!(code, Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch)
}

/// The group has gone on without this member.
pub(super) fn is_expelled(error: &KafkaError) -> bool {
    let code = error.rdkafka_error_code();
    matches!(code, Some(Code::IllegalGeneration | Code::UnknownMemberId | Code::FencedInstanceId | Code::RebalanceInProgress))
}
