//! Arrow Flight SQL of this system.

use crate::config::WireSection;
use crate::door::TokenDoor;
use std::sync::Arc;
use std::time::Duration;
use waystream_domain::SharedCatalog;
use waystream_sql::SqlEngine;
use waystream_sql::flight::{Flight, FlightOptions};

/// A client that takes nothing of what is left of its query for so long is gone, as over Postgres wire.
const STUCK: Duration = Duration::from_secs(30);

/// What to listen with; none: it is off.
pub fn options(section: &WireSection) -> Option<FlightOptions> {
    Some(FlightOptions {
        listen: section.listen?,
        tls: section.tls.clone(),
        insecure: section.insecure,
        connections: section.max_connections,
        startup: Duration::from_secs(section.login_timeout_s),
        idle: Duration::from_secs(section.idle_timeout_s),
        stuck: STUCK,
    })
}

/// Opens the port.
pub async fn bind(options: FlightOptions, sql: Arc<SqlEngine>, catalog: SharedCatalog) -> anyhow::Result<Flight> {
    Ok(Flight::bind(options, sql, Arc::new(TokenDoor(catalog))).await?)
}
