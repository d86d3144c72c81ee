//! Tests of SQL in one program: it takes longer to link than most of them to run. Those that keep the processor busy for long, or look at all of
//! their process, have programs of their own (`Cargo.toml`).
#![allow(clippy::unwrap_used)]

mod acknowledgements;
mod common;
mod damage;
mod extent;
mod fixes;
mod hostile;
mod newest;
mod queries;
