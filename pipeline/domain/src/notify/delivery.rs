//! One telling of one event, and what has become of it.

use super::report::{Per, Period, ReportFormat};
use crate::codec::CodecError;
use crate::{ChannelId, DeliveryId, Event, EventId, FleetId, NotificationRuleId, OrganisationId, ReportId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fmt::Write;

/// One telling. Its newest record in the log is its whole state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// See [`DeliveryId::of`]: the same however often it is tried.
    pub id: DeliveryId,
    /// Whose.
    pub organisation: OrganisationId,
    /// Over which channel; what the channel says counts when it is tried.
    pub channel: ChannelId,
    /// What is told.
    pub content: Content,
    /// When it was decided that it is told.
    pub matched_at: Timestamp,
    /// How often somebody has asked to try a dead one again.
    #[serde(default)]
    pub round: u32,
    /// In this round.
    pub attempts: u32,
    /// Since when it is as it is.
    pub changed_at: Timestamp,
    /// What has become of it.
    #[serde(flatten)]
    pub state: DeliveryState,
}

/// What is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "content", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "nearly all are events")]
pub enum Content {
    /// An event, because a rule picks it.
    Event {
        /// Which rule.
        rule: NotificationRuleId,
        /// What happened.
        event: Event,
        /// How often this event has been told before by this rule; odd: it is taken back.
        turn: u32,
        /// Whether it mends what this rule has told before.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        corrects: bool,
        /// Names at that time, for people.
        names: Names,
    },
    /// A report, because it is time.
    Report {
        /// Which.
        report: ReportId,
        /// What it is about, for people.
        title: String,
        /// Whose vehicles; none named: all of the organisation.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        fleets: BTreeSet<FleetId>,
        /// What has a line of its own.
        #[serde(default, skip_serializing_if = "Per::is_vehicle")]
        per: Per,
        /// What it is about.
        period: Period,
        /// Name of the file.
        file: String,
        /// What the file is.
        format: ReportFormat,
    },
    /// Somebody wants to see whether the channel works.
    Test {
        /// Who.
        by: UserId,
    },
}

/// What people call the things of an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Names {
    /// The rule.
    pub rule: String,
    /// The device.
    pub device: String,
    /// Its fleet.
    pub fleet: String,
    /// The geofence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub geofence: Option<String>,
}

/// What has become of a delivery.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum DeliveryState {
    /// To be tried.
    Pending {
        /// Not before.
        next_try_at: Timestamp,
        /// Of the last attempt.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last_error: Option<String>,
    },
    /// The receiver has it.
    Delivered,
    /// Given up; kept, so that somebody can look and have it tried again.
    Dead {
        /// Why.
        reason: String,
    },
}

impl DeliveryState {
    /// `pending`, `delivered` or `dead`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Pending { .. } => "pending",
            Self::Delivered => "delivered",
            Self::Dead { .. } => "dead",
        }
    }
}

impl DeliveryId {
    /// Follows from the rule, the event and how often it has been told before: 128 bits of SHA-256, in hexadecimal.
    pub fn of(rule: &NotificationRuleId, event: &EventId, turn: u32) -> Self {
        // Ids have no control characters.
        Self::hashed(&[rule.as_str(), "\0", event.as_str(), "\0", &turn.to_string()])
    }

    /// Follows from the report and the beginning of what it is about.
    pub fn of_report(report: &ReportId, from: Timestamp) -> Self {
        Self::hashed(&["report\0", report.as_str(), "\0", &from.as_millis().to_string()])
    }

    fn hashed(parts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update(part.as_bytes());
        }
        let hex = hash.finalize().iter().take(16).fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("a String grows as needed");
            hex
        });
        Self::new(hex).expect("hexadecimal digits are an id")
    }
}

impl Delivery {
    /// The event, if it is about one.
    pub fn event(&self) -> Option<&Event> {
        match &self.content {
            Content::Event { event, .. } => Some(event),
            Content::Report { .. } | Content::Test { .. } => None,
        }
    }

    /// What this one takes back, or tells after all: the receiver has to hear of that first.
    pub fn earlier_turn(&self) -> Option<DeliveryId> {
        match &self.content {
            Content::Event { rule, event, turn, .. } => Some(DeliveryId::of(rule, &event.id, turn.checked_sub(1)?)),
            Content::Report { .. } | Content::Test { .. } => None,
        }
    }

    /// Whether a later record may say this: a delivery only goes forward, so of what two processes say of it at once all readers
    /// see the same.
    pub fn may_become(&self, next: &Self) -> bool {
        let place = |d: &Self| (d.round, !matches!(d.state, DeliveryState::Pending { .. }), d.attempts);
        place(self) < place(next)
    }

    /// Value of a record in `deliveries`; its key is the id.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a delivery has text keys only")
    }

    /// Reads a value of `deliveries`.
    ///
    /// # Errors
    /// If it is none.
    pub fn decode(value: &[u8]) -> Result<Self, CodecError> {
        Ok(serde_json::from_slice(value)?)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::matching::tests::event;
    use super::*;

    pub(crate) fn delivery() -> Delivery {
        let (rule, event) = ("r".parse().expect("id"), event("van/7"));
        Delivery {
            id: DeliveryId::of(&rule, &event.id, 0),
            organisation: "o".parse().expect("id"),
            channel: "c".parse().expect("id"),
            content: Content::Event {
                rule,
                event,
                turn: 0,
                corrects: false,
                names: Names {
                    rule: "R".into(),
                    device: "Van 7".into(),
                    fleet: "North".into(),
                    geofence: Some("Depot".into()),
                },
            },
            matched_at: Timestamp::default(),
            round: 0,
            attempts: 0,
            changed_at: Timestamp::default(),
            state: DeliveryState::Pending { next_try_at: Timestamp::default(), last_error: None },
        }
    }

    #[test]
    fn a_delivery_survives_the_log() {
        let test = Delivery { content: Content::Test { by: "admin".parse().expect("id") }, ..delivery() };
        for d in [delivery(), test, delivery().dead("no such host", Timestamp::default())] {
            assert_eq!(Delivery::decode(&d.encode()).expect("reads"), d);
        }
        assert!(Delivery::decode(b"{}").is_err());
    }

    #[test]
    fn its_id_follows_from_rule_event_and_turn() {
        let (r, e) = ("r".parse().expect("id"), EventId::from_text("van/7/f/enter/0"));
        // Receivers keep these ids: they must never change.
        assert_eq!(DeliveryId::of(&r, &e, 0).as_str(), "a2be32d87a2e76d51b40c8df7ed0eb1c");
        assert_ne!(DeliveryId::of(&r, &e, 0), DeliveryId::of(&r, &e, 1));
        assert_ne!(DeliveryId::of(&"s".parse().expect("id"), &e, 0), DeliveryId::of(&r, &e, 0));
    }

    #[test]
    fn nothing_leads_back() {
        let pending = delivery();
        let delivered = Delivery { state: DeliveryState::Delivered, attempts: 1, ..delivery() };
        assert!(pending.may_become(&delivered));
        // Another process had failed meanwhile, or the event is told again.
        let later = Delivery { attempts: 3, ..delivery() };
        assert!(!delivered.may_become(&later) && !delivered.may_become(&pending) && !pending.may_become(&pending));
    }
}
