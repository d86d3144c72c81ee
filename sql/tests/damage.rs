//! History of which a part can't be read any more.
#![allow(clippy::unwrap_used)]

use crate::common;

use common::{at, fleet, organisation, position};
use std::sync::Arc;
use waystream_domain::catalog::Fleet;
use waystream_domain::{Catalog, CatalogEdit, CatalogEntry, SharedCatalog};
use waystream_sql::output::{self, Format};
use waystream_sql::{Scope, SqlEngine, SqlError, SqlOptions};
use waystream_store::parquet::{ParquetOptions, ParquetStore};
use waystream_store::{ArchiveBatch, Archived, Store};

#[tokio::test]
async fn a_file_that_can_t_be_read_is_left_out_of_the_next_query() {
    let dir = tempfile::tempdir().unwrap();
    let store = ParquetStore::open(dir.path(), ParquetOptions::default()).unwrap();
    let write = async |offset: u64, day: &str| {
        let row = position("a", "north", at(day), 52.0, 13.0);
        let positions = vec![Archived { partition: 0, offset, row }];
        store.append(Arc::new(ArchiveBatch { positions, ..ArchiveBatch::default() })).await.unwrap();
        store.flush().await.unwrap();
    };
    write(0, "2026-03-04T00:00:00Z").await;
    let files = std::fs::read_dir(dir.path().join("positions")).unwrap();
    let first = files.map(|file| file.unwrap().path()).next().unwrap();
    write(1, "2026-03-05T00:00:00Z").await;

    let engine = SqlEngine::new(store.clone(), SharedCatalog::default(), SqlOptions::default()).unwrap();
    let mut catalog = Catalog::default();
    let north =
        Fleet { id: fleet("north"), organisation: organisation("acme"), name: "North".into(), rules: Default::default() };
    catalog.apply(CatalogEdit::Put(CatalogEntry::Fleet(north)));
    let scope = Scope::of_organisation(organisation("acme"), &catalog);
    let count = async || {
        let mut out = Vec::new();
        let result = engine.query(&scope, "SELECT count(*) AS n, max(lat) AS lat FROM positions").await?;
        output::write(result, Format::Csv, &mut out).await?;
        Ok::<_, SqlError>(String::from_utf8(out).unwrap())
    };
    assert_eq!(count().await.unwrap(), "n,lat\n2,52.0\n");
    std::fs::write(&first, "").unwrap();
    let failed = count().await.unwrap_err();
    assert!(matches!(failed, SqlError::Store(_)), "{failed}");
    let damage = store.damage();
    assert!(damage.len() == 1 && damage[0].contains("1 rows"), "{damage:?}");
    assert_eq!(count().await.unwrap(), "n,lat\n1,52.0\n");
}
