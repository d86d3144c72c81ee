//! The tests of the connectors in one program: it takes longer to link than most of them to run. Those that keep the processor busy for
//! long, count all memory or metrics of their process, or start it anew to kill it, have programs of their own (`Cargo.toml`).
#![allow(clippy::unwrap_used)]

mod any_port;
mod attributes;
#[path = "common/cases.rs"]
mod cases;
mod checksums;
mod client_certificates;
mod commands;
mod common;
mod decode;
mod device_access;
mod external_mqtt;
mod files;
mod flooding;
mod handover;
mod http;
mod manuals;
mod mqtt;
mod mqtt_payloads;
mod no_imei;
mod readme;
mod recognise;
mod streams;
mod tcp;
mod two_places;
mod udp;
mod unknown_devices;
mod vectors;
