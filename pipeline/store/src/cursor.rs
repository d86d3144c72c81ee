//! A place in the history of events that survives late arrivals, restarts and compaction.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// Per partition of the topic `events`, the first log offset not yet seen.
///
/// Not a time: an event may concern a fix of last week and arrive now, and two gateways see partitions interleave differently.
/// Offsets within a partition only grow, so "everything at or after these offsets" skips nothing and repeats nothing.
/// As text (`0:17,3:5`) it is opaque to clients.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventCursor(BTreeMap<u32, u64>);

/// Text that is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an event cursor")]
pub struct BadCursor;

impl EventCursor {
    /// The first offset not yet seen in this partition.
    pub fn next(&self, partition: u32) -> u64 {
        self.0.get(&partition).copied().unwrap_or(0)
    }

    /// The event at this place has been seen; never goes back.
    pub fn seen(&mut self, partition: u32, offset: u64) {
        self.advance(partition, offset.saturating_add(1));
    }

    /// Everything below `next` has been seen in this partition; never goes back.
    pub fn advance(&mut self, partition: u32, next: u64) {
        let entry = self.0.entry(partition).or_default();
        *entry = next.max(*entry);
    }

    /// By partition.
    pub fn iter(&self) -> impl Iterator<Item = (u32, u64)> {
        self.0.iter().map(|(p, o)| (*p, *o))
    }
}

impl FromIterator<(u32, u64)> for EventCursor {
    fn from_iter<I: IntoIterator<Item = (u32, u64)>>(next: I) -> Self {
        let mut cursor = Self::default();
        for (partition, next) in next {
            cursor.advance(partition, next);
        }
        cursor
    }
}

impl fmt::Display for EventCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (partition, next)) in self.0.iter().enumerate() {
            write!(f, "{}{partition}:{next}", if i == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl FromStr for EventCursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        text.split(',')
            .filter(|part| !part.is_empty())
            .map(|part| {
                let (partition, next) = part.split_once(':').ok_or(BadCursor)?;
                // Offsets are kept in signed 64-bit columns.
                let next: u64 = next.parse().map_err(|_| BadCursor)?;
                if next > i64::MAX as u64 {
                    return Err(BadCursor);
                }
                Ok((partition.parse().map_err(|_| BadCursor)?, next))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_is_written() {
        let cursor: EventCursor = [(0, 17), (3, 5)].into_iter().collect();
        assert_eq!(cursor.to_string(), "0:17,3:5");
        assert_eq!("0:17,3:5".parse(), Ok(cursor));
        assert_eq!("".parse(), Ok(EventCursor::default()));
        for bad in ["x", "1", "1:", "1:-2", "1:9223372036854775808", "4294967296:1"] {
            assert_eq!(bad.parse::<EventCursor>(), Err(BadCursor), "{bad}");
        }
    }

    #[test]
    fn a_cursor_never_goes_back() {
        let mut cursor = EventCursor::default();
        cursor.seen(1, 9);
        cursor.seen(1, 4);
        assert_eq!((cursor.next(1), cursor.next(2)), (10, 0));
    }
}
