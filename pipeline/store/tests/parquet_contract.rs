//! The embedded store keeps the contract.

use async_trait::async_trait;
use std::sync::Arc;
use tempfile::TempDir;
use waystream_store::contract::Subject;
use waystream_store::parquet::{ParquetOptions, ParquetStore};
use waystream_store::{Store, store_contract};

struct Embedded {
    dir: TempDir,
    store: Option<Arc<ParquetStore>>,
}

impl Embedded {
    /// People call their folders as they like.
    fn open(dir: &TempDir) -> Arc<ParquetStore> {
        ParquetStore::open(&dir.path().join("a 100%25 # ~ täst?"), ParquetOptions::default()).expect("opens")
    }
}

fn subject() -> Embedded {
    let dir = tempfile::tempdir().expect("a folder");
    Embedded { store: Some(Embedded::open(&dir)), dir }
}

#[async_trait]
impl Subject for Embedded {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone().expect("open but while reopening")
    }

    async fn reopen(&mut self) {
        self.store = None;
        self.store = Some(Self::open(&self.dir));
    }
}

store_contract!(subject());
