//! The store in QuestDB keeps the contract, on a real server.

use crate::server::Server;
use async_trait::async_trait;
use std::sync::Arc;
use waystream_store::contract::Subject;
use waystream_store::questdb::{QuestDbOptions, QuestDbStore};
use waystream_store::{Store, store_contract};

struct InQuestDb {
    options: QuestDbOptions,
    store: Option<Arc<QuestDbStore>>,
}

fn subject() -> InQuestDb {
    let options = Server::shared().options();
    InQuestDb { store: Some(QuestDbStore::open(options.clone()).expect("opens")), options }
}

#[async_trait]
impl Subject for InQuestDb {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone().expect("open but while reopening")
    }

    async fn reopen(&mut self) {
        self.store = None;
        self.store = Some(QuestDbStore::open(self.options.clone()).expect("opens"));
    }
}

store_contract!(subject());
