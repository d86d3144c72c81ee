//! waystream, put together: configuration, command line, the composition root, the demo.
//!
//! This crate is *not* a place for rules about positions, maps or storage: it opens the parts, connects them and stops them.

pub mod geofence;
