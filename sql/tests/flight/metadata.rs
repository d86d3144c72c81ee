//! What drivers ask about the tables, and what there is not.

use crate::server::{Server, query, rows, text, told};
use arrow_flight::sql::{
    CommandGetDbSchemas, CommandGetExportedKeys, CommandGetPrimaryKeys, CommandGetTables, CommandGetXdbcTypeInfo, SqlInfo,
};
use arrow_flight::{FlightData, FlightDescriptor, IpcMessage};
use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::datatypes::Schema;
use futures::stream;
use tonic::Code;

fn column(batches: &[RecordBatch], name: &str) -> Vec<String> {
    let columns = batches.iter().map(|batch| batch.column_by_name(name).unwrap().as_string::<i32>());
    columns.flat_map(|column| column.iter().map(|text| text.unwrap().to_owned()).collect::<Vec<_>>()).collect()
}

fn tables(pattern: Option<&str>, include_schema: bool) -> CommandGetTables {
    CommandGetTables {
        catalog: None,
        db_schema_filter_pattern: None,
        table_name_filter_pattern: pattern.map(str::to_owned),
        table_types: Vec::new(),
        include_schema,
    }
}

#[tokio::test]
async fn the_tables_are_those_that_everybody_has() {
    let server = Server::start().await;
    let mut anna = server.anna().await;
    let info = anna.get_catalogs().await.unwrap();
    assert_eq!(column(&rows(&mut anna, info).await.unwrap(), "catalog_name"), ["waystream"]);
    let info = anna.get_db_schemas(CommandGetDbSchemas { catalog: None, db_schema_filter_pattern: None }).await.unwrap();
    assert_eq!(column(&rows(&mut anna, info).await.unwrap(), "db_schema_name"), ["public"]);
    let info = anna.get_table_types().await.unwrap();
    assert_eq!(column(&rows(&mut anna, info).await.unwrap(), "table_type"), ["TABLE"]);
    let info = anna.get_tables(tables(None, false)).await.unwrap();
    let names = column(&rows(&mut anna, info).await.unwrap(), "table_name");
    assert_eq!(
        names,
        ["acknowledgements", "devices", "events", "fleets", "geofences", "latest_positions", "positions", "stops", "trips"]
    );
    // Columns are told as a question for all of them has them.
    for name in &names {
        let info = anna.get_tables(tables(Some(name.replace('_', "\\_").as_str()), true)).await.unwrap();
        let found = rows(&mut anna, info).await.unwrap();
        let schema = found[0].column_by_name("table_schema").unwrap().as_binary::<i32>().value(0).to_vec();
        let told = Schema::try_from(IpcMessage(schema.into())).unwrap();
        let asked = anna.execute(format!("SELECT * FROM {name}"), None).await.unwrap().try_decode_schema().unwrap();
        let names = |schema: &Schema| -> Vec<_> {
            schema.fields().iter().map(|field| (field.name().clone(), field.data_type().clone())).collect()
        };
        assert_eq!(names(&told), names(&asked), "{name}");
    }
    server.stop().await;
}

#[tokio::test]
async fn the_server_says_that_it_only_reads() {
    let server = Server::start().await;
    let mut anna = server.anna().await;
    let asked = vec![SqlInfo::FlightSqlServerName, SqlInfo::FlightSqlServerReadOnly, SqlInfo::FlightSqlServerTransaction];
    let info = anna.get_sql_info(asked).await.unwrap();
    let told = text(&rows(&mut anna, info).await.unwrap());
    assert!(told.contains("waystream") && told.contains("true"), "{told}");
    let info = anna.get_xdbc_type_info(CommandGetXdbcTypeInfo { data_type: None }).await.unwrap();
    assert!(column(&rows(&mut anna, info).await.unwrap(), "type_name").contains(&"double".to_owned()));
    let (catalog, db_schema, table) = (None, None, "positions".to_owned());
    let keys = CommandGetPrimaryKeys { catalog, db_schema, table };
    let info = anna.get_primary_keys(keys).await.unwrap();
    assert!(rows(&mut anna, info).await.unwrap().iter().all(|batch| batch.num_rows() == 0));
    let keys = CommandGetExportedKeys { catalog: None, db_schema: None, table: "positions".to_owned() };
    let info = anna.get_exported_keys(keys).await.unwrap();
    assert!(rows(&mut anna, info).await.unwrap().iter().all(|batch| batch.num_rows() == 0));
    server.stop().await;
}

#[tokio::test]
async fn what_is_not_there_is_said() {
    let server = Server::start().await;
    let mut anna = server.anna().await;
    let refused = told(anna.execute_update("DELETE FROM positions".to_owned(), None).await.unwrap_err());
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    assert!(refused.message().contains("only reading is possible here"), "{refused}");
    assert_eq!(told(anna.begin_transaction().await.unwrap_err()).code(), Code::Unimplemented);
    let in_one = anna.execute("SELECT 1".to_owned(), Some("t".into())).await.unwrap_err();
    assert_eq!(told(in_one).code(), Code::Unimplemented);
    let flight = server.client(&server.anna).await;
    let bearer = format!("Bearer {}", server.anna);
    let mut flight = flight.into_inner();
    let mut path = tonic::Request::new(FlightDescriptor::new_path(vec!["positions".to_owned()]));
    path.metadata_mut().insert("authorization", bearer.parse().unwrap());
    assert_eq!(flight.get_flight_info(path).await.unwrap_err().code(), Code::Unimplemented);
    let mut exchange = tonic::Request::new(stream::empty::<FlightData>());
    exchange.metadata_mut().insert("authorization", bearer.parse().unwrap());
    assert_eq!(flight.do_exchange(exchange).await.unwrap_err().code(), Code::Unimplemented);
    assert_eq!(query(&mut anna, "SELECT 1").await.unwrap().len(), 1);
    server.stop().await;
}
