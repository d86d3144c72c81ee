//! The embedded log keeps the contract.

use async_trait::async_trait;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;
use waystream_log::contract::Subject;
use waystream_log::embedded::{EmbeddedLog, EmbeddedOptions};
use waystream_log::{Log, log_contract};

struct Embedded {
    dir: TempDir,
    log: Arc<EmbeddedLog>,
    options: EmbeddedOptions,
}

/// Little memory for recent records, so that readers change between memory and disk often.
fn small() -> EmbeddedOptions {
    EmbeddedOptions { recent_bytes: 50_000, maintenance_every: Duration::ZERO, quick_repair: false, ..Default::default() }
}

fn subject(options: EmbeddedOptions) -> Embedded {
    let dir = tempfile::tempdir().expect("a folder");
    let log = EmbeddedLog::open(dir.path(), options.clone()).expect("opens");
    Embedded { dir, log, options }
}

#[async_trait]
impl Subject for Embedded {
    fn log(&self) -> Arc<dyn Log> {
        self.log.clone()
    }

    async fn reopen(&mut self) {
        self.log.close().await;
        self.log = EmbeddedLog::open(self.dir.path(), self.options.clone()).expect("opens again");
    }

    fn refused_bytes(&self) -> usize {
        self.options.max_record_bytes + 1
    }

    async fn compact(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        self.log.maintain(now.as_millis() as i64).await.expect("compacts");
    }
}

mod as_delivered {
    use super::*;
    log_contract!(subject(EmbeddedOptions::default()));
}

mod with_little_memory {
    use super::*;
    log_contract!(subject(small()));
}
