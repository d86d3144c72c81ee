//! Which partitions there are, and one number per partition for arrays.

use crate::{LogError, Topic};
use std::collections::BTreeMap;

/// One partition of one topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) topic: Topic,
    pub(super) partition: u32,
}

/// The topic's number in the database, never to be changed.
pub(super) const fn topic_id(topic: Topic) -> u8 {
    match topic {
        Topic::Positions => 0,
        Topic::Catalog => 1,
        Topic::Events => 2,
        Topic::States => 3,
        Topic::Snapshots => 4,
        Topic::Recent => 5,
        Topic::Deliveries => 6,
        Topic::Audit => 7,
    }
}

/// All partitions of all topics, numbered through.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    counts: [u32; Topic::ALL.len()],
}

impl Layout {
    pub(super) fn new(overrides: &BTreeMap<Topic, u32>) -> Self {
        Self { counts: Topic::ALL.map(|t| overrides.get(&t).copied().unwrap_or(t.partitions()).max(1)) }
    }

    pub(super) fn partitions(&self, topic: Topic) -> u32 {
        self.counts[usize::from(topic_id(topic))]
    }

    /// Every partition, in the order of their slots.
    pub(super) fn places(&self) -> impl Iterator<Item = Place> {
        Topic::ALL.into_iter().flat_map(|topic| (0..self.partitions(topic)).map(move |partition| Place { topic, partition }))
    }

    /// The number of a partition that exists.
    pub(super) fn slot(&self, place: Place) -> usize {
        let before: u32 = self.counts[..usize::from(topic_id(place.topic))].iter().sum();
        (before + place.partition) as usize
    }

    /// Refuses a partition that does not exist.
    pub(super) fn check(&self, topic: Topic, partition: u32) -> Result<Place, LogError> {
        if partition < self.partitions(topic) {
            Ok(Place { topic, partition })
        } else {
            Err(LogError::Refused(format!("{} has no partition {partition}", topic.name())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_number_the_places() {
        let layout = Layout::new(&BTreeMap::from([(Topic::Events, 3)]));
        for (slot, place) in layout.places().enumerate() {
            assert_eq!(layout.slot(place), slot);
        }
        assert!(layout.check(Topic::Events, 2).is_ok());
        assert!(matches!(layout.check(Topic::Events, 3), Err(LogError::Refused(_))));
    }
}
