//! Tests of the store in one program: it takes longer to link than most of them to run, and those that leave QuestDB running share one.

mod archive;
mod mangled;
mod parquet_contract;
mod parquet_files;
mod parquet_newest;
mod questdb;
mod questdb_contract;
mod questdb_kill;
mod questdb_tls;
#[path = "support/questdb.rs"]
mod server;
