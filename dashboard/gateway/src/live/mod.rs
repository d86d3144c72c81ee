//! The live map: from the log to every socket that watches.

mod alerts;
mod board;
mod client;
mod feed;
mod hub;
mod kills;
mod latest;
mod motion;
mod outbox;
mod sockets;
mod view;

pub(crate) use alerts::alert;
pub use board::LinkLimits;
pub(crate) use board::{Board, Link, frame_record};
pub(crate) use feed::{Follow, follow, start};
pub(crate) use hub::{Command, Hub, HubStart, SharedBoard};
pub(crate) use kills::Kills;
pub(crate) use latest::BoardPositions;
pub(crate) use motion::Motion;
pub(crate) use outbox::taken;
pub(crate) use sockets::{Live, socket_router};
