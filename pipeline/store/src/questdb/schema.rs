//! The tables in QuestDB: names, columns, and how they came to be.
//!
//! A designated timestamp can't lie before 1970, and each day makes a partition, whatever nonsense a receiver reports. So rows of odd
//! times, outside of [`USUAL`], lie in a table of their own, partitioned by years.

use super::server::Server;
use crate::{StoreError, Table};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use std::fmt::Write;
use std::sync::{Arc, LazyLock};
use tokio::sync::OnceCell;

/// Fix times of the main tables, milliseconds since 1970: the years 2000 to 2099.
pub(crate) const USUAL: std::ops::Range<i64> = 946_684_800_000..4_102_444_800_000;

/// Number of the flush that first wrote a row, to tell rows that came after a snapshot.
pub(crate) const FIRST_FLUSH: &str = "first_flush";

/// Stands for that flush in rows that were erased: one that never comes, so that nobody is shown them.
pub(crate) const ERASED: i32 = i32::MAX;

/// Which of the two tables that a table of the store is kept in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Times {
    Usual,
    Odd,
}

impl Times {
    pub(crate) const ALL: [Self; 2] = [Self::Usual, Self::Odd];

    /// Where a row of this fix time lies.
    pub(crate) fn of(fix_time_ms: i64) -> Self {
        if USUAL.contains(&fix_time_ms) { Self::Usual } else { Self::Odd }
    }
}

/// Names of tables.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    prefix: String,
}

impl Names {
    /// The prefix consists of letters, digits and underscores.
    pub(crate) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    pub(crate) fn rows(&self, table: Table, times: Times) -> String {
        let suffix = match times {
            Times::Usual => "",
            Times::Odd => "_odd_times",
        };
        format!("{}{}{suffix}", self.prefix, table.name())
    }

    /// How far the log is covered.
    pub(crate) fn archived(&self) -> String {
        format!("{}archived", self.prefix)
    }

    /// Rows that the server refused, with its reason.
    pub(crate) fn refused(&self) -> String {
        format!("{}refused", self.prefix)
    }

    /// What must not come back from the log.
    pub(crate) fn erased(&self) -> String {
        format!("{}erased", self.prefix)
    }

    fn migrations(&self) -> String {
        format!("{}migrations", self.prefix)
    }

    /// Of all tables that the archive writes to.
    pub(crate) fn written(&self) -> Vec<String> {
        let rows = Table::ALL.into_iter().flat_map(|table| Times::ALL.map(|times| self.rows(table, times)));
        rows.chain([self.archived(), self.refused()]).collect()
    }
}

static STORED: LazyLock<[SchemaRef; 2]> = LazyLock::new(|| {
    Table::ALL.map(|table| {
        let mut fields = table.schema().fields().to_vec();
        fields.push(Arc::new(Field::new(FIRST_FLUSH, DataType::Int32, true)));
        Arc::new(Schema::new(fields))
    })
});

/// Columns of a table as stored: those of the store's table, and the flush that first wrote the row.
pub(crate) fn stored(table: Table) -> SchemaRef {
    match table {
        Table::Positions => STORED[0].clone(),
        Table::Events => STORED[1].clone(),
    }
}

/// Whether a text column has few values that come back often.
pub(crate) fn is_symbol(name: &str) -> bool {
    !matches!(name, "event_id" | "revises" | "attributes")
}

fn column_type(field: &Field) -> &'static str {
    match field.data_type() {
        DataType::Utf8View if is_symbol(field.name()) => "SYMBOL",
        DataType::Utf8View => "VARCHAR",
        DataType::Float64 => "DOUBLE",
        DataType::Float32 => "FLOAT",
        DataType::Boolean => "BOOLEAN",
        DataType::Int32 => "INT",
        DataType::Int64 => "LONG",
        _ => "TIMESTAMP",
    }
}

fn create_rows(names: &Names, table: Table, times: Times) -> String {
    let mut columns = String::new();
    for field in stored(table).fields() {
        // Grows by itself, but from 256, at the cost of rewriting.
        let capacity = if field.name() == "device" { " CAPACITY 65536" } else { "" };
        write!(columns, "{} {}{capacity}, ", field.name(), column_type(field)).expect("a String takes everything");
    }
    let id = match table {
        Table::Positions => "device",
        Table::Events => "event_id",
    };
    let name = names.rows(table, times);
    match times {
        Times::Usual => format!(
            "CREATE TABLE IF NOT EXISTS {name} ({}) TIMESTAMP(fix_time) PARTITION BY DAY WAL DEDUP UPSERT KEYS(fix_time, {id})",
            columns.trim_end_matches(", ")
        ),
        // Filed at the fix time, or at the beginning of 1970 if that is earlier.
        Times::Odd => format!(
            "CREATE TABLE IF NOT EXISTS {name} ({columns}filed_at TIMESTAMP) TIMESTAMP(filed_at) PARTITION BY YEAR WAL \
             DEDUP UPSERT KEYS(filed_at, fix_time, {id})"
        ),
    }
}

/// Statements that lead from one version to the next; each can be run again. Never changed once released, only added to.
fn migrations(names: &Names) -> Vec<Vec<String>> {
    let rows = Table::ALL.into_iter().flat_map(|table| Times::ALL.map(|times| create_rows(names, table, times)));
    let archived = format!(
        "CREATE TABLE IF NOT EXISTS {} (slot TIMESTAMP, topic SYMBOL, log_partition INT, next_offset LONG, flush INT) \
         TIMESTAMP(slot) PARTITION BY YEAR WAL DEDUP UPSERT KEYS(slot, topic, log_partition)",
        names.archived()
    );
    let refused = format!(
        "CREATE TABLE IF NOT EXISTS {} (received_at TIMESTAMP, topic SYMBOL, log_partition INT, log_offset LONG, reason VARCHAR, \
         row VARCHAR) TIMESTAMP(received_at) PARTITION BY MONTH WAL DEDUP UPSERT KEYS(received_at, topic, log_partition, log_offset)",
        names.refused()
    );
    // Read at once by whoever has written it.
    let erased = format!(
        "CREATE TABLE IF NOT EXISTS {} (at TIMESTAMP, marks VARCHAR) TIMESTAMP(at) PARTITION BY YEAR BYPASS WAL",
        names.erased()
    );
    vec![rows.chain([archived, refused]).collect(), vec![erased]]
}

/// A server with our tables.
#[derive(Debug)]
pub(crate) struct Tables {
    server: Server,
    pub(crate) names: Names,
    made: OnceCell<()>,
}

impl Tables {
    pub(crate) fn new(server: Server, names: Names) -> Self {
        Self { server, names, made: OnceCell::new() }
    }

    /// The server, once it has the tables.
    pub(crate) async fn server(&self) -> Result<&Server, StoreError> {
        self.made.get_or_try_init(|| migrate(&self.server, &self.names)).await?;
        Ok(&self.server)
    }
}

/// Makes the tables what this version needs, from whatever an earlier one left. Harmless if another process does the same.
async fn migrate(server: &Server, names: &Names) -> Result<(), StoreError> {
    let table = names.migrations();
    let create =
        format!("CREATE TABLE IF NOT EXISTS {table} (at TIMESTAMP, version INT) TIMESTAMP(at) PARTITION BY YEAR BYPASS WAL");
    server.execute(&create).await?;
    let done = server.execute(&format!("SELECT max(version) FROM {table}")).await?;
    let done = done.first().and_then(|row| row.first()).and_then(|v| v.as_u64()).unwrap_or(0) as usize;
    let all = migrations(names);
    if done > all.len() {
        return Err(StoreError::Refused(format!(
            "the tables in QuestDB are of version {done}, which a newer waystream made; this one knows {}",
            all.len()
        )));
    }
    for (version, statements) in all.iter().enumerate().skip(done) {
        for statement in statements {
            server.execute(statement).await?;
        }
        server.execute(&format!("INSERT INTO {table} VALUES (now(), {})", version + 1)).await?;
        tracing::info!(version = version + 1, prefix = names.prefix, "tables in QuestDB brought to a new version");
    }
    let days = server.options().ttl_days.unwrap_or(0);
    for table in Table::ALL {
        server.execute(&format!("ALTER TABLE {} SET TTL {days} DAYS", names.rows(table, Times::Usual))).await?;
    }
    Ok(())
}
