//! The gateway between the log and browsers: live map and replay over Socket.IO, REST, sessions, the web client's files.

pub mod wire;
