//! Records as they go in and come out.

use bytes::Bytes;

/// What goes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Decides the partition; in compacted topics the newest value of a key is kept.
    pub key: Bytes,
    /// `None` removes the key from a compacted topic.
    pub value: Option<Bytes>,
}

impl Record {
    /// A record with a value.
    pub fn new(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        Self { key: key.into(), value: Some(value.into()) }
    }

    /// Removes a key.
    pub fn removal(key: impl Into<Bytes>) -> Self {
        Self { key: key.into(), value: None }
    }
}

/// What comes out: a record with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Place in the partition.
    pub offset: u64,
    /// When it was appended, milliseconds since the Unix epoch.
    pub appended_at_ms: i64,
    /// Key.
    pub key: Bytes,
    /// Value; `None`: the key is removed.
    pub value: Option<Bytes>,
}
