//! Postgres wire of this system.

use crate::config::WireSection;
use crate::door::TokenDoor;
use std::sync::Arc;
use std::time::Duration;
use waystream_domain::SharedCatalog;
use waystream_sql::SqlEngine;
use waystream_sql::postgres::{Postgres, PostgresOptions};

/// What to listen with; none: it is off.
pub fn options(section: &WireSection) -> Option<PostgresOptions> {
    Some(PostgresOptions {
        listen: section.listen?,
        tls: section.tls.clone(),
        insecure: section.insecure,
        connections: section.max_connections,
        startup: Duration::from_secs(section.login_timeout_s),
        idle: Duration::from_secs(section.idle_timeout_s),
    })
}

/// Opens the port.
pub async fn bind(options: PostgresOptions, sql: Arc<SqlEngine>, catalog: SharedCatalog) -> anyhow::Result<Postgres> {
    Ok(Postgres::bind(options, sql, Arc::new(TokenDoor(catalog))).await?)
}
