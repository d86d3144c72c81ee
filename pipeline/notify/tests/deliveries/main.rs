//! Notifications on the real embedded log to real receivers. One test binary, because linking takes long.
#![allow(clippy::unwrap_used)]

mod common;
mod email;
mod mqtt;
mod receiver;
mod reports;
mod restarts;
mod tls;
mod webhooks;
