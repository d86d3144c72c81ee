//! `pg_catalog`, as psql and drivers ask it: the tables that everybody has, and nothing of anybody's data. One for all
//! connections, so that the numbers of tables (OIDs) stay the same from one question to the next.

use crate::context::{CATALOG, SCHEMA};
use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::SchemaProvider;
use datafusion::common::Result;
use datafusion::datasource::TableType;
use datafusion_pg_catalog::pg_catalog::catalog_info::CatalogInfo;
use datafusion_pg_catalog::pg_catalog::context::EmptyContextProvider;
use datafusion_pg_catalog::pg_catalog::{ArrowTable, PgCatalogSchemaProvider, PgCatalogStaticTables};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Name of the schema.
pub(super) const PG_CATALOG: &str = "pg_catalog";

/// Tables by name, with their columns. That is all that `pg_catalog` is made from.
#[derive(Debug, Clone)]
struct Tables(Arc<BTreeMap<String, SchemaRef>>);

/// The schema, and the list of key words that is a function of it.
pub(super) struct PgCatalog {
    pub(super) schema: Arc<dyn SchemaProvider>,
    pub(super) keywords: Arc<ArrowTable>,
}

/// The schema over these tables.
pub(super) fn build(tables: Vec<(String, SchemaRef)>) -> Result<PgCatalog> {
    let fixed = Arc::new(PgCatalogStaticTables::try_new()?);
    let keywords = Arc::clone(&fixed.pg_get_keywords);
    let tables = Tables(Arc::new(tables.into_iter().collect()));
    let schema = Arc::new(PgCatalogSchemaProvider::try_new(tables, fixed, EmptyContextProvider)?);
    Ok(PgCatalog { schema, keywords })
}

impl Tables {
    fn of(&self, catalog: &str, schema: &str) -> Option<&BTreeMap<String, SchemaRef>> {
        (catalog == CATALOG && schema == SCHEMA).then_some(self.0.as_ref())
    }
}

#[async_trait]
impl CatalogInfo for Tables {
    async fn catalog_names(&self) -> Result<Vec<String>> {
        Ok(vec![CATALOG.to_owned()])
    }

    async fn schema_names(&self, catalog: &str) -> Result<Option<Vec<String>>> {
        let names = [SCHEMA, PG_CATALOG, "information_schema"];
        Ok((catalog == CATALOG).then(|| names.map(str::to_owned).into()))
    }

    async fn table_names(&self, catalog: &str, schema: &str) -> Result<Option<Vec<String>>> {
        Ok(self.of(catalog, schema).map(|tables| tables.keys().cloned().collect()))
    }

    async fn table_schema(&self, catalog: &str, schema: &str, table: &str) -> Result<Option<SchemaRef>> {
        Ok(self.of(catalog, schema).and_then(|tables| tables.get(table).cloned()))
    }

    async fn table_type(&self, catalog: &str, schema: &str, table: &str) -> Result<Option<TableType>> {
        Ok(self.table_schema(catalog, schema, table).await?.map(|_| TableType::Base))
    }
}
