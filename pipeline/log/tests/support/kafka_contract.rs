//! The log on a real Kafka keeps the contract: on the one that the other tests of it have.

use crate::kafka::Broker;
use async_trait::async_trait;
use std::sync::Arc;
use waystream_log::contract::Subject;
use waystream_log::kafka::{KafkaLog, KafkaOptions};
use waystream_log::{Log, log_contract};

struct Kafka {
    log: Arc<KafkaLog>,
    options: KafkaOptions,
}

async fn subject() -> Kafka {
    let broker = tokio::task::spawn_blocking(Broker::shared).await.expect("starts");
    let options = broker.options();
    Kafka { log: KafkaLog::open(options.clone()).await.expect("opens"), options }
}

#[async_trait]
impl Subject for Kafka {
    fn log(&self) -> Arc<dyn Log> {
        self.log.clone()
    }

    async fn reopen(&mut self) {
        self.log.close().await;
        self.log = KafkaLog::open(self.options.clone()).await.expect("opens again");
    }

    fn refused_bytes(&self) -> usize {
        self.options.max_record_bytes + 1
    }

    /// Kafka compacts when it sees fit.
    async fn compact(&self) {}
}

log_contract!(subject().await);
