//! Arrow Flight SQL, as clients meet it: the real server on a port, over a small history of two organisations.
#![cfg(feature = "flight")]
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
mod hostile;
mod limits;
mod metadata;
#[path = "../common/people.rs"]
mod people;
mod prepared;
mod server;
mod sign_in;
mod statements;
