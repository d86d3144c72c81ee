//! The topics, how long each is kept, and which partition a key belongs to.

use std::time::Duration;

/// The topics of waystream. Key and value of each: `waystream_domain::codec`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// Key device. Written by connectors; read by dataflow and archive.
    Positions,
    /// Key `kind/id`. Written by the gateway's REST and the command line; read by connectors, dataflow, gateway.
    Catalog,
    /// Key device. Written by the dataflow; read by archive, gateway, notifiers.
    Events,
    /// Key device. Written by the dataflow; read by dataflow and gateway at start.
    States,
    /// Key device. The last fixes of each but for the very last, which stand in its state. Written and read by the dataflow.
    Recent,
    /// Key fleet. Written by the dataflow; read by the gateway.
    Snapshots,
    /// Key delivery. Written by the notifier, and by the gateway where somebody wants one tried again; read by the notifier, and by the
    /// gateway when somebody asks.
    Deliveries,
    /// Key `kind/id` of what was changed. Written by whoever edits the catalog; read by the gateway and the command line when somebody
    /// asks who changed what.
    Audit,
}

/// How long records stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// At least this long.
    For(Duration),
    /// The newest value of each key for ever; a removed key is forgotten after a day.
    Newest,
}

impl Topic {
    /// Every topic.
    pub const ALL: [Self; 8] = [
        Self::Positions,
        Self::Catalog,
        Self::Events,
        Self::States,
        Self::Snapshots,
        Self::Recent,
        Self::Deliveries,
        Self::Audit,
    ];

    /// Name in metrics, in Kafka and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Positions => "positions",
            Self::Catalog => "catalog",
            Self::Events => "events",
            Self::States => "states",
            Self::Recent => "recent",
            Self::Snapshots => "snapshots",
            Self::Deliveries => "deliveries",
            Self::Audit => "audit",
        }
    }

    /// Default time to keep.
    pub const fn keep(self) -> Keep {
        const HOUR: Duration = Duration::from_secs(3600);
        match self {
            Self::Positions => Keep::For(Duration::from_secs(7 * 24 * 3600)),
            Self::Events => Keep::For(Duration::from_secs(30 * 24 * 3600)),
            Self::Snapshots => Keep::For(HOUR),
            // A year and the weeks until somebody looks back at it.
            Self::Audit => Keep::For(Duration::from_secs(400 * 24 * 3600)),
            Self::Catalog | Self::States | Self::Recent | Self::Deliveries => Keep::Newest,
        }
    }

    /// Whether the processes of a group share its partitions out among them. All these topics have the same number of partitions, so
    /// whoever owns a partition of one owns the same of the others. Their key is a device, but for deliveries.
    pub const fn is_shared_out(self) -> bool {
        match self {
            Self::Positions | Self::Events | Self::States | Self::Recent | Self::Deliveries => true,
            Self::Catalog | Self::Snapshots | Self::Audit => false,
        }
    }

    /// Default number of partitions. `positions`, `states` and `recent` share keys and number, so that a worker which owns a partition of
    /// one owns the same of the other. The catalog and what was changed about it have one each, because they are read
    /// in one order.
    pub const fn partitions(self) -> u32 {
        match self {
            Self::Positions | Self::States | Self::Recent | Self::Events | Self::Deliveries => 16,
            Self::Catalog | Self::Audit => 1,
            Self::Snapshots => 8,
        }
    }
}

/// The partition of a key among `partitions`: CRC-32 (IEEE) of the key, modulo. Fixed for ever: a device never moves.
pub fn partition_of(key: &[u8], partitions: u32) -> u32 {
    crc32fast::hash(key) % partitions.max(1)
}
