//! The real binary as users, trackers and operators meet it. One test binary, because linking the system takes long.
#![allow(clippy::unwrap_used)]

mod commands;
mod common;
mod device_commands;
mod distributed;
#[path = "../../../pipeline/log/tests/support/kafka.rs"]
mod kafka;
mod kills;
mod lifecycle;
mod playback;
mod questdb;
