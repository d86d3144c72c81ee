//! Connectors: bytes from devices and files into the log. A device is answered when its positions are durable, not before.
//!
//! This crate can't see the store: where positions go after the log is not its business.

pub mod decode;
pub mod files;
pub mod protocol;
pub mod protocols;
mod readers;
pub mod vocabulary;
