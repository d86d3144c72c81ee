//! The tests of the gateway in one program: it takes longer to link than most of them to run. Those that look at all of their process have programs
//! of their own (`Cargo.toml`).
#![allow(clippy::unwrap_used)]

mod access;
mod acknowledgements;
mod audit;
mod detail;
mod device_access;
mod erasures;
mod exports;
mod fleet_ids;
mod foreign_events;
mod geofences;
mod guesses;
mod history;
mod installers;
mod limits;
mod live;
mod notifications;
mod oidc;
mod rates;
mod refusals;
mod replay;
mod rest;
mod retention;
mod room;
mod sessions;
mod shares;
mod system;
mod tokens;
mod transfers;
mod unknown_devices;
mod users;
