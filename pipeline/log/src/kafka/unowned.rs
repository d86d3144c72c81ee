//! Finds partitions of a group that nobody owns, and makes the group share them out.
//!
//! Partitions go from member to member in two rounds: in the first the old owner gives them up, in the second, which it asks for, the
//! new one gets them. If the old owner is killed between the two and comes back under its name, Kafka hands it what it had according
//! to the first round, and nobody asks for the second.

use super::member::Client;
use super::options::KafkaOptions;
use crate::Topic;
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaResult;
use rdkafka::groups::{GroupInfo, GroupMemberInfo};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const LOOK_EVERY: Duration = Duration::from_secs(5);
const REQUEST: Duration = Duration::from_secs(2);
/// What Kafka calls a group that is in no round.
const STABLE: &str = "Stable";

/// One member's watch over its group.
pub(super) struct Unowned<'a> {
    options: &'a KafkaOptions,
    group: String,
    looked: Instant,
    /// Since when the group has been seen with such partitions.
    since: Option<Instant>,
    /// Whether this client has only just joined. It may be what left them so, and asks at once: a round too many harms nobody.
    new: bool,
    /// Whether this member subscribes to one topic more, by which Kafka knows that a round is due.
    asks: bool,
}

impl<'a> Unowned<'a> {
    pub(super) fn new(options: &'a KafkaOptions, group: &str) -> Self {
        Self { options, group: options.group_name(group), looked: Instant::now(), since: None, new: true, asks: false }
    }

    /// To be called often.
    pub(super) fn look(&mut self, consumer: &Client) {
        if self.looked.elapsed() < LOOK_EVERY {
            return;
        }
        self.looked = Instant::now();
        let groups = match consumer.fetch_group_list(Some(&self.group), REQUEST) {
            Ok(groups) => groups,
            Err(error) => return tracing::debug!(%error, group = self.group, "can't look after a kafka group"),
        };
        let Some(group) = groups.groups().iter().find(|group| group.name() == self.group && group.state() == STABLE) else {
            self.since = None;
            return;
        };
        let unowned = self.unowned(group);
        let new = std::mem::take(&mut self.new);
        let changed = if unowned.is_empty() {
            self.since = None;
            self.ask(consumer, false)
        } else if new || (self.is_first(group) && self.for_long()) {
            tracing::warn!(
                ?unowned,
                group = self.group,
                "partitions have no owner: the group is asked to share them out again"
            );
            self.since = None;
            self.ask(consumer, !self.asks)
        } else {
            Ok(())
        };
        if let Err(error) = changed {
            tracing::warn!(%error, group = self.group, "could not ask a kafka group for a round");
        }
    }

    fn unowned(&self, group: &GroupInfo) -> BTreeSet<u32> {
        let topic = self.options.topic_name(Topic::Positions);
        let mut unowned: BTreeSet<u32> = (0..self.options.partitions(Topic::Positions)).collect();
        for member in group.members() {
            let owned = member.assignment().and_then(|assignment| partitions_of(assignment, &topic));
            for partition in owned.unwrap_or_default() {
                unowned.remove(&partition);
            }
        }
        unowned
    }

    /// Nobody takes so long to hand partitions over.
    fn for_long(&mut self) -> bool {
        self.since.get_or_insert_with(Instant::now).elapsed() > self.options.hand_over_timeout
    }

    /// One member asks for all.
    fn is_first(&self, group: &GroupInfo) -> bool {
        group.members().iter().map(GroupMemberInfo::client_id).min() == Some(self.options.instance.as_str())
    }

    fn ask(&mut self, consumer: &Client, asks: bool) -> KafkaResult<()> {
        if asks == self.asks {
            return Ok(());
        }
        let topics = [Topic::Positions, Topic::Catalog].map(|topic| self.options.topic_name(topic));
        let count = if asks { 2 } else { 1 };
        consumer.subscribe(&topics.each_ref().map(String::as_str)[..count])?;
        self.asks = asks;
        Ok(())
    }
}

/// The partitions of a topic in what Kafka's clients call a consumer protocol assignment: a version, then for each topic its name and
/// its partitions, all numbers big-endian; what follows is the assignor's. None if it is something else.
fn partitions_of(assignment: &[u8], wanted: &str) -> Option<Vec<u32>> {
    let mut rest = assignment;
    let mut take = |bytes: usize| rest.split_off(..bytes);
    let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
    let _version = take(2)?;
    let mut partitions = Vec::new();
    for _ in 0..number(take(4)?) {
        let length = number(take(2)?) as usize;
        let topic = take(length)?;
        for _ in 0..number(take(4)?) {
            let partition = number(take(4)?);
            if topic == wanted.as_bytes() {
                partitions.push(partition);
            }
        }
    }
    Some(partitions)
}

#[cfg(test)]
mod tests {
    use super::partitions_of;

    #[test]
    fn an_assignment_names_partitions_by_topic() {
        let assignment = b"\0\x01\0\0\0\x02\0\x01a\0\0\0\x02\0\0\0\x03\0\0\x01\0\0\x01b\0\0\0\x01\0\0\0\x07\xff\xff\xff\xff";
        assert_eq!(partitions_of(assignment, "a"), Some(vec![3, 256]));
        assert_eq!(partitions_of(assignment, "b"), Some(vec![7]));
        assert_eq!(partitions_of(assignment, "c"), Some(vec![]));
        assert_eq!(partitions_of(&assignment[..20], "a"), None);
        assert_eq!(partitions_of(b"", "a"), None);
    }
}
