//! The live map: from the log to every socket that watches.

mod acked;
mod alerts;
mod area;
mod board;
mod client;
mod client_cells;
mod counted;
mod early;
mod feed;
mod hub;
mod index;
mod kills;
mod latest;
mod listing;
mod motion;
mod occupancy;
mod outbox;
mod recent;
mod record;
#[cfg(test)]
mod sight;
mod sockets;
mod tiles;
mod turns;
mod view;
mod window;

pub(crate) use alerts::{alert, device_name};
pub use area::DetailLimits;
pub(crate) use board::Board;
pub use board::LinkLimits;
pub(crate) use feed::{Follow, follow, start};
pub(crate) use hub::{Command, Hub, HubStart, SharedBoard};
pub(crate) use kills::Kills;
pub(crate) use latest::BoardPositions;
pub(crate) use listing::{Listed, Ranks, Wanted, list, listed_vehicle};
pub(crate) use motion::{Motion, Told};
pub(crate) use outbox::taken;
pub(crate) use record::record;
pub(crate) use sockets::{Live, socket_router};

pub(crate) use crate::wire::cells::Look;
