//! Postgres wire, as clients meet it: the real server on a port, over a small history of two organisations.
#![cfg(feature = "postgres")]
#![allow(clippy::unwrap_used)]

mod client;
#[path = "../common/mod.rs"]
mod common;
mod extended;
mod hostile;
mod limits;
mod mangled;
#[path = "../common/people.rs"]
mod people;
mod psql;
mod server;
mod sign_in;
mod statements;
