//! The tests of the dataflow in one program: it takes longer to link than most of them to run. `kill`, which lets it die at every call to
//! the log, keeps the processor busy for long and has a program of its own (`Cargo.toml`).
#![allow(clippy::unwrap_used)]

mod clock;
mod common;
mod erasures;
mod live;
mod rebalance;
