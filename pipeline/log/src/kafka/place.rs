//! The one place that a group has for each process's name. Whoever joins under the name has it, and shuts out who had it before.
//!
//! That need not be another process. A broker that slept, and does not know yet that it leads a group no more, may have taken this
//! process in anew; for the broker that leads it, what the process then says comes from nobody it knows under that name. So it is
//! asked who has the place: the clients of one membership all have one name, by which they know each other.

use super::member::Client;
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaResult;
use rdkafka::groups::GroupMemberInfo;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

const REQUEST: Duration = Duration::from_secs(2);
/// Between a process's name and what tells it from others of that name. Random, as a name may be used again by another machine.
const MARK: &str = "@";

/// What the clients of a membership are called.
pub(super) fn client_id(instance: &str) -> String {
    format!("{instance}{MARK}{:016x}", RandomState::new().hash_one(instance))
}

/// Whether another process has the place.
pub(super) fn is_taken(consumer: &Client, group: &str, client_id: &str) -> KafkaResult<bool> {
    let groups = consumer.fetch_group_list(Some(group), REQUEST)?;
    let members = groups.groups().iter().filter(|found| found.name() == group).flat_map(|found| found.members());
    Ok(members.map(GroupMemberInfo::client_id).any(|other| is_another(other, client_id)))
}

/// Whether these are different processes of one name.
fn is_another(other: &str, client_id: &str) -> bool {
    other != client_id && name(other) == name(client_id)
}

fn name(client_id: &str) -> Option<&str> {
    client_id.rsplit_once(MARK).map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_of_one_name_are_told_apart_and_clients_of_one_are_not() {
        let (first, second) = (client_id("a@b"), client_id("a@b"));
        assert!(is_another(&first, &second));
        assert!(!is_another(&first, &first));
        assert!(!is_another(&client_id("a"), &first));
    }
}
