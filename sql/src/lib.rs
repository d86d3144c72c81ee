//! SQL and other questions over history: DataFusion on the store's tables, each question inside a [`Scope`].
//!
//! Everything that reads history goes through [`SqlEngine`]: analysts' SQL, tracks for replay and export, pages of events.
//! This crate writes nothing but results, and knows no sessions or passwords: who may see what is decided before.

#[cfg(any(feature = "flight", feature = "postgres"))]
mod accept;
mod attributes;
mod bounded;
mod context;
#[cfg(any(feature = "flight", feature = "postgres"))]
mod door;
mod engine;
mod error;
mod events;
mod extent;
pub mod fair;
mod fixes;
#[cfg(feature = "flight")]
pub mod flight;
pub mod functions;
mod growing;
mod latest;
mod manner;
mod memory;
pub mod metrics;
mod named;
mod newest;
pub mod output;
mod pieces;
#[cfg(feature = "postgres")]
pub mod postgres;
mod priority;
mod reading;
mod room;
mod roster;
mod scope;
mod statement;
mod tables;
mod track;
mod views;
mod walk;
mod whereabouts;

#[cfg(any(feature = "flight", feature = "postgres"))]
pub use door::Door;
pub use engine::{QueryResult, SqlEngine, SqlOptions};
pub use error::{Flaw, SqlError};
pub use events::{EventFilter, EventsPage};
pub use fixes::{Fix, FixRequest, FixStream, Mark};
pub use latest::LatestPositions;
pub use roster::Roster;
pub use scope::Scope;
pub use track::{Devices, TrackRequest, TrackStream};
pub use waystream_store::{Archived, EventCursor};
pub use whereabouts::Reporter;
