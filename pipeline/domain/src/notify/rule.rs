//! Which events are told to whom.

use crate::geofence::Schedule;
use crate::{ChannelId, Event, EventKind, FleetId, GeofenceId, NotificationRuleId, OrganisationId, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Longest time for which a rule may keep silent after it has told something, minutes: a day.
pub const MAX_EVERY_MIN: u32 = 24 * 60;
/// Most fleets or geofences that a rule names.
const MAX_NAMED: usize = 1_000;

/// A rule of an organisation: the events that it picks are told over its channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NotificationRule {
    /// Its key.
    pub id: NotificationRuleId,
    /// Owner.
    pub organisation: OrganisationId,
    /// For people.
    pub name: String,
    /// Off: picks nothing.
    pub enabled: bool,
    /// At least one.
    pub kinds: BTreeSet<EventKind>,
    /// Only events of these; none named: of all of the organisation.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub fleets: BTreeSet<FleetId>,
    /// Only events about these; none named: all events, also those about no geofence.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub geofences: BTreeSet<GeofenceId>,
    /// While these hours run, nothing is told, nor afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet_hours: Option<Schedule>,
    /// After an event of a device has been told, further ones of it are not told for so many minutes; 0: all are.
    #[serde(default)]
    pub at_most_every_min: u32,
    /// How it is told.
    pub channel: ChannelId,
}

impl NotificationRule {
    /// What is wrong with it by itself.
    ///
    /// # Errors
    /// `field: what is wrong`.
    pub fn check(&self) -> Result<(), String> {
        if self.kinds.is_empty() {
            return Err("kinds: at least one kind of event is needed".into());
        }
        for (field, named) in [("fleets", self.fleets.len()), ("geofences", self.geofences.len())] {
            if named > MAX_NAMED {
                return Err(format!("{field}: at most {MAX_NAMED} can be named, not {named}"));
            }
        }
        if self.at_most_every_min > MAX_EVERY_MIN {
            return Err(format!("at_most_every_min: {} is more than {MAX_EVERY_MIN}, a day", self.at_most_every_min));
        }
        Ok(())
    }

    /// Whether an event of its organisation is one that it picks.
    pub fn picks(&self, event: &Event) -> bool {
        self.enabled
            && self.kinds.contains(&event.kind)
            && (self.fleets.is_empty() || self.fleets.contains(&event.fleet))
            && (self.geofences.is_empty() || event.geofence.as_ref().is_some_and(|g| self.geofences.contains(g)))
    }

    /// Whether it keeps quiet at that time.
    pub fn is_quiet(&self, at: Timestamp) -> bool {
        self.quiet_hours.as_ref().is_some_and(|hours| hours.is_open(at))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn rule() -> NotificationRule {
        NotificationRule {
            id: "r".parse().expect("id"),
            organisation: "o".parse().expect("id"),
            name: "Depot".into(),
            enabled: true,
            kinds: [EventKind::Enter, EventKind::Exit].into(),
            fleets: BTreeSet::new(),
            geofences: BTreeSet::new(),
            quiet_hours: None,
            at_most_every_min: 0,
            channel: "c".parse().expect("id"),
        }
    }

    #[test]
    fn what_is_wrong_is_told_by_field() {
        assert_eq!(rule().check(), Ok(()));
        let wrong = |change: fn(&mut NotificationRule)| {
            let mut rule = rule();
            change(&mut rule);
            rule.check().expect_err("is wrong")
        };
        assert!(wrong(|r| r.kinds.clear()).starts_with("kinds: "));
        assert!(wrong(|r| r.at_most_every_min = 1_441).starts_with("at_most_every_min: "));
        let many = |r: &mut NotificationRule| r.fleets = (0..1_001).map(|n| n.to_string().parse().expect("id")).collect();
        assert!(wrong(many).starts_with("fleets: "));
    }
}
