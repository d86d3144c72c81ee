//! What drivers ask about the tables, the server and its types. All of it is the same for everybody: nothing here is anybody's data.

use super::Shared;
use super::failure;
use super::rows::plain;
use crate::SqlError;
use crate::context::{CATALOG, SCHEMA};
use crate::statement::MAX_BYTES;
use arrow_flight::error::FlightError;
use arrow_flight::sql::metadata::{SqlInfoData, SqlInfoDataBuilder, XdbcTypeInfo, XdbcTypeInfoData, XdbcTypeInfoDataBuilder};
use arrow_flight::sql::{
    Command, Nullable, Searchable, SqlInfo, SqlSupportedCaseSensitivity, SqlSupportedTransaction, XdbcDataType,
    XdbcDatetimeSubcode,
};
use datafusion::arrow::ARROW_VERSION;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use std::sync::Arc;
use tonic::Status;

/// Kind of every table.
const TABLE: &str = "TABLE";

/// What is told of the server and of its types.
pub(super) struct Facts {
    server: SqlInfoData,
    types: XdbcTypeInfoData,
}

impl Facts {
    pub(super) fn new() -> Result<Self, SqlError> {
        let failed = |error: FlightError| SqlError::Store(error.to_string());
        Ok(Self { server: server().map_err(failed)?, types: types().map_err(failed)? })
    }
}

impl Shared {
    /// Answers one of these commands.
    pub(super) fn about(&self, command: Command) -> Result<RecordBatch, Status> {
        let refused = |error: FlightError| failure::malformed(error.to_string());
        let batch = match command {
            Command::CommandGetCatalogs(asked) => {
                let mut catalogs = asked.into_builder();
                catalogs.append(CATALOG);
                catalogs.build()
            }
            Command::CommandGetDbSchemas(asked) => {
                let mut schemas = asked.into_builder();
                schemas.append(CATALOG, SCHEMA);
                schemas.build()
            }
            Command::CommandGetTables(asked) => {
                let mut tables = asked.into_builder();
                for (name, columns) in &self.tables {
                    tables.append(CATALOG, SCHEMA, name, TABLE, &plain(columns)).map_err(refused)?;
                }
                tables.build()
            }
            Command::CommandGetTableTypes(asked) => {
                let mut kinds = asked.into_builder();
                kinds.append(TABLE);
                kinds.build()
            }
            Command::CommandGetSqlInfo(asked) => asked.into_builder(&self.facts.server).build(),
            Command::CommandGetXdbcTypeInfo(asked) => asked.into_builder(&self.facts.types).build(),
            // There are none.
            Command::CommandGetPrimaryKeys(_) => Ok(RecordBatch::new_empty(Arc::new(primary_keys()))),
            Command::CommandGetExportedKeys(_) | Command::CommandGetImportedKeys(_) | Command::CommandGetCrossReference(_) => {
                Ok(RecordBatch::new_empty(Arc::new(foreign_keys())))
            }
            other => return Err(failure::missing(format!("there is nothing to read by {}", other.type_url()))),
        };
        batch.map_err(refused)
    }
}

fn server() -> Result<SqlInfoData, FlightError> {
    let mut facts = SqlInfoDataBuilder::new();
    facts.append(SqlInfo::FlightSqlServerName, "waystream");
    facts.append(SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
    facts.append(SqlInfo::FlightSqlServerArrowVersion, ARROW_VERSION);
    facts.append(SqlInfo::FlightSqlServerReadOnly, true);
    facts.append(SqlInfo::FlightSqlServerSql, true);
    facts.append(SqlInfo::FlightSqlServerSubstrait, false);
    facts.append(SqlInfo::FlightSqlServerTransaction, SqlSupportedTransaction::None as i32);
    // By giving up a stream, which is no command.
    facts.append(SqlInfo::FlightSqlServerCancel, false);
    facts.append(SqlInfo::FlightSqlServerBulkIngestion, false);
    facts.append(SqlInfo::SqlDdlCatalog, false);
    facts.append(SqlInfo::SqlDdlSchema, false);
    facts.append(SqlInfo::SqlDdlTable, false);
    facts.append(SqlInfo::SqlIdentifierCase, SqlSupportedCaseSensitivity::SqlCaseSensitivityLowercase as i32);
    facts.append(SqlInfo::SqlIdentifierQuoteChar, "\"");
    facts.append(SqlInfo::SqlMaxStatementLength, MAX_BYTES as i64);
    facts.build()
}

fn types() -> Result<XdbcTypeInfoData, FlightError> {
    use XdbcDataType as T;
    let mut types = XdbcTypeInfoDataBuilder::new();
    // Name, number, size in digits or characters, and how a literal is quoted.
    for (name, data_type, size, quote) in [
        ("boolean", T::XdbcBit, 1, None),
        ("integer", T::XdbcInteger, 10, None),
        ("bigint", T::XdbcBigint, 19, None),
        ("real", T::XdbcReal, 7, None),
        ("double", T::XdbcDouble, 15, None),
        ("text", T::XdbcVarchar, i32::MAX, Some("'")),
        ("date", T::XdbcDate, 10, Some("'")),
        ("timestamp", T::XdbcTimestamp, 29, Some("'")),
    ] {
        let is_number = quote.is_none() && data_type != T::XdbcBit;
        let (sql_data_type, datetime_subcode) = match data_type {
            // A date and a year have one number there.
            T::XdbcDate => (T::XdbcDatetime, Some(XdbcDatetimeSubcode::XdbcSubcodeYear)),
            T::XdbcTimestamp => (T::XdbcDatetime, Some(XdbcDatetimeSubcode::XdbcSubcodeTimestamp)),
            other => (other, None),
        };
        types.append(XdbcTypeInfo {
            type_name: name.to_owned(),
            data_type,
            column_size: Some(size),
            literal_prefix: quote.map(str::to_owned),
            literal_suffix: quote.map(str::to_owned),
            nullable: Nullable::NullabilityNullable,
            case_sensitive: data_type == T::XdbcVarchar,
            searchable: Searchable::Full,
            unsigned_attribute: is_number.then_some(false),
            sql_data_type,
            datetime_subcode,
            num_prec_radix: is_number.then_some(10),
            ..XdbcTypeInfo::default()
        });
    }
    types.build()
}

fn primary_keys() -> Schema {
    Schema::new(vec![
        Field::new("catalog_name", DataType::Utf8, true),
        Field::new("db_schema_name", DataType::Utf8, true),
        Field::new("table_name", DataType::Utf8, false),
        Field::new("column_name", DataType::Utf8, false),
        Field::new("key_name", DataType::Utf8, true),
        Field::new("key_sequence", DataType::Int32, false),
    ])
}

fn foreign_keys() -> Schema {
    let side = |side: &str| {
        [("catalog_name", true), ("db_schema_name", true), ("table_name", false), ("column_name", false)]
            .map(|(name, nullable)| Field::new(format!("{side}_{name}"), DataType::Utf8, nullable))
    };
    let rest = [
        Field::new("key_sequence", DataType::Int32, false),
        Field::new("fk_key_name", DataType::Utf8, true),
        Field::new("pk_key_name", DataType::Utf8, true),
        Field::new("update_rule", DataType::UInt8, false),
        Field::new("delete_rule", DataType::UInt8, false),
    ];
    Schema::new([&side("pk")[..], &side("fk")[..], &rest[..]].concat())
}
