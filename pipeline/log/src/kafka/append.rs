//! Appending outside of transactions: many callers share one idempotent producer, each learns of its own records.

use super::aside::Aside;
use super::error::{determinate, tell_error, tell_log, undelivered};
use super::options::KafkaOptions;
use crate::{LogError, Record, Topic, partition_of};
use rdkafka::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// The queue is counted in units of this many bytes.
const UNIT: usize = 256;
/// What a waiting record takes beside its key and value.
const RECORD_BYTES: usize = 128;
/// A log closes after this time even if Kafka has not answered: nobody has been told that it had.
const CLOSE: Duration = Duration::from_secs(2);
/// How often a closing log looks whether all is sent.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Records of one call on their way.
struct Call {
    left: AtomicUsize,
    error: OnceLock<RDKafkaErrorCode>,
    answer: Mutex<Option<oneshot::Sender<()>>>,
    _room: OwnedSemaphorePermit,
}

impl Call {
    fn answered(&self, records: usize) {
        if self.left.fetch_sub(records, Ordering::AcqRel) == records
            && let Some(answer) = self.answer.lock().unwrap_or_else(PoisonError::into_inner).take()
        {
            // A caller that has gone does not want to know.
            answer.send(()).unwrap_or_default();
        }
    }
}

/// Tells each call of its records.
#[derive(Debug)]
struct Deliveries;

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tell_log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tell_error(&error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Arc<Call>;

    fn delivery(&self, result: &DeliveryResult<'_>, call: Arc<Call>) {
        if let Err((error, _)) = result {
            let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
            call.error.set(code).unwrap_or_default();
        }
        call.answered(1);
    }
}

type Inner = Arc<Aside<ThreadedProducer<Deliveries>>>;

/// Takes records and tells when they are durable.
pub(super) struct Appender {
    options: Arc<KafkaOptions>,
    producer: Mutex<Inner>,
    room: Arc<Semaphore>,
    units: usize,
}

impl Appender {
    pub(super) fn new(options: Arc<KafkaOptions>) -> Result<Self, LogError> {
        let units = (options.queue_bytes / UNIT).clamp(1, u32::MAX as usize >> 3);
        let producer = Mutex::new(producer(&options)?);
        Ok(Self { options, producer, room: Arc::new(Semaphore::new(units)), units })
    }

    /// Bytes that wait for Kafka.
    pub(super) fn waiting_bytes(&self) -> usize {
        (self.units - self.room.available_permits()) * UNIT
    }

    /// Returns when all of these are durable. They have been checked for their size.
    pub(super) async fn append(&self, topic: Topic, records: Vec<Record>) -> Result<(), LogError> {
        let bytes: usize = records.iter().map(|record| bytes_of(record) + RECORD_BYTES).sum();
        let share = u32::try_from(bytes.div_ceil(UNIT).clamp(1, self.units)).expect("clamped");
        let closed = |_| LogError::Closed("the log is closing".into());
        let room = Arc::clone(&self.room).acquire_many_owned(share).await.map_err(closed)?;
        let (answer, answered) = oneshot::channel();
        let call = Arc::new(Call {
            left: AtomicUsize::new(records.len()),
            error: OnceLock::new(),
            answer: Mutex::new(Some(answer)),
            _room: room,
        });
        // The semaphore is fair and nothing is awaited between it and the producer, so calls keep their order.
        let producer = Arc::clone(&self.producer.lock().unwrap_or_else(PoisonError::into_inner));
        let name = self.options.topic_name(topic);
        let partitions = self.options.partitions(topic);
        for (taken, record) in records.iter().enumerate() {
            let partition = partition_of(&record.key, partitions) as i32;
            let mut message = BaseRecord::with_opaque_to(&name, Arc::clone(&call)).partition(partition).key(&record.key[..]);
            message.payload = record.value.as_deref();
            if let Err((error, _)) = producer.send(message) {
                let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
                call.error.set(code).unwrap_or_default();
                call.answered(records.len() - taken);
                break;
            }
        }
        drop(records);
        let gone = |_| LogError::Indeterminate("the connection to kafka was closed".into());
        answered.await.map_err(gone)?;
        match call.error.get() {
            None => Ok(()),
            Some(code) => {
                self.replace_if_broken(&producer);
                Err(undelivered(*code))
            }
        }
    }

    /// A producer that has lost its place among the records it has sent takes no more: the next gets a new place.
    fn replace_if_broken(&self, broken: &Inner) {
        let Some((code, reason)) = broken.client().fatal_error() else { return };
        let mut current = self.producer.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&current, broken) {
            return;
        }
        match producer(&self.options) {
            Ok(new) => {
                tracing::warn!(%code, reason, "kafka producer replaced");
                *current = new;
            }
            Err(error) => tracing::error!(%error, %code, reason, "kafka producer is broken and could not be replaced"),
        }
    }

    /// Waits, not for ever, until all that was asked for is answered; takes nothing more.
    pub(super) async fn close(&self) {
        self.room.close();
        let producer = Arc::clone(&self.producer.lock().unwrap_or_else(PoisonError::into_inner));
        let started = Instant::now();
        while producer.in_flight_count() > 0 && started.elapsed() < CLOSE {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

/// What a record weighs.
pub(super) fn bytes_of(record: &Record) -> usize {
    record.key.len() + record.value.as_ref().map_or(0, bytes::Bytes::len)
}

fn producer(options: &KafkaOptions) -> Result<Inner, LogError> {
    let producer = ThreadedProducer::from_config_and_context(&options.appender(), Deliveries)
        .map_err(|e| determinate("could not set up the kafka producer", &e))?;
    Ok(Arc::new(Aside::new(producer)))
}
