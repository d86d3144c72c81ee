//! The real binary as users, trackers and operators meet it. One test binary, because linking the system takes long.
#![allow(clippy::unwrap_used)]

mod bad_wire;
#[path = "../../../dashboard/gateway/tests/system/browser.rs"]
#[allow(dead_code, unreachable_pub)]
mod browser;
mod clock;
mod commands;
mod common;
mod damage;
mod deployment;
mod device_commands;
mod distributed;
mod faults;
mod gateways;
mod handover;
mod hardships;
mod history_truth;
#[path = "../../../pipeline/log/tests/support/kafka.rs"]
mod kafka;
mod kills;
mod lifecycle;
mod machines;
mod mangled_settings;
mod notifications;
mod people;
mod playback;
mod questdb;
#[path = "../../../dashboard/gateway/tests/system/raw.rs"]
#[allow(dead_code, unreachable_pub)]
mod raw;
mod recorded;
mod redis;
mod redis_tls;
mod rest_fuzz;
mod rival;
mod secrets;
#[path = "../../../pipeline/store/tests/support/questdb.rs"]
mod server;
mod small_disk;
mod sql_clients;
mod storekeeping;
mod storms;
mod strangers;
mod tls;
mod traccar;
mod whole_answers;
mod wires;
